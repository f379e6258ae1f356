"""What the sample programme did: services, events, clusters, products, opinions, and the records of other bodies.

Every table is drawn from the register and the survey, so that the tables agree with one another: co-financing follows the schedule,
no firm passes the cap, customs follow the survey, quantities times prices are sales.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .sample_accounts import plan_table
from .sample_survey import PREMIUM, days, texts

START = np.datetime64("2003-07-01", "D")
CAP_USD = 7500.0
_LINES = {
    "men's shoes": ("men_shoes", "pair"), "women's shoes": ("women_shoes", "pair"), "boots": ("boots", "pair"),
    "tanning": ("wet_blue", "dm2"), "finishing": ("finished_leather", "dm2"), "talavera": ("talavera", "piece"),
    "stoneware": ("stoneware", "piece"), "knitwear": ("knitwear", "piece"), "clothing": ("clothing", "piece"),
}  # fmt: skip
_HS6 = {"footwear": "640399", "leather": "410792", "ceramics": "691390", "garment": "611020"}


@dataclass(frozen=True, slots=True)
class _Service:
    """A kind of service: who gets it, how many months after January of their first year, its days and its cost in US$."""

    kind: str
    subject: str
    mode: str
    share: float  # of the firms it is meant for
    months: tuple[float, float]
    days: int
    cost: tuple[float, float]
    component: str | None = None  # none: the sector's own


_FOR_ALL = (
    _Service("diagnosis", "management", "individual", 1.00, (0, 2), 3, (350, 700), "1"),
    _Service("workshop", "cooperation", "group", 0.85, (2, 4), 2, (80, 200), "1"),
)
_FOR_MEMBERS = (
    _Service("training", "export", "group", 0.60, (3, 7), 4, (200, 450)),
    _Service("training", "environment", "group", 0.55, (4, 9), 3, (180, 400)),
    _Service("training", "osh", "group", 0.35, (6, 10), 2, (150, 300)),
    _Service("design", "design", "individual", 0.35, (6, 12), 5, (500, 1200)),
    _Service("fair", "export", "group", 0.25, (8, 14), 4, (700, 1600)),
    _Service("mission", "export", "group", 0.18, (9, 15), 6, (900, 1900)),
)
_FOR_ASSISTED = (
    _Service("ta_individual", "production", "individual", 1.00, (1, 4), 12, (2000, 4600)),
    _Service("ta_individual", "quality", "individual", 0.60, (5, 8), 12, (2000, 4600)),
    _Service("ta_individual", "management", "individual", 0.50, (6, 10), 12, (2000, 4600)),
    _Service("ta_group", "production", "group", 0.60, (5, 11), 6, (400, 900)),
)
_FOR_UNTRAINED = _Service("training", "quality", "group", 1.00, (4, 8), 3, (150, 400))  # assistance comes with training


def services_table(enterprises: pd.DataFrame, ta_year: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """One row a service received; the programme pays a share that falls from 70 to 30 % over 36 months, to US$ 7,500 a firm."""
    took_part = enterprises["arm"] == "beneficiary"
    firms = enterprises[took_part].assign(first=enterprises["entry_year"])
    members = firms[firms["cluster_id"].notna()]
    helped = firms.assign(first=ta_year[took_part]).query("first < 9999")
    parts = []
    for own, offered in ((firms, _FOR_ALL), (members, _FOR_MEMBERS), (helped, _FOR_ASSISTED)):
        parts += [_given(own[rng.random(len(own)) < service.share], service, rng) for service in offered]
    trained = pd.concat(parts).query("activity_type == 'training'")["firm_id"]
    parts.append(_given(helped[~helped["firm_id"].isin(trained)], _FOR_UNTRAINED, rng))
    table = pd.concat([p for p in parts if len(p)], ignore_index=True)
    closed = table["firm_id"].map(firms.set_index("firm_id")["closed_on"])
    table = table[~(table["end_on"] > closed) & (table["end_on"] < pd.Timestamp("2006-11-30"))]
    table = table.sort_values(["start_on", "firm_id", "activity_type"], ignore_index=True)
    table.insert(0, "service_id", [f"S{i:05d}" for i in range(1, len(table) + 1)])
    return _costs(table, rng)


def cofinance_share(on: pd.Series) -> pd.Series:
    """Share of a service's cost that the programme pays: linear from .70 at the first disbursement to .30 after 36 months."""
    months = (on.to_numpy().astype("datetime64[D]") - START).astype(float) / 30.4375
    return pd.Series(0.70 - 0.40 * np.clip(months / 36, 0, 1), index=on.index)


