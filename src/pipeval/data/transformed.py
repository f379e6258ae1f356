"""Columns that are a logarithm of zero in disguise: ln(1 + x), asinh. Their effect depends on the unit: refused by name."""

from __future__ import annotations

import re

from ..errors import DesignError

_DISGUISE = re.compile(
    r"(?<![a-z])(?:(?:log|ln)p1|(?:log|ln)_?(?:1p|1_?plus|one_?plus|plus_?(?:1|one)))(?![a-z0-9])"
    r"|(?<![a-z])(?:a(?:r|rc)?sinh|ihs|inverse_hyperbolic(?:_sine)?)(?![a-z])"
    r"|(?<![a-z])(?:log|ln)_.+_plus_?(?:1|one)(?![a-z0-9])"
    r"|(?<![a-z])(?:log|ln)\s*\(\s*(?:1\s*\+.*|.*\+\s*1\s*)\)"
)


def refuse_log_of_zero(name: str) -> None:
    """Refuse an outcome whose name says log(1 + x) or asinh.

    With zeros, the average effect on such an outcome depends on the currency unit and can be given any size by choosing it
    (Chen and Roth 2024, proposition 1).

    Raises
    ------
    DesignError
        Naming the column and what to use instead.

    Examples
    --------
    >>> refuse_log_of_zero("ln_exports")
    >>> try:
    ...     refuse_log_of_zero("log1p_exports")
    ... except DesignError as error:
    ...     print(str(error).split(":")[0])
    outcome 'log1p_exports' is named like log(1 + x) or asinh
    """
    if _DISGUISE.search(str(name).lower()):
        raise DesignError(
            f"outcome '{name}' is named like log(1 + x) or asinh: with zeros its effect depends on the currency unit and can take "
            "any size. Pass the amount itself: margins_table gives whether it is positive, how much among those positive at both "
            "ends, and the total in per cent (poisson_att). If it is none of these, name the column otherwise"
        )
