"""The command line: `pipeval run`, `check`, `plan`, `sample`, `dictionary`.

Exit codes: 0 done (or queries only), 2 usage, 10 blocking faults in the files, 11 the design cannot be estimated, 12 the numbers
failed, 1 anything else. Errors are one message on standard error, never a traceback (unless `--debug`).
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path

from . import __version__
from .errors import PipevalError, UsageError

_FEWEST = 100  # firms: with fewer, some arms and branches of the made programme are empty


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return arguments.command(arguments)
    except PipevalError as error:
        print(f"pipeval: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("pipeval: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if arguments.debug:
            raise
        what = f"cannot read or write: {error}" if isinstance(error, OSError) else f"unexpected {type(error).__name__}: {error}"
        print(f"pipeval: {what}. Run again with --debug before the command for the details", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipeval", description="Impact evaluation of enterprise-support programmes.")
    parser.add_argument("--version", action="version", version=f"pipeval {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run studies and write their reports")
    run.add_argument("params", nargs="+", type=Path, help="params files, one a study")
    run.add_argument("--out", type=Path, default=Path("reports"), help="folder of the reports (default: reports)")
    run.add_argument("--jobs", type=_positive, default=1, help="studies at the same time (default: 1)")
    run.add_argument("--data", type=Path, help="folder of the data files, instead of the one in params")
    run.add_argument("--timeout", type=_positive, default=1800, help="seconds a study may take (default: 1800)")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="list every fault of a study's files and plan")
    check.add_argument("params", type=Path, help="a params file")
    check.add_argument("--data", type=Path, help="folder of the data files, instead of the one in params")
    check.add_argument("--out", type=Path, help="where the table of faults is saved (default: <study>.faults.csv)")
    check.add_argument("--letters", type=Path, metavar="DIR", help="folder for letters to the firms and a sheet for their answers")
    check.add_argument("--language", help="language of the letters (default: the first of the report)")
    check.set_defaults(command=_check)

    plan = commands.add_parser("plan", help="say what the sample can detect, and lock the plan before outcomes are seen")
    plan.add_argument("params", nargs="+", type=Path, help="params files, one a study; one lock serves them all")
    plan.add_argument("--lock", type=Path, help="file of the lock (default: plan_lock of the params, else <study>.plan.json)")
    plan.add_argument("--out", type=Path, default=Path(), help="folder of the documents (default: this one)")
    plan.add_argument("--language", choices=("es", "en"), help="language (default: the study's first)")
    plan.add_argument("--data", type=Path, help="folder of the data files, instead of the one in params")
    plan.add_argument("--on", type=_day, metavar="YYYY-MM-DD", help="day of the lock (default: today)")
    plan.add_argument("--force", action="store_true", help="replace a lock that says something else; the new one names it")
    plan.set_defaults(command=_plan)

    sample = commands.add_parser("sample", help="write a sample programme's files")
    sample.add_argument("programme", choices=("guanajuato", "michigan"), help="guanajuato is made from a seed; michigan is real")
    sample.add_argument("--out", type=Path, required=True, help="folder to write to")
    sample.add_argument(
        "--set", action="append", default=[], metavar="KNOB=VALUE", help="turn a knob of the made programme, e.g. effect=0"
    )
    sample.set_defaults(command=_sample)

    dictionary = commands.add_parser("dictionary", help="print the data dictionary as Markdown")
    dictionary.add_argument("--currency", default="MXN", help="three letters (default: MXN)")
    dictionary.add_argument("--forms", type=Path, metavar="DIR", help="write the blank tables there instead, one CSV file each")
    dictionary.set_defaults(command=_dictionary)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 up; found {text!r}")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a day as year-month-day; found {text!r}") from None


def _run(arguments: argparse.Namespace) -> int:
    from .batch import run

    return run(arguments.params, arguments.out, jobs=arguments.jobs, data=arguments.data, timeout=arguments.timeout)


def _check(arguments: argparse.Namespace) -> int:
    from .report.faults import check_study

    if arguments.letters is not None:
        from .report.letters import study_letters

        study_letters(arguments.params, arguments.data, arguments.letters, arguments.language)
    return check_study(arguments.params, arguments.data, arguments.out)


def _plan(arguments: argparse.Namespace) -> int:
    from .report.plan_page import write_plan

    choices = {"data": arguments.data, "language": arguments.language, "force": arguments.force}
    return write_plan(arguments.params, arguments.lock, arguments.out, arguments.on or date.today(), **choices)


def _sample(arguments: argparse.Namespace) -> int:
    from .data.sample import Knobs, sample_programme, write

    if arguments.programme == "michigan":
        if arguments.set:
            raise UsageError("michigan is a real programme; it has no knobs to set")
        from .data.michigan import michigan

        tables = michigan()
    else:
        tables = sample_programme(Knobs(**_knobs(arguments.set, Knobs)))
    write(tables, arguments.out)
    print(f"{len(tables)} tables written to {arguments.out}")
    return 0


def _knobs(settings: list[str], knobs: type) -> dict:
    from .study.files import nearest

    defaults = {name: getattr(knobs(), name) for name in knobs.__dataclass_fields__}
    chosen = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in defaults:
            raise UsageError(f"--set {setting}: unknown knob; {nearest(name, defaults)}")
        try:
            chosen[name] = type(defaults[name])(float(value))
        except (ValueError, OverflowError):
            raise UsageError(f"--set {setting}: a number must follow the equals sign") from None
    if chosen.get("n", _FEWEST) < _FEWEST or chosen.get("seed", 0) < 0:
        raise UsageError(f"the made programme needs n from {_FEWEST} firms up and a seed from 0 up; found {chosen}")
    return chosen


def _dictionary(arguments: argparse.Namespace) -> int:
    from .data.schema import data_dictionary

    if not re.fullmatch("[A-Za-z]{3}", arguments.currency):
        raise UsageError(f"a currency has three letters; found {arguments.currency!r}")
    if arguments.forms is None:
        print(data_dictionary(arguments.currency), end="")
        return 0
    from .data.forms import write_blank

    made = write_blank(arguments.forms, arguments.currency)
    print(f"{len(made)} blank tables in {arguments.forms}: {', '.join(path.name for path in made)}")
    return 0
