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
    "balance_table": "matching.balance",
    "orthogonality_table": "matching.orthogonality",
    "match_map": "matching.match_map",
    "design_table": "did.designs",
    "att_gt": "did.att_gt",
    "aggregate": "did.aggregate",
    "pretrend_test": "did.inference",
    "read_study": "study.params",
    "evaluate": "evaluation",
    "render": "report.render",
    "save": "report.save",
    "write_table": "report.export",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from .data.panel import NEVER, Panel
    from .did.aggregate import aggregate
    from .did.att_gt import att_gt
    from .did.designs import design_table
    from .did.inference import pretrend_test
    from .did.matched_effect import matched_effect
    from .evaluation import evaluate
    from .matching.balance import balance_table
    from .matching.match import match
    from .matching.match_map import match_map
    from .matching.orthogonality import orthogonality_table
    from .matching.panel import match_panel
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
