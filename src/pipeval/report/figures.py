"""The figures of a report: which table of the bundle goes on which plot, one PNG a figure and language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from .bundle import Bundle
from .curve_plots import CHOICES, curve, curve_choices, curve_rows
from .did_plots import detectable, event_study, forest, sensitivity, sensitivity_rows
from .labels import covariate_label, outcome_label
from .money_plots import cofinancing_path, counterpart_path, s_curve
from .opinion_plots import response_map, satisfaction_bars
from .plots import INK, QUIET, disbursement, export_status, love_plot, overlap, sample_flow, trends
from .tables import chosen_rows
from .text import Text
from .value_plots import benchmark_forest, return_distribution, tornado

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "axes.axisbelow": True,
    "grid.color": "#e3e8ec",
    "figure.facecolor": "white",
    "svg.hashsalt": "pipeval",
}


def draw(bundle: Bundle, folder: Path, text: Text) -> dict[str, Path]:
    """Draw each figure whose table is in the bundle into `figures/<name>.<language>.png`; 150 dpi, the same bytes each time."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made = {}
    target = Path(folder) / "figures"
    target.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        for name, (table, paint) in FIGURES.items():
            if not bundle.has(table):
                continue
            figure = paint(bundle, text)
            if figure is None:
                continue
            path = target / f"{name}.{text.language}.png"
            # Not savefig, which draws everything twice.
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
            made[name] = path
    return made


def _panels(bundle: Bundle, text: Text, table: str, paint: Callable) -> object:
    """One panel for each of the first three outcomes, side by side, one legend below; the others stay in the tables."""
    frame = bundle.table(table)
    outcomes = list(dict.fromkeys(frame["outcome"]))[:3]
    figure, axes = _canvas(7.6, 2.6, 1, len(outcomes))
    for ax, outcome in zip(axes, outcomes, strict=True):
        paint(frame[frame["outcome"] == outcome], ax, outcome)
        ax.set_title(outcome_label(outcome, bundle, text.language), fontsize=9)
        ax.tick_params(labelsize=7.5)
        if ax is not axes[0] and ax.get_ylabel() == axes[0].get_ylabel():
            ax.set_ylabel("")
        if ax is not axes[len(axes) // 2]:
            ax.set_xlabel("")
    return _legend(figure, axes[0])


def _single(bundle: Bundle, text: Text, frame: pd.DataFrame, paint: Callable, height: float) -> object:
    if frame.empty:
        return None
    figure, axes = _canvas(7.2, height, 1, 1)
    paint(frame, axes[0], text)
    return _legend(figure, axes[0])


def _trends_figure(bundle: Bundle, text: Text) -> object:
    return _panels(bundle, text, "trends", lambda rows, ax, _: trends(rows, ax, text))


def _event_figure(bundle: Bundle, text: Text) -> object:
    scales = _scales(bundle)
    return _panels(bundle, text, "event_study", lambda rows, ax, key: event_study(rows, ax, text, scales.get(key, "")))


def _love_figure(bundle: Bundle, text: Text) -> object:
    frame = bundle.table("balance").dropna(subset=["smd"])
    frame = frame.assign(name=[covariate_label(c, bundle, text) for c in frame["covariate"]])
    return _single(bundle, text, frame, love_plot, 1.1 + 0.17 * frame[["kind", "covariate"]].drop_duplicates().shape[0])


def _forest_figure(bundle: Bundle, text: Text) -> object:
    """The headline effects; outcomes that the programme cannot move are checks and have no place among them."""
    frame = chosen_rows(bundle.table("effects"), {"where": {"headline": [True]}})
    frame = frame[(frame["scale"] != "level") & frame["effect"].notna() & ~frame["outcome"].isin(_untouched(bundle))]
    target = pd.to_numeric(frame["outcome"].map(_relevant(bundle)), errors="coerce")
    frame = frame.assign(name=[_name(row, bundle, text) for row in frame.to_dict("records")], target=target)
    if "mde" in frame:
        mde = pd.to_numeric(frame["mde"], errors="coerce")
        frame = frame.assign(mde=mde.where(~(target < 0), -mde))
    return _single(bundle, text, frame, forest, 1.0 + 0.24 * len(frame))


def _power_figure(bundle: Bundle, text: Text) -> object:
    frame = bundle.table("power")
    frame = frame.assign(mde=frame["mde_share"] if "mde_share" in frame else frame["mde"]).dropna(subset=["mde"])
    frame = frame[~frame["outcome"].isin(_untouched(bundle))]
    frame = frame.assign(name=[_name(row, bundle, text) for row in frame.to_dict("records")])
    if bundle.has("simulated_power"):
        simulated = bundle.table("simulated_power").set_index("outcome")["mde_share"]
        frame = frame.assign(mde_simulated=frame["outcome"].map(simulated))
    return _single(bundle, text, frame, detectable, 1.0 + 0.23 * len(frame))


def _curve_figure(bundle: Bundle, text: Text) -> object:
    """The curve of the first primary outcome, and under it the choices."""
    frame = bundle.table("curve")
    key = frame["outcome"].iloc[0]
    frame = frame[frame["outcome"] == key]
    if "estimate" not in frame or curve_rows(frame).empty:
        return None
    lines = sum(frame[c].nunique() for c in CHOICES)
    figure, (above, below) = _canvas(7.4, 2.6 + 0.125 * lines, 2, 1, [2.2, 0.4 + 0.125 * lines])
    curve(frame, above, text, _scales(bundle).get(key, ""))
    curve_choices(frame, below, text)
    n = text.number(int((curve_rows(frame)["question"] == "same").sum()), "int")
    _title(figure, text.say("figure.curve.title", {"outcome": outcome_label(key, bundle, text.language), "n": n}))
    above.tick_params(labelbottom=False)
    return _legend(figure, above)


def _sensitivity_figure(bundle: Bundle, text: Text) -> object:
    """The first primary outcome that has more than its headline to show."""
    names = ("effects", "few_clusters", "attrition_bounds", "trend_power", "left_out", "honest")
    tables = {name: bundle.table(name) for name in names if bundle.has(name)}
    key = bundle.table("sensitivity")["outcome"].iloc[0]
    rows = sensitivity_rows(tables, key)
    if len(rows) < 2:
        return None
    figure, axes = _canvas(7.2, 1.2 + 0.25 * len(rows), 1, 1)
    sensitivity(rows, axes[0], text, _scales(bundle).get(key, ""), _relevant(bundle).get(key))
    _title(figure, text.say("figure.sensitivity.title", {"outcome": outcome_label(key, bundle, text.language)}))
    return _legend(figure, axes[0])


def _overlap_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("overlap"), overlap, 2.5)


