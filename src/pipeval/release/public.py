"""The public-use file: tables that tell of firms without telling which, in the contract's own format.

Tables are read, corrected, masked and settled as for the report; then firms are put into groups of at least k that share everything
that leaves. What is not listed here does not leave. The file is measured again from what was written, by a function that shares
nothing with the ones that made it.
"""

from __future__ import annotations

import random
import secrets
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ..data.check import check
from ..data.contract import TABLES
from ..data.load import Tables, load, require_clean
from ..data.queries import settle_queries
from ..errors import DataError, collected, some
from ..report.bundle import Bundle
from ..report.text import read_text
from ..study.files import inside
from ..study.specs import Study
from . import anonymity as an
from .averages import GROUP, shared, top_coded_survey
from .disclosure_tables import write_released
from .grouping import release_groups
from .measured import measured
from .risk import write_risk
from .traces import telling_words, words_in

_AS_THEY_ARE = {
    "series": ("series", "year", "value", "base"),
    "territory_totals": ("territory", "year", "sector", "measure", "value", "source"),
    "benchmarks": ("study", "country", "outcome", "effect_pct", "ci_lo", "ci_hi", "horizon_years", "method", "source"),
    "budget": ("component", "source", "budget_usd"),
}
RELEASED = ("enterprises", "survey", "product_sales", "services", "other_support", *_AS_THEY_ARE)
"""Tables that may leave; every other one of the contract stays at home."""


def public_files(study: Study, bundle: Bundle, out: str | Path, chance: random.Random | None = None) -> dict[str, Any]:
    """Write the public-use file of a study: `params/<study>.yaml`, `data/*.csv`, `tables/*.csv`, `risk.md`, `risk.json`.

    Parameters
    ----------
    study : Study
        As read, with its tables where params say.
    bundle : Bundle
        The published report, whose tables are released where they may be.
    out : path
        The folder; it must not be there.
    chance : random.Random, optional
        What draws the order of the new identifiers; by default the operating system, anew each time.

    Returns
    -------
    dict
        The record of the release, as in `risk.json`.

    Raises
    ------
    DataError
        When the files break the contract, or what was written is below k or l; nothing is left then.
    """
    out, chance = Path(out), chance or secrets.SystemRandom()
    if out.exists():
        raise DataError(f"a public-use file is written to a new folder; {out} is there. Choose another")
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    with collected():
        tables = load(study)
        faults = check(tables, study)
        require_clean(faults)
        settled = settle_queries(tables, faults, study)
    refuse_unmade(study, settled)
    original = settled.frames
    frames, record = anonymised(original, study, chance)
    try:
        params = _write(frames, study, part, telling_words(original))
        record["measured"] = measured(part / "data", study.privacy)
        an.refuse_exposed(record["measured"], study.privacy)
        record["tables"] = write_released(bundle, settled, study, part / "tables")
        write_risk(record, original, frames, study, bundle, params)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return record


def refuse_unmade(study: Study, tables: Tables) -> None:
    """Refuse a study whose public file would lack what its outcomes or its treatment are made of.

    Raises
    ------
    DataError
        Naming the outcomes.
    """
    left = {name for name in RELEASED if name in tables.frames} - set(study.privacy.withhold)
    missing = [n for n in ("enterprises", "survey") if n not in left]
    if missing:
        raise DataError(f"a public-use file needs enterprises and survey; params withhold {some(missing, 'table')}")
    prices = [o.id for o in study.outcomes if "price" in (o.measure, o.per)]
    if prices and "product_sales" not in left and "product_sales" in tables.frames:
        raise DataError(
            f"prices are made of product_sales, which params withhold; take out {some(prices, 'outcome')} or release it"
        )
    if study.treatment.definition == "ta_recipient" and "services" not in left:
        raise DataError("treatment.definition: ta_recipient is made of services, which params withhold; release it")


