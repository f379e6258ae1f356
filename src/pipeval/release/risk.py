"""What an intruder could find before and after, and what a user of the public-use file loses: measured, for `risk.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import stages
from ..errors import PipevalError, collected
from ..report.bundle import Bundle
from ..report.text import read_text
from ..study.params import read_study
from ..study.specs import Study
from .anonymity import class_sizes, signatures
from .averages import GROUP
from .risk_text import risk_page

_CLASSES = ((1, 1), (2, 4), (5, 9), (10, 19), (20, None))
_QUICK = {"permutations": 99, "simulations": 20}
_ESTIMATE = ("estimate", "std_error", "n_treated", "n_control", "n_clusters")


def write_risk(
    record: dict[str, Any],
    original: dict[str, pd.DataFrame],
    public: dict[str, pd.DataFrame],
    study: Study,
    bundle: Bundle,
    params: Path,
) -> None:
    """Add what was measured to the record, and write `risk.json` and `risk.md`, one a language; who became whom is taken out.

    Parameters
    ----------
    record : dict
        What was done, with `pairs`: old identifier → new.
    original, public : dict of DataFrame
        The settled tables, and those that were written.
    study : Study
        With its `privacy`.
    bundle : Bundle
        The published report, whose headline stands beside that of the public file.
    params : path
        The params file of the public file, in its folder.
    """
    names, pairs = study.privacy.quasi_identifiers, record.pop("pairs")
    record["quasi_identifiers"], record["sensitive"] = list(names), list(study.privacy.sensitive)
    record["k"], record["l"] = study.privacy.k, study.privacy.l
    record["before"], record["after"] = exposure(original, names), exposure(public, names)
    sizes = public["enterprises"].groupby(GROUP)["firm_id"].size()
    record["groups"] = {
        "number": len(sizes),
        "smallest": int(sizes.min()),
        "mean": float(sizes.mean()),
        "largest": int(sizes.max()),
    }
    record["linked_by_amounts"] = linkage(original, public, pairs, study)
    record["disclosed"] = disclosed(original, public, pairs, study)
    record["figures"] = losses(original, public, study)
    record["correlations"] = correlations(original, public, study)
    record["headline"] = headline(bundle, params)
    folder = params.parent.parent
    (folder / "risk.json").write_text(json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    for place, language in enumerate(study.report.languages):
        text = read_text(language, study.report.locales.get(language, ""))
        page = folder / ("risk.md" if place == 0 else f"risk.{language}.md")
        page.write_text(risk_page(record, study, text), encoding="utf-8")


def exposure(frames: dict[str, pd.DataFrame], names: tuple[str, ...]) -> dict[str, Any]:
    """Firms, the share alone in its class, the smallest class, re-identifications to expect (Σ 1 / class size), classes by size."""
    sizes = class_sizes(signatures(frames, names))
    return {
        "n_firms": len(sizes),
        "share_unique": float((sizes == 1).mean()),
        "smallest_class": int(sizes.min()),
        "expected_found": float((1 / sizes).sum()),
        "firms_by_class": {_span(low, high): int(sizes.between(low, high or len(sizes)).sum()) for low, high in _CLASSES},
    }


def linkage(original: dict[str, pd.DataFrame], public: dict[str, pd.DataFrame], pairs: dict[str, str], study: Study) -> float:
    """The share of released firms that someone finds who knows their true sales and workers of every year.

    Taken is the nearest path, a gap being a value of its own; among n equally near paths each counts 1 / n.
    """
    before, after = (_paths(f["survey"], study) for f in (original, public))
    both = before.columns.intersection(after.columns)
    before, targets = before.reindex(list(pairs))[both].fillna(-1), after[both].fillna(-1)
    found = 0.0
    for firm, values in zip(before.index, before.to_numpy(), strict=True):
        distance = ((targets.to_numpy() - values) ** 2).sum(axis=1)
        near = targets.index[distance <= distance.min() + 1e-12]
        found += (pairs[firm] in near) / len(near)
    return found / max(len(pairs), 1)


def disclosed(original: dict[str, pd.DataFrame], public: dict[str, pd.DataFrame], pairs: dict[str, str], study: Study) -> float:
    """The share of true sales of a year to which the released figure of the firm's group comes closer than `p_percent`."""
    name = f"sales_k{study.programme.currency.lower()}"
    true = original["survey"].assign(firm_id=original["survey"]["firm_id"].map(pairs)).dropna(subset=["firm_id"])
    both = true.merge(public["survey"], on=["firm_id", "ref_year"], suffixes=("", "_public"))
    both = both[(both[name] > 0) & both[f"{name}_public"].notna()]
    return float(((both[f"{name}_public"] / both[name] - 1).abs() < study.privacy.p_percent).mean()) if len(both) else 0.0


