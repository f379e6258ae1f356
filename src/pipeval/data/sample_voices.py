"""What people say of the sample programme, and the paper around it: ratings, interviews, assessments, inspections, joint actions.

Conditions, reports, posts and comparison studies are fixed and stand in `sample_plan`; the rest is drawn from the tables that are
already there. Each draw has a generator of its own, so that no other table of the sample depends on it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .sample_accounts import plan_table
from .sample_model import Knobs
from .sample_survey import days

FIXED = ("conditions", "staff", "reports", "benchmarks")
RATERS = ("R1", "R2", "R3")
DISPUTED = "cost_recovery"  # the criterion on which raters disagree
_RATED_ON = {"start": "2003-12-10", "midterm": "2005-02-28", "final": "2006-10-16"}
_FACTORS = {  # factor -> mean at the start, gain by the end; on a scale from 1 to 5
    "production": (2.6, 0.7), "management": (2.4, 0.6), "quality": (2.8, 0.7), "design": (2.5, 0.5), "marketing": (2.2, 0.6),
    "cooperation": (1.7, 1.2), "environment": (2.3, 0.5), "safety": (2.7, 0.4),
}  # fmt: skip
_ACTIONS = ("joint_purchase", "fair", "training", "catalogue")
_SAVING = (0.04, 0.12)  # of the value of a joint purchase
_TABLES = ("rubrics", "interviews", "assessments", "compliance", "joint_actions")


def voices_tables(tables: dict[str, pd.DataFrame], knobs: Knobs) -> dict[str, pd.DataFrame]:
    """The tables of this module by name, drawn from the register, the survey and the clusters in `tables`.

    Examples
    --------
    >>> from pipeval.data.sample import Knobs, sample_programme
    >>> made = voices_tables(sample_programme(Knobs(seed=1, n=200)), Knobs(seed=1, n=200))
    >>> sorted(made)[:3], made["conditions"]["met_on"].notna().all()
    (['assessments', 'benchmarks', 'compliance'], np.True_)
    """
    firms = tables["enterprises"]
    members = firms[(firms["arm"] == "beneficiary") & firms["cluster_id"].notna()]
    streams = {name: np.random.default_rng([knobs.seed, 5 + i]) for i, name in enumerate(_TABLES)}
    return {name: plan_table(name) for name in FIXED} | {
        "rubrics": rubrics_table(streams["rubrics"]),
        "interviews": interviews_table(members, streams["interviews"]),
        "assessments": assessments_table(members, streams["assessments"]),
        "compliance": compliance_table(firms, tables["survey"], streams["compliance"]),
        "joint_actions": joint_actions_table(members, tables["clusters"], streams["joint_actions"]),
    }


def rubrics_table(rng: np.random.Generator) -> pd.DataFrame:
    """One row a criterion, subject, round and rater: scores 1–4 by three raters, who agree but on `DISPUTED`."""
    plan = plan_table("rubrics").melt(
        id_vars=["rubric", "subject", "criterion", "criterion_es", "criterion_en", "evidence_ref"],
        value_vars=list(_RATED_ON),
        var_name="round",
        value_name="agreed",
    )
    plan = plan[plan["agreed"].notna()].reset_index(drop=True)
    table = plan.loc[plan.index.repeat(len(RATERS))].reset_index(drop=True)
    n = len(table)
    slip = rng.choice([-1, 0, 1], n, p=[0.05, 0.90, 0.05])
    apart = np.tile([-1, 0, 1], n // 3)  # one rater after another
    score = table["agreed"].astype(int) + np.where(table["criterion"] == DISPUTED, apart, slip)
    rated = pd.to_datetime(table["round"].map(_RATED_ON)).astype("datetime64[s]")
    return table.assign(rater=list(RATERS) * (n // 3), score=score.clip(1, 4), rated_on=rated)[
        ["rubric", "subject", "criterion", "criterion_es", "criterion_en", "rater", "score", "rated_on", "evidence_ref"]
    ]


def interviews_table(members: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row an interview and indicator it speaks of; firms are drawn among those of the branch, open and served by then."""
    table = plan_table("interviews").assign(on=lambda t: pd.to_datetime(t["on"]).astype("datetime64[s]"), firm_id=pd.NA)
    for _, asked in table[table["kind"] == "firm"].groupby("interview_id"):
        on = asked["on"].iloc[0]
        able = members[_open(members, on) & (members["entry_year"] <= on.year)]
        own = able[(able["branch"] == asked["branch"].iloc[0]) & ~able["firm_id"].isin(table["firm_id"].dropna())]
        choice = own if len(own) else able
        if len(choice):
            table.loc[asked.index, "firm_id"] = choice["firm_id"].iloc[rng.integers(len(choice))]
    order = ["interview_id", "indicator_id", "on", "kind", "firm_id", "stance", "statement_es", "statement_en"]
    return table.astype({"firm_id": "str"})[order]


