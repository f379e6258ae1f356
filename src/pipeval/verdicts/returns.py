"""The programme's return: its net present value, benefit-cost ratio and internal rate, and how sure they are.

What is uncertain is drawn: the effect from its own distribution, persistence and displacement from triangles between the study's
low, likely and high (`flows.draws`). Where the evidence falls short of indicative the figures answer "what if", and say so.

Method: Belli et al. (2001), *Economic Analysis of Investment Operations*; Boardman et al. (2018), *Cost-Benefit Analysis*.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from ..study.programme_specs import Return
from ..study.specs import Study
from .flows import Draws, Flows, Levels, benefits, central, draws, outlays
from .rates import npv, payback, rate_of_return

TAILS = (0.05, 0.95)
MEASURES = {"npv_usd": "usd", "bcr": "ratio", "irr": "share", "payback": "years"}
CONVENTIONS = {"surplus_share": 0.25, "discount": 0.04}
"""How far inputs without a distribution move in the tornado: a share of the income share, and points of the discount rate."""


def return_table(flows: Flows, spec: Return, drawn: Draws) -> pd.DataFrame:
    """One row a measure of the return: its central value and what the draws say of it.

    Returns
    -------
    DataFrame
        `measure`: npv_usd (constant US$ at the first year), bcr (benefits over costs, both discounted), irr, payback (years from
        the first year until the undiscounted sum stays above zero). `unit`, `central` (estimates as they are, likely
        persistence and displacement), `drawn_mean, drawn_median, drawn_low, drawn_high` (of the draws; at 5 % and 95 %),
        `share_positive` (draws in which it pays: NPV above 0, ratio above 1, rate above the discount rate, paid back by the
        horizon), `n_draws`, `n_undefined`. Undefined draws rank as the worst; a quantile among them is NaN, and so is the mean
        if there is one.
    """
    costs = outlays(flows, spec)
    gains = benefits(flows, spec, drawn)
    best = _measures(benefits(flows, spec, central(spec)), costs, spec.discount)
    found = _measures(gains, costs, spec.discount)
    passes = {"npv_usd": found["npv_usd"] > 0, "bcr": found["bcr"] > 1, "irr": found["irr"] > spec.discount}
    passes["payback"] = np.isfinite(found["payback"])
    rows = []
    for name, unit in MEASURES.items():
        values, undefined = found[name], np.isnan(found[name])
        ranked = np.where(undefined, np.inf if name == "payback" else -np.inf, values)
        quantiles = np.quantile(ranked, [0.5, *TAILS], method="nearest")
        median, low, high = np.where(np.isfinite(quantiles), quantiles, np.nan)
        row = {"measure": name, "unit": unit, "central": best[name][0], "drawn_mean": values.mean(), "drawn_median": median}
        row |= {"drawn_low": low, "drawn_high": high}
        pays = passes[name].mean() if name == "payback" or not undefined.all() else np.nan
        rows.append(row | {"share_positive": pays, "n_draws": len(values), "n_undefined": int(undefined.sum())})
    return pd.DataFrame(rows)


def _measures(gains: np.ndarray, costs: np.ndarray, rate: float) -> dict[str, np.ndarray]:
    net = gains - costs
    spent = npv(costs[None, :], rate)[0]
    ratio = npv(gains, rate) / (spent if spent > 0 else np.nan)
    return {"npv_usd": npv(net, rate), "bcr": ratio, "irr": rate_of_return(net), "payback": payback(net)}


def tornado_table(flows: Flows, spec: Return) -> pd.DataFrame:
    """One row an input: the NPV when it alone is low or high, the widest first.

    Columns `input` (effect, persistence, displacement, surplus_share, discount), `input_low, input_high` (effect in the reference
    year as a share), `npv_low_usd, npv_high_usd` (at the low and the high value), `central_usd` (at the central values),
    `swing_usd`, `basis`: quantile (its 5 % and 95 %) or convention (`CONVENTIONS`: a quarter of the income share, four points of
    the discount rate).
    """
    at_end, middle = flows.effects.loc[flows.reference_year], central(spec)
    half = stats.t.ppf(TAILS[1], flows.df) if np.isfinite(flows.df) else stats.norm.ppf(TAILS[1])
    rows = []
    ends = [np.expm1(at_end["estimate"] + z * at_end["std_error"]) for z in (-half, half)]
    values = [_value(flows, spec, replace(middle, z=np.array([z]))) for z in (-half, half)]
    rows.append(("effect", *ends, *values, "quantile"))
    for name in ("persistence", "displacement"):
        ends = [_quantile(getattr(spec, name), q) for q in TAILS]
        values = [_value(flows, spec, replace(middle, **{name: np.array([end])})) for end in ends]
        rows.append((name, *ends, *values, "quantile"))
    for name, step in CONVENTIONS.items():
        now = getattr(spec, name)
        moved = now * step if name == "surplus_share" else step
        ends = [max(now - moved, 0.0), min(now + moved, 1.0)]
        values = [_value(flows, spec.model_copy(update={name: end}), middle) for end in ends]
        rows.append((name, *ends, *values, "convention"))
    table = pd.DataFrame(rows, columns=["input", "input_low", "input_high", "npv_low_usd", "npv_high_usd", "basis"])
    table["central_usd"] = _value(flows, spec, middle)
    table["swing_usd"] = (table["npv_high_usd"] - table["npv_low_usd"]).abs()
    return table.sort_values("swing_usd", ascending=False, kind="stable", ignore_index=True)


def break_even_table(flows: Flows, spec: Return) -> pd.DataFrame:
    """One row an input: the value at which costs are just recovered, the others as they are.

    Columns `input` (effect, persistence, displacement, surplus_share), `central, break_even`; `note`: always (the NPV is positive
    whatever the value), never. The effect is that of the reference year, as a share; all years' effects move by as many log points.
    """
    middle, at_end = central(spec), flows.effects.loc[flows.reference_year, "estimate"]
    tries = {
        "effect": (lambda x: _value(flows, spec, middle, x - at_end), at_end, (-3.0, 3.0)),
        "persistence": (lambda x: _value(flows, spec, replace(middle, persistence=np.array([x]))), spec.persistence[1], (0.0, 1.0)),
        "displacement": (
            lambda x: _value(flows, spec, replace(middle, displacement=np.array([x]))),
            spec.displacement[1],
            (0.0, 1.0),
        ),
        "surplus_share": (
            lambda x: _value(flows, spec.model_copy(update={"surplus_share": x}), middle),
            spec.surplus_share,
            (0.0, 1.0),
        ),
    }
    rows = []
    for name, (run, now, (low, high)) in tries.items():
        value, note = _root(run, low, high)
        if name == "effect":
            now, value = float(np.expm1(now)), float(np.expm1(value))
        rows.append({"input": name, "central": now, "break_even": value, "note": note})
    return pd.DataFrame(rows)


def histogram_table(flows: Flows, spec: Return, drawn: Draws, n_bins: int = 40) -> pd.DataFrame:
    """One row a bin of the NPV of the draws: `bin_low, bin_high` (constant US$), `n, share`; the outermost hold what lies beyond.

    The bins span the middle 99 % of the draws, so that one odd draw does not flatten the picture.
    """
    values = npv(benefits(flows, spec, drawn) - outlays(flows, spec), spec.discount)
    low, high = np.quantile(values, [0.005, 0.995])
    edges = np.linspace(low, high, n_bins + 1) if high > low else np.array([low - 0.5, low + 0.5])
    n = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], "n": n, "share": n / len(values)})


def year_table(flows: Flows, spec: Return) -> pd.DataFrame:
    """One row a year: what it cost and what it brought by the central values, constant US$.

    Columns `period, basis` (before: costs only; estimated: its own estimate; projected: decayed from the reference year), `effect`
    (share), `level_usd` (the treated firms' counterfactual), `cost_usd, benefit_usd, net_usd, discount_factor, discounted_usd`.
    """
    years = flows.years(spec.horizon_years)
    table = flows.effects.reindex(years)
    end = flows.reference_year
    past = years <= end
    last = flows.effects.loc[end]
    decayed = np.expm1(last["estimate"]) * spec.persistence[1] ** np.clip(years - end, 0, None)
    decayed = np.where(years - end <= spec.horizon_years, decayed, 0.0)
    effect = np.where(past, np.expm1(table["estimate"]), decayed)
    gain, cost = benefits(flows, spec, central(spec))[0], outlays(flows, spec)
    factor = (1 + spec.discount) ** -(years - years[0]).astype(float)
    basis = np.select([~past, table["estimate"].notna()], ["projected", "estimated"], "before")
    level = np.where(past, table["level_usd"], last["level_usd"])
    found = {"period": years, "basis": basis, "effect": effect, "level_usd": level, "cost_usd": cost, "benefit_usd": gain}
    return pd.DataFrame(found | {"net_usd": gain - cost, "discount_factor": factor, "discounted_usd": (gain - cost) * factor})


def assumptions_table(flows: Flows, levels: Levels, study: Study) -> pd.DataFrame:
    """One row a figure that the return rests on: `input, value, unit, period, source`, `note`.

    `source`: estimate, survey, series, ledger, params. Notes: `mean_of_logs` (the effect on the average logarithm is applied to the
    total), `current_dollars` (no index of foreign prices for every year of cost), `year_without_estimate` (an earlier year counts
    no benefit), `current_prices`.
    """
    spec, end = study.returns, flows.reference_year
    row, count = flows.effects.loc[end], levels.firms.loc[end]
    log = study.outcome(spec.outcome).scale == "log"
    early, dollars, prices = (
        n if n in levels.notes else "" for n in ("year_without_estimate", "current_dollars", "current_prices")
    )
    rows = [
        ("effect", np.expm1(row["estimate"]), "share", end, "estimate", "mean_of_logs" if log else ""),
        ("std_error", row["std_error"], "log_points", end, "estimate", early),
        ("n_responding", count["n_responding"], "firms", end, "survey", ""),
        ("n_firms", count["n_firms"], "firms", end, "survey", ""),
        ("level_usd", row["level_usd"], "usd", end, "survey", prices),
        ("fx", levels.fx, "per_usd", levels.base_year, "series", ""),
        ("cost_current_usd", levels.cost_current_usd.sum(), "usd", np.nan, "ledger", ""),
        ("cost_usd", flows.costs.sum(), "usd", levels.base_year, "ledger", dollars),
    ]
    decided = {"surplus_share": "share", "discount": "share", "horizon_years": "years", "draws": "draws"}
    rows += [(name, getattr(spec, name), unit, np.nan, "params", "") for name, unit in decided.items()]
    for name in ("persistence", "displacement"):
        ends = zip(("low", "likely", "high"), getattr(spec, name), strict=True)
        rows += [(f"{name}_{which}", value, "share", np.nan, "params", "") for which, value in ends]
    return pd.DataFrame(rows, columns=["input", "value", "unit", "period", "source", "note"])


def return_tables(flows: Flows, levels: Levels, study: Study, grade: str) -> dict[str, pd.DataFrame]:
    """`return`, `return_years`, `return_tornado`, `return_break_even`, `return_draws_hist`, `return_assumptions`.

    `return` carries the `evidence` grade of the outcome and the note `what_if` unless it is demonstrated or indicative: a
    calculation of what would follow if the effect were as estimated.
    """
    spec = study.returns
    drawn = draws(spec, flows.df)
    note = "" if grade in ("demonstrated", "indicative") else "what_if"
    return {
        "return": return_table(flows, spec, drawn).assign(outcome=spec.outcome, evidence=grade, note=note),
        "return_years": year_table(flows, spec),
        "return_tornado": tornado_table(flows, spec),
        "return_break_even": break_even_table(flows, spec),
        "return_draws_hist": histogram_table(flows, spec, drawn),
        "return_assumptions": assumptions_table(flows, levels, study),
    }


def yearly_gain(flows: Flows, study: Study) -> dict[str, float | str]:
    """What the effect added in the reference year, before income share and displacement, with its interval; and all costs.

    `outcome, gain, gain_low, gain_high, cost_usd`, all in constant US$ of the base year of prices. The level observed is known: a
    larger effect means a lower counterfactual (`flows.benefits`).
    """
    row = flows.effects.loc[flows.reference_year]
    q = 0.5 + study.did.level / 2
    half = (stats.t.ppf(q, flows.df) if np.isfinite(flows.df) else stats.norm.ppf(q)) * row["std_error"]
    observed = row["level_usd"] * np.exp(row["estimate"])
    gain, low, high = (float(-observed * np.expm1(-(row["estimate"] + move))) for move in (0.0, -half, half))
    cost = float(flows.costs.sum())
    return {"outcome": study.returns.outcome, "gain": gain, "gain_low": low, "gain_high": high, "cost_usd": cost}


def _value(flows: Flows, spec: Return, drawn: Draws, shift: float = 0.0) -> float:
    return float(npv(benefits(flows, spec, drawn, shift) - outlays(flows, spec), spec.discount)[0])


def _root(run, low: float, high: float) -> tuple[float, str]:
    """Where a monotone function is zero, by bisection; NaN and `always` or `never` where it keeps its sign."""
    at_low, at_high = run(low), run(high)
    if at_low > 0 and at_high > 0:
        return np.nan, "always"
    if (at_low < 0 and at_high < 0) or at_low == at_high:
        return np.nan, "never"
    rising = at_high > at_low
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if (run(middle) > 0) == rising else (middle, high)
    return (low + high) / 2, ""


def _quantile(ends: tuple[float, float, float], q: float) -> float:
    low, likely, high = ends
    return float(stats.triang.ppf(q, (likely - low) / (high - low), low, high - low)) if high > low else likely
