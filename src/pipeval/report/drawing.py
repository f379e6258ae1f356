"""The figures of a report: which table of the bundle goes on which plot, one PNG a figure and language."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from textwrap import fill

import pandas as pd

from ..figures.axes import INK, QUIET
from ..figures.choices import CHOICES, curve, curve_choices, curve_rows
from ..figures.doubts import honest_sets, sensitivity, sensitivity_rows
from ..figures.effects import detectable, dose_curve, event_study, forest
from ..figures.matches import love_plot, overlap
from ..figures.money import cofinancing_path, counterpart_path, disbursement, s_curve
from ..figures.opinions import response_map, satisfaction_bars
from ..figures.sample import sample_flow
from ..figures.series import price_split, trends
from ..figures.status import status_flows
from ..figures.value import benchmark_forest, return_distribution, tornado
from .bundle import Bundle
from .labels import covariate_label, outcome_label
from .tables import chosen_rows, read_layout
from .text import Text

_WIDTH, _DPI = 6.6, 200  # inches between the margins of a page: points of a font are points on paper
_LETTERS = 105  # of a legend on one line

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
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
    """Draw each figure that the report shows into `figures/<name>.<language>.png`, if its table is there; always the same bytes."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made, shown = {}, figures_of(bundle.study.get("stage", "final"))
    target = Path(folder) / "figures"
    target.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        for name, (table, paint) in FIGURES.items():
            if name not in shown or not bundle.has(table):
                continue
            figure = paint(bundle, text)
            if figure is None:
                continue
            path = target / f"{name}.{text.language}.png"
            # Not savefig, which draws everything twice.
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
            made[name] = path
    return made


@cache
def figures_of(stage: str) -> frozenset[str]:
    """The figures that a report of this stage shows, by the outline."""
    layout = read_layout()
    sections = [*layout.stages[stage], "one_page"]
    return frozenset(b["figure"] for s in sections for b in layout.sections.get(s, []) if "figure" in b)


def _panels(bundle: Bundle, text: Text, frame: pd.DataFrame, paint: Callable) -> object:
    """One panel for each of the first three outcomes, side by side, one legend below; the others stay in the tables."""
    outcomes = list(dict.fromkeys(frame["outcome"]))[:3]
    if not outcomes:
        return None
    figure, axes = _canvas(2.7, 1, len(outcomes))
    for ax, outcome in zip(axes, outcomes, strict=True):
        paint(frame[frame["outcome"] == outcome], ax, outcome)
        ax.set_title(fill(outcome_label(outcome, bundle, text.language), 90 // len(outcomes)), fontsize=8.5)
        ax.tick_params(labelsize=7.5)
        if ax is not axes[0] and ax.get_ylabel() == axes[0].get_ylabel():
            ax.set_ylabel("")
        if ax is not axes[len(axes) // 2]:
            ax.set_xlabel("")
    return _legend(figure, axes)


def _single(bundle: Bundle, text: Text, frame: pd.DataFrame, paint: Callable, height: float) -> object:
    if frame.empty:
        return None
    figure, axes = _canvas(height, 1, 1)
    paint(frame, axes[0], text)
    return _legend(figure, axes)


def _trends_figure(bundle: Bundle, text: Text) -> object:
    return _panels(bundle, text, bundle.table("trends"), lambda rows, ax, _: trends(rows, ax, text))


def _event_figure(bundle: Bundle, text: Text) -> object:
    scales = _scales(bundle)
    return _panels(bundle, text, _timed(bundle), lambda rows, ax, key: event_study(rows, ax, text, scales.get(key, "")))


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
    figure, (above, below) = _canvas(2.6 + 0.135 * lines, 2, 1, [2.2, 0.4 + 0.135 * lines])
    curve(frame, above, text, _scales(bundle).get(key, ""))
    curve_choices(frame, below, text)
    n = text.number(int((curve_rows(frame)["question"] == "same").sum()), "int")
    _title(figure, text.say("figure.curve.title", {"outcome": outcome_label(key, bundle, text.language), "n": n}))
    above.tick_params(labelbottom=False)
    return _legend(figure, [above])


def _sensitivity_figure(bundle: Bundle, text: Text) -> object:
    """The first primary outcome that has more than its headline to show."""
    names = ("effects", "few_clusters", "attrition_bounds", "trend_power", "left_out", "honest")
    tables = {name: bundle.table(name) for name in names if bundle.has(name)}
    key = bundle.table("sensitivity")["outcome"].iloc[0]
    rows = sensitivity_rows(tables, key)
    if len(rows) < 2:
        return None
    figure, axes = _canvas(1.2 + 0.25 * len(rows), 1, 1)
    sensitivity(rows, axes[0], text, _scales(bundle).get(key, ""), _relevant(bundle).get(key))
    _title(figure, text.say("figure.sensitivity.title", {"outcome": outcome_label(key, bundle, text.language)}))
    return _legend(figure, axes)


def _overlap_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("overlap"), overlap, 2.5)


def _flow_figure(bundle: Bundle, text: Text) -> object:
    frame = chosen_rows(bundle.table("sample_flow").dropna(subset=["n"]), {"last": {"stage": ["matched"]}})
    return _single(bundle, text, frame, sample_flow, 0.9 + 0.12 * len(frame))


def _status_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("transitions"), status_flows, 3.0)


def _dose_figure(bundle: Bundle, text: Text) -> object:
    frame, scales = bundle.table("dose"), _scales(bundle)
    frame = frame[(frame["division"].isin(["dose", "trend"])) & frame["estimate"].notna()]
    return _panels(bundle, text, frame, lambda rows, ax, key: dose_curve(rows, ax, text, scales.get(key, "")))


def _honest_figure(bundle: Bundle, text: Text) -> object:
    frame, scales = bundle.table("honest"), _scales(bundle)
    if "kind" not in frame:
        return None
    frame = frame[(frame["kind"] == "relative_magnitude") & frame["conf_low"].notna()]
    return _panels(bundle, text, frame, lambda rows, ax, key: honest_sets(rows, ax, text, scales.get(key, "")))


def _price_figure(bundle: Bundle, text: Text) -> object:
    return _single(bundle, text, bundle.table("prices").dropna(subset=["value"]), price_split, 2.5)


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


def _timed(bundle: Bundle) -> pd.DataFrame:
    frame = bundle.table("event_study")
    return frame[frame["event_time"].notna() & frame["estimate"].notna()]


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


def _canvas(height: float, rows: int, columns: int, heights: list[float] | None = None):
    # A Figure of its own, not pyplot's: no global state, and two languages can be drawn side by side.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=heights is not None, height_ratios=heights).flat)


def _legend(figure, axes: list):
    """One legend below for all axes: each word once, in as few lines as the width allows."""
    known = {}
    for ax in axes:
        for handle, words in zip(*ax.get_legend_handles_labels(), strict=True):
            known.setdefault(words, handle)
    if known:
        letters = sum(map(len, known)) + 6 * len(known)
        columns = -(-len(known) // -(-letters // _LETTERS))
        figure.legend(known.values(), known, loc="outside lower center", markerscale=0.8, ncols=columns)
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
    "prices": ("prices", _price_figure),
    "dose": ("dose", _dose_figure),
    "honest": ("honest", _honest_figure),
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
