"""Which classes of firms may leave, and how figures are coarsened: k-anonymity, l-diversity, bands, top codes, rounding.

After Hundepool et al. (2012), *Statistical Disclosure Control*, chapters 3 and 4, and Templ, Kowarik and Meindl (2015), *Journal of
Statistical Software* 67(4). A blank counts as a value of its own, which is the stricter of the two readings in use: blanks do not
make a class of firms larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from ..errors import DataError, UsageError, some
from ..study.programme_specs import Privacy

PRESENCE = "presence"
"""The quasi-identifier that is the pattern of a firm's answers, year by year."""

BLANKED = ("municipality", "owner_gender")
"""What may be blanked for a group of firms: columns that no other released column tells, and that no estimate needs."""

FEWEST_AT_TOP = 3


def signatures(frames: Mapping[str, pd.DataFrame], names: tuple[str, ...]) -> pd.DataFrame:
    """What is known of a firm: one row a firm, one text column a quasi-identifier; a column of the survey is read over all years.

    Raises
    ------
    UsageError
        When a name is no column of the firms or of the survey that are released.
    """
    firms = frames["enterprises"].set_index("firm_id")
    survey = frames["survey"].sort_values(["firm_id", "ref_year"])
    found = {}
    for name in names:
        column = "response" if name == PRESENCE else name
        if name in firms:
            found[name] = firms[name].map(_as_text)
        elif column in survey:
            said = survey["ref_year"].map(_as_text) + ":" + survey[column].map(_as_text)
            found[name] = said.groupby(survey["firm_id"]).agg("|".join).reindex(firms.index, fill_value="")
        else:
            raise UsageError(
                f"privacy: '{name}' is no released column of enterprises or survey. Take it out of the quasi-identifiers"
            )
    return pd.DataFrame(found, index=firms.index)


def class_sizes(known: pd.DataFrame) -> pd.Series:
    """By firm, how many firms are alike in everything known, itself included."""
    return known.groupby(list(known.columns), dropna=False)[known.columns[0]].transform("size")


def at_risk(frames: Mapping[str, pd.DataFrame], privacy: Privacy) -> pd.Index:
    """The firms of a class of fewer than k, or of one without l values of something sensitive."""
    known = signatures(frames, privacy.quasi_identifiers)
    risky = class_sizes(known) < privacy.k
    for name in privacy.sensitive if privacy.l > 1 else ():
        values = signatures(frames, (name,))[name]
        distinct = values[values != ""].groupby([known[c] for c in known]).transform("nunique").reindex(known.index, fill_value=0)
        risky |= distinct < privacy.l
    return known.index[risky]


def anonymous(frames: dict[str, pd.DataFrame], privacy: Privacy) -> tuple[dict[str, pd.DataFrame], dict[str, int], list[str]]:
    """The tables in which every class holds k firms and l values, cells blanked by column, and the firms that left.

    Firms at risk lose what may be blanked, the column with most values first; a firm that is still at risk leaves every table.

    Raises
    ------
    DataError
        When no firm would be left.
    """
    firms = frames["enterprises"]
    may = [c for c in privacy.quasi_identifiers if c in BLANKED and c in firms]
    blanked, left = {}, []
    for column in sorted(may, key=lambda c: (-firms[c].nunique(), c)):
        hit = firms["firm_id"].isin(at_risk(frames, privacy)) & firms[column].notna()
        blanked[column] = int(hit.sum())
        firms = firms.assign(**{column: firms[column].mask(hit, None)})
        frames = frames | {"enterprises": firms}
    while len(risky := at_risk(frames, privacy)):
        left += list(risky)
        frames = without(frames, risky)
        if frames["enterprises"].empty:
            names = ", ".join(privacy.quasi_identifiers)
            raise DataError(f"a public-use file needs firms; none has {privacy.k - 1} others alike in {names}. Declare fewer")
    return frames, blanked, left


def without(frames: Mapping[str, pd.DataFrame], firms: pd.Index) -> dict[str, pd.DataFrame]:
    """The tables without these firms."""
    return {n: f[~f["firm_id"].isin(firms)] if "firm_id" in f else f for n, f in frames.items()}


def top_coded(values: pd.Series, group: pd.Series, share: float) -> pd.Series:
    """The largest share of a group's positive values, three at least, replaced by their mean.

    >>> top_coded(pd.Series([1.0, 2, 3, 4, 8]), pd.Series(["a"] * 5), 0.02).tolist()
    [1.0, 2.0, 5.0, 5.0, 5.0]
    """
    made = values.copy()
    for _, rows in values[values > 0].groupby(group[values > 0].fillna("")):
        number = max(FEWEST_AT_TOP, math.ceil(share * len(rows)))
        top = rows[rows >= rows.nlargest(number).min()]
        made.loc[top.index] = top.mean()
    return made


def rounded(values: pd.Series, digits: int) -> pd.Series:
    """Values to so many significant digits.

    >>> rounded(pd.Series([12345.0, -0.01234, 0.0]), 3).tolist()
    [12300.0, -0.0123, 0.0]
    """
    return values.map(lambda x: float(f"{x:.{digits - 1}e}") if pd.notna(x) else x)


def banded_years(years: pd.Series, width: int = 5) -> pd.Series:
    """The first year of the band of so many years: 1972 is 1970."""
    return years // width * width


def refuse_exposed(measured: Mapping[str, int], privacy: Privacy) -> None:
    """Refuse a file in which a class is smaller than k or poorer than l.

    Raises
    ------
    DataError
        With what was measured.
    """
    if not measured["n_firms"]:
        raise DataError("a public-use file needs firms; none is left. Lower privacy.k or privacy.l, or declare fewer columns")
    broken = [f"{name} {measured[name]}" for name in ("k", "l") if measured[name] < getattr(privacy, name)]
    broken += [f"k {measured['k_everything']} over all released columns"] if measured["k_everything"] < privacy.k else []
    if broken:
        wanted = f"k = {privacy.k} and l = {privacy.l}"
        raise DataError(f"a public-use file must hold {wanted}; measured {some(broken, 'value')}. Nothing was written")


def _as_text(value: object) -> str:
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