def anonymised(
    original: dict[str, pd.DataFrame], study: Study, chance: random.Random
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The released tables under new identifiers, and the record: cells blanked, firms that left, tables withheld, old id → new."""
    kept = {n: f for n, f in original.items() if n in RELEASED and n not in study.privacy.withhold}
    groups = release_groups(kept, study)
    alone = len(kept["enterprises"]) - len(groups)
    if groups.empty:
        raise DataError(f"a public-use file needs groups of {study.privacy.k} firms of one arm; there is none. Lower privacy.k")
    frames = shared(top_coded_survey(kept, study), groups, study)
    frames |= {n: frames[n].reindex(columns=list(columns)) for n, columns in _AS_THEY_ARE.items() if n in frames}
    hidden = int((frames["enterprises"]["municipality"].isna() & kept["enterprises"]["municipality"].notna().any()).sum())
    frames, blanked, left = an.anonymous(frames, study.privacy)
    if "product_sales" in frames:
        frames["product_sales"] = _common_lines(frames["product_sales"], study.privacy.k)
    frames, pairs = _renamed(frames, original, chance)
    frames = {n: f for n, f in frames.items() if len(f)}
    return frames, {
        "blanked": {"municipality": hidden + blanked.pop("municipality", 0)} | blanked,
        "firms_without_group": alone,
        "firms_left_out": alone + len(left),
        "removed_columns": {n: sorted(set(original[n]) - set(f)) for n, f in sorted(frames.items()) if set(original[n]) - set(f)},
        "withheld": sorted(set(original) - set(frames)),
        "pairs": pairs,
    }


def _common_lines(sold: pd.DataFrame, k: int) -> pd.DataFrame:
    """Sales of the product lines that at least k firms sell."""
    return sold[sold.groupby("product_line")["firm_id"].transform("nunique") >= k]


def _renamed(frames: dict[str, pd.DataFrame], original: dict[str, pd.DataFrame], chance: random.Random):
    """The tables under new identifiers drawn by chance, in the order of these; old id → new id of the firms."""
    firms = frames["enterprises"]
    used = set(original["enterprises"]["firm_id"].str.casefold()) | set(
        original["enterprises"]["cluster_id"].dropna().astype(str).str.casefold()
    )
    pairs = _drawn(sorted(firms["firm_id"]), "PU", used, chance)
    clusters = _drawn(sorted(firms["cluster_id"].dropna().unique()), "PK", used, chance)
    made = {n: f.assign(firm_id=f["firm_id"].map(pairs)) if "firm_id" in f else f for n, f in frames.items()}
    numbers = {one: n for n, one in enumerate(_shuffled(sorted(firms[GROUP].unique()), chance), 1)}
    made["enterprises"] = made["enterprises"].assign(
        **{"cluster_id": firms["cluster_id"].map(clusters).astype(object), GROUP: firms[GROUP].map(numbers)}
    )
    for name, frame in made.items():
        if "firm_id" in frame:
            key = ["firm_id", *(c for c in TABLES[name].key if c in frame and c not in ("firm_id", "service_id"))]
            made[name] = frame.sort_values(key).reset_index(drop=True)
    if "services" in made:
        made["services"]["service_id"] = [f"PS{n:06d}" for n in range(1, len(made["services"]) + 1)]
    return made, pairs


def _drawn(ids: list[str], prefix: str, used: set[str], chance: random.Random) -> dict[str, str]:
    while any(one.startswith(prefix.casefold()) for one in used):
        prefix += "X"
    return {one: f"{prefix}{n:05d}" for n, one in enumerate(_shuffled(ids, chance), 1)}


def _shuffled(ids: list[Any], chance: random.Random) -> list[Any]:
    order = list(ids)
    chance.shuffle(order)
    return order


def _write(frames: dict[str, pd.DataFrame], study: Study, folder: Path, words: set[str]) -> Path:
    """Write data and params, the log frame's texts searched for words that tell who a firm is; the params file."""
    (folder / "data").mkdir(parents=True)
    (folder / "params").mkdir()
    for name, frame in frames.items():
        frame.to_csv(folder / "data" / f"{name}.csv", index=False, lineterminator="\n")
    plan = public_plan(study)
    if Path(study.logframe).suffix in (".yaml", ".yml"):
        plan["logframe"] = "params/logframe.yml"
        shutil.copyfile(inside(study.root, study.logframe), folder / plan["logframe"])
    path = folder / "params" / f"{study.study}.yaml"
    path.write_text(yaml.safe_dump(plan, allow_unicode=True, sort_keys=False), encoding="utf-8")
    telling = words_in({p.name: p.read_bytes() for p in sorted(path.parent.iterdir())}, words)
    if telling:
        raise DataError(
            "the plan and log frame of a public-use file hold nothing that tells who a firm is; identifiers, names or comments of "
            f"the study's tables stand in {some(sorted(telling), 'file')}. Nothing was written. Reword them"
        )
    return path


def public_plan(study: Study) -> dict[str, Any]:
    """The study's decisions for its public file: settled already, without lock and look, errors clustered by group of firms."""
    plan = study.model_dump(mode="json", exclude={"root", "plan_lock", "queries"}, exclude_defaults=True)
    extra = {table: dict(columns) for table, columns in study.data.extra.items()}
    words = {one: read_text(one).say("release.group") for one in study.report.languages}
    extra["enterprises"] = extra.get("enterprises", {}) | {GROUP: words}
    plan |= {"data": {"folder": "data", "extra": extra}, "did": plan.get("did", {}) | {"cluster": GROUP}}
    plan["report"] = {k: v for k, v in plan.get("report", {}).items() if k != "look"}
    return plan
