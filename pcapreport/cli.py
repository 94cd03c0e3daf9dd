"""The command line: the only module that prints, reads the clock or ends the process."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pcapreport import errors, options
from pcapreport.configuration import configured
from pcapreport.language import Text, phrase, speaking
from pcapreport.version import __version__

if TYPE_CHECKING:
    from pcapreport.progress import Progress


@click.group(
    cls=options.SpokenGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="pcapreport")
@click.pass_context
def cli(context: click.Context) -> None:
    """Reports on the TCP connections in packet captures: each side's states, what went wrong, and the evidence."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        sys.exit(errors.EXIT_USAGE)
    context.default_map = configured(options.CONFIGURATION, _options_of(context.command))


def _options_of(command: click.Command) -> dict[str, dict[str, str]]:
    """Of each command what users call its options, and what click does."""
    commands = command.commands.items() if isinstance(command, click.Group) else ()
    return {
        name: {max(p.opts, key=len).lstrip("-"): p.name or "" for p in sub.params if isinstance(p, click.Option)}
        for name, sub in commands
    }


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options.option(
    "-o", "--output", default="pcapreport-out", show_default=True, type=click.Path(file_okay=False), metavar="DIR"
)
@options.option(
    "--format",
    "formats",
    default="html,json",
    show_default=True,
    callback=options.batch_formats,
    metavar="LIST",
    help="html, json, md, png, pdf, zip; parquet: the index as tables for programs.",
)
@options.analysis_options
@options.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    metavar="N",
    help="Worker processes.",
)
@options.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="local|dask://HOST:PORT",
    help="Who analyses captures: processes of this machine, or the workers of a Dask cluster.",
)
@options.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="Give a capture up after so many seconds."
)
@options.option(
    "--max-memory",
    callback=options.number_of_bytes,
    metavar="BYTES",
    help="Give a capture up that needs more, such as 4G (on Linux); default: four fifths of what the machine has.",
)
@options.option(
    "--memory",
    default="1G",
    show_default=True,
    callback=options.number_of_bytes,
    metavar="BYTES",
    help="Memory for one capture's analysis, such as 500M; what needs more goes through temporary files.",
)
@options.option(
    "--profile",
    type=click.Choice(options.PROFILES),
    default="full",
    show_default=True,
    help="The page: everything, a short one for a ticket, or a laboratory report on one connection.",
)
@options.option(
    "--sheet",
    type=click.Choice(options.SHEETS),
    help="With --profile lab: a sheet to be filled in, or the same with answers and how they are found.",
)
@options.option(
    "--max-size",
    default="5M",
    show_default=True,
    callback=options.number_of_bytes,
    metavar="BYTES",
    help="No page, summary, picture or zip larger than this, such as 10MB: what is most worth a look is kept.",
)
@options.option(
    "--connection",
    type=click.IntRange(1),
    metavar="N",
    help="With --profile lab: report on this connection; default: the one that shows most.",
)
@options.lang_option
@options.option(
    "--meta",
    multiple=True,
    callback=options.meta,
    metavar="KEY=VALUE",
    help="Said of the case in every report, such as case=4711.",
)
@options.option("--force", is_flag=True, help="Do again what an earlier run with the same options has done.")
@options.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Templates that replace the built-in ones.",
)
@options.option(
    "--fail-on",
    type=click.Choice(options.LEVELS),
    default="never",
    show_default=True,
    help="Exit 1 for a finding at least this severe, with --baseline for a new one.",
)
@options.option(
    "--baseline",
    type=click.Path(exists=True),
    callback=options.baseline,
    metavar="OLD.json|DIR",
    help="Compare with an earlier run: its document, or its directory.",
)
@options.option("--prune", is_flag=True, help="Remove the reports of captures that are no more.")
@options.log_option
@options.option("-q", "--quiet", is_flag=True, help="No progress, only problems.")
@options.option("-v", "--verbose", is_flag=True, help="A line for every capture.")
def report(
    paths: Sequence[str], output: str, formats: frozenset[str], fail_on: str, baseline: str | None, **given: Any
) -> None:
    """Write a report for every capture under PATH (file, directory, or - for standard input), and an index."""
    from pcapreport.batch import session
    from pcapreport.batch.output import output_at
    from pcapreport.batch.work import Order

    log = _log(given)
    pseudonyms = _pseudonyms(given, log.note)
    order = Order(
        out=options.place(output),
        formats=formats - {options.PARQUET},
        settings=options.settings_of(given["time_wait"], given["thresholds"]),
        details=given["max_connections"],
        effective={**options.effective(given), **options.anonymized(pseudonyms)},
        memory=given["memory"],
        reading=options.reading_of(
            given["checksums"], given["max_input"], pseudonyms, frames=given["profile"] == "lab"
        ),
        lab=given["profile"] == "lab",
        lesson=given["connection"],
        timeout=given["timeout"],
        templates=Path(given["templates"]) if given["templates"] else None,
        baseline=Path(baseline) if baseline else None,
        debug=given["debug"],
        language=given["lang"],
        meta=given["meta"],
        most_memory=given["max_memory"],
        silent=given["log_format"] == "json" and not given["debug"],
    )
    with options.workers_of(given["executor"]) as workers:
        request = session.Request(
            paths=tuple(paths),
            order=order,
            jobs=given["jobs"],
            force=given["force"],
            workers=workers,
            parquet=options.PARQUET in formats,
            prune=given["prune"],
        )
        entries = session.run(request, log.tell, log.plan, log.meet, log.took, log.stale)
    code, index = session.exit_code(entries, fail_on), output_at(order.out).address("index.html")
    log.finish(code, index)
    if pseudonyms and session.holds_others(order, entries):
        log.note(phrase("{folder} also holds files of other runs; they may name originals", folder=str(order.out)))
    _say(index)
    sys.exit(code)


