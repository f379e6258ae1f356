"""The same match made again from firms that stand in another order, or go by other names."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError
from ..matching.match import match
from ..matching.matched import MatchedSample
from ..matching.panel import match_panel
from ..study.match_spec import MatchSpec


class Pool(NamedTuple):
    """What a match is made from: firms or a panel, the last cohort matched, and the years of anticipation."""

    firms: pd.DataFrame | Panel
    until: float | None = None
    anticipation: int = 0

    @property
    def table(self) -> pd.DataFrame:
        """The firms, whatever they came as."""
        return self.firms.firms if isinstance(self.firms, Panel) else self.firms

    def matched(self, spec: MatchSpec) -> MatchedSample:
        """The match of `spec`: of the firms, or of the panel where it is by cohort."""
        if not spec.by_cohort:
            return match(self.table, spec, until=self.until)
        if not isinstance(self.firms, Panel):
            raise DesignError("a match by cohort reads outcomes before entry: hand the panel over, not its firms")
        return match_panel(self.firms, spec, until=self.until, anticipation=self.anticipation)

    def shuffled(self, rows: np.ndarray) -> Pool:
        """The firms in the order `rows` of positions; a panel has but one order."""
        return self._replace(firms=self.table.iloc[rows])


def renamed(pool: Pool, spec: MatchSpec, places: np.ndarray) -> MatchedSample:
    """The match of `spec` in which firm i goes by the id of firm `places[i]`, told in the firms' own ids.

    Ties go to the id that sorts first, so this is the match with its ties broken otherwise, and nothing else is changed.

    Parameters
    ----------
    pool : Pool
    spec : MatchSpec
        Pairs or full matching; others break no ties.
    places : array (n,)
        A permutation of the positions.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [1.0, *[np.inf] * 4], "size": [2.0, 2.0, 2.0, 1.0, 3.0]}, index=list("abcde"))
    >>> spec = MatchSpec(covariates=("size",), method="nearest", distance="mahalanobis", order="data")
    >>> places = [0, 1, 2, 3, 4], [0, 2, 1, 3, 4]
    >>> [renamed(Pool(firms), spec, np.array(p)).pairs["control_id"].item() for p in places]
    ['b', 'c']
    """
    ids = pool.table.index
    name, own = pd.Series(ids[places], index=ids), pd.Series(ids, index=ids[places])
    groups = tuple(tuple(name.get(i, i) for i in group) for group in spec.never_together)
    asked = spec.changed({"never_together": groups}) if groups else spec
    firms = _panel(pool, name) if spec.by_cohort and isinstance(pool.firms, Panel) else _firms(pool, name)
    return _told(replace(pool._replace(firms=firms).matched(asked), spec=spec), own)


def _firms(pool: Pool, name: pd.Series) -> pd.DataFrame:
    return pool.table.set_axis(pd.Index(name.to_numpy(), name=pool.table.index.name))


def _panel(pool: Pool, name: pd.Series) -> Panel:
    outcomes = pool.firms.outcomes
    place = pool.table.index.get_indexer(outcomes.index.get_level_values(0))
    index = pd.MultiIndex.from_arrays([name.to_numpy()[place], outcomes.index.get_level_values(1)], names=["firm_id", "period"])
    return Panel(_firms(pool, name), outcomes.set_axis(index))


def _told(sample: MatchedSample, own: pd.Series) -> MatchedSample:
    """The sample with every firm under its own id; `own` is by the id it was matched under."""

    def rows(frame: pd.DataFrame | None) -> pd.DataFrame | None:
        return None if frame is None else frame.assign(firm_id=own.reindex(frame["firm_id"]).to_numpy())

    def index(firm_id: pd.Index) -> pd.Index:
        return pd.Index(own.reindex(firm_id).to_numpy(), name=firm_id.name)

    def table(frame: pd.DataFrame | None) -> pd.DataFrame | None:
        if frame is None or frame.index.nlevels == 1:
            return None if frame is None else frame.set_axis(index(frame.index))
        at, firm = (frame.index.get_level_values(k) for k in (0, 1))
        return frame.set_axis(pd.MultiIndex.from_arrays([at, index(firm)], names=frame.index.names))

    return replace(
        sample,
        sets=rows(sample.sets),
        unmatched=rows(sample.unmatched),
        backups=rows(sample.backups),
        scores=sample.scores.set_axis(index(sample.scores.index)).sort_index(),
        space=table(sample.space),
        values=table(sample.values),
    )
