"""The log frame: what the programme promised, by when, and how each promise is read.

A log frame is data: a YAML file with one entry an indicator. Where its wording leaves a choice (whose sales, real or current
money, total or mean) the choice is a field here and its code stands under `remarks`; the report prints it below the verdict.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import UsageError, counted
from .files import inside, nearest, read_yaml
from .match_spec import Spec

Code = str | bool | int
Where = dict[str, tuple[Code, ...]]
Anchor = Literal["project_start", "first_disbursement", "execution_end", "last_disbursement"]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Text = Annotated[dict[Language, str], Field(min_length=1)]  # language code -> words; one is enough


class Due(Spec):
    """When a target falls due: a date, or months or years from one of the programme's dates."""

    model_config = ConfigDict(populate_by_name=True)

    date: dt.date | None = None
    months: int | None = Field(None, ge=0)
    years: int | None = Field(None, ge=0)
    start: Anchor = Field("project_start", alias="from")

    @model_validator(mode="after")
    def _one_way(self):
        if sum(value is not None for value in (self.date, self.months, self.years)) != 1:
            raise ValueError("due: give one of date, months, years")
        return self


class Indicator(Spec):
    """One promise of the log frame.

    `kind` says how it is read: *growth* of a measure since the base year; *difference* from the control group on the
    indicators named in `of`; *joint*, reached when every indicator named in `of` is; *transition* between export statuses;
    *count* of rows or distinct ids of a table; *share* of a sum or of firms; *milestone*, an event with a document. Targets of
    growth and share are shares (0.10 = 10 %), always positive: `direction` says which way is better.
    """

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(pattern=r"^[A-Z][A-Za-z0-9.]*$")
    level: Literal["goal", "purpose", "component", "activity"]
    component: str | None = None
    text: Text
    name: Text | None = None  # in two or three words, for a sentence that lists several
    kind: Literal["growth", "difference", "joint", "transition", "count", "share", "milestone"]
    # what is read
    measure: str | None = None  # a measure or a number of the survey; of a share with a table: a column of that table
    per: str | None = None  # what it is divided by; totals are the ratio of sums
    beside: tuple[str, ...] = ()  # other measures whose change is printed beside it
    aggregation: Literal["total", "mean", "median"] = "total"
    real: bool | None = None  # none: the log frame does not say; the headline is real and both are printed
    currency: str | None = None
    exits: Literal["missing", "zero"] = "missing"  # what a closed firm counts as, in totals
    population: Where = {}  # column of the firms table -> codes that belong
    firms: tuple[str, ...] = ()  # of these, only the firms named here, before outcomes are read; none: all of them
    source_statuses: tuple[Literal["none", "indirect", "direct"], ...] = Field((), alias="from")
    target_statuses: tuple[Literal["none", "indirect", "direct"], ...] = Field((), alias="to")
    consecutive: int = Field(1, ge=1)  # years in a row that the new status must hold
    table: str | None = None
    where: Where = {}
    where_all: tuple[Where, ...] = ()  # an id counts when it has a row in each of these
    filled: tuple[str, ...] = ()  # columns that must not be empty
    dated: str | None = None  # the date column: a row counts once this day has come
    distinct: str | None = None  # none: rows are counted
    by: str | None = None  # a column of the table, or of the firms in it
    each: tuple[Code, ...] = ()  # every one of these values of `by` must reach the target
    each_year: bool = False  # every full calendar year from the project's start to the due date must reach the target
    milestone: str | None = None  # id in the milestones table; default: this indicator's own
    of: tuple[str, ...] = ()
    combine: Literal["each", "all"] | None = None  # none: as the study says
    # what was promised
    base_year: int | None = None  # none: the study's
    base_value: float | None = None
    due: Due | None = None
    target: float | None = Field(None, ge=0)
    strict: bool = False  # "more than", not "at least"
    path: dict[int, float] = {}  # year -> value planned on the way to the target; none: a straight line
    direction: Literal["increase", "decrease"] = "increase"
    unit: str = ""
    # what would show that the programme did it
    effect: str | None = None  # the outcome whose effect is the evidence
    relevant_effect: float | None = Field(None, gt=0)  # default: the outcome's, then the target
    vs_control: bool = False
    # where it comes from
    sources: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    horizon: Literal["short", "long"] = "short"
    derived: bool = False  # implied by the text, not printed in the log frame
    verification: Text | None = None
    needs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self):
        needed = {
            "growth": self.measure,
            "difference": self.of,
            "joint": self.of,
            "transition": self.source_statuses and self.target_statuses,
            "count": self.table,
            "share": self.measure or (self.table and self.where),
            "milestone": True,
        }
        say = {
            "growth": "a measure",
            "difference": "of: [indicators]",
            "joint": "of: [indicators]",
            "transition": "from and to",
            "count": "a table",
        }
        say["share"] = "a measure, or a table and where"
        if not needed[self.kind]:
            raise ValueError(f"{self.id}: kind {self.kind} needs {say[self.kind]}")
        if self.each and not self.by:
            raise ValueError(f"{self.id}: 'each' lists values of a column; name it with 'by'")
        if self.each_year and not self.dated:
            raise ValueError(f"{self.id}: 'each_year' counts by year; name the date with 'dated'")
        if self.where_all and not self.distinct:
            raise ValueError(f"{self.id}: 'where_all' compares rows of one id; name the id with 'distinct'")
        return self