def product_sales_table(enterprises: pd.DataFrame, survey: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Quantities and values by product line and market, of firms that record quantities; they add up to the survey's sales."""
    lines = enterprises.set_index("firm_id")["subsector"]
    first = pd.Series(np.where(rng.random(len(lines)) < 0.6, 1.0, rng.uniform(0.5, 0.9, len(lines))), index=lines.index)
    rows = survey[survey["production_qty"].notna() & (survey["ref_year"] >= 2002)]
    share = rows["firm_id"].map(first)
    columns = {"domestic": "domestic_sales_kmxn", "direct": "export_direct_kmxn", "indirect": "export_indirect_kmxn"}
    worth = sum(rows[column] / PREMIUM[market] for market, column in columns.items())
    price = 1000 * worth * (share + (1 - share) / 0.7) / rows["production_qty"]
    parts = []
    for second in (False, True):
        weight, level = (1 - share, 0.7) if second else (share, 1.0)
        for market, column in columns.items():
            value = rows[column] * weight
            part = rows[["firm_id", "ref_year"]].assign(second=second, market=market, value_kmxn=value.round(1))
            part["quantity"] = (1000 * value / (price * level * PREMIUM[market])).round()
            parts.append(part[(part["value_kmxn"] > 0) & (part["quantity"] > 0)])
    table = pd.concat(parts, ignore_index=True)
    line = table["firm_id"].map(lines)
    table["product_line"] = line.map(lambda s: _LINES[s][0]) + np.where(table["second"], "_economy", "")
    table["unit"] = line.map(lambda s: _LINES[s][1])
    order = ["firm_id", "ref_year", "product_line", "unit", "market", "quantity", "value_kmxn"]
    return table.sort_values(["firm_id", "ref_year", "product_line", "market"], ignore_index=True)[order]


def other_support_table(enterprises: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Support from other programmes; it has no effect in this sample."""
    share = enterprises["arm"].map({"beneficiary": 0.08, "indirect": 0.05, "nonparticipant": 0.06}).to_numpy()
    own = enterprises[rng.random(len(enterprises)) < share]
    names = ["CEVEM", "cleaner_production", "FIDECAP", "capital_fund", "federal", "other"]
    programme = rng.choice(6, len(own), p=[0.28, 0.24, 0.10, 0.12, 0.18, 0.08])
    programme = np.where(own["branch"] == "garment", rng.choice([2, 3, 4, 5], len(own)), programme)
    return pd.DataFrame(
        {
            "firm_id": own["firm_id"].to_numpy(),
            "programme": texts(programme, names),
            "start_on": days("2002-03-01", rng.integers(0, 1700, len(own))).astype("datetime64[s]"),
            "amount_usd": rng.integers(6, 40, len(own)) * 100.0,
        }
    )


def providers_table() -> pd.DataFrame:
    """Consultants and institutions; names are made up, but for their kinds."""
    kinds = ["institution"] * 4 + ["university"] * 3 + ["lab"] * 2 + ["consultant"] * 9
    label = {
        "institution": "Technology centre",
        "university": "University department",
        "lab": "Testing laboratory",
        "consultant": "Consultant",
    }
    signed = ["2003-11-12", "2004-01-20", "2004-05-06", None, "2004-03-15", "2005-02-10", None, "2004-09-01", None] + [None] * 9
    return pd.DataFrame(
        {
            "provider_id": [f"P{i:03d}" for i in range(1, 19)],
            "name": [f"{label[k]} {kinds[: i + 1].count(k)}" for i, k in enumerate(kinds)],
            "kind": kinds,
            "agreement_signed_on": pd.to_datetime(signed).as_unit("s"),
        }
    )


def activities_table(services: pd.DataFrame) -> pd.DataFrame:
    """The plan's activities; dates and quantities of those that serve firms are counted from the services, at the end."""
    table = plan_table("activities").set_index("activity_id")
    done = services.groupby("activity_id").agg(
        start=("start_on", "min"), end=("end_on", "max"), n=("service_id", "size"), events=("event_id", "nunique")
    )
    served = table.index.intersection(done.index)
    table.loc[served, "actual_start"] = done.loc[served, "start"]
    table.loc[served, "actual_end"] = done.loc[served, "end"]
    quantity = done["n"].where(~table.loc[served, "unit"].isin(["workshops", "courses", "fairs", "missions"]), done["events"])
    counted = served[table.loc[served, "unit"] != "products"]
    table.loc[counted, "actual_qty"] = quantity[counted].astype(float)
    return table.reset_index()


def clusters_table(enterprises: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Business clusters, their form and milestones; about two thirds reach a joint sale."""
    own = enterprises[(enterprises["arm"] == "beneficiary") & enterprises["cluster_id"].notna()]
    table = own.groupby("cluster_id").agg(
        sector=("sector", "first"),
        branch=("branch", "first"),
        cluster_type=("cluster_type", "first"),
        members_planned=("firm_id", "size"),
    )
    n = len(table)
    identified = days("2003-10-01", rng.integers(0, 85, n))
    approved = identified + rng.integers(60, 150, n).astype("timedelta64[D]")
    formed = approved + rng.integers(60, 260, n).astype("timedelta64[D]")
    sold = formed + rng.integers(150, 480, n).astype("timedelta64[D]")
    rank = rng.permutation(n)
    none = np.datetime64("NaT")
    planned = rng.integers(3, 8, n)
    done = np.where(rank < 0.85 * n, np.maximum(planned - rng.integers(0, 4, n), 1), 0)
    word = table["branch"].map({"footwear": "Calzado", "leather": "Piel", "ceramics": "Cerámica", "garment": "Confección"})
    return table.assign(
        name=word + " " + table.index,
        identified_on=identified.astype("datetime64[s]"),
        plan_approved_on=np.where(rank < 0.95 * n, approved, none).astype("datetime64[s]"),
        formed_on=np.where(rank < 0.85 * n, formed, none).astype("datetime64[s]"),
        joint_sale_on=np.where((rank < 0.65 * n) & (sold < np.datetime64("2006-12-15")), sold, none).astype("datetime64[s]"),
        legal_entity=(rank < 0.4 * n).astype(float),
        consortium=((table["branch"] == "footwear") & (rank < 0.5 * n)).astype(float),
        supplier_development=(table["cluster_type"] == "vertical").astype(float),
        members_planned=np.ceil(table["members_planned"] * 1.1),
        joint_actions_planned=planned.astype(float),
        joint_actions_done=done.astype(float),
    ).reset_index()


def products_table(clusters: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Products developed with outside designers: seven of leather and footwear, six of ceramics."""
    parts = []
    for sector, count in (("leather_footwear", 7), ("ceramics", 6)):
        own = clusters[clusters["sector"] == sector]
        parts.append(own.iloc[np.arange(count) % len(own)][["sector", "branch", "cluster_id"]])
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "product_id", [f"D{i:03d}" for i in range(1, len(table) + 1)])
    table["designer_id"] = [f"P{i:03d}" for i in rng.integers(10, 19, len(table))]
    return table.assign(completed_on=days("2004-11-01", rng.integers(0, 640, len(table))).astype("datetime64[s]"))


def attendance_table(services: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Persons at events: firms' people at group services, and officials without a firm."""
    events = services[services["event_id"].notna()]
    own = events.loc[events.index.repeat(rng.integers(1, 3, len(events))), ["event_id", "firm_id", "start_on"]]
    number = own.groupby(["event_id", "firm_id"]).cumcount() + 1
    table = own.assign(
        person_key=own["firm_id"].str.replace("F", "N") + "-" + number.astype(str),
        kind=np.where(number == 1, "entrepreneur", "worker"),
    )
    held = events.groupby("event_id")["start_on"].first().reset_index()
    staff = held.loc[held.index.repeat(2)].reset_index(drop=True)
    staff = staff.assign(
        person_key=[f"official-{1 + i % 2 + 2 * (i // 2 % 12)}" for i in range(len(staff))], kind="official", firm_id=pd.NA
    )
    table = pd.concat([table, staff], ignore_index=True).astype({"firm_id": "str"}).rename(columns={"start_on": "on"})
    return table.sort_values(["event_id", "person_key"], ignore_index=True)[["event_id", "person_key", "kind", "firm_id", "on"]]


def customs_table(enterprises: pd.DataFrame, survey: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Declarations of direct exporters, two a year; they agree with the survey within some per cent, and 6 % are not found."""
    rows = survey[(survey["export_direct_usd"] > 0) & (survey["ref_year"] >= 2002)]
    rows = rows[rng.random(len(rows)) < 0.94]
    branch = rows["firm_id"].map(enterprises.set_index("firm_id")["branch"])
    first = rng.uniform(0.3, 0.7, len(rows))
    parts = []
    for half, share in ((0, first), (1, 1 - first)):
        fob = rows["export_direct_usd"] * share * np.exp(rng.normal(0, 0.02, len(rows)))
        part = pd.DataFrame(
            {
                "firm_id": rows["firm_id"],
                "year": rows["ref_year"],
                "month": 6 * half + rng.integers(1, 7, len(rows)),
                "fob_usd": fob.round(),
            }
        )
        parts.append(part.assign(hs6=branch.map(_HS6).astype("str")))
    table = pd.concat(parts)
    return table[table["fob_usd"] > 0].sort_values(["firm_id", "year", "month"], ignore_index=True)[
        ["firm_id", "year", "month", "hs6", "fob_usd"]
    ]


def satisfaction_table(enterprises: pd.DataFrame, services: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Opinions at midterm (170 firms) and at the end (150), mean near 3.9.

    So that asymmetry has something true to find: environmental training splits opinions, design disappoints micro ceramics.
    """
    parts = []
    for wave, count, year, opened in (("midterm", 170, 2005, "2004-11-08"), ("final", 150, 2007, "2006-09-04")):
        alive = enterprises[(enterprises["arm"] == "beneficiary") & ~(enterprises["closed_on"] < f"{year}-01-01")]
        count = min(len(alive), round(count * (enterprises["arm"] == "beneficiary").sum() / 200))
        asked = alive.iloc[np.sort(rng.choice(len(alive), count, replace=False))]
        had = services[services["start_on"] < pd.Timestamp(opened)]
        answered = pd.Series(days(opened, rng.integers(0, 30, count)).astype("datetime64[s]"), index=asked.index)
        role = rng.choice(["owner", "manager"], count)
        base = asked.assign(wave=wave, respondent_role=role, answered_on=answered, mood=rng.normal(0, 0.45, count))
        for component, item, mean in _items(wave):
            own = base if component == "1" else base[base["cluster_id"].notna() & (base["entry_year"] < year)]
            if component == "2.x":
                own = own[own["firm_id"].isin(had.loc[had["subject"] == item, "firm_id"])]
            parts.append(_scores(own, component, item, mean, rng))
    table = pd.concat(parts, ignore_index=True)
    order = ["firm_id", "wave", "component", "item", "score", "activity_id", "respondent_role", "answered_on"]
    return table.sort_values(["wave", "firm_id", "component", "item"], ascending=[False, True, True, True], ignore_index=True)[
        order
    ]


def _items(wave: str) -> list[tuple[str, str, float]]:
    lift = 0.1 if wave == "final" else 0.0
    usual = [
        ("1", "usefulness", 4.0),
        ("1", "timeliness", 3.7),
        ("2", "usefulness", 4.1),
        ("2", "quality", 3.9),
        ("2", "timeliness", 3.6),
    ]
    subject = [("2.x", "environment", 3.2), ("2.x", "design", 3.9)]
    return [(c, i, m + lift) for c, i, m in usual + subject] + [("2", "would_pay", 0.55), ("2", "would_recommend", 0.8)]


def _scores(own: pd.DataFrame, component: str, item: str, mean: float, rng: np.random.Generator) -> pd.DataFrame:
    """Scores 1–5, or 0/1 for `would_…` items."""
    n = len(own)
    if item.startswith("would_"):
        score = (rng.random(n) < mean + 0.1 * own["mood"]).astype(float)
    else:
        centre = mean + own["mood"].to_numpy()
        if item == "environment":
            centre = np.where(rng.random(n) < 0.5, 1.7, 4.7)
        if item == "design":
            centre = np.where((own["branch"] == "ceramics") & (own["size_class"] == "micro"), 2.0, centre)
        score = np.clip(np.round(centre + rng.normal(0, 0.6, n)), 1, 5)
    activity = {"environment": "A010", "design": "A012"}.get(item, {"1": "A002", "2": "A008"}.get(component))
    part = own[["firm_id", "wave", "respondent_role", "answered_on"]]
    sub = own["branch"].eq("ceramics").map({True: "2.2", False: "2.1"}) if component != "1" else "1"
    return part.assign(component=sub, item=item, score=score, activity_id=activity)


def _given(own: pd.DataFrame, service: _Service, rng: np.random.Generator) -> pd.DataFrame:
    """One service to each of the firms in `own`, some months into the year `first` and after registration."""
    n, group = len(own), service.mode == "group"
    begin = np.array([f"{int(y)}-01-06" for y in own["first"]], dtype="datetime64[D]").reshape(n)
    begin = begin + np.round(rng.uniform(*service.months, n) * 30.4).astype("timedelta64[D]")
    registered = own["registered_on"].to_numpy().astype("datetime64[D]")
    start = np.maximum(begin, registered + rng.integers(3, 40, n).astype("timedelta64[D]"))
    branch = own["branch"].to_numpy(dtype=object)
    quarter = [f"{str(d)[2:4]}Q{(int(str(d)[5:7]) + 2) // 3}" for d in start]
    event = [f"E-{service.kind[:4]}-{service.subject[:4]}-{b[:3]}-{q}" for b, q in zip(branch, quarter, strict=True)]
    advisers = (10, 19) if service.kind in ("diagnosis", "design") else (1, 19)
    own_component = np.where(branch == "ceramics", "2.2", "2.1")
    given = pd.DataFrame(
        {
            "firm_id": own["firm_id"].to_numpy(),
            "activity_id": _activity(service),
            "provider_id": [f"P{p:03d}" for p in rng.integers(*advisers, n)],
            "start_on": start.astype("datetime64[s]"),
            "end_on": (start + rng.integers(service.days, 4 * service.days + 1, n).astype("timedelta64[D]")).astype(
                "datetime64[s]"
            ),
            "activity_type": service.kind,
            "subject": service.subject,
            "mode": service.mode,
            "component": own_component if service.component is None else service.component,
            "days": float(service.days) + rng.integers(-1, 2, n),
            "persons_trained": rng.integers(1, 5, n) if group else np.nan,
            "total_cost_usd": np.round(rng.uniform(*service.cost, n), 2),
            "quality_score": np.clip(np.round(rng.normal(4.0, 0.8, n)), 1, 5),
            "need_matched": (rng.random(n) < 0.88).astype(float),
            "event_id": event if group else None,
        }
    )
    return given.astype({"event_id": "str", "component": "str", "persons_trained": float})


def _activity(service: _Service) -> str:
    plan = {"diagnosis": "A001", "workshop": "A002", "ta_group": "A007", "ta_individual": "A008", "design": "A012"}
    plan |= {"fair": "A013", "mission": "A014"}
    trained = {"export": "A009", "environment": "A010", "osh": "A011", "quality": "A015"}
    return plan.get(service.kind) or trained[service.subject]


def _costs(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Who pays: at most the schedule's share, and at most the cap over all services of a firm."""
    share = cofinance_share(table["start_on"]) * rng.uniform(0.94, 1.0, len(table))
    paid = (table["total_cost_usd"] * share).groupby(table["firm_id"]).transform("sum")
    total = (table["total_cost_usd"] * np.minimum(1, 0.97 * CAP_USD / paid)).round(2)
    programme = (np.floor(total * share * 100) / 100).round(2)
    table = table.assign(total_cost_usd=total, programme_paid_usd=programme, firm_paid_usd=(total - programme).round(2))
    order = [c for c in table.columns if c not in ("programme_paid_usd", "firm_paid_usd")]
    at = order.index("total_cost_usd") + 1
    return table[order[:at] + ["programme_paid_usd", "firm_paid_usd"] + order[at:]]