def _flow_figure(bundle: Bundle, text: Text) -> object:
    frame = chosen_rows(bundle.table("sample_flow").dropna(subset=["n"]), {"last": {"stage": ["matched"]}})
    return _single(bundle, text, frame, sample_flow, 0.9 + 0.12 * len(frame))


def _status_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("transitions"), export_status, 2.7)


def _disbursement_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("disbursement"), disbursement, 2.3)


def _progress_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("progress_path"), s_curve, 2.5)


def _cofinancing_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("cofinancing_path"), cofinancing_path, 2.5)


def _counterpart_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("counterpart_path"), counterpart_path, 2.5)


def _satisfaction_figure(bundle: Bundle, text: Text) -> object:
    frame = bundle.table("satisfaction_shares")
    return _single(bundle, text, frame, satisfaction_bars, 1.0 + 0.22 * len(frame[["component", "item"]].drop_duplicates()))


def _response_figure(bundle: Bundle, text: Text) -> object:
    frame = chosen_rows(bundle.table("response_map"), {"where": {"by": ["component"]}})
    return _single(bundle, text, frame, response_map, 1.4 + 0.24 * len(frame[["component", "item"]].drop_duplicates()))


def _return_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("return_draws_hist"), return_distribution, 2.4)


def _tornado_figure(bundle: Bundle, text: Text) -> object:
    frame = bundle.table("return_tornado")
    return _single(bundle, text, frame, tornado, 1.0 + 0.3 * len(frame))


def _benchmark_figure(bundle: Bundle, text: Text) -> object:
    frame = bundle.table("comparison")
    frame = frame.assign(name=[outcome_label(o, bundle, text.language) for o in frame["outcome"]])
    return _single(bundle, text, frame, benchmark_forest, 1.0 + 0.24 * len(frame))


def _signed(outcome: dict) -> float | None:
    """The relevant effect with the sign that is sought: negative where less is better."""
    effect = outcome.get("relevant_effect")
    return None if effect is None else -abs(effect) if outcome.get("direction") == "decrease" else effect


def _relevant(bundle: Bundle) -> dict:
    return {o["id"]: _signed(o) for o in bundle.study.get("outcomes", [])}


def _scales(bundle: Bundle) -> dict:
    return {o["id"]: o.get("scale", "") for o in bundle.study.get("outcomes", [])}


def _untouched(bundle: Bundle) -> list:
    return [o["id"] for o in bundle.study.get("outcomes", []) if o.get("untouched")]


def _name(row: dict, bundle: Bundle, text: Text) -> str:
    points = text.say("points") if row.get("scale") in ("share", "yes_no") else ""
    return outcome_label(row["outcome"], bundle, text.language) + (f" ({points.strip()})" if points else "")


def _canvas(width: float, height: float, rows: int, columns: int, heights: list[float] | None = None):
    # A Figure of its own, not pyplot's: no global state, and two languages can be drawn side by side.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=heights is not None, height_ratios=heights).flat)


def _legend(figure, ax):
    handles, words = ax.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            words,
            loc="outside lower center",
            markerscale=0.8,
            ncols=min(len(handles), 4 if sum(map(len, words)) < 90 else 2),
        )
    return figure


def _title(figure, words: str) -> None:
    """A title from the left end of the figure: an axis with long names leaves too little room above itself."""
    figure.suptitle(words, x=0.01, ha="left", fontsize=10, fontweight="bold", color=INK)


FIGURES = {
    "sample_flow": ("sample_flow", _flow_figure),
    "power": ("power", _power_figure),
    "balance": ("balance", _love_figure),
    "overlap": ("overlap", _overlap_figure),
    "trends": ("trends", _trends_figure),
    "effects": ("effects", _forest_figure),
    "event_study": ("event_study", _event_figure),
    "curve": ("curve", _curve_figure),
    "sensitivity": ("sensitivity", _sensitivity_figure),
    "transitions": ("transitions", _status_figure),
    "disbursement": ("disbursement", _disbursement_figure),
    "counterpart_path": ("counterpart_path", _counterpart_figure),
    "cofinancing_path": ("cofinancing_path", _cofinancing_figure),
    "s_curve": ("progress_path", _progress_figure),
    "satisfaction": ("satisfaction_shares", _satisfaction_figure),
    "response_map": ("response_map", _response_figure),
    "return_distribution": ("return_draws_hist", _return_figure),
    "tornado": ("return_tornado", _tornado_figure),
    "benchmark_forest": ("comparison", _benchmark_figure),
}
