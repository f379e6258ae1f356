"""How a control group is made: the section `match` of a params file, and the base of every section."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Spec(BaseModel):
    """Base of every section: frozen; an unknown key is an error, and so is a number that is none (NaN, infinity)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


PAIRS, STRATA, WEIGHTING = ("nearest", "optimal"), ("subclass", "cem"), ("ipw", "ebal", "cbps")
SCORES, COVARIATE_DISTANCES = ("linear_predictor", "probability"), ("mahalanobis", "robust_mahalanobis", "scaled_euclidean")
_STARS = (*PAIRS, "full")
_EVERY = (*_STARS, *STRATA, *WEIGHTING)
_TAKEN_BY = {
    "distance": (*_STARS, "subclass"),
    "distance_column": _STARS,
    "distance_covariates": _STARS,
    "caliper": _STARS,
    "caliper_unit": _STARS,
    "calipers": _STARS,
    "antiexact": _STARS,
    "never_together": _STARS,
    "exact": (*_STARS, *STRATA),
    "ratio": PAIRS,
    "backups": PAIRS,
    "ratio_range": ("nearest",),
    "replace": ("nearest",),
    "reuse": ("nearest",),
    "order": ("nearest",),
    "subclasses": ("subclass",),
    "cutpoints": ("cem",),
    "moments": ("ebal",),
}
_ESTIMANDS = {"att": _EVERY, "atc": _EVERY, "ate": ("full", *STRATA, *WEIGHTING), "ato": ("ipw",)}


