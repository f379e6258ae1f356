"""Figures: each draws one tidy table on given axes, `name(table, ax, text=None)`, and can be used alone.

Axes carry their units, every estimate its interval. Without `text` the words are English; `text=read_text("es")` speaks Spanish.
Columns are those of the bundle's tables, each named where the figure is defined. Names load on first use.

>>> from matplotlib.figure import Figure
>>> import pandas as pd
>>> from pipeval.figures import disbursement
>>> ax = Figure().subplots()
>>> disbursement(pd.DataFrame({"on": ["2004-01-31", "2004-06-30"], "source": "mif", "cumulative_usd": [2e5, 5e5]}), ax)
>>> ax.get_ylabel()
'Million US$'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_HOMES = {
    "benchmark_forest": "value",
    "cofinancing_path": "money",
    "counterpart_path": "money",
    "curve": "choices",
    "curve_choices": "choices",
    "curve_rows": "choices",
    "densities": "matches",
    "detectable": "effects",
    "disbursement": "money",
    "dose_curve": "effects",
    "ecdf_plot": "matches",
    "event_study": "effects",
    "forest": "effects",
    "honest_sets": "doubts",
    "love_plot": "matches",
    "overlap": "matches",
    "price_split": "series",
    "qq_plot": "matches",
    "response_map": "opinions",
    "return_distribution": "value",
    "s_curve": "money",
    "sample_flow": "sample",
    "satisfaction_bars": "opinions",
    "score_jitter": "matches",
    "sensitivity": "doubts",
    "sensitivity_rows": "doubts",
    "status_flows": "status",
    "tornado": "value",
    "trends": "series",
}

__all__ = [
    "benchmark_forest",
    "cofinancing_path",
    "counterpart_path",
    "curve",
    "curve_choices",
    "curve_rows",
    "densities",
    "detectable",
    "disbursement",
    "dose_curve",
    "ecdf_plot",
    "event_study",
    "forest",
    "honest_sets",
    "love_plot",
    "overlap",
    "price_split",
    "qq_plot",
    "response_map",
    "return_distribution",
    "s_curve",
    "sample_flow",
    "satisfaction_bars",
    "score_jitter",
    "sensitivity",
    "sensitivity_rows",
    "status_flows",
    "tornado",
    "trends",
]

if TYPE_CHECKING:
    from .choices import curve, curve_choices, curve_rows
    from .doubts import honest_sets, sensitivity, sensitivity_rows
    from .effects import detectable, dose_curve, event_study, forest
    from .matches import densities, ecdf_plot, love_plot, overlap, qq_plot, score_jitter
    from .money import cofinancing_path, counterpart_path, disbursement, s_curve
    from .opinions import response_map, satisfaction_bars
    from .sample import sample_flow
    from .series import price_split, trends
    from .status import status_flows
    from .value import benchmark_forest, return_distribution, tornado


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeval.figures' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__():
    return __all__
