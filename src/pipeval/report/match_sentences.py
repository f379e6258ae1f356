"""Sentences about the control group: how it was made, what else was looked at, how far the answer hangs on it.

No number is computed here that a table does not show; sentences choose and word.
"""

from __future__ import annotations

import pandas as pd

from ..robustness.fragility import FRAGILE
from ..study.match_spec import COVARIATE_DISTANCES, SCORES, STRATA, WEIGHTING, MatchSpec
from .bundle import Bundle
from .judgement import listing
from .labels import covariate_label, in_sentence, outcome_label
from .tables import formatted
from .text import Text, escape

GOOD_BALANCE, TOLERABLE_BALANCE = 0.10, 0.25


def design_of(study: dict) -> str:
    """The effective design of the headline: `matched`, `adjusted` (on the common support) or `plain` (the pool as it is)."""
    if study.get("headline") == "matched":
        return "matched"
    return "adjusted" if study.get("did", {}).get("covariates") else "plain"


def family(study: dict) -> str:
    """What the study's match makes: `sets` (pairs and full matching), `replaced` (with replacement), `strata` or `weights`."""
    match = study.get("match", {})
    method = match.get("method", "optimal")
    return "strata" if method in STRATA else "weights" if method in WEIGHTING else "replaced" if match.get("replace") else "sets"


def cluster_words(bundle: Bundle, text: Text) -> str:
    """To what the sampling errors of the headline belong: firms, sets or strata, joined with the study's own clusters."""
    study = bundle.study
    asked = study.get("did", {}).get("cluster", "firm_id")
    if isinstance(asked, list):  # two ways
        asked, second = asked
        return text.say("say.estimation.joined", {"own": text.label("cluster", asked), "other": text.label("cluster", second)})
    if design_of(study) != "matched":
        return text.label("cluster", asked)
    many = "stratum" if _strata_are_clusters(bundle) else "firm_id"
    own = {"sets": "set_id", "strata": many}.get(family(study), "firm_id")
    if asked in ("firm_id", "set_id"):
        return text.label("cluster", own)
    other = text.label("cluster", asked)
    return other if own == "firm_id" else text.say("say.estimation.joined", {"own": text.label("cluster", own), "other": other})


def matching(bundle: Bundle, text: Text) -> list[str]:
    """How the match was made: method, distance, limits, whom the effect speaks of, support, cohorts."""
    match = bundle.study.get("match", {})
    if not match:
        return []
    match = {name: field.get_default(call_default_factory=True) for name, field in MatchSpec.model_fields.items()} | match
    kind = family(bundle.study)
    sentences = [_method(match, bundle, text), *_distance(match, kind, bundle, text), *_limits(match, kind, bundle, text)]
    sentences.append(text.say(f"say.matching.estimand.{match['estimand']}"))
    if match["support"] != "none":
        sentences.append(text.say("say.matching.support", {"rule": escape(text.label("support", match["support"]))}))
    if match["by_cohort"]:
        window = match["window"]
        sentences.append(text.say("say.matching.by_cohort"))
        sentences += [text.say("say.matching.window", {"window": str(window)})] if window is not None else []
    if design_of(bundle.study) != "matched":
        sentences.append(text.say(f"say.matching.contrast.{design_of(bundle.study)}"))
    return [" ".join(sentences)]


def designs(bundle: Bundle, text: Text) -> list[str]:
    """That candidate designs were compared before effects were; which one the plan chose and which carries the headline."""
    rows = bundle.table("designs")
    if rows.empty:
        return []
    match = bundle.study.get("match", {})
    values = {
        "n": text.counted(len(rows)),
        "own": escape(text.label("design", "own")),
        "method": escape(text.label("method", match.get("method", "optimal"))),
    }
    return [text.say("say.designs.lead", values) + " " + text.say(f"say.designs.{design_of(bundle.study)}", values)]


def balance_terms(bundle: Bundle, text: Text) -> list[str]:
    """How many squares and products of the characteristics are within the limits after matching, and the largest by name."""
    rows = bundle.table("balance_terms")
    if rows.empty:
        return []
    made = rows["covariate"].str.endswith("^2") | rows["covariate"].str.contains("*", regex=False)
    size = rows[made & (rows["sample"] == "after")].set_index("covariate")["smd"].abs().dropna()
    if size.empty:
        return []
    values = {
        "covariate": escape(covariate_label(size.idxmax(), bundle, text)),
        "smd": escape(text.number(float(size.max()), "dec2")),
        "good": str(int((size <= GOOD_BALANCE).sum())),
        "tolerable": str(int((size <= TOLERABLE_BALANCE).sum())),
        "n": str(len(size)),
    }
    return [text.say("say.balance_terms", values)]