class Link(Spec):
    """One step of the causal chain: how one indicator is meant to bring about another."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    text: Text
    activity_types: tuple[str, ...] = ()  # services that carry it


class LogFrame(Spec):
    """A programme's log frame: summary texts, indicators, and the sources and assumptions they cite by code."""

    id: str
    title: Text
    reference: str = ""
    goal: Text
    purpose: Text
    components: dict[str, Text] = {}
    sources: dict[str, Text] = {}
    assumptions: dict[str, Text] = {}
    indicators: tuple[Indicator, ...] = Field(min_length=1)
    links: tuple[Link, ...] = ()

    @model_validator(mode="after")
    def _references_hold(self):
        ids = [i.id for i in self.indicators]
        repeated = sorted({i for i in ids if ids.count(i) > 1})
        if repeated:
            raise ValueError(f"indicators: each id once; found {', '.join(repeated)} twice")
        for row in self.indicators:
            _known(row.id, "of", row.of, ids)
            _known(row.id, "sources", row.sources, self.sources)
            _known(row.id, "assumptions", row.assumptions, self.assumptions)
            _known(row.id, "component", (row.component,) if row.component else (), self.components)
            if row.id in row.of:
                raise ValueError(f"{row.id}: 'of' names the indicator itself")
        for link in self.links:
            _known("links", "from", (link.source,), ids)
            _known("links", "to", (link.target,), ids)
        return self

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages in which indicators, assumptions and links are worded, in the order in which they first come.

        >>> read_logframe("guanajuato").languages
        ('es', 'en', 'pt')
        """
        texts = [i.text for i in self.indicators] + list(self.assumptions.values()) + [link.text for link in self.links]
        return tuple(dict.fromkeys(code for text in texts for code in text))

    def worded(self, columns: Iterable[str]) -> list[str]:
        """The columns of a table, `text` replaced by one column a language.

        >>> read_logframe("guanajuato").worded(("id", "text"))
        ['id', 'text_es', 'text_en', 'text_pt']
        """
        texts = [f"text_{code}" for code in self.languages]
        return [name for column in columns for name in (texts if column == "text" else [column])]

    def indicator(self, key: str) -> Indicator:
        """The indicator with this id.

        Raises
        ------
        UsageError
            When there is none; the nearest id is named.
        """
        found = [i for i in self.indicators if i.id == key]
        if not found:
            raise UsageError(f"the log frame {self.id} has no indicator '{key}'; {nearest(key, [i.id for i in self.indicators])}")
        return found[0]


def text_columns(text: Text | None, name: str = "text") -> dict[str, str]:
    """A text as cells of a table, one column a language.

    >>> text_columns({"es": "Ventas", "en": "Sales"})
    {'text_es': 'Ventas', 'text_en': 'Sales'}
    """
    return {f"{name}_{code}": words for code, words in (text or {}).items()}


def shipped_logframes() -> list[str]:
    """Names of the log frames that come with the package.

    >>> shipped_logframes()
    ['dini', 'guanajuato', 'jobtraining']
    """
    folder = resources.files("pipeval") / "logframes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_logframe(name: str | Path, root: str | Path | None = None) -> LogFrame:
    """The log frame of that name, or the one that a YAML file holds.

    Parameters
    ----------
    name : str or Path
        A shipped name (`shipped_logframes()`), or a file ending in .yaml or .yml.
    root : str or Path, optional
        The study root: a file is then looked up inside it and refused outside.

    Raises
    ------
    UsageError
        When there is no such log frame, or the file breaks the contract; all faults are listed at once.

    Examples
    --------
    >>> read_logframe("guanajuato").indicator("G1").target
    0.1
    """
    if Path(name).suffix not in (".yaml", ".yml"):
        if str(name) not in shipped_logframes():
            raise UsageError(f"no log frame is called {str(name)!r}; {nearest(str(name), shipped_logframes())}, or a .yaml file")
        return _shipped(str(name))
    return _validated(inside(Path(root), str(name)) if root is not None else Path(name))


@cache  # the values are frozen and the file travels with the package
def _shipped(name: str) -> LogFrame:
    with resources.as_file(resources.files("pipeval") / "logframes" / f"{name}.yaml") as path:
        return _validated(path)


def _validated(path: Path) -> LogFrame:
    content = read_yaml(path)
    odd = [key for key in content if not isinstance(key, str)]
    if odd:
        raise UsageError(f"{path.name}: keys are words; found {odd[0]!r}. YAML reads no, yes, on, off as truth values: quote them")
    try:
        return LogFrame(**content)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(e, content)}" for e in error.errors())
        raise UsageError(f"{path.name}: {counted(error.error_count(), 'fault')}\n{faults}") from None


def _known(owner: str, field: str, used: tuple[str, ...], valid) -> None:
    for word in used:
        if word not in valid:
            raise ValueError(f"{owner}: {field} names '{word}'; {nearest(word, valid)}")


def _fault(error: dict, content: dict) -> str:
    loc = error["loc"]
    where = ".".join(map(str, loc))
    if loc and loc[0] == "indicators" and len(loc) > 1:  # an id says more than a position
        rows = content["indicators"]
        known = isinstance(rows, list) and isinstance(rows[loc[1]], dict)
        where = ".".join(map(str, (rows[loc[1]].get("id", loc[1]) if known else loc[1], *loc[2:])))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; {nearest(loc[-1], _keys(loc[:-1]))}"
    if error["type"] == "missing":
        return f"{where}: this key is needed"
    if error["type"] == "literal_error":
        valid = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{where}: {error['input']!r} is not known; {nearest(error['input'], valid)}"
    found = error.get("input")
    hint = " (YAML reads no, yes, on, off as truth values: quote them)" if isinstance(found, bool) else ""
    shown = f"; found {found!r}" if isinstance(found, str | int | float | bool) else ""
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{shown}{hint}"


def _keys(loc: tuple) -> list[str]:
    model: type[BaseModel] = LogFrame
    for step in loc:
        if isinstance(step, int):
            continue
        annotation = next((f.annotation for k, f in model.model_fields.items() if (f.alias or k) == step), None)
        candidates = [annotation, *get_args(annotation)]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return [f.alias or k for k, f in model.model_fields.items()]
