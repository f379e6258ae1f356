"""The sample programme as its coordinator would file it: the register, the annual survey, and the truth behind them.

Columns, kinds and units follow `data.contract`; numbers are floats, yes/no is 1/0, dates are days.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .sample_model import (
    ARMS,
    BASE,
    BRANCHES,
    EXPORT_SPELL,
    FX,
    INPC,
    JOBS_ELASTICITY,
    PRICE_EFFECT,
    SECTORS,
    SHOCK_SD,
    STATUSES,
    UNIT_PRICE,
    VALUE_ADDED_EXTRA,
    VALUE_ADDED_SHARE,
    YEARS,
    Firms,
    Knobs,
    Paths,
)

PREMIUM = {"domestic": 1.0, "direct": 1.04, "indirect": 1.01}  # unit price by market
RESPONSES = ["complete", "partial", "refusal", "not_found", "closed"]
MODES = ["face", "phone", "mail", "registry"]
CHANNELS = ["broker", "consortium", "export_supplier"]
WAVES = ["b", "b", "b", "a1", "a2", "a3", "a4", "a5"]
MUNICIPALITIES = [
    "León", "San Francisco del Rincón", "Purísima del Rincón", "Dolores Hidalgo", "Moroleón", "Uriangato", "Irapuato", "Celaya",
    "Silao", "Salamanca", "Guanajuato", "San Miguel de Allende", "Manuel Doblado", "Romita", "Salvatierra", "Yuriria",
]  # fmt: skip
_PLACES = np.array(  # branch × municipality, out of 100
    [
        [58, 18, 12, 0, 0, 0, 1, 1, 2, 1, 1, 0, 4, 2, 0, 0],
        [80, 8, 5, 0, 0, 0, 1, 0, 2, 0, 0, 0, 2, 2, 0, 0],
        [4, 0, 0, 62, 0, 0, 2, 3, 1, 2, 14, 10, 0, 0, 2, 0],
        [8, 2, 0, 0, 32, 24, 14, 5, 1, 2, 0, 0, 0, 0, 4, 8],
    ]
)
_SUBSECTORS = [
    ["men's shoes", "women's shoes", "boots"],
    ["tanning", "finishing"],
    ["talavera", "stoneware"],
    ["knitwear", "clothing"],
]
_LEGAL_FORMS = ["person", "company", "cooperative"]
_CLUSTER_TYPES = ["horizontal", "horizontal", "cluster", "horizontal", "vertical"]


def enterprises_table(firms: Firms, paths: Paths, rng: np.random.Generator) -> pd.DataFrame:
    """The register: one row a firm."""
    n, workers = len(firms.arm), np.exp(firms.ln_workers).round()
    took_part, pool = firms.arm == 0, firms.arm == 2
    place = (rng.random(n)[:, None] * 100 >= np.cumsum(_PLACES[firms.branch], axis=1)).sum(axis=1)
    line = (rng.random(n) * np.array([len(s) for s in _SUBSECTORS])[firms.branch]).astype(int)
    offset = np.cumsum([0] + [len(s) for s in _SUBSECTORS])[firms.branch]
    clustered, kind = firms.cluster > 0, firms.cluster % len(_CLUSTER_TYPES)
    member = np.where(clustered & (kind == 4), np.where(workers > 50, 0, 1), np.where(clustered, 2, -1))
    closed = paths.closes < len(YEARS)
    closing = YEARS[np.minimum(paths.closes, len(YEARS) - 1)]
    left = took_part & (rng.random(n) < 0.04) & ~closed
    yes = rng.random((n, 7))
    letter = days("2003-09-15", rng.integers(0, 105, n)) + np.where(yes[:, 6] < 0.85, 0, 120).astype("timedelta64[D]")
    return pd.DataFrame(
        {
            "firm_id": firm_ids(n),
            "arm": texts(firms.arm, ARMS),
            "sector": texts(firms.branch, SECTORS),
            "branch": texts(firms.branch, BRANCHES),
            "subsector": texts(offset + line, sum(_SUBSECTORS, [])),
            "municipality": texts(place, MUNICIPALITIES),
            "founded_year": np.where(rng.random(n) < 0.01, np.nan, 2003 - firms.age),
            "owner_gender": texts(np.where(rng.random(n) < 0.02, -1, rng.choice(3, n, p=[0.22, 0.58, 0.20])), ["f", "m", "mixed"]),
            "chamber_member": firms.chamber.astype(float),
            "legal_form": texts(np.where(workers > 50, 1, rng.choice(3, n, p=[0.55, 0.38, 0.07])), _LEGAL_FORMS),
            "workers_baseline": workers,
            "size_class": texts(np.searchsorted([10, 50, 250], workers), ["micro", "small", "medium", "large"]),
            "cluster_id": texts(firms.cluster - 1, [f"C{c:02d}" for c in range(1, firms.cluster.max() + 1)]),
            "cluster_type": texts(np.where(clustered, kind, -1), _CLUSTER_TYPES),
            "role": texts(member, ["anchor", "supplier", "member"]),
            "group_experience": (yes[:, 0] < np.where(took_part, 0.45, 0.30)).astype(float),
            "priority_score": np.where(took_part, np.clip(rng.normal(65, 12, n), 20, 100).round(), np.nan),
            "registered_on": only(took_part, np.maximum(letter, days("2003-11-03", rng.integers(0, 140, n)))),
            "control_listed_on": only(pool, days("2003-11-15", rng.integers(0, 90, n))),
            "entry_year": np.where(took_part, firms.entry, np.nan),
            "commitment_letter_on": only(took_part, letter),
            "consent_data": np.where(took_part, 1.0, (yes[:, 1] < 0.97).astype(float)),
            "elig_msme": 1.0,
            "elig_willing": (took_part | (yes[:, 2] < 0.90)).astype(float),
            "elig_export": (took_part | (yes[:, 3] < 0.93)).astype(float),
            "elig_env_osh": (took_part | (yes[:, 4] < 0.96)).astype(float),
            "elig_nondiscrim": (took_part | (yes[:, 5] < 0.995)).astype(float),
            "exp_status_baseline": texts(firms.status, STATUSES),
            "frame_weight": firms.weight.round(3),
            "closed_on": only(
                closed, closing.astype(str).astype("datetime64[Y]").astype("datetime64[D]") + rng.integers(5, 330, n)
            ),
            "exited_on": only(left, days("2005-02-01", rng.integers(0, 600, n))),
        }
    )


def survey_table(knobs: Knobs, firms: Firms, paths: Paths, rng: np.random.Generator) -> pd.DataFrame:
    """The annual survey: one row a firm and year, with the attempts that failed."""
    n, shape = len(firms.arm), (len(firms.arm), len(YEARS))
    response = _responses(knobs, firms, paths, rng)
    money = _money(firms, paths, rng)
    traits = _traits(firms, paths, money["sales_kmxn"], rng)
    numbers = traits | money
    missing = response >= 2
    for values in numbers.values():
        values[missing] = np.nan
    for name in ("intermediate_inputs_kmxn", "inventory_change_kmxn", "payroll_kmxn", "production_qty"):
        numbers[name][response == 1] = np.nan
    status = np.where(missing, -1, paths.status)
    channel = np.where(numbers["export_indirect_kmxn"] > 0, rng.choice(3, (n, 1), p=[0.5, 0.2, 0.3]), -1)
    first = np.repeat(days("2003-11-10", rng.integers(0, 100, n))[:, None], BASE + 1, axis=1)
    later = days(None, rng.integers(0, 55, (n, len(YEARS) - BASE - 1)), np.array([f"{y + 1}-02-01" for y in YEARS[BASE + 1 :]]))
    mode = rng.choice(3, shape, p=[0.62, 0.26, 0.12])
    mode[:, :BASE] = mode[:, [BASE]]  # one interview tells of the first three years
    mode = np.where(response == 4, 3, mode)
    columns = {
        "firm_id": texts(np.repeat(np.arange(n), len(YEARS)), firm_ids(n)),
        "ref_year": np.tile(YEARS, n),
        "wave": texts(np.tile(np.arange(len(YEARS)), n), WAVES),
        "interview_on": np.concatenate([first, later], axis=1).ravel(),
        "mode": texts(mode.ravel(), MODES),
        "response": texts(response.ravel(), RESPONSES),
        "recall_flag": np.tile((YEARS == YEARS[0]).astype(float), n),
        "months_covered": np.where(missing, np.nan, 12.0).ravel(),
        "exp_status": texts(status.ravel(), STATUSES),
        "export_channel": texts(channel.ravel(), CHANNELS),
    }
    return pd.DataFrame(columns | {name: values.ravel() for name, values in numbers.items()})


def truth_table(firms: Firms, paths: Paths) -> pd.DataFrame:
    """The truth: one row a firm and year, with the effects and the world without the programme.

    `tau_*` are effects in log points. `y0_*` and `y1_*` are export status and direct exports (thousand pesos of 2003, expected
    given the firm's sales) without and with the programme. `alive` is 1 until the year before the firm closes, in both worlds.
    """
    n = len(firms.arm)
    tau = paths.tau.ravel()
    extra, jobs = VALUE_ADDED_EXTRA * tau, JOBS_ELASTICITY * tau
    usual = 0.433  # the mean export share, Beta(2, 4) + 0.1
    y1 = np.exp(paths.ln_sales) * usual * EXPORT_SPELL[paths.spell]
    y0 = np.exp(paths.ln_sales - paths.tau) * usual * EXPORT_SPELL[paths.spell0]
    return pd.DataFrame(
        {
            "firm_id": texts(np.repeat(np.arange(n), len(YEARS)), firm_ids(n)),
            "ref_year": np.tile(YEARS, n),
            "alive": (np.arange(len(YEARS)) < paths.closes[:, None]).ravel().astype(float),
            "tau_ln_sales": tau.round(6),
            "tau_ln_va": (tau + extra).round(6),
            "tau_ln_jobs": jobs.round(6),
            "tau_ln_va_job": (tau + extra - jobs).round(6),
            "tau_ln_price": (PRICE_EFFECT * tau).round(6),
            "y0_status": texts(paths.status0.ravel(), STATUSES),
            "y1_status": texts(paths.status.ravel(), STATUSES),
            "y0_export_direct_kmxn": (y0 * (paths.status0 == 2)).ravel().round(1),
            "y1_export_direct_kmxn": (y1 * (paths.status == 2)).ravel().round(1),
        }
    )


def firm_ids(n: int) -> np.ndarray:
    """F0001, F0002, …, wide enough for `n`."""
    width = max(4, len(str(n)))
    return np.array([f"F{i:0{width}d}" for i in range(1, n + 1)])


def texts(codes: np.ndarray, labels) -> pd.api.extensions.ExtensionArray:
    """`labels[codes]` as text; code −1 is missing."""
    return pd.array(np.asarray(labels, dtype=object), dtype="str").take(np.asarray(codes), allow_fill=True)


def days(first: str | None, after: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
    """Dates `after` days from `first`, or from each of `starts`."""
    origin = np.datetime64(first, "D") if starts is None else starts.astype("datetime64[D]")
    return origin + np.asarray(after).astype("timedelta64[D]")


def only(where: np.ndarray, dates: np.ndarray) -> np.ndarray:
    """The dates where the condition holds, none elsewhere."""
    return np.where(where, dates.astype("datetime64[s]"), np.datetime64("NaT", "s"))


def _responses(knobs: Knobs, firms: Firms, paths: Paths, rng: np.random.Generator) -> np.ndarray:
    """Codes of `RESPONSES`, firms × years: 3 % of beneficiaries and 6 % of the others do not answer a follow-up."""
    shape = paths.tau.shape
    took_part = (firms.arm == 0)[:, None]
    refuses = np.where(took_part, 0.03, 0.06) * np.ones(shape)
    refuses += knobs.attrition_bias * took_part * np.maximum(-paths.shock / SHOCK_SD, 0)
    chance = rng.random(shape)
    at_baseline = rng.random(len(firms.arm)) < np.where(firms.arm == 0, 0.01, 0.02)
    lost = chance < refuses
    lost[:, : BASE + 1] = at_baseline[:, None] | (chance[:, : BASE + 1] < np.array([0.06, 0.03, 0.0]))
    kind = np.where(rng.random(shape) < 0.6, 2, 3)
    code = np.where(lost, kind, np.where(rng.random(shape) < 0.04, 1, 0))
    return np.where(np.arange(len(YEARS)) >= paths.closes[:, None], 4, code)


def _money(firms: Firms, paths: Paths, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Current money of every firm and year, in thousands; the parts of sales add up to the decimal."""
    n, shape = len(firms.arm), paths.tau.shape
    error = rng.normal(0, np.where(YEARS == YEARS[0], 0.12, 0.08), shape)  # the first year is recalled
    sales = np.exp(paths.ln_sales + error) * INPC / 100
    ratio = VALUE_ADDED_SHARE[firms.branch][:, None] * np.exp(rng.normal(0, 0.12, shape) + VALUE_ADDED_EXTRA * paths.tau)
    added = np.minimum(ratio, 0.85) * sales
    stock = np.clip(rng.normal(0, 0.02, shape), -0.06, 0.06) * sales
    wages = np.minimum(0.55 * np.exp(rng.normal(0, 0.10, shape)), 0.9) * added
    direct, indirect = _exports(firms, paths, sales, rng)
    price = np.log(UNIT_PRICE[firms.branch]) + rng.normal(0, 0.3, n)
    price = np.exp(price[:, None] + rng.normal(0, 0.064, shape) + PRICE_EFFECT * paths.tau) * INPC / 100
    domestic = sales - direct - indirect
    quantity = 1000 * (domestic + direct / PREMIUM["direct"] + indirect / PREMIUM["indirect"]) / price
    counts = rng.random(n) < 0.80  # firms that record quantities
    money = {
        "sales_kmxn": sales,
        "domestic_sales_kmxn": domestic,
        "export_direct_kmxn": direct,
        "export_indirect_kmxn": indirect,
        "intermediate_inputs_kmxn": sales + stock - added,
        "inventory_change_kmxn": stock,
        "payroll_kmxn": wages,
    }
    money = {name: values.round(1) for name, values in money.items()}
    money["sales_kmxn"] = (money["domestic_sales_kmxn"] + money["export_direct_kmxn"] + money["export_indirect_kmxn"]).round(1)
    dollars = money["export_direct_kmxn"] * 1000 / FX * np.exp(rng.normal(0, 0.02, shape))
    return money | {"export_direct_usd": dollars.round(), "production_qty": np.where(counts[:, None], quantity.round(), np.nan)}


def _exports(firms: Firms, paths: Paths, sales: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Direct and indirect exports in current money, at least 0.1 where the firm exports that way."""
    n, shape = len(firms.arm), paths.tau.shape
    share = (rng.beta(2, 4, n) + 0.1)[:, None] * np.exp(rng.normal(0, 0.28, shape)) * EXPORT_SPELL[paths.spell]
    # direct footwear exports fell from 16 to 6 million pairs between 2001 and 2002; the low base recovers a little
    slump = np.where(YEARS == 2001, 16 / 6, 1 + 0.03 * np.maximum(YEARS - 2003, 0))
    share = np.minimum(share * np.where((firms.branch == 0)[:, None] & (paths.status == 2), slump, 1.0), 0.95)
    both = np.where(rng.random(n) < 0.30, 0.15, 0.0)[:, None]
    direct = np.where(paths.status == 2, np.maximum(share * (1 - both) * sales, 0.1), 0.0)
    through = np.where(paths.status == 2, share * both, np.where(paths.status == 1, 0.8 * share, 0.0)) * sales
    return direct, np.where(through > 0, np.maximum(through, 0.1), 0.0)


def _traits(firms: Firms, paths: Paths, sales: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Jobs, cooperation, quality and compliance of every firm and year."""
    n, shape = len(firms.arm), paths.tau.shape
    jobs = np.maximum(np.exp(paths.ln_jobs).round(), 1)
    family = np.minimum(rng.integers(0, 3, n)[:, None] * (jobs <= 15), jobs - 1)
    since = np.clip(YEARS - firms.entry[:, None] + 1, 0, 3) / 3 * (firms.arm == 0)[:, None]  # exposure, 0 to 1
    luck = rng.random((5, n, 1))
    cost = rng.normal(0, 0.05, shape) - 0.25 * paths.tau
    together = (firms.cluster > 0)[:, None] & (since > 0.5) & (luck[4] < 0.35)
    drift = 0.01 * (YEARS - 2003)
    return {
        "workers_paid": jobs - family,
        "workers_unpaid": family,
        "fte": (jobs * np.clip(rng.normal(0.93, 0.04, shape), 0.7, 1.0)).round(1),
        "unit_cost_index": (100 * np.exp(cost - cost[:, [BASE]])).round(1),
        "n_destinations": np.where(paths.status == 2, 1.0 + rng.poisson(1.2, shape), 0.0),
        "joint_sales_kmxn": np.where(together, 0.08 * sales, 0.0).round(1),
        "quality_seal": (luck[0] < 0.06 + 0.12 * since).astype(float),
        "n_ties": rng.poisson(1.5 + 1.5 * since).astype(float),
        "env_compliant": (luck[1] < 0.58 + drift + 0.15 * since).astype(float),
        "osh_compliant": (luck[2] < 0.60 + drift + 0.12 * since).astype(float),
        "accounts_kept": (luck[3] < 0.70 + 0.10 * since).astype(float),
    }