def fragility(bundle: Bundle, text: Text) -> list[str]:
    """Whether a choice that nobody would defend moves the matched estimate by more than its own standard error."""
    rows = bundle.table("fragility_summary")
    rows = rows[rows["moved"].notna()] if len(rows) else rows
    if rows.empty:
        return []
    moved = rows[rows["moved"] > FRAGILE]
    if moved.empty:
        return [text.say("say.fragility.steady", _fragile(rows.loc[rows["moved"].idxmax()].to_dict(), bundle, text))]
    items = [text.say("say.fragility.item", _fragile(row, bundle, text)) for row in moved.to_dict("records")]
    return [text.say("say.fragility.fragile", {"items": listing(items, text, escaped=True)})]


def hidden_bias(bundle: Bundle, text: Text) -> list[str]:
    """How strong something that nobody measured would have to be: in the sets, in the regression, beside what was measured."""
    rows = bundle.table("hidden_bias")
    if rows.empty:
        return []
    lines = [*_gamma(rows, bundle, text), *_strength(rows, bundle, text), *_benchmark(rows, bundle, text)]
    return [text.say("say.hidden_bias.lead"), "\n".join(f"- {line}" for line in lines)] if lines else []


def _method(match: dict, bundle: Bundle, text: Text) -> str:
    reverse = match["estimand"] == "atc"
    values = {
        "seeker": text.say("say.matching.control" if reverse else "say.matching.treated"),
        "ratio": text.say(f"say.matching.{'treated' if reverse else 'control'}_firms.{'one' if match['ratio'] == 1 else 'many'}",
                          {"n": text.counted(match["ratio"])}),
        "order": escape(text.label("order", match["order"])),
        "n": str(match["subclasses"]),
        "covariates": _named(match["covariates"], bundle, text),
        "columns": _named(match["exact"], bundle, text),
        "moments": escape(text.label("moments", match["moments"])),
        "link": escape(text.label("link", match["link"])),
        "reuse": text.counted(match["reuse"] or 0),
    }  # fmt: skip
    key = match["method"]
    if key == "nearest" and match["replace"]:
        key = "nearest_replaced" if match["reuse"] is None else "nearest_reused"
    if key == "ipw":
        key = f"ipw_{match['estimand']}"
    if key in ("ebal", "cbps"):
        values["target"] = text.say(f"say.matching.target.{match['estimand']}")
    if key == "cem" and not match["covariates"]:
        key = "exact_only"
    said = [text.say(f"say.matching.method.{key}", values)]
    if match["ratio_range"]:
        least, most = match["ratio_range"]
        said.append(text.say("say.matching.ratio_range", {"least": str(least), "most": str(most), "ratio": str(match["ratio"])}))
    return " ".join(said)


def _distance(match: dict, kind: str, bundle: Bundle, text: Text) -> list[str]:
    """What the score or the distance is made of; weightings say so themselves."""
    if kind == "weights" or match["method"] == "cem":
        return []
    names = match["distance_covariates"] or match["covariates"]
    values = {
        "covariates": _named(match["covariates"] if match["distance"] in SCORES else names, bundle, text),
        "link": escape(text.label("link", match["link"])),
        "distance": escape(text.label("distance", match["distance"])),
        "column": escape(covariate_label(match["distance_column"] or "", bundle, text)),
    }
    by_score = "strata" if kind == "strata" else "score"
    key = by_score if match["distance"] in SCORES else "covariate" if match["distance"] in COVARIATE_DISTANCES else "column"
    return [text.say(f"say.matching.distance.{key}", values)]


def _limits(match: dict, kind: str, bundle: Bundle, text: Text) -> list[str]:
    """What two firms that are compared must have in common, and what keeps them apart."""
    said = []
    if match["exact"] and not (match["method"] == "cem" and not match["covariates"]):
        inside = "strata" if kind == "strata" else "sets"
        said.append(text.say(f"say.matching.exact.{inside}", {"columns": _named(match["exact"], bundle, text)}))
    if match["caliper"] is not None:
        said.append(text.say(f"say.matching.caliper.{match['caliper_unit']}", {"width": escape(text.number(match["caliper"]))}))
    if match["calipers"]:
        widths = [f"{escape(_name(c, bundle, text))} {escape(text.number(w))}" for c, w in match["calipers"].items()]
        said.append(text.say("say.matching.calipers", {"widths": listing(widths, text, escaped=True)}))
    if match["antiexact"]:
        said.append(text.say("say.matching.antiexact", {"columns": _named(match["antiexact"], bundle, text)}))
    if match["never_together"]:
        said.append(text.say("say.matching.never_together", {"n": str(len(match["never_together"]))}))
    if match["backups"]:
        one = match["backups"] == 1
        said.append(text.say(f"say.matching.backups.{'one' if one else 'many'}", {"n": text.counted(match["backups"])}))
    return said


def _fragile(row: dict, bundle: Bundle, text: Text) -> dict[str, str]:
    return {
        "outcome": escape(in_sentence(outcome_label(row["outcome"], bundle, text.language))),
        "kind": escape(in_sentence(text.label("kind", row["kind"]))),
        "range": escape(formatted("range", row, bundle, text)),
        "moved": escape(formatted("moved", row, bundle, text)),
    }


