"""The panel: firms, their outcomes by period, and the ledger of who left and why.

A `Panel` proves itself on construction, so that nothing after it checks again: ids are unique, a firm has one cohort, every
outcome is a finite number or missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, some
from ..study.files import nearest
from .transformed import refuse_log_of_zero

NEVER = np.inf
"""The cohort of a firm that is never treated, so that "untreated in t" is `cohort > t` without a special case."""

_NEVER_CODES = (0, -1, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Firms observed over periods, with the period in which each is first treated.

    Attributes
    ----------
    firms : DataFrame
        Index `firm_id` (unique); `cohort` (float, first treated period, `NEVER` if never); covariates.
    outcomes : DataFrame
        Index (`firm_id`, `period`), unique and sorted; one float column an outcome, NaN where not observed.
    ledger : DataFrame
        One row a firm that left: `firm_id`, `stage`, `reason`.

    Raises
    ------
    DataError
        When a key is repeated, a period is not a whole number, a cohort is missing or not a period, a firm has outcomes but no
        row in `firms`, or an outcome is infinite.
    """

    firms: pd.DataFrame
    outcomes: pd.DataFrame
    ledger: pd.DataFrame = None

    def __post_init__(self):
        _present(self.firms, ["cohort"])
        if self.outcomes.index.nlevels != 2:
            raise DataError("outcomes are indexed by firm_id and period; Panel.from_frame builds that from columns")
        firms, outcomes = (
            self.firms.sort_index().rename_axis("firm_id"),
            self.outcomes.sort_index().rename_axis(["firm_id", "period"]),
        )
        if self.ledger is None:
            object.__setattr__(self, "ledger", pd.DataFrame(columns=["firm_id", "stage", "reason"]))
        _unique(firms.index, "firm", "firms")
        _unique(outcomes.index, "firm-period", "outcomes")
        outcomes = _with_whole_periods(outcomes)
        unknown = outcomes.index.get_level_values(0).unique().difference(firms.index)
        if len(unknown):
            raise DataError(f"every firm with outcomes needs a row in firms; {some(unknown)} have none")
        cohort = firms["cohort"].to_numpy(float)
        if np.isnan(cohort).any():
            raise DataError(f"cohort must be a period or NEVER; missing for {some(firms.index[np.isnan(cohort)])}")
        odd = np.isneginf(cohort) | (np.isfinite(cohort) & (cohort != np.round(cohort)))
        if odd.any():
            raise DataError(f"cohort must be a whole period or NEVER; it is not for {some(firms.index[odd])}")
        values = np.column_stack([_numbers(outcomes[c], c) for c in outcomes] or [np.empty(len(outcomes))])
        if np.isinf(values).any():
            row, col = np.argwhere(np.isinf(values))[0]
            count = int(np.isinf(values).sum())
            raise DataError(
                f"outcomes must be finite or missing; {count} infinite value(s), the first in column '{outcomes.columns[col]}', "
                f"firm-period {outcomes.index[[row]].tolist()[0]}: a logarithm of zero? Set it missing, or use a level"
            )
        object.__setattr__(self, "firms", firms.assign(cohort=cohort))
        object.__setattr__(self, "outcomes", outcomes.astype(float))

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        firm_id: str,
        period: str,
        cohort: str,
        outcomes: Sequence[str],
        covariates: Sequence[str] = (),
        base_period: int | None = None,
    ) -> Panel:
        """A panel from any long data frame, one row per firm and period, with the user's own column names.

        Parameters
        ----------
        frame : DataFrame
            One row per firm and period; other columns are left behind.
        firm_id, period, cohort : str
            Columns of the firm's id, the period (a whole number or a date, of which the year is taken) and the first treated
            period. Never treated may be written NaN, NaT, None, 0, −1 or ∞ alike.
        outcomes : sequence of str
            Numeric columns that become outcomes.
        covariates : sequence of str
            Columns that describe the firm: constant within it, or read at `base_period`.
        base_period : int, optional
            The period at which covariates that vary within a firm are read.

        Raises
        ------
        DataError
            When a column is missing, a firm has two rows for one period or two cohorts, or an outcome is not a number.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"id": list("aabb"), "year": [1, 2, 1, 2], "start": [2, 2, 0, 0], "y": [1.0, 3.0, 1.0, 2.0]})
        >>> panel = Panel.from_frame(frame, firm_id="id", period="year", cohort="start", outcomes=["y"])
        >>> panel
        Panel: 2 firms (1 treated, 1 never treated), periods 1–2, outcomes y
        """
        _present(frame, [firm_id, period, cohort, *outcomes, *covariates])
        if len(frame) == 0:
            raise DataError("a panel needs rows; the frame is empty")
        for name in outcomes:
            refuse_log_of_zero(name)
        ids = frame[firm_id].astype(object)
        if ids.isna().any():
            raise DataError(f"every row needs a firm id; {some(frame.index[ids.isna()], 'row')} have none")
        index = pd.MultiIndex.from_arrays([ids, _whole_periods(frame[period], period)], names=["firm_id", "period"])
        table = frame.set_axis(index, axis=0)
        _unique(index, "firm-period", "the frame")
        firms = pd.DataFrame({"cohort": _cohort(table[cohort], cohort)})
        for name in covariates:
            firms[name] = _covariate(table[name], name, base_period)
        values = {name: _numbers(table[name], name) for name in outcomes}
        return cls(firms, pd.DataFrame(values, index=index))

    @property
    def periods(self) -> np.ndarray:
        """Periods with at least one row, ascending."""
        return np.sort(self.outcomes.index.get_level_values(1).unique().to_numpy())

    def wide(self, outcome: str) -> pd.DataFrame:
        """One row a firm, one column a period, NaN where not observed."""
        if outcome not in self.outcomes.columns:
            raise DesignError(f"outcome '{outcome}' is not in the panel; it has {', '.join(self.outcomes.columns)}")
        n, t = len(self.firms), len(self.periods)
        if len(self.outcomes) == n * t:  # sorted and complete: no need to look anything up
            values = self.outcomes[outcome].to_numpy().reshape(n, t)
            return pd.DataFrame(values, self.firms.index, pd.Index(self.periods, name="period"))
        return self.outcomes[outcome].unstack().reindex(index=self.firms.index, columns=self.periods)

    def keep(self, firm_ids, stage: str, reason: str | pd.Series) -> Panel:
        """The panel of these firms only; those that leave are entered in the ledger.

        `reason` is one word for all, or a Series of reasons by `firm_id`.
        """
        found = self.firms.index.get_indexer(firm_ids if isinstance(firm_ids, pd.Index) else pd.Index(list(firm_ids)))
        stay = np.zeros(len(self.firms), dtype=bool)
        stay[found[found >= 0]] = True
        gone = self.firms.index[~stay]
        why = reason.reindex(gone).to_numpy() if isinstance(reason, pd.Series) else reason
        left = pd.DataFrame({"firm_id": gone, "stage": stage, "reason": why})
        ledger = pd.concat([self.ledger, left], ignore_index=True) if len(self.ledger) else left
        firm, at = self.outcomes.index.levels[0], self.outcomes.index.codes[0]  # looked up once a firm, not once a row
        rows = np.append(stay, False)[self.firms.index.get_indexer(firm)][at]
        return Panel(self.firms[stay], self.outcomes[rows], ledger)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(repr(self))}</p>{self.firms.head(3).to_html()}{self.outcomes.head(3).to_html()}"

    def __repr__(self) -> str:
        treated = int(np.isfinite(self.firms["cohort"]).sum())
        years = f"{self.periods[0]}–{self.periods[-1]}" if len(self.periods) else "none"
        never = len(self.firms) - treated
        return (
            f"Panel: {len(self.firms)} firms ({treated} treated, {never} never treated), periods {years}, "
            f"outcomes {', '.join(self.outcomes.columns)}"
        )