def _log(given: dict[str, Any]) -> Progress:
    """Who tells the user on standard error what happens."""
    from pcapreport.progress import Events, Progress

    echo = partial(click.echo, err=True)
    if given["log_format"] == "json":
        warnings.simplefilter("ignore")  # of libraries: nothing else is to be there
        return Events(echo, time.monotonic)
    live = not given["quiet"] and not given["verbose"] and sys.stderr.isatty()
    return Progress(echo, given["quiet"], given["verbose"], live, time.monotonic)


@cli.command()
@click.argument("capture", metavar="CAPTURE")
@options.option(
    "--connection", type=click.IntRange(1), metavar="N", help="Draw this connection; default: the most notable one."
)
@options.analysis_options
@options.lang_option
def show(capture: str, connection: int | None, debug: bool, **given: Any) -> None:
    """Print the summary of CAPTURE (or -), then the ladder of one connection."""
    from pcapreport import pipeline
    from pcapreport.batch.work import opened
    from pcapreport.report.build import DocumentOptions
    from pcapreport.report.ladder_text import ladder_text, summary_text

    only = None if connection is None else connection - 1
    pseudonyms = _pseudonyms(given, _note)
    effective = {"time_wait": given["time_wait"], "lang": given["lang"], **options.changes(given["thresholds"])}
    effective |= options.anonymized(pseudonyms)
    wanted = DocumentOptions(given["max_connections"], only, effective=effective)
    name = "stdin" if capture == "-" else os.path.basename(capture)
    name = pseudonyms.path(name) if pseudonyms and capture != "-" else name
    document = pipeline.analyze(
        opened(capture),
        name=name,
        settings=options.settings_of(given["time_wait"], given["thresholds"]),
        options=wanted,
        reading=options.reading_of(given["checksums"], given["max_input"], pseudonyms),
    )
    connections = document.connections
    if connection is not None and connection > len(connections):
        message = phrase(
            "{file}: there is no connection {number}; connections in it: {count}",
            file=name,
            number=connection,
            count=len(connections),
        )
        raise errors.UsageError(message)
    with speaking(given["lang"], document.messages):
        click.echo(summary_text(document))
        if connections:
            detailed = [c for c in connections if c.detail is not None]
            chosen = connections[connection - 1] if connection else _most_notable(detailed or connections)
            width = max(80, min(shutil.get_terminal_size((100, 24)).columns, 140))
            click.echo("")
            click.echo(ladder_text(chosen, width))
    if not document.capture.complete:
        sys.exit(errors.EXIT_SOME_UNREADABLE)


def _most_notable(connections: Sequence[Any]) -> Any:
    rank = {None: 0, "note": 1, "warning": 2, "error": 3}
    return max(connections, key=lambda c: (rank[c.severity], -c.id))


@cli.command()
@click.argument("rule", required=False, metavar="[ID]")
@options.option("--thresholds", is_flag=True, help="List the thresholds that --set changes.")
@options.lang_option
def rules(rule: str | None, thresholds: bool, lang: str) -> None:
    """List the rules, or print one rule's manual page."""
    from pcapreport import thresholds as all_thresholds
    from pcapreport.report.manual import listing, page

    click.echo(all_thresholds.listing() if thresholds else page(rule) if rule else listing())


@cli.command()
@click.argument("document", type=click.Path(exists=True, dir_okay=False), metavar="FILE.json")
@options.option("-o", "--output", type=click.Path(file_okay=False), metavar="DIR", help="Default: beside the file.")
@options.option(
    "--format",
    "formats",
    default="html",
    show_default=True,
    callback=options.formats,
    metavar="LIST",
    help="html, json, md, png, pdf, zip.",
)
@options.option("--templates", type=click.Path(exists=True, file_okay=False), metavar="DIR")
@options.language_option(help="Language of the pages; default: the one they were made in.")
@options.debug_option
def render(
    document: str, output: str | None, formats: frozenset[str], templates: str | None, lang: str | None, debug: bool
) -> None:
    """Write the page(s) of a saved result document again."""
    from pcapreport.batch.formats import Renderings
    from pcapreport.report import model

    path = Path(document)
    try:
        saved = model.decode(path.read_bytes())
    except ValueError as error:
        message = phrase(
            "{file}: is no result document ({error}); give a .json that `report` wrote",
            file=document,
            error=errors.reason(error),
        )
        raise errors.BadDocument(message) from error
    if lang:
        saved = saved.spoken_in(lang)
    folder = Path(output) if output else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    stem, changed = path.name.removesuffix(".json"), Path(templates) if templates else None
    for name, pieces in Renderings(saved, [model.encode(saved)], changed).of(formats):
        target = folder / f"{stem}.{name}"
        target.write_bytes(b"".join(pieces))
        _say(str(target))