def _gamma(rows: pd.DataFrame, bundle: Bundle, text: Text) -> list[str]:
    """What the matched sets withstand, outcome by outcome."""
    study, reason = bundle.study, rows["reason"].fillna("") if "reason" in rows else pd.Series("", index=rows.index)
    if (rows["n_sets"].fillna(0) == 0).all() and family(study) != "sets":
        return [text.say("say.hidden_bias.no_sets")]
    said = []
    known = rows[rows["gamma"].notna()]
    if len(known):
        items = [
            text.say("say.hidden_bias.gamma_item", {
                "outcome": escape(in_sentence(outcome_label(row["outcome"], bundle, text.language))),
                "gamma": escape(formatted("gamma", row, bundle, text)),
            })
            for row in known.to_dict("records")
        ]  # fmt: skip
        said.append(text.say("say.hidden_bias.gamma", {"items": listing(items, text, escaped=True)}))
    nothing = reason.isin(["not_significant", "no_difference"])
    if nothing.any():
        said.append(text.say("say.hidden_bias.nothing", {"outcomes": _outcomes(rows[nothing], bundle, text)}))
    other = rows["gamma"].isna() & ~nothing
    if other.any():
        said.append(text.say("say.hidden_bias.unknown", {"outcomes": _outcomes(rows[other], bundle, text)}))
    return [" ".join(said)]


def _strength(rows: pd.DataFrame, bundle: Bundle, text: Text) -> list[str]:
    """What the regression of the change withstands: outcomes whose estimate is significant, and the others."""
    known = rows[rows["robustness_value"].notna()]
    clear = known["robustness_value_significance"] > 0
    said = []
    if clear.any():
        items = [
            text.say("say.hidden_bias.strength_item", {
                "outcome": escape(in_sentence(outcome_label(row["outcome"], bundle, text.language))),
                "value": escape(formatted("robustness_value", row, bundle, text)),
                "significance": escape(formatted("robustness_value_significance", row, bundle, text)),
            })
            for row in known[clear].to_dict("records")
        ]  # fmt: skip
        said.append(text.say("say.hidden_bias.strength", {"items": listing(items, text, escaped=True)}))
    if (~clear).any():
        said.append(text.say("say.hidden_bias.weak", {"outcomes": _outcomes(known[~clear], bundle, text)}))
    return [" ".join(said)] if said else []


def _benchmark(rows: pd.DataFrame, bundle: Bundle, text: Text) -> list[str]:
    """What would be left of an estimate beside a factor as strong as the strongest that was measured."""
    found = bundle.table("benchmarks")
    if found.empty or rows.empty:
        return []
    clear = rows.loc[rows["robustness_value_significance"] > 0, "outcome"]
    items = []
    for outcome, part in found[(found["multiple"] == 1) & found["estimate"].notna()].groupby("outcome", sort=False):
        if outcome not in set(clear):
            continue
        # the least moved row has the sign of the estimate; the strongest is the one that takes most of it away
        sign = 1 if part.loc[(part["r2_treatment"] * part["r2_outcome"]).idxmin(), "estimate"] >= 0 else -1
        row = part.loc[(sign * part["estimate"]).idxmin()].to_dict()
        values = {
            "outcome": escape(in_sentence(outcome_label(outcome, bundle, text.language))),
            "covariate": escape(_name(row["covariate"], bundle, text)),
            "estimate": escape(formatted("estimate", row, bundle, text)),
            "ci": escape(formatted("ci", row, bundle, text)),
        }
        items.append(text.say("say.hidden_bias.benchmark_item", values))
    return [text.say("say.hidden_bias.benchmark", {"items": listing(items, text, escaped=True)})] if items else []


def _outcomes(rows: pd.DataFrame, bundle: Bundle, text: Text) -> str:
    return listing([in_sentence(outcome_label(o, bundle, text.language)) for o in rows["outcome"]], text)


def _name(column: str, bundle: Bundle, text: Text) -> str:
    return in_sentence(covariate_label(column, bundle, text))


def _named(columns, bundle: Bundle, text: Text) -> str:
    return listing([_name(c, bundle, text) for c in columns], text)


def _strata_are_clusters(bundle: Bundle) -> bool:
    """Whether there were strata enough to be clusters: the test of orthogonality then counts fewer clusters than firms."""
    rows = bundle.table("orthogonality")
    after = rows[rows["sample"] == "after"] if len(rows) else rows
    return len(after) > 0 and bool((after["n_clusters"] < after["n_treated"] + after["n_control"]).all())


SENTENCES = {
    "matching": matching,
    "designs": designs,
    "balance_terms": balance_terms,
    "fragility": fragility,
    "hidden_bias": hidden_bias,
}
