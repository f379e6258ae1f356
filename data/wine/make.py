"""Makes the wine sample from a seed: `python data/wine/make.py [folder]`. An invented programme whose true effects are known.

Sixty beneficiaries (thirty wineries, thirty grape growers) and a hundred others, surveyed for 2012-2016. Money is in thousand
Uruguayan pesos at current prices. Every table is a data frame with the columns of the data dictionary.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20131001
YEARS = np.arange(2012, 2017)
IPC = np.array([92.1, 100.0, 108.9, 118.3, 129.7])  # consumer prices, 2013 = 100
FX = np.array([20.31, 20.48, 23.25, 27.33, 30.16])  # pesos per US dollar
US_CPI = np.array([98.6, 100.0, 101.6, 101.7, 103.0])
BRANCHES = ("wine", "grapes")
SIZE = {"wine": (2.6, 0.6), "grapes": (1.9, 0.5)}  # ln workers: mean, standard deviation
PER_WORKER = {"wine": 600.0, "grapes": 260.0}  # sales per worker in 2013, thousand pesos
TREND = {"wine": [-0.02, 0.0, 0.02, 0.03, 0.04], "grapes": [0.0, 0.0, -0.01, -0.02, -0.02]}  # ln real sales, 2013 = 0
EFFECT = {"wine": 0.20, "grapes": 0.14}  # on ln sales at full exposure
RAMP = np.array([0.4, 0.8, 1.0])  # first, second, third year of support
ADDED = {"wine": 0.45, "grapes": 0.60}  # value added as a share of sales
PLACES = ("Las Piedras", "Canelones", "Progreso", "Juanicó", "Los Cerrillos", "Santa Lucía")
ACTIVITIES = [  # id, component, Spanish, English, planned start and end, quantity, unit, cost
    ("A01", "1", "Diagnóstico de empresas", "Diagnosis of firms", "2013-11-01", "2014-06-30", 60, "firms", 40_000),
    ("A02", "1", "Talleres de integración", "Integration workshops", "2014-02-01", "2014-09-30", 4, "workshops", 30_000),
    ("A03", "2", "Asistencia técnica individual", "Technical assistance", "2014-03-01", "2016-08-31", 50, "services", 220_000),
    ("A04", "2", "Capacitación en calidad", "Training in quality", "2014-04-01", "2016-08-31", 6, "courses", 60_000),
    ("A05", "2", "Capacitación ambiental", "Environmental training", "2014-05-01", "2016-08-31", 4, "courses", 40_000),
    ("A06", "3", "Ferias de vino", "Wine fairs", "2014-09-01", "2016-09-30", 5, "fairs", 80_000),
    ("A07", "3", "Marca conjunta", "Joint brand", "2014-06-01", "2015-12-31", 1, "documents", 40_000),
    ("A08", "4", "Talleres de difusión", "Dissemination workshops", "2015-06-01", "2016-09-30", 4, "workshops", 30_000),
]  # fmt: skip
BUDGET = {("1", "mif"): 50_000, ("1", "counterpart"): 20_000, ("2", "mif"): 200_000, ("2", "counterpart"): 120_000,
          ("3", "mif"): 70_000, ("3", "counterpart"): 50_000, ("4", "mif"): 20_000, ("4", "counterpart"): 10_000,
          ("evaluation", "mif"): 20_000, ("contingencies", "mif"): 10_000}  # fmt: skip
MILESTONES = [  # indicator, sector, number, due, done, document
    ("C1.1", "all", 1, "2014-04-01", "2014-03-12", "EST-01"), ("C1.4", "all", 1, "2014-04-01", "2014-02-20", "DIA-01"),
    ("C1.5", "all", 1, "2014-04-01", "2014-05-08", "LB-01"), ("C2.2", "all", 1, "2016-10-01", None, None),
    ("C2.4", "wine", 1, "2016-10-01", "2015-11-18", "SIS-V"), ("C2.4", "grapes", 1, "2016-10-01", "2016-06-09", "SIS-U"),
    ("C3.4", "all", 1, "2016-10-01", "2015-12-03", "MAR-01"), ("C4.1", "all", 1, "2016-04-01", "2016-03-22", "BP-01"),
    ("C4.2", "all", 1, "2016-10-01", "2016-07-14", "FOL-01"), ("C4.3", "all", 1, "2016-10-01", "2015-07-02", "TAL-1"),
    ("C4.3", "all", 2, "2016-10-01", "2015-11-26", "TAL-2"), ("C4.3", "all", 3, "2016-10-01", "2016-08-11", "TAL-3"),
]  # fmt: skip


def day(first: str, offset) -> pd.Series:
    """Days after a date."""
    return pd.Series(np.datetime64(first, "D") + np.asarray(offset, dtype="timedelta64[D]"))


def enterprises(rng: np.random.Generator) -> pd.DataFrame:
    """One row a firm; beneficiaries are somewhat larger, and their unseen sales per worker (`alpha`) is higher."""
    branch = np.repeat(["wine", "grapes", "wine", "grapes"], [30, 30, 45, 55])
    took = np.arange(160) < 60
    n = len(branch)
    mean, sd = (np.array([SIZE[b][i] for b in branch]) for i in (0, 1))
    workers = np.clip(np.round(np.exp(rng.normal(mean + 0.25 * took, sd))), 2, 180)
    status = rng.random(n)
    exports = np.where(
        branch == "grapes",
        "none",
        np.select([status < 0.10 + 0.08 * took, status < 0.25 + 0.08 * took], ["direct", "indirect"], "none"),
    )
    first = np.where(rng.random(n) < 0.65, 2014, 2015)
    registered = day("2013-12-27", np.where(first == 2014, rng.integers(0, 50, n), rng.integers(365, 415, n)))
    table = pd.DataFrame({"branch": branch, "sector": branch, "alpha": rng.normal(0.12 * took, 0.40), "workers_baseline": workers})
    table["arm"] = np.where(took, "beneficiary", "nonparticipant")
    table["municipality"] = rng.choice(PLACES, n)
    table["founded_year"] = 2013 - rng.integers(4, 70, n)
    table["chamber_member"] = (rng.random(n) < 0.35 + 0.15 * took).astype(int)
    table["owner_gender"] = rng.choice(["f", "m", "mixed"], n, p=[0.2, 0.5, 0.3])
    table["exp_status_baseline"] = exports
    table["entry_year"] = pd.Series(first).where(took).astype("Int64")
    table["registered_on"] = registered.where(took)
    table["commitment_letter_on"] = registered.where(took)
    table["cluster_id"] = pd.Series([f"C{1 + i // 5:02d}" for i in range(n)]).where(took)
    table["cluster_type"] = pd.Series("horizontal", index=table.index).where(took)
    table["closed_on"] = day("2015-02-01", rng.integers(0, 650, n)).where(rng.random(n) < 0.05)
    table = table.iloc[rng.permutation(n)].reset_index(drop=True)
    table.insert(0, "firm_id", [f"W{i:03d}" for i in range(1, n + 1)])
    return table


def exposure(firms: pd.DataFrame) -> np.ndarray:
    """Share of the full effect, firm by year."""
    since = YEARS - firms["entry_year"].astype(float).to_numpy()[:, None]
    return np.where(since >= 0, RAMP[np.clip(np.nan_to_num(since, nan=0.0), 0, 2).astype(int)], 0.0)


def paths(firms: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Firm by year: the effect on ln sales (`tau`) and ln real sales at 2013 prices with it."""
    n = len(firms)
    tau = firms["branch"].map(EFFECT).to_numpy()[:, None] * exposure(firms)
    level = np.log(firms["workers_baseline"] * firms["branch"].map(PER_WORKER)).to_numpy() + firms["alpha"].to_numpy()
    trend = np.array([TREND[b] for b in firms["branch"]])
    shock = np.zeros((n, len(YEARS)))
    shock[:, 0] = rng.normal(0, 0.11, n)
    for t in range(1, len(YEARS)):
        shock[:, t] = 0.5 * shock[:, t - 1] + rng.normal(0, 0.095, n)
    return {"tau": tau, "ln_sales": level[:, None] + trend + shock + tau + rng.normal(0, 0.05, (n, len(YEARS)))}