def losses(original: dict[str, pd.DataFrame], public: dict[str, pd.DataFrame], study: Study) -> list[dict[str, Any]]:
    """By figure of the survey, its mean and standard deviation before and after; figures that nobody gave are left out."""
    found = []
    for name in _figures(study):
        before, after = (f["survey"][name].astype(float).dropna() for f in (original, public))
        if len(before) > 1 and len(after) > 1:
            moments = {"mean_before": before.mean(), "mean_after": after.mean(), "sd_before": before.std(), "sd_after": after.std()}
            found.append({"figure": name} | {key: float(value) for key, value in moments.items()})
    return found


def correlations(original: dict[str, pd.DataFrame], public: dict[str, pd.DataFrame], study: Study) -> list[dict[str, Any]]:
    """By pair of figures of the survey, the correlation of their ranks before and after."""
    names = [n for n in _figures(study) if original["survey"][n].notna().sum() > 1 and public["survey"][n].notna().sum() > 1]
    before, after = (f["survey"][names].astype(float).rank().corr() for f in (original, public))
    pairs = [(a, b) for place, a in enumerate(names) for b in names[:place]]
    rows = [{"pair": [b, a], "before": float(before.loc[a, b]), "after": float(after.loc[a, b])} for a, b in pairs]
    return [row for row in rows if np.isfinite([row["before"], row["after"]]).all()]


def headline(bundle: Bundle, params: Path) -> list[dict[str, Any]]:
    """By outcome, the estimate of the report and what the public file gives; empty where the report has no effects.

    Where the public file is too poor for an estimate, its side is missing.
    """
    said = bundle.tables.get("effects") and bundle.table("effects")
    if said is None or not len(said):
        return []
    try:
        made = _effects(params)
    except PipevalError:
        made = said.iloc[:0]
    report, public = (t[t["headline"].astype(bool)].set_index("outcome") for t in (said, made))
    return [
        {"outcome": o, "report": _numbers(report.loc[o]), "public": _numbers(public.loc[o]) if o in public.index else {}}
        for o in report.index
    ]


def _effects(params: Path) -> pd.DataFrame:
    """The effects of the public file, from its own params and tables."""
    study = read_study(params)
    study = study.model_copy(update={"sensitivity": study.sensitivity.model_copy(update=_QUICK)})
    with collected():
        data = stages.proved_data(study)
        start = stages.baseline(data, study)
        group = stages.control_group(data, start, study)
        power = stages.detectable(data, start, group, study)
        return stages.effects(data, start, group, power, study).tables["effects"]


def _numbers(row: pd.Series) -> dict[str, float]:
    return {c: float(row[c]) for c in _ESTIMATE if c in row and pd.notna(row[c])}


def _paths(survey: pd.DataFrame, study: Study) -> pd.DataFrame:
    """By firm, the logarithm of one and sales, and of one and workers, of every year."""
    names = [f"sales_k{study.programme.currency.lower()}", "workers_paid"]
    return np.log1p(survey.pivot_table(index="firm_id", columns="ref_year", values=names).clip(lower=0))


def _figures(study: Study) -> tuple[str, ...]:
    cur = study.programme.currency.lower()
    return (f"sales_k{cur}", f"export_direct_k{cur}", f"intermediate_inputs_k{cur}", "workers_paid")


def _span(low: int, high: int | None) -> str:
    return f"{low}+" if high is None else f"{low}-{high}" if high > low else str(low)
