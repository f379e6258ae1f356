"""The command line: `pipeval new`, `machine`, `check`, `plan`, `run`, `render`, `compare`, `package`, `sample`, `dictionary`.

Exit codes: 0 done (or queries only), 2 usage, 10 blocking faults in the files, 11 the design cannot be estimated, 12 the numbers
failed, 13 a report made again is not the same, 1 anything else. Errors are one message on standard error, never a traceback
(unless `--debug`).
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path

from . import __version__
from .errors import DataError, PipevalError, UsageError
from .new import STAGES

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
        if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("pipeval"):
            print(f"pipeval: this needs the package {error.name}. `pipeval machine` says how to install it", file=sys.stderr)
            return 1
        what = f"cannot read or write: {error}" if isinstance(error, OSError) else f"unexpected {type(error).__name__}: {error}"
        print(f"pipeval: {what}. Run again with --debug before the command for the details", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pipeval", description="Impact evaluation of enterprise-support programmes.")
    parser.add_argument("--version", action="version", version=f"pipeval {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _new_parsers(commands)
    _study_parsers(commands)
    _compare_parser(commands)
    _data_parsers(commands)
    _package_parser(commands)
    return parser


def _new_parsers(commands) -> None:
    new = commands.add_parser("new", help="make a working folder: params, log frame, blank tables, notebooks")
    new.add_argument("programme", help="short name of the programme: letters without accents, digits, - and _")
    new.add_argument("--out", type=Path, metavar="DIR", help="the folder, empty or not there yet (default: the programme's name)")
    new.add_argument("--currency", type=_currency, default="MXN", help="three letters (default: MXN)")
    new.add_argument("--language", default="es", help="of comments, forms and report: es, en, pt (default: es)")
    new.add_argument("--logframe", default="blank", help="blank, or a shipped one to edit: guanajuato, dini … (default: blank)")
    new.add_argument("--stage", nargs="+", choices=STAGES, default=STAGES[:3], help="studies (default: the first three)")
    new.add_argument("--start", type=_day, metavar="YYYY-MM-DD", help="first day of the project (default: 1 July of last year)")
    new.set_defaults(command=_new)

    commands.add_parser("machine", help="say what is missing on this machine").set_defaults(command=_machine)


def _study_parsers(commands) -> None:
    run = commands.add_parser("run", help="run studies and write their reports")
    run.add_argument("params", nargs="+", help="params files, patterns of them, or file.yaml::name for one study of a sweep")
    run.add_argument("--out", default="reports", help="folder of the reports, or a URL such as s3://… (default: reports)")
    run.add_argument("--jobs", type=_positive, default=1, help="studies at the same time (default: 1)")
    run.add_argument("--data", type=Path, help="folder of the data files, instead of the one in params")
    run.add_argument("--timeout", type=_positive, default=1800, help="seconds a study may take (default: 1800)")
    run.add_argument("--force", action="store_true", help="run every study, also those whose inputs did not change")
    run.add_argument("--dry-run", action="store_true", help="say which studies would run and why; write nothing")
    run.add_argument("--dask", metavar="ADDRESS", help="run the studies on the workers of this dask scheduler")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="list every fault of a study's files and plan")
    check.add_argument("params", help="a params file, every study of its sweep, or file.yaml::name for one")
    check.add_argument("--data", type=Path, help="folder of the data files, instead of the one in params")
    check.add_argument("--out", type=Path, help="where the table of faults is saved (default: <study>.faults.csv)")
    check.add_argument("--letters", type=Path, metavar="DIR", help="folder for letters to the firms and a sheet for their answers")
    check.add_argument("--language", type=_language, help="language of the letters (default: the first of the report)")
    check.set_defaults(command=_check)

    plan = commands.add_parser("plan", help="say what the sample can detect, and lock the plan before outcomes are seen")
    plan.add_argument("params", nargs="+", help="params files, sweeps, or file.yaml::name; one lock serves them all")
    plan.add_argument("--lock", type=Path, help="file of the lock (default: plan_lock of the params, else <study>.plan.json)")
    plan.add_argument("--out", type=Path, default=Path(), help="folder of the documents (default: this one)")
    plan.add_argument("--language", type=_language, help="language (default: the study's first)")
    plan.add_argument("--data", type=Path, help="folder of the data files, instead of the one in params")
    plan.add_argument("--on", type=_day, metavar="YYYY-MM-DD", help="day of the lock (default: today)")
    plan.add_argument("--force", action="store_true", help="replace a lock that says something else; the new one names it")
    plan.set_defaults(command=_plan)

    render = commands.add_parser("render", help="make the papers again from finished reports, in any language")
    render.add_argument("bundle", nargs="+", type=Path, help="folders of reports, as `pipeval run` writes them")
    render.add_argument("--language", nargs="+", type=_language, default=(), help="languages (default: the study's)")
    render.set_defaults(command=_render)


def _compare_parser(commands) -> None:
    compare = commands.add_parser("compare", help="say what moved between two reports, and why; or make one report again")
    compare.add_argument("old", type=Path, help="folder of a report, as `pipeval run` writes it")
    compare.add_argument("new", type=Path, nargs="?", help="folder of the other (default: the old one, run again as it was)")
    compare.add_argument("--out", type=Path, default=Path("comparison"), help="folder of the papers (default: comparison)")
    compare.add_argument("--language", nargs="+", type=_language, default=(), help="languages (default: the newer report's)")
    compare.add_argument("--each", action="store_true", help="also say what each firm and each key moves alone")
    compare.add_argument("--jobs", type=_positive, default=1, help="studies run again at the same time (default: 1)")
    compare.add_argument("--timeout", type=_positive, default=1800, help="seconds a study may take (default: 1800)")
    compare.set_defaults(command=_compare)


def _data_parsers(commands) -> None:
    sample = commands.add_parser("sample", help="write a sample programme's files")
    sample.add_argument("programme", choices=("guanajuato", "michigan"), help="guanajuato is made from a seed; michigan is real")
    sample.add_argument("--out", type=Path, required=True, help="folder to write to")
    sample.add_argument(
        "--set", action="append", default=[], metavar="KNOB=VALUE", help="turn a knob of the made programme, e.g. effect=0"
    )
    sample.set_defaults(command=_sample)

    dictionary = commands.add_parser("dictionary", help="print the data dictionary as Markdown")
    dictionary.add_argument("--currency", type=_currency, default="MXN", help="three letters (default: MXN)")
    dictionary.add_argument("--forms", type=Path, metavar="DIR", help="write the blank tables there instead, one CSV file each")
    dictionary.add_argument("--excel", action="store_true", help="with --forms, one workbook that explains itself")
    dictionary.add_argument("--language", default="en", help="of the workbook (default: en)")
    dictionary.set_defaults(command=_dictionary)


def _package_parser(commands) -> None:
    package = commands.add_parser("package", help="put a report and all it was made from into a folder that runs by itself")
    package.add_argument("bundle", type=Path, help="folder of a report, as `pipeval run` writes it")
    package.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the package goes (default: this folder)")
    package.add_argument("--public", action="store_true", help="with the public-use file in place of the firms' figures")
    package.add_argument("--zip", action="store_true", help="one zip instead of a folder")
    package.add_argument("--language", type=_language, help="of its README (default: the first of the report)")
    package.set_defaults(command=_package)


def _positive(text: str) -> int:
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a whole number from 1 up; found {text!r}")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 1900 <= day.year <= 2100:
        raise argparse.ArgumentTypeError(f"a day as year-month-day, from 1900 to 2100; found {text!r}")
    return day


def _language(text: str) -> str:
    from .report.text import languages

    if text in languages():
        return text
    raise argparse.ArgumentTypeError(f"reports speak {', '.join(languages())}; found {text!r}")


def _currency(text: str) -> str:
    if re.fullmatch("[A-Za-z]{3}", text):
        return text.upper()
    raise argparse.ArgumentTypeError(f"a currency has three letters; found {text!r}")


def _new(arguments: argparse.Namespace) -> int:
    from .machine import machine, told
    from .new.decisions import Choices
    from .new.folder import make_folder, next_steps

    stages = tuple(stage for stage in STAGES if stage in arguments.stage)
    first = arguments.start or date(date.today().year - 1, 7, 1)
    choices = Choices(arguments.programme, arguments.currency, language := arguments.language, stages, first)
    files = make_folder(choices, folder := arguments.out or Path(arguments.programme), arguments.logframe)
    print("\n".join([*next_steps(choices, folder, files), *told(machine(folder, language), language)]))
    return 0


def _machine(arguments: argparse.Namespace) -> int:
    from .machine import machine, told

    print("\n".join(told(parts := machine())))
    return int(any(part.needed and not part.good for part in parts))


def _run(arguments: argparse.Namespace) -> int:
    from .batch.run import run

    choices = {"jobs": arguments.jobs, "data": arguments.data, "timeout": arguments.timeout}
    return run(arguments.params, arguments.out, **choices, force=arguments.force, dry=arguments.dry_run, dask=arguments.dask)


def _check(arguments: argparse.Namespace) -> int:
    from .batch.jobs import each_study

    studies = each_study(arguments.params)
    if len(studies) == 1:
        return _check_one(studies[0], arguments)
    if arguments.out or arguments.letters:
        raise UsageError(f"--out and --letters are for one study; these are {len(studies)}: name one, such as {studies[0]}")
    codes = []
    for study in studies:
        try:
            codes.append(_check_one(study, arguments))
        except PipevalError as error:
            print(f"pipeval: {study}: {error}", file=sys.stderr)
            codes.append(error.exit_code)
    return next(filter(None, codes), 0)


def _check_one(params: str, arguments: argparse.Namespace) -> int:
    from .new.folder import waiting
    from .report.faults import check_study
    from .report.letters import study_letters

    try:
        if arguments.letters is not None:
            study_letters(params, arguments.data, arguments.letters, arguments.language)
        return check_study(params, arguments.data, arguments.out)
    except DataError as error:
        raise DataError("\n  ".join([str(error), *waiting(params, arguments.data)]), error.faults) from None


def _plan(arguments: argparse.Namespace) -> int:
    from .batch.jobs import each_study
    from .report.plan_page import write_plan

    params = [one for given in arguments.params for one in each_study(given)]
    choices = {"data": arguments.data, "language": arguments.language, "force": arguments.force}
    return write_plan(params, arguments.lock, arguments.out, arguments.on or date.today(), **choices)


def _render(arguments: argparse.Namespace) -> int:
    from .report.render import render

    for bundle in arguments.bundle:
        files = render(bundle, tuple(dict.fromkeys(arguments.language)))
        print(f"{bundle}: {', '.join(dict.fromkeys(path.name for path in files))}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from .compare.run import NOT_REPRODUCED, compare
    from .compare.screen import summary

    choices = {"languages": tuple(dict.fromkeys(arguments.language)), "each": arguments.each, "timeout": arguments.timeout}
    if arguments.each and arguments.new is None:
        raise UsageError("--each goes with two reports")
    made = compare(arguments.old, arguments.new, out=arguments.out, jobs=arguments.jobs, **choices)
    print("\n".join([*summary(made), f"papers and compare.json: {arguments.out}"]))
    return NOT_REPRODUCED if made.again and not made.reproduced else 0


def _package(arguments: argparse.Namespace) -> int:
    from .release.package import package

    choices = {"public": arguments.public, "zipped_whole": arguments.zip, "language": arguments.language or ""}
    made = package(arguments.bundle, arguments.out, **choices)
    print(made.place)
    for name in made.telling:
        print(f"  {name} holds a path of this machine, as it was given")
    if arguments.public:
        print("  its data were made anonymous: read risk.md before you publish it, and publish one such file a programme")
    else:
        print("  it holds confidential figures of firms and is not for publication; --public makes one that is")
    return 0


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
    from .data.forms import write_blank, write_workbook
    from .data.schema import data_dictionary
    from .new.words import form_words

    if arguments.excel and arguments.forms is None:
        raise UsageError("--excel goes with --forms DIR, the folder of the workbook")
    if arguments.excel:
        print(f"blank tables in {write_workbook(arguments.forms, form_words(arguments.language), arguments.currency)}")
    elif arguments.forms is not None:
        made = write_blank(arguments.forms, arguments.currency)
        print(f"{len(made)} blank tables in {arguments.forms}: {', '.join(path.name for path in made)}")
    else:
        print(data_dictionary(arguments.currency), end="")
    return 0