def _present(frame: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [n for n in names if n not in frame.columns]
    if missing:
        near = nearest(missing[0], frame.columns)
        raise DataError(f"the frame needs {some(missing, 'column')} that it lacks; for '{missing[0]}', {near}")
    twice = [n for n in names if list(frame.columns).count(n) > 1]
    if twice:
        raise DataError(f"each column stands once; the frame repeats {some(dict.fromkeys(twice), 'column')}. Rename or remove one")


def _unique(index: pd.Index, what: str, where: str) -> None:
    repeated = index[index.duplicated()].unique()
    if len(repeated):
        raise DataError(f"each {what} stands once in {where}; repeated: {some(repeated, what)}. Keep one row of each")


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu":
        return column.to_numpy(float)
    numbers = pd.to_numeric(column.astype(object), errors="coerce").astype(float)
    text = column.notna() & numbers.isna()
    if text.any():
        found = some(column[text].unique(), "other value")
        raise DataError(
            f"column '{name}' must hold numbers; found {found} in {int(text.sum())} row(s). Correct them or set them missing"
        )
    return numbers.to_numpy()


def _years(column: pd.Series) -> pd.Series:
    """Dates as their years, anything else as it is."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu":
        return column
    return column.astype(object).map(lambda value: getattr(value, "year", value))


def _whole_periods(column: pd.Series, name: str) -> np.ndarray:
    numbers = _numbers(_years(column), name)
    odd = ~np.isfinite(numbers) | (numbers != np.round(numbers))
    if odd.any():
        found = some(column.astype(object).fillna("missing")[odd], "other row")
        raise DataError(f"period column '{name}' must hold whole numbers or dates; found {found}. Number the periods 1, 2, …")
    return numbers.astype(int)


def _with_whole_periods(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The outcomes with periods as whole numbers."""
    periods = outcomes.index.get_level_values(1)
    if periods.dtype.kind in "iu" or not len(periods):
        return outcomes
    if periods.dtype.kind not in "fO" or not all(isinstance(p, int | float) and p == np.round(p) for p in periods.unique()):
        raise DataError(
            f"periods are whole numbers; found {some(periods.unique(), 'period')}. Panel.from_frame takes years out of dates; "
            "number other periods 1, 2, …"
        )
    return outcomes.set_index(
        pd.MultiIndex.from_arrays([outcomes.index.get_level_values(0), periods.astype(int)], names=outcomes.index.names)
    )


def _cohort(column: pd.Series, name: str) -> pd.Series:
    numbers = pd.Series(_numbers(_years(column), name), index=column.index)
    numbers = numbers.mask(numbers.isna() | numbers.isin(_NEVER_CODES), NEVER)
    by_firm, varying = _by_firm(numbers)
    if len(varying):
        raise DataError(
            f"the cohort is one value for a firm for ever; it varies within {some(varying)}. "
            "Give the first treated period, not a yearly treatment dummy"
        )
    return by_firm


def _by_firm(column: pd.Series) -> tuple[pd.Series, pd.Index]:
    """The first value of every firm, and the firms in which it is not the only one (missing counts as a value)."""
    codes, ids = column.index.codes[0], column.index.levels[0]
    first = np.full(len(ids), len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    value, _ = pd.factorize(column)
    varying = np.unique(codes[value != value[first][codes]])
    return pd.Series(column.array[first], ids, name=column.name), ids[varying]


def _covariate(column: pd.Series, name: str, base_period: int | None) -> pd.Series:
    by_firm, varying = _by_firm(column)
    if len(varying):
        if base_period is None:
            raise DataError(
                f"covariate '{name}' varies within {some(varying)}; give base_period, the period "
                "before treatment at which it is read"
            )
        periods = column.index.get_level_values("period")
        if base_period not in periods:
            raise DataError(
                f"covariate '{name}' is read at base_period {base_period}, not in the frame ({periods.min()}–{periods.max()})"
            )
        return column.xs(base_period, level="period").reindex(by_firm.index)
    return by_firm