def status(firms: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Export status, firm by year: 0 none, 1 through others, 2 direct. Once reached a status is kept; only wineries export."""
    here = firms["exp_status_baseline"].map({"none": 0, "indirect": 1, "direct": 2}).to_numpy()
    found = np.repeat(here[:, None], len(YEARS), axis=1)
    for t in range(2, len(YEARS)):
        start = np.where(exposure(firms)[:, t] > 0, 0.16, 0.03) * (firms["branch"] == "wine").to_numpy()
        up = rng.random(len(firms)) < start
        found[:, t] = np.where(up, np.minimum(found[:, t - 1] + 1, 2), found[:, t - 1])
    return found


def survey(firms: pd.DataFrame, made: dict[str, np.ndarray], rng: np.random.Generator) -> pd.DataFrame:
    """One row a firm and year; the silent and the closed have no figures."""
    n, shape = len(firms), made["tau"].shape
    tau, took = made["tau"], (firms["arm"] == "beneficiary").to_numpy()[:, None]
    sales = np.round(np.exp(made["ln_sales"]) * IPC / 100, 1)
    kind = status(firms, rng)
    share = rng.beta(2, 4, n)[:, None] + 0.1
    direct, indirect = (np.round(np.where(kind == k, share, 0.0) * sales, 1) for k in (2, 1))
    ratio = firms["branch"].map(ADDED).to_numpy()[:, None] * np.exp(rng.normal(0, 0.08, shape) + 0.2 * tau)
    jobs = np.maximum(np.round(firms["workers_baseline"].to_numpy()[:, None] * np.exp(rng.normal(0, 0.06, shape) + 0.4 * tau)), 1)
    active = exposure(firms) > 0
    base = {"wine": 0.35, "grapes": 0.30}
    columns = {
        "workers_paid": jobs, "sales_kuyu": sales, "domestic_sales_kuyu": np.round(sales - direct - indirect, 1),
        "export_direct_kuyu": direct, "export_indirect_kuyu": indirect, "export_direct_usd": np.round(1000 * direct / FX),
        "intermediate_inputs_kuyu": np.round(sales * (1 - np.minimum(ratio, 0.95)), 1),
        "unit_cost_index": np.round(100 * np.exp(rng.normal(0, 0.04, shape) - 0.3 * tau), 1),
        "joint_sales_kuyu": np.round(sales * np.where(active, rng.uniform(0.0, 0.2, shape), 0.0), 1),
        "joint_purchases_kuyu": np.round(sales * np.where(active, rng.uniform(0.0, 0.1, shape), 0.0), 1),
        "quality_seal": np.maximum.accumulate(rng.random(shape) < np.where(active, 0.22, 0.03), axis=1).astype(int),
        "env_compliant": (rng.random(shape) < firms["branch"].map(base).to_numpy()[:, None] + 0.2 + 0.15 * active).astype(int),
        "n_ties": rng.poisson(1 + 2 * active),
        "months_covered": np.full(shape, 12),
    }  # fmt: skip
    table = pd.DataFrame({"firm_id": np.repeat(firms["firm_id"], len(YEARS)).to_numpy(), "ref_year": np.tile(YEARS, n)})
    table = table.assign(**{name: np.asarray(values).ravel() for name, values in columns.items()})
    table["exp_status"] = np.array(["none", "indirect", "direct"])[kind.ravel()]
    asked = np.where(YEARS <= 2013, 2014, YEARS + 1)
    table["interview_on"] = [
        f"{y}-{m:02d}-{d:02d}"
        for y, m, d in zip(np.tile(asked, n), rng.integers(2, 4, n * 5), rng.integers(1, 28, n * 5), strict=True)
    ]
    closed = firms["closed_on"].dt.year.fillna(9999).to_numpy()[:, None] <= YEARS
    silent = (rng.random(shape) < np.where(took, 0.03, 0.06)) & (YEARS > 2013)
    table["response"] = np.select([closed.ravel(), silent.ravel()], ["closed", "refusal"], "complete")
    table.loc[table["response"] != "complete", [*columns, "exp_status"]] = np.nan
    whole = ["workers_paid", "export_direct_usd", "quality_seal", "env_compliant", "n_ties", "months_covered"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def services(firms: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a service; the programme pays a share that falls from 60 to 40 % in 36 months."""
    own = firms[firms["arm"] == "beneficiary"]
    offered = [  # activity, type, subject, component, share of the firms, days after registration, days, cost
        ("A01", "diagnosis", "management", "1", 1.0, (5, 50), 2, (400, 700)),
        ("A02", "workshop", "cooperation", "1", 0.9, (30, 90), 1, (80, 150)),
        ("A03", "ta_individual", "production", "2", 0.75, (60, 240), 12, (2500, 4500)),
        ("A04", "training", "quality", "2", 0.7, (90, 330), 3, (200, 400)),
        ("A05", "training", "environment", "2", 0.5, (120, 400), 2, (150, 350)),
        ("A06", "fair", "export", "3", 0.3, (200, 500), 4, (900, 1800)),
    ]
    parts = []
    for activity, kind, subject, component, chance, after, length, cost in offered:
        got = own[rng.random(len(own)) < chance]
        start = got["registered_on"].reset_index(drop=True) + pd.to_timedelta(rng.integers(*after, len(got)), "D")
        part = pd.DataFrame({"firm_id": got["firm_id"].to_numpy(), "activity_id": activity, "start_on": start})
        part["end_on"] = start + pd.to_timedelta(rng.integers(length, 4 * length + 1, len(got)), "D")
        part = part.assign(activity_type=kind, subject=subject, component=component, days=length)
        part["mode"] = "individual" if kind in ("diagnosis", "ta_individual") else "group"
        part["total_cost_usd"] = np.round(rng.uniform(*cost, len(got)), 2)
        part["quality_score"] = np.clip(np.round(rng.normal(4.0, 0.7, len(got))), 1, 5).astype(int)
        part["event_id"] = (
            (f"E-{activity}-" + start.dt.year.astype(str) + "-" + start.dt.quarter.astype(str))
            if part["mode"].eq("group").all()
            else None
        )
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    closed = table["firm_id"].map(firms.set_index("firm_id")["closed_on"])
    table = table[~(table["end_on"] > closed)].sort_values(["start_on", "firm_id", "activity_id"], ignore_index=True)
    months = (table["start_on"] - pd.Timestamp("2013-10-01")).dt.days / 30.4375
    share = 0.60 - 0.20 * np.clip(months / 36, 0, 1)
    table["programme_paid_usd"] = np.floor(100 * table["total_cost_usd"] * share) / 100
    table["firm_paid_usd"] = (table["total_cost_usd"] - table["programme_paid_usd"]).round(2)
    table.insert(0, "service_id", [f"S{i:03d}" for i in range(1, len(table) + 1)])
    return table


def ledger(rng: np.random.Generator) -> pd.DataFrame:
    """Disbursements, expenses and contributions by half year."""
    rows, halves = [], ["2013-10-15", "2014-04-15", "2014-10-15", "2015-04-15", "2015-10-15", "2016-04-15", "2016-10-15"]
    for on, share in zip(halves, [0.15, 0.20, 0.20, 0.15, 0.12, 0.10, 0.06], strict=True):
        rows.append((on, "disbursement", "mif", None, round(share * 370_000, 2)))
    done = np.diff([0, 0.06, 0.24, 0.45, 0.62, 0.78, 0.90, 0.97])
    for (component, source), total in BUDGET.items():
        for on, share in zip(halves, done, strict=True):
            amount = round(total * share * rng.uniform(0.9, 1.0), 2)
            kind = "expense" if source == "mif" else "counterpart_contribution"
            rows.append((str(np.datetime64(on) + 45), kind, source, component, amount))
    table = pd.DataFrame(rows, columns=["on", "kind", "source", "component", "amount_usd"]).sort_values(
        ["on", "kind"], kind="stable"
    )
    table.insert(0, "entry_id", [f"L{i:03d}" for i in range(1, len(table) + 1)])
    return table.assign(document=[f"V-{i:03d}" for i in range(1, len(table) + 1)])


def activities(given: pd.DataFrame) -> pd.DataFrame:
    """The plan; dates and quantities done are counted from the services, those of the rest are stated."""
    names = [
        "activity_id",
        "component",
        "description_es",
        "description_en",
        "planned_start",
        "planned_end",
        "planned_qty",
        "unit",
        "planned_cost_usd",
    ]
    plan = pd.DataFrame(ACTIVITIES, columns=names).assign(sector="all", status="done").set_index("activity_id")
    done = given.groupby("activity_id").agg(
        start=("start_on", "min"), end=("end_on", "max"), n=("service_id", "size"), events=("event_id", "nunique")
    )
    done["qty"] = done["n"].where(done["events"] == 0, done["events"])
    stated = pd.DataFrame(
        {"start": ["2014-07-01", "2015-06-20"], "end": ["2015-12-03", "2016-08-11"], "qty": [1, 3]}, index=["A07", "A08"]
    )
    done = pd.concat([done, stated.assign(start=pd.to_datetime(stated["start"]), end=pd.to_datetime(stated["end"]))])
    return plan.assign(actual_start=done["start"], actual_end=done["end"], actual_qty=done["qty"].astype(int)).reset_index()


def satisfaction(firms: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Opinions of the beneficiaries that are open, at the end; growers like the assistance less."""
    own = firms[(firms["arm"] == "beneficiary") & firms["closed_on"].isna()]
    rows, asked = [], {"1": "A02", "2": "A03", "3": "A06"}
    for component, item, mean in [
        ("1", "usefulness", 4.0),
        ("2", "usefulness", 4.2),
        ("2", "quality", 3.9),
        ("3", "usefulness", 3.6),
    ]:
        centre = mean - 0.9 * ((own["branch"] == "grapes") & (component == "2")) + rng.normal(0, 0.7, len(own))
        part = own[["firm_id"]].assign(
            wave="final",
            component=component,
            item=item,
            activity_id=asked[component],
            score=np.clip(np.round(centre), 1, 5).astype(int),
        )
        rows.append(part.assign(answered_on=day("2017-02-06", rng.integers(0, 30, len(own))).to_numpy()))
    return pd.concat(rows)


def clusters(firms: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Twelve business clusters and their milestones; every third never sold together."""
    own = firms[firms["cluster_id"].notna()].groupby("cluster_id")
    table = own.agg(
        sector=("sector", "first"),
        branch=("branch", "first"),
        cluster_type=("cluster_type", "first"),
        members_planned=("firm_id", "size"),
    ).reset_index()
    word = table["branch"].map({"wine": "Bodegas", "grapes": "Viñas"})
    identified = day("2013-11-15", rng.integers(0, 60, len(table)))
    formed = identified + pd.to_timedelta(rng.integers(120, 300, len(table)), "D")
    table = table.assign(name=word + " " + table["cluster_id"], identified_on=identified, formed_on=formed, joint_actions_planned=4)
    table["joint_sale_on"] = (formed + pd.to_timedelta(rng.integers(200, 500, len(table)), "D")).where(table.index % 3 != 1)
    return table.assign(joint_actions_done=[3, 2, 4, 2, 1, 3, 2, 0, 3, 1, 1, 2])


def joint_actions(firms: pd.DataFrame, grouped: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a firm and joint action: joint purchases, and the first joint sale of the clusters that reached one."""
    rows = []
    for c in grouped.itertuples():
        own = firms[(firms["cluster_id"] == c.cluster_id) & firms["closed_on"].isna()]
        sold = [] if pd.isna(c.joint_sale_on) else [(c.joint_sale_on, "joint_sale")]
        after = rng.choice(np.arange(30, 700), c.joint_actions_done - len(sold), replace=False)
        bought = [(c.formed_on + pd.Timedelta(days=int(d)), "joint_purchase") for d in after]
        for on, kind in sorted(sold + bought):
            able = own.loc[own["entry_year"] <= on.year, "firm_id"].to_numpy()
            for firm in np.sort(rng.choice(able, min(len(able), int(rng.integers(2, 6))), replace=False)):
                value = round(float(rng.uniform(60, 300)), 1)
                saving = round(value * rng.uniform(0.04, 0.1), 1) if kind == "joint_purchase" else None
                rows.append((c.cluster_id, firm, on, kind, value, saving))
    return pd.DataFrame(rows, columns=["cluster_id", "firm_id", "on", "type", "value_kuyu", "saving_kuyu"])


def attendance(given: pd.DataFrame) -> pd.DataFrame:
    """Persons at the integration workshops: one or two of each firm and three officials an event."""
    held = given[given["activity_id"] == "A02"]
    parts = [held.assign(person_key=held["firm_id"] + "-1", kind="entrepreneur")]
    second = held[held["firm_id"].str[-1].astype(int) % 2 == 0]
    parts.append(second.assign(person_key=second["firm_id"] + "-2", kind="worker"))
    events = held.groupby("event_id", as_index=False)["start_on"].min()
    for k in range(3):
        parts.append(events.assign(person_key=[f"official-{3 * (i % 4) + k}" for i in range(len(events))], kind="official"))
    table = pd.concat(parts, ignore_index=True).rename(columns={"start_on": "on"})
    return table[["event_id", "person_key", "kind", "firm_id", "on"]]


def series() -> pd.DataFrame:
    """Prices and the exchange rate, rounded."""
    rows = [("ipc", IPC, "2013"), ("fx_uyu_usd", FX, None), ("us_cpi", US_CPI, "2013")]
    parts = [
        pd.DataFrame({"series": s, "year": YEARS, "value": v, "base": b, "source": "rounded for this sample"}) for s, v, b in rows
    ]
    return pd.concat(parts)


def tables(seed: int = SEED) -> dict[str, pd.DataFrame]:
    """Every table by name; `truth` holds the effect on ln sales of each firm and year."""
    rng = np.random.default_rng(seed)
    firms = enterprises(rng)
    made = paths(firms, rng)
    answers, given, grouped = survey(firms, made, rng), services(firms, rng), clusters(firms, rng)
    truth = pd.DataFrame({"firm_id": np.repeat(firms["firm_id"], len(YEARS)).to_numpy(), "ref_year": np.tile(YEARS, len(firms))})
    return {
        "enterprises": firms.drop(columns="alpha"),
        "survey": answers,
        "series": series(),
        "budget": pd.DataFrame([(*k, v) for k, v in BUDGET.items()], columns=["component", "source", "budget_usd"]),
        "ledger": ledger(rng),
        "activities": activities(given),
        "milestones": pd.DataFrame(
            MILESTONES, columns=["indicator_id", "sector", "sequence", "due_on", "done_on", "document"]
        ).assign(verified=lambda t: t["document"].notna().astype(int)),
        "services": given,
        "satisfaction": satisfaction(firms, rng),
        "clusters": grouped,
        "joint_actions": joint_actions(firms, grouped, rng),
        "attendance": attendance(given),
        "truth": truth.assign(tau_ln_sales=made["tau"].ravel().round(6)),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, table in tables().items():
        table.to_csv(folder / f"{name}.csv", index=False, encoding="utf-8", lineterminator="\n", date_format="%Y-%m-%d")