def assessments_table(members: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a firm, date, factor and assessor: about forty firms at the base and, if still open, at the end.

    An expert scores in halves; a firm scores itself in whole points, kinder by half a point at the base, and names its goal.
    """
    asked = members.iloc[np.sort(rng.choice(len(members), min(40, len(members)), replace=False))].reset_index(drop=True)
    n, level = len(asked), rng.normal(0, 0.45, (len(asked), 1))
    start, gain = (np.array(v) for v in zip(*_FACTORS.values(), strict=True))
    base = start + level + rng.normal(0, 0.35, (n, len(start)))
    rounds = {
        "base": (asked["registered_on"].to_numpy().astype("datetime64[D]") + rng.integers(5, 40, n).astype("timedelta64[D]"), base),
        "final": (days("2006-09-18", rng.integers(0, 40, n)), base + gain * rng.uniform(0.4, 1.5, (n, 1))),
    }
    hoped = np.clip(np.round(base + 0.5 + rng.uniform(0.6, 1.6, base.shape)), 2, 5)
    parts = []
    for name, (on, true) in rounds.items():
        still = ~(asked["closed_on"] <= pd.Series(on).astype("datetime64[s]")).to_numpy()
        own = true + (0.5 if name == "base" else 0.1) + rng.normal(0, 0.3, true.shape)
        seen = np.round(2 * (true + rng.normal(0, 0.2, true.shape))) / 2
        for assessor, scores, goal in (("expert", seen, np.full_like(hoped, np.nan)), ("firm", np.round(own), hoped)):
            for j, factor in enumerate(_FACTORS):
                part = pd.DataFrame({"firm_id": asked["firm_id"], "on": on.astype("datetime64[s]"), "factor": factor})
                part = part.assign(assessor=assessor, score=np.clip(scores[:, j], 1, 5), goal=goal[:, j])
                parts.append(part[still])
    return pd.concat(parts).sort_values(["firm_id", "on", "factor", "assessor"], ignore_index=True)


def compliance_table(firms: pd.DataFrame, survey: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a beneficiary, inspection and norm: eighty firms in 2004 and 2007; one answer in twenty differs from the survey."""
    took = firms.loc[firms["arm"] == "beneficiary", "firm_id"].to_numpy()
    asked = np.sort(rng.choice(took, min(80, len(took)), replace=False))
    plan = dict(zip(asked, rng.random(len(asked)) < 0.85, strict=True))
    parts = []
    for year, opened in ((2003, "2004-04-12"), (2006, "2007-01-15")):
        answers = survey[(survey["ref_year"] == year) & survey["firm_id"].isin(asked)].sort_values("firm_id")
        on = days(opened, rng.integers(0, 45, len(answers))).astype("datetime64[s]")
        for norm in ("env", "osh"):
            said = answers[f"{norm}_compliant"]
            found = said.where(rng.random(len(said)) >= 0.05, 1 - said)
            part = pd.DataFrame({"firm_id": answers["firm_id"], "on": on, "norm": norm, "compliant": found})
            part["plan_provided"] = part["firm_id"].map(plan).astype(float).where(found == 0)
            parts.append(part[found.notna()])
    return pd.concat(parts).sort_values(["firm_id", "on", "norm"], ignore_index=True)


def joint_actions_table(members: pd.DataFrame, clusters: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a firm and joint action; a cluster has as many actions (one date and kind) as `joint_actions_done` says.

    A cluster that reached a joint sale has it on `joint_sale_on`; money is shared among the firms that took part.
    """
    rows = []
    for cluster in clusters[clusters["joint_actions_done"] > 0].itertuples():
        own = members[members["cluster_id"] == cluster.cluster_id]
        for on, kind in _dated(cluster, rng):
            able = own.loc[_open(own, on) & (own["entry_year"] <= on.year), "firm_id"]
            able = able if len(able) > 1 else own.loc[_open(own, on), "firm_id"]
            n = min(len(able), int(rng.integers(2, 5)))
            value = round(float(rng.lognormal(5.3, 0.6)), 1) if kind.startswith("joint_") else np.nan
            saving = round(value * rng.uniform(*_SAVING), 1) if kind == "joint_purchase" else np.nan
            for firm in np.sort(rng.choice(able.to_numpy(), n, replace=False)):
                rows.append((cluster.cluster_id, firm, on, kind, round(value / n, 1), round(saving / n, 1)))
    table = pd.DataFrame(rows, columns=["cluster_id", "firm_id", "on", "type", "value_kmxn", "saving_kmxn"])
    table["on"] = pd.to_datetime(table["on"]).astype("datetime64[s]")
    return table.sort_values(["cluster_id", "on", "type", "firm_id"], ignore_index=True)


def _dated(cluster, rng: np.random.Generator) -> list[tuple[pd.Timestamp, str]]:
    """Date and kind of each joint action of one cluster, a different day each."""
    last, done = pd.Timestamp("2006-11-30"), int(cluster.joint_actions_done)
    sold = [] if pd.isna(cluster.joint_sale_on) else [(cluster.joint_sale_on, "joint_sale")]
    span = (last - cluster.formed_on).days
    gaps = np.sort(rng.choice(np.arange(20, span), done - len(sold), replace=False)).astype(int)
    kinds = rng.choice(_ACTIONS, len(gaps))
    dated = [(cluster.formed_on + pd.Timedelta(days=int(d)), str(k)) for d, k in zip(gaps, kinds, strict=True)]
    return sorted(sold + dated)


def _open(firms: pd.DataFrame, on: pd.Timestamp) -> pd.Series:
    return ~(firms["closed_on"] <= on)