class MatchSpec(Spec):
    """How the control group is made. An option that `method` does not take is refused.

    Pairs: `nearest` (greedy, in the order `order`) and `optimal` (least total distance). `full`: every firm in a set of one
    treated and some controls or the reverse. Strata: `subclass` (quantiles of the score) and `cem` (coarsened values).
    Weights: `ipw` (odds of the score), `ebal` (entropy balancing), `cbps` (a score that balances).
    """

    covariates: tuple[str, ...] = ()  # of the score, or of the distance
    method: Literal["optimal", "nearest", "full", "subclass", "cem", "ipw", "ebal", "cbps"] = "optimal"
    estimand: Literal["att", "atc", "ate", "ato"] = "att"
    exact: tuple[str, ...] = ()  # columns in which the firms of a set are equal
    distance: Literal["linear_predictor", "probability", "mahalanobis", "robust_mahalanobis", "scaled_euclidean", "column"] = (
        "linear_predictor"
    )
    link: Literal["logit", "probit"] = "logit"
    distance_column: str | None = None  # with distance: column, a score of your own
    distance_covariates: tuple[str, ...] = ()  # of a covariate distance; default: covariates
    caliper: float | None = Field(None, gt=0)  # on the score
    caliper_unit: Literal["sd", "raw"] = "sd"  # standard deviations of the score in the pool, or its own unit
    calipers: dict[str, float] = {}  # column -> largest difference within a set, in the column's unit
    antiexact: tuple[str, ...] = ()  # columns in which the firms of a set differ
    never_together: tuple[tuple[str, ...], ...] = ()  # groups of firm ids that are never partners
    ratio: int = Field(1, ge=1)
    ratio_range: tuple[int, int] | None = None  # least and most partners a firm, `ratio` on average
    replace: bool = False
    reuse: int | None = Field(None, ge=2)  # with replace, how often a firm may serve
    order: Literal["largest", "smallest", "data", "closest", "random"] = "largest"
    backups: int = Field(0, ge=0, le=10)  # ranked reserve controls a set
    subclasses: int = Field(6, ge=2)
    cutpoints: dict[str, int | tuple[float, ...]] = {}  # column -> number of bins, or inner edges; default: Sturges' number
    moments: Literal[1, 2, 3] = 1  # balance means; and variances; and covariances
    support: Literal["none", "minmax", "hull", "crump"] = "none"
    by_cohort: bool = False  # match each entry cohort apart, on what was known the year before it entered
    window: int | None = Field(None, ge=0)  # with by_cohort, controls may enter later than so many years after the cohort
    seed: int = 20031121

    @model_validator(mode="after")
    def _taken_by_the_method(self):
        for name, methods in _TAKEN_BY.items():
            if self.method not in methods and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"method: {self.method} takes no '{name}'; it belongs to {', '.join(methods)}")
        if self.method not in _ESTIMANDS[self.estimand]:
            raise ValueError(_why_not(self.method, self.estimand))
        return self

    @model_validator(mode="after")
    def _coherent(self):
        faults = {
            "covariates: name at least one; only cem does without, when exact names columns": not self.covariates
            and not (self.method == "cem" and self.exact),
            "distance_column goes with distance: column, and the other way round": (self.distance == "column")
            != (self.distance_column is not None),
            f"distance_covariates goes with distance: {', '.join(COVARIATE_DISTANCES)}": bool(self.distance_covariates)
            and self.distance not in COVARIATE_DISTANCES,
            "method: subclass cuts the score; distance is linear_predictor or probability": self.method == "subclass"
            and self.distance not in SCORES,
            "reuse goes with replace: true": self.reuse is not None and not self.replace,
            "caliper_unit goes with caliper": self.caliper_unit != "sd" and self.caliper is None,
            "calipers are wider than 0": any(not width > 0 for width in self.calipers.values()),
            "cutpoints are a number of bins, or inner edges in rising order": any(
                not _cuts(cut) for cut in self.cutpoints.values()
            ),
            "ratio_range holds the ratio: least <= ratio <= most, least at least 1": self.ratio_range is not None
            and not 1 <= self.ratio_range[0] <= self.ratio <= self.ratio_range[1],
            "ratio_range goes without replace, and with a score": self.ratio_range is not None
            and (self.replace or self.distance in COVARIATE_DISTANCES),
            "backups are for matches without replacement: with it, every control is one": self.backups > 0 and self.replace,
            "backups are reserve controls: estimand att": self.backups > 0 and self.estimand != "att",
            "window goes with by_cohort: true": self.window is not None and not self.by_cohort,
            "by_cohort is for the effect on those who entered: estimand att": self.by_cohort and self.estimand != "att",
            f"by_cohort is for pairs and weightings: with {self.method} each cohort would hold all controls": self.by_cohort
            and self.method in ("full", *STRATA),
            "cutpoints name covariates": not set(self.cutpoints) <= set(self.covariates),
            "order decides nothing with replace: true and no reuse": self.replace
            and self.reuse is None
            and self.order != "largest",
            "seed goes with order: random": self.seed != type(self).model_fields["seed"].default and self.order != "random",
            "method: cbps fits a logit; link is logit": self.method == "cbps" and self.link != "logit",
            "a column is matched exactly or kept apart, not both": bool(set(self.exact) & set(self.antiexact)),
        }
        for text, found in faults.items():
            if found:
                raise ValueError(text)
        return self

    def __repr_args__(self):
        """Only what was chosen: an option left at its default says nothing."""
        return [(name, value) for name, value in super().__repr_args__() if value != type(self).model_fields[name].default]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the firms that the match reads, each once."""
        own = () if self.distance_column is None else (self.distance_column,)
        named = (*self.covariates, *self.exact, *self.distance_covariates, *own, *self.calipers, *self.antiexact)
        return tuple(dict.fromkeys(named))

    def without(self, columns: Sequence[str], instead: tuple[str, ...] = ()) -> MatchSpec:
        """The same match without these columns, wherever it names them; with covariates `instead` if none is left."""
        kept = {
            name: tuple(c for c in getattr(self, name) if c not in columns)
            for name in ("covariates", "exact", "distance_covariates", "antiexact")
        }
        kept |= {name: {c: v for c, v in getattr(self, name).items() if c not in columns} for name in ("calipers", "cutpoints")}
        return self.changed(kept | {"covariates": kept["covariates"] or instead})

    def changed(self, choices: dict) -> MatchSpec:
        """The same match with other choices, proved again.

        >>> MatchSpec(covariates=("size",)).changed({"method": "nearest", "ratio": 2}).ratio
        2
        """
        return type(self)(**(self.model_dump() | choices))


def _cuts(cut: int | tuple[float, ...]) -> bool:
    if isinstance(cut, int):
        return cut >= 1
    return len(cut) > 0 and all(isfinite(edge) for edge in cut) and all(a < b for a, b in zip(cut, cut[1:], strict=False))


def _why_not(method: str, estimand: str) -> str:
    if estimand == "ato":
        return "estimand ato (overlap weights) is defined by the odds of the score: method: ipw"
    return (
        f"method: {method} makes pairs for one side and leaves the other's firms out, so it has no ate; "
        "use full, subclass, cem, ipw, ebal or cbps, or estimand: att or atc"
    )
