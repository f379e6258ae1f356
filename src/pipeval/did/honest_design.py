"""An event study as arrays, checked: what bounds on violations of parallel trends are put on.

Legend. The event-study coefficients are β = τ + δ: τ the effects (0 before entry), δ the violations of parallel trends,
0 in the base period. The target is θ = Σ l τ over the periods after the base; `pre` counts the rows before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import DesignError, EstimationError, some

SINGULAR = 1e-10  # smallest eigenvalue of a correlation matrix below which rows cannot be told apart


class Design(NamedTuple):
    """A checked event study; `pre` rows come before the base, `weights` are l over the rest."""

    beta: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray
    pre: int


def design_of(beta, covariance, event_time, weights, bound: float, level: float) -> Design:
    """The arrays, checked: bound and level in range, one gap in event time, sizes that fit, no number missing, none singular.

    Raises
    ------
    DesignError, EstimationError
        The first that does not hold.
    """
    beta, covariance, weights = (np.asarray(v, float) for v in (beta, covariance, weights))
    event_time = np.asarray(event_time)
    if not (bound >= 0 and np.isfinite(bound) and 0 < level < 1):
        raise DesignError(f"a bound is a number of at least 0 and a level lies between 0 and 1; found {bound} and {level}")
    base = base_period(event_time)
    pre = int((event_time < base).sum())
    if covariance.shape != (len(beta),) * 2 or len(event_time) != len(beta) or len(weights) != len(beta) - pre:
        raise DesignError(
            f"event_time and covariance have a row an estimate, weights a number a row after the base period; found {len(beta)} "
            f"estimates, {len(event_time)} event times, covariance {covariance.shape}, {len(weights)} weights for "
            f"{len(beta) - pre} rows"
        )
    if not np.isfinite(weights).all() or not weights.any():
        raise DesignError("weights are finite and not all 0: they say which effects the target averages")
    variance = np.diag(covariance)
    missing = event_time[~(np.isfinite(beta) & (variance > 0) & np.isfinite(covariance).all(axis=1))]
    if len(missing):
        raise EstimationError(
            f"{some(missing.tolist(), 'event time')} without an estimate or a standard error: leave them out with a narrower window"
        )
    design = Design(beta, covariance, weights, pre)
    _refuse_singular(design)
    return design


def base_period(event_time: np.ndarray) -> int:
    """The one event time left out between the first and the last.

    >>> base_period(np.array([-3, -2, 0, 1]))
    -1

    Raises
    ------
    DesignError
        When none or several are left out.
    """
    event_time = np.asarray(event_time)
    whole = len(event_time) > 0 and (event_time == np.round(event_time)).all()
    if not whole or (np.diff(event_time) <= 0).any():
        raise DesignError(f"event_time holds whole numbers in increasing order; found {event_time.tolist()}")
    gaps = sorted(set(range(int(event_time[0]), int(event_time[-1]) + 1)) - set(event_time.astype(int).tolist()))
    if len(gaps) == 1:
        return gaps[0]
    if len(gaps) > 1:
        raise DesignError(
            f"event times must follow one another, with only the base period left out; missing: {some(gaps, 'event time')}. "
            "A narrower window leaves the gap outside"
        )
    if event_time[0] >= 0:
        raise DesignError("no period before the programme beside the base period: nothing says how large violations may be")
    raise DesignError(
        f"exactly one event time is left out, the base period; found {event_time.tolist()}: either the base is listed too, "
        "or nothing follows it"
    )


def _refuse_singular(design: Design) -> None:
    scale = np.sqrt(np.diag(design.covariance))
    smallest = np.linalg.eigvalsh(design.covariance / np.outer(scale, scale))[0]
    if smallest < SINGULAR:
        raise EstimationError(
            f"the covariance of the {len(scale)} event-study rows is singular (smallest eigenvalue of their correlations "
            f"{smallest:.1e}): fewer clusters than rows, or rows that repeat each other. Use a narrower window or finer clusters"
        )