@cli.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False), metavar="REPORT")
@click.argument("capture", type=click.Path(exists=True, dir_okay=False), metavar="CAPTURE")
@options.lang_option
def verify(report: str, capture: str, lang: str) -> None:
    """Say whether REPORT (.html, .json, .md or .zip) was made from the bytes of CAPTURE; exit 0 if so, else 1."""
    import hashlib

    from pcapreport.batch.formats import readable

    with open(capture, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    made = digest in readable(Path(report))
    if made:
        form = phrase("{report} was made from {capture} (SHA-256 {digest})")
    else:
        form = phrase("{report} was not made from {capture}, whose SHA-256 is {digest}")
    _say(phrase(str(form), report=report, capture=capture, digest=digest))
    if not made:
        sys.exit(1)


@cli.command()
@click.argument("directory", type=click.Path(file_okay=False), metavar="DIR")
def templates(directory: str) -> None:
    """Copy the built-in templates into DIR, to be changed and given to --templates; their context is the document."""
    from importlib.resources import files

    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for item in sorted(files("pcapreport.templates").iterdir(), key=lambda one: one.name):
        if not item.name.endswith((".jinja", ".css", ".js")):
            continue
        if (folder / item.name).exists():
            message = phrase("{file} is there already; give an empty directory", file=str(folder / item.name))
            raise errors.UsageError(message)
        (folder / item.name).write_bytes(item.read_bytes())
        _say(str(folder / item.name))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the result document."""
    import json

    from pcapreport.report import model

    click.echo(json.dumps(model.schema(), indent=2, ensure_ascii=False))


def _pseudonyms(given: dict[str, Any], note: Callable[[str], None]) -> Any:
    """What replaces names, if anything is to; a new key is told of."""
    pseudonyms, told = options.pseudonyms_of(given)
    if told:
        note(told)
    return pseudonyms


def _note(text: str) -> None:
    """A line on standard error that may hold a file's name."""
    from pcapreport.report.wording import visible

    click.echo(visible(text), err=True)


def _say(text: str) -> None:
    """A line on standard output that may hold a file's name."""
    from pcapreport.report.wording import visible

    click.echo(visible(text))


def _fail(asked: set[str], message: str, code: int) -> NoReturn:
    from pcapreport.report.wording import visible

    if options.EVENTS_ASKED in asked:
        from pcapreport.progress import Events

        Events(partial(click.echo, err=True), time.monotonic).event("error", message=message, exit_code=code)
        sys.exit(code)
    with speaking(options.asked_language(asked)):
        click.echo(f"pcapreport: {visible(message)}", err=True)
    sys.exit(code)


def _usage(error: click.ClickException) -> str:
    """Click's message as one line, and where to read more; what is ours in it can be said in other languages."""
    message: str = " ".join(error.format_message().split()).removesuffix(".")
    if isinstance(error.message, Text) and message.endswith(error.message):
        where = message.removesuffix(f": {error.message}").removeprefix("Invalid value for ")
        message = phrase("Invalid value for {option}: {problem}", option=where, problem=error.message)
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "pcapreport"
    return phrase("{problem}; see {command} --help", problem=message, command=command)


def _told(error: Exception) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, click.ClickException):
        return _usage(error), error.exit_code
    if isinstance(error, errors.UnreadableCapture):
        return error.message, errors.EXIT_NOTHING_ANALYSED
    if isinstance(error, errors.PcapReportError):
        return error.message, error.exit_code
    if isinstance(error, OSError):
        place, reason = str(error.filename or "output"), error.strerror or str(error)
        message = phrase("{place}: {reason}; check the path and its permissions", place=place, reason=reason)
        return message, errors.EXIT_USAGE
    fault = f"{type(error).__name__}: {error}"
    message = phrase("internal error ({error}); please report it, --debug shows where", error=fault)
    return message, errors.EXIT_NOTHING_ANALYSED


def main() -> None:
    """Entry point of the `pcapreport` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the ladder's lines on a terminal that has no such characters
    asked: set[str] = set()
    try:
        cli.main(standalone_mode=False, obj=asked)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _fail(asked, phrase("interrupted; run the same command again to do the rest"), errors.EXIT_INTERRUPTED)
    except Exception as error:
        if "debug" in asked:
            raise
        _fail(asked, *_told(error))
