"""`pipeval plan`: target against what the sample can detect, on screen; the plan in sentences, on paper; its lock, in JSON."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import PipevalError, UsageError
from ..plan import Plan, plan
from ..study.files import inside
from ..study.lock import Lock, as_lock, deviations, joined, read_lock, timing, write_lock
from ..study.params import read_study
from ..study.specs import Outcome
from .bundle import Bundle
from .judgement import listing
from .labels import coded, study_text
from .paper import READER, epoch, run_pandoc
from .pipes import pipe_table
from .remarks import note_lines
from .sentences import SENTENCES, allowances, programme_name
from .text import Text, escape, in_language
from .word import default_reference, finish, reference

_NAME = 34  # characters of an indicator's name on the screen
_SHOWN = 5


def write_plan(
    params: Sequence[str | Path],
    lock: Path | None,
    out: Path,
    on: dt.date,
    *,
    data: Path | None = None,
    language: str | None = None,
    force: bool = False,
) -> int:
    """Make the plan of each study, print what it can detect, write the documents and one lock for all; return the exit code.

    The lock goes to `lock`, else to the file that the first study names as its `plan_lock`, else to `<out>/<study>.plan.json`;
    the documents, `<study>.plan.md` and `<study>.plan.docx`, to `out`. A lock that says the same already is left alone.

    Raises
    ------
    UsageError
        When there is a lock that says something else, and not `force`.
    """
    studies = [read_study(path, data) for path in params]
    twice = sorted({s.study for s in studies if [o.study for o in studies].count(s.study) > 1})
    if twice:
        raise UsageError(f"each study stands once in a plan; found {', '.join(twice)} twice")
    first = studies[0]
    if lock is None:
        lock = out / f"{first.study}.plan.json" if first.plan_lock is None else inside(first.root, first.plan_lock)
    before = read_lock(lock) if lock.exists() else None
    texts = [study_text(s, language or s.report.languages[0]) for s in studies]
    plans = [plan(study) for study in studies]
    for one, text in zip(plans, texts, strict=True):
        print("\n".join(screen(one, text)))
    content = joined([p.content() for p in plans])
    if before is not None and _same(before, content):
        print(_say(texts[0], "screen.stands", {"day": texts[0].day(before.locked_on)}))
    else:
        if before is not None and not force:
            raise UsageError(_refusal(lock, before, plans, texts[0]))
        made = as_lock(content, on, before)
        pages = [page(one, made, text) for one, text in zip(plans, texts, strict=True)]
        write_lock(lock, made)
        print(_say(texts[0], "screen.lock", {"file": lock, "hash": made.sha256}))
        for one, written, text in zip(plans, pages, texts, strict=True):
            paths = save_page(written, out / f"{one.study.study}.plan", on, text)
            print(_say(text, "screen.written", {"files": ", ".join(str(p) for p in paths)}))
    return 0


def screen(made: Plan, text: Text) -> list[str]:
    """The plan on the screen: one aligned line an indicator that is compared, and one for those that are not."""
    rows = made["plan_detectable"].to_dict("records")
    compared = [r for r in rows if r["detectable"] != "not_compared"]
    cells = [(r["indicator"], _name(r, made, text), *_screen_cells(r, made, text)) for r in compared]
    widths = [max((len(c[k]) for c in cells), default=0) for k in range(5)]
    lines = [made.study.study]
    for identity, name, target, mde, verdict in cells:
        start = f"  {identity:<{widths[0]}}  {name:<{widths[1]}}  {target:<{widths[2]}}"
        lines.append((f"{start}  {mde:<{widths[3]}}  {verdict}" if verdict else f"{start}  {mde}").rstrip())
    left = [r["indicator"] for r in rows if r["detectable"] == "not_compared"]
    if left:
        lines.append("  " + _say(text, "screen.not_compared", {"ids": ", ".join(left)}))
    power = made.study.power
    values = {"n": sum(r["detectable"] == "yes" for r in compared), "all": len(compared)}
    values |= {"power": text.number(power.power, "pct0"), "alpha": text.number(power.alpha, "pct0")}
    return [*lines, "  " + _say(text, "screen.total", values)]


def page(made: Plan, lock: Lock, text: Text) -> str:
    """The plan as Markdown: what was decided, what can be detected, what the log frame leaves open."""
    bundle = Bundle.build(made.study.model_dump(mode="json"), made.tables, made.notes)
    parts = [f"# {_say(text, 'title')}", *_locked(made, lock, bundle, text)]
    parts += [f"## {_say(text, 'section.decided')}", *_decided(made, bundle, text)]
    parts += [f"## {_say(text, 'section.detectable')}", *_detectable(made, text)]
    lacking = made["logframe_lint"].query("result != 'ok'").to_dict("records")
    if lacking:
        parts += [f"## {_say(text, 'section.lint')}", _bullets(_question(row, bundle, text) for row in lacking)]
    if made.notes:
        parts += [f"## {_say(text, 'section.notes')}", *note_lines(bundle, text)]
    return "\n\n".join(parts) + "\n"


def save_page(markdown: str, stem: Path, day: dt.date, text: Text) -> list[Path]:
    """Write the page as `<stem>.md` and `<stem>.docx`; the same page and day give the same bytes."""
    folder, dated = stem.parent.resolve(), Bundle.build({"as_of": day}, {})
    targets = [stem.with_name(f"{stem.name}.{form}") for form in ("md", "docx")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "plan.md"
            source.write_text(markdown, encoding="utf-8", newline="\n")
            names = (stem.name.removesuffix(".plan"), text.say("word.page"))
            like = reference(default_reference(), Path(scratch) / "like.docx", (_say(text, "title"), ""), names)
            for target, options in zip(targets, (["--to=gfm"], ["--to=docx", f"--reference-doc={like}"]), strict=True):
                common = [str(source), f"--from={READER}", "--wrap=none", "--columns=10", f"--metadata=lang:{text.language}"]
                run_pandoc([*common, *options, f"--output={target.name}"], folder, epoch(dated))
        finish(targets[1], [])
    except OSError as error:
        raise PipevalError(f"cannot write {targets[0]}: {error.strerror or error}; choose another place with --out") from None
    return targets


def _same(before: Lock, content: Mapping[str, Any]) -> bool:
    held = before.model_dump(mode="json")
    return all(_plain(held[key]) == _plain(content[key]) for key in ("pipeval", "decisions", "studies"))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _refusal(lock: Path, before: Lock, plans: Sequence[Plan], text: Text) -> str:
    keys = list(dict.fromkeys(k for p in plans for k in deviations(before, p.study, p.logframe)["key"]))
    shown = ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
    values = {"file": lock, "day": text.day(before.locked_on), "n": len(keys), "keys": shown}
    return _say(text, "screen.refused" if keys else "screen.refused_sample", values)


def _say(text: Text, key: str, values: Mapping[str, Any] | None = None) -> str:
    return text.say(f"plan.{key}", {k: str(v) for k, v in (values or {}).items()})


def _name(row: Mapping, made: Plan, text: Text) -> str:
    """The outcome's label, or the beginning of the indicator's own words."""
    own = next((o.label for o in made.study.outcomes if o.id == row["outcome"]), None)
    words = in_language(own or made.logframe.indicator(row["indicator"]).text, text.language)
    return words if len(words) <= _NAME else words[: _NAME - 1].rstrip() + "…"


def _amount(value: float | None, unit: str, text: Text) -> str:
    """A number in the unit of its row."""
    if value is None or pd.isna(value):
        return _say(text, "none")
    if unit == "share":
        return text.number(value, "pct")
    if unit == "points":
        return _say(text, "points", {"n": text.number(value * 100, "dec1")})
    if unit == "firms":
        return _say(text, "firms", {"n": text.number(value, "int" if float(value).is_integer() else "dec1")})
    return text.number(value)


def _target(row: Mapping, made: Plan, text: Text) -> str:
    """The target as the log frame has it: a share is a share, whatever scale its outcome is on."""
    unit = made.logframe.indicator(row["indicator"]).unit
    if row["target"] == 0:
        return text.say("above_zero")
    return _amount(row["target"], unit if unit in ("share", "firms") else row["unit"], text)


def _screen_cells(row: Mapping, made: Plan, text: Text) -> tuple[str, str, str]:
    indicator = made.logframe.indicator(row["indicator"])
    if indicator.of:
        target = _say(text, "screen.joint", {"ids": ", ".join(indicator.of)})
    else:
        target = _say(text, "screen.target", {"target": _target(row, made, text)})
        if pd.notna(row["relevant_effect"]) and row["relevant_effect"] != row["target"]:
            target += ", " + _say(text, "screen.relevant", {"relevant": _amount(row["relevant_effect"], row["unit"], text)})
    if row["detectable"] == "not_computable":
        return f"{target};", _say(text, "screen.cannot_say", {"reason": _say(text, f"reason.{row['reason']}")}), ""
    verdict = _say(text, f"screen.{row['detectable']}")
    if "infeasible" in row["remarks"].split(";"):
        verdict += _say(text, "screen.infeasible", {"n": text.number(row["n_treated"], "int")})
    if indicator.of:
        return f"{target}:", "", verdict
    return f"{target};", _say(text, "screen.can", {"mde": _amount(row["mde"], row["unit"], text)}) + ":", verdict


def _locked(made: Plan, lock: Lock, bundle: Bundle, text: Text) -> list[str]:
    study, treatment = made.study, made.study.treatment
    values = {"programme": escape(programme_name(bundle, text)), "study": escape(study.study)}
    said = [_say(text, "lead", values)]
    said.append(_say(text, "locked", {"day": text.day(lock.locked_on, "long"), "version": lock.pipeval, "hash": lock.sha256}))
    if lock.replaces is not None:
        gone = {"day": text.day(lock.replaces.locked_on, "long"), "hash": lock.replaces.sha256}
        said.append(_say(text, "replaces", gone))
    years = {"latest": made.latest_year, "base_year": study.baseline.year, "reference_year": treatment.reference_year}
    return [*said, _say(text, f"timing.{timing(made.latest_year, study)}", years)]


def _decided(made: Plan, bundle: Bundle, text: Text) -> list[str]:
    study = made.study
    values = {
        "treated": escape(text.label("treated", study.treatment.definition)),
        "base_year": study.baseline.year,
        "reference_year": study.treatment.reference_year,
        "stage": escape(text.entries.get(f"stage.{study.stage}", study.stage)),
        "as_of": escape(text.day(study.as_of, "long")),
    }
    said = [_say(text, "asked", values)]
    if study.treatment.branches:
        names = listing([text.label("branch", b) for b in study.treatment.branches], text)
        said[0] += " " + _say(text, "branches", {"branches": names})
    for name in ("matching", "estimation"):
        said += SENTENCES[name](bundle, text)
    said += [_say(text, "outcomes"), _bullets((_outcome(o, text) for o in study.outcomes), escaped=True)]
    rules = [_say(text, "primary", {"ids": ", ".join(study.verdicts.primary)})] if study.verdicts.primary else []
    rules.append(_say(text, "partly", {"partly": text.number(study.verdicts.partly_from, "pct0")}))
    if study.queries:
        named = [f"{text.label('rule', rule)}: {_say(text, f'fate.{fate}')}" for rule, fate in study.queries.items()]
        rules.append(_say(text, "queries", {"queries": escape("; ".join(named))}))
    return [*said, " ".join(rules)]


def _outcome(outcome: Outcome, text: Text) -> str:
    label = in_language(outcome.label, text.language, outcome.id)
    unit = "share" if outcome.scale in ("log", "poisson") else "points" if outcome.scale != "level" else "level"
    values = {"label": escape(label), "scale": escape(text.label("scale", outcome.scale))}
    if outcome.relevant_effect is None:
        return _say(text, "outcome_plain", values)
    return _say(text, "outcome", values | {"relevant": escape(_amount(outcome.relevant_effect, unit, text))})


def _detectable(made: Plan, text: Text) -> list[str]:
    rows = made["plan_detectable"].to_dict("records")
    compared = [r for r in rows if r["detectable"] != "not_compared"]
    power, study = made.study.power, made.study
    values = {"alpha": escape(text.number(power.alpha, "pct0")), "power": escape(text.number(power.power, "pct0"))}
    said = [_say(text, "power", values | {"base_year": study.baseline.year})]
    said[0] = " ".join([said[0], *allowances(made["power"], study.model_dump(mode="json"), text)])
    names = ("indicator", "target", "relevant_effect", "mde", "detectable", "n", "needed")
    headings = [escape(_say(text, f"column.{n}")) for n in names]
    if compared:
        said.append(
            pipe_table(headings, ["left", *["right"] * 3, "left", "right", "right"], [_cells(r, made, text) for r in compared])
        )
    said.append(_say(text, "read"))
    remarks = [f"{r['indicator']}: {'; '.join(words)}" for r in rows if (words := _remarks(r, made, text))]
    if remarks:
        said.append(_bullets(remarks))
    left = [r["indicator"] for r in rows if r["detectable"] == "not_compared"]
    return [*said, escape(_say(text, "screen.not_compared", {"ids": ", ".join(left)})) + "."] if left else said


def _cells(row: Mapping, made: Plan, text: Text) -> list[str]:
    both = [(row["n_treated"], row["n_control"]), (row["n_needed"], row["n_needed_control"])]
    firms = [_say(text, "none") if pd.isna(a) else f"{text.number(a, 'int')} + {text.number(b, 'int')}" for a, b in both]
    amounts = [_target(row, made, text), _amount(row["relevant_effect"], row["unit"], text), _amount(row["mde"], row["unit"], text)]
    name = f"{row['indicator']} {_name(row, made, text)}"
    return [escape(c) for c in (name, *amounts, _say(text, f"detectable.{row['detectable']}"), *firms)]


def _remarks(row: Mapping, made: Plan, text: Text) -> list[str]:
    """The remarks of a row in words, and the reason where nothing could be computed; goods only counted need none."""
    values = {"ids": ", ".join(made.logframe.indicator(row["indicator"]).of)}
    values["n"] = text.number(row["n_treated"], "int")
    definition = made.study.treatment.definition
    values["treated"] = _say(text, f"treated.{definition}") if text.has(f"plan.treated.{definition}") else definition
    codes = [c for c in str(row["remarks"]).split(";") if c and row["detectable"] != "not_compared"]
    words = [_say(text, f"remark.{code}", values) for code in codes]
    if row["detectable"] == "not_computable":
        words.append(_say(text, f"reason.{row['reason']}"))
    return words


def _question(row: Mapping, bundle: Bundle, text: Text) -> str:
    """What to ask the designers of an indicator; what is wrong with it, where no question is worded."""
    code, _, value = str(row.get("question") or "").partition("=")
    if text.has(f"code.question.{code}"):
        return f"{row['indicator']}: {text.say(f'code.question.{code}', {'value': value})}"
    return f"{row['indicator']}: {text.label('check', row['check'])}: {coded('detail', row['detail'], bundle, text)}"


def _bullets(lines: Iterable[str], escaped: bool = False) -> str:
    return "\n".join(f"- {line if escaped else escape(line)}" for line in lines)
