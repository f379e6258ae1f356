"""Impact evaluation of enterprise-support programmes.

Baseline, matched control group, difference-in-differences, and verdicts that keep "was the target reached?" apart from "did the
programme cause it?". Names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Panel": "data.panel",
    "NEVER": "data.panel",
    "MatchSpec": "study.match_spec",
    "DidSpec": "study.specs",
    "match": "matching.match",
    "match_panel": "matching.panel",
    "matched_effect": "did.matched_effect",
    "matched_data": "did.matched_data",
    "balance_table": "matching.balance",
    "orthogonality_table": "matching.orthogonality",
    "match_map": "matching.match_map",
    "design_table": "did.designs",
    "att_gt": "did.att_gt",
    "aggregate": "did.aggregate",
    "pretrend_test": "did.inference",
    "poisson_att": "did.poisson",
    "twfe": "did.twfe",
    "bacon": "did.bacon",
    "joined": "did.effects",
    "imputation_leads": "did.imputation",
    "margins_table": "did.margins",
    "ratio_effects": "did.ratios",
    "honest_table": "did.honest",
    "smoothness_set": "did.honest_sets",
    "relative_magnitude_set": "did.honest_sets",
    "pretrend_power": "did.pretrend_power",
    "lee_bounds": "did.bounds",
    "response_weights": "did.attrition",
    "weighted_effect": "did.attrition",
    "few_clusters_table": "did.few_clusters",
    "randomisation_test": "did.randomisation",
    "romano_wolf": "did.multiple",
    "summary_index": "did.multiple",
    "subgroup_effects": "did.subgroups",
    "read_study": "study.params",
    "evaluate": "evaluation",
    "render": "report.render",
    "save": "report.save",
    "show": "report.display",
    "write_table": "report.export",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from .data.panel import NEVER, Panel
    from .did.aggregate import aggregate
    from .did.att_gt import att_gt
    from .did.attrition import response_weights, weighted_effect
    from .did.bacon import bacon
    from .did.bounds import lee_bounds
    from .did.designs import design_table
    from .did.effects import joined
    from .did.few_clusters import few_clusters_table
    from .did.honest import honest_table
    from .did.honest_sets import relative_magnitude_set, smoothness_set
    from .did.imputation import imputation_leads
    from .did.inference import pretrend_test
    from .did.margins import margins_table
    from .did.matched_data import matched_data
    from .did.matched_effect import matched_effect
    from .did.multiple import romano_wolf, summary_index
    from .did.poisson import poisson_att
    from .did.pretrend_power import pretrend_power
    from .did.randomisation import randomisation_test
    from .did.ratios import ratio_effects
    from .did.subgroups import subgroup_effects
    from .did.twfe import twfe
    from .evaluation import evaluate
    from .matching.balance import balance_table
    from .matching.match import match
    from .matching.match_map import match_map
    from .matching.orthogonality import orthogonality_table
    from .matching.panel import match_panel
    from .report.display import show
    from .report.export import write_table
    from .report.render import render
    from .report.save import save
    from .study.match_spec import MatchSpec
    from .study.params import read_study
    from .study.specs import DidSpec


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeval' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__():
    return [*__all__, "__version__"]
