"""The command line: the only module that prints, reads the clock or ends the process."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from pcapreport import errors
from pcapreport.configuration import configured
from pcapreport.progress import Progress
from pcapreport.version import __version__

FORMATS = ("html", "json", "md")
LEVELS = ("note", "warning", "error", "never")
PREFIX = "PCAPREPORT_"

Command = TypeVar("Command", bound=Callable[..., Any])


def _option(*names: str, **kwargs: Any) -> Callable[[Command], Command]:
    """An option that PCAPREPORT_NAME in the environment sets as well."""
    long = next(name for name in names if name.startswith("--")).lstrip("-")
    return click.option(*names, envvar=PREFIX + long.replace("-", "_").upper(), show_envvar=False, **kwargs)


def _note_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(set).add("debug")
    return value


_debug_option = _option("--debug", is_flag=True, callback=_note_debug, help="Show a traceback for errors.")


def _bytes(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
    if not found or not int(found[1]):
        raise click.BadParameter(f"{value!r}: give bytes such as 500M or 2G")
    return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


def _analysis_options(command: Command) -> Command:
    """Options of every command that reads captures."""
    for decorate in reversed(
        (
            _option(
                "--time-wait",
                default="auto",
                show_default=True,
                metavar="auto|PROFILE|SECONDS",
                help="How long TIME-WAIT lasts: linux, windows, bsd, macos, rfc9293, or seconds.",
            ),
            _option(
                "--max-connections",
                type=click.IntRange(0),
                default=30,
                show_default=True,
                metavar="N",
                help="Connections told in detail; the JSON always holds all.",
            ),
            _option("--checksums", is_flag=True, help="Verify TCP checksums, and tell damage from offload."),
            _option(
                "--max-size",
                callback=_bytes,
                metavar="BYTES",
                help="Let a compressed or piped capture grow to so many bytes, such as 4G.",
            ),
            _debug_option,
        )
    ):
        command = decorate(command)
    return command


@click.group(
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
    context.default_map = configured(Path("pyproject.toml"), _options_of(context.command))


def _options_of(command: click.Command) -> dict[str, dict[str, str]]:
    """Of each command what users call its options, and what click does."""
    commands = command.commands.items() if isinstance(command, click.Group) else ()
    return {
        name: {max(p.opts, key=len).lstrip("-"): p.name or "" for p in sub.params if isinstance(p, click.Option)}
        for name, sub in commands
    }


def _formats(_context: click.Context, _parameter: click.Parameter, value: str) -> frozenset[str]:
    chosen = frozenset(part.strip() for part in value.split(",") if part.strip())
    if not chosen or chosen - set(FORMATS):
        raise click.BadParameter(f"{value!r}: choose from {', '.join(FORMATS)}, separated by commas")
    return chosen


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_option("-o", "--output", default="pcapreport-out", show_default=True, type=click.Path(file_okay=False), metavar="DIR")
@_option(
    "--format",
    "formats",
    default="html,json",
    show_default=True,
    callback=_formats,
    metavar="LIST",
    help="html, json, md.",
)
@_analysis_options
@_option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default=True,
    metavar="N",
    help="Worker processes.",
)
@_option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="Give a capture up after so many seconds."
)
@_option(
    "--memory",
    default="1G",
    show_default=True,
    callback=_bytes,
    metavar="BYTES",
    help="Memory for one capture's analysis, such as 500M; what needs more goes through temporary files.",
)
@_option("--force", is_flag=True, help="Do again what an earlier run with the same options has done.")
@_option(
    "--templates",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Templates that replace the built-in ones.",
)
@_option(
    "--fail-on",
    type=click.Choice(LEVELS),
    default="never",
    show_default=True,
    help="Exit 1 for a finding at least this severe.",
)
@_option("-q", "--quiet", is_flag=True, help="No progress, only problems.")
@_option("-v", "--verbose", is_flag=True, help="A line for every capture.")
def report(paths: Sequence[str], output: str, formats: frozenset[str], fail_on: str, **options: Any) -> None:
    """Write a report for every capture under PATH (file, directory, or - for standard input), and an index."""
    from pcapreport.batch import session
    from pcapreport.batch.work import Order

    order = Order(
        out=Path(output),
        formats=formats,
        settings=_settings(options["time_wait"]),
        details=options["max_connections"],
        effective=_effective(formats, options),
        memory=options["memory"],
        reading=_reading(options["checksums"], options["max_size"]),
        timeout=options["timeout"],
        templates=Path(options["templates"]) if options["templates"] else None,
        debug=options["debug"],
    )
    request = session.Request(tuple(paths), order, options["jobs"], options["force"])
    live = not options["quiet"] and not options["verbose"] and sys.stderr.isatty()
    progress = Progress(partial(click.echo, err=True), options["quiet"], options["verbose"], live)
    entries = session.run(request, progress.tell, progress.plan)
    progress.finish()
    _say(str(Path(output) / "index.html"))
    sys.exit(session.exit_code(entries, fail_on))


def _effective(formats: frozenset[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options that shape a result, as the document tells them; nothing about this machine."""
    return {
        "format": ",".join(sorted(formats)),
        "time_wait": options["time_wait"],
        "max_connections": options["max_connections"],
        "checksums": options["checksums"],
        "max_size": options["max_size"],
    }


def _reading(checksums: bool, max_size: int | None) -> Any:
    from pcapreport.settings import DEFAULT_LIMITS, Limits, Reading

    return Reading(Limits.up_to(max_size) if max_size else DEFAULT_LIMITS, checksums)


def _settings(time_wait: str) -> Any:
    from pcapreport.settings import TIME_WAIT_PROFILES, Settings, time_wait_profile

    try:
        return Settings(time_wait=time_wait_profile(time_wait))
    except ValueError:
        names = ", ".join(TIME_WAIT_PROFILES)
        raise click.BadParameter(
            f"{time_wait!r}: give auto, a profile ({names}) or 0 to 3600 seconds", param_hint="--time-wait"
        ) from None


@cli.command()
@click.argument("capture", metavar="CAPTURE")
@_option(
    "--connection", type=click.IntRange(1), metavar="N", help="Draw this connection; default: the most notable one."
)
@_analysis_options
def show(capture: str, connection: int | None, debug: bool, **given: Any) -> None:
    """Print the summary of CAPTURE (or -), then the ladder of one connection."""
    from pcapreport import pipeline
    from pcapreport.batch.work import opened
    from pcapreport.report.build import DocumentOptions
    from pcapreport.report.ladder_text import ladder_text, summary_text

    only = None if connection is None else connection - 1
    options = DocumentOptions(given["max_connections"], only, effective={"time_wait": given["time_wait"]})
    name = "stdin" if capture == "-" else os.path.basename(capture)
    document = pipeline.analyze(
        opened(capture),
        name=name,
        settings=_settings(given["time_wait"]),
        options=options,
        reading=_reading(given["checksums"], given["max_size"]),
    )
    connections = document.connections
    if connection is not None and connection > len(connections):
        raise errors.UsageError(f"{name}: there is no connection {connection}; connections in it: {len(connections)}")
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
def rules(rule: str | None) -> None:
    """List the rules, or print one rule's manual page."""
    from pcapreport.report.manual import listing, page

    click.echo(page(rule) if rule else listing())


@cli.command()
@click.argument("document", type=click.Path(exists=True, dir_okay=False), metavar="FILE.json")
@_option("-o", "--output", type=click.Path(file_okay=False), metavar="DIR", help="Default: beside the file.")
@_option(
    "--format", "formats", default="html", show_default=True, callback=_formats, metavar="LIST", help="html, json, md."
)
@_option("--templates", type=click.Path(exists=True, file_okay=False), metavar="DIR")
@_debug_option
def render(document: str, output: str | None, formats: frozenset[str], templates: str | None, debug: bool) -> None:
    """Write the page(s) of a saved result document again."""
    from pcapreport.batch.work import render_formats
    from pcapreport.report import model

    path = Path(document)
    try:
        saved = model.decode(path.read_bytes())
    except ValueError as error:
        raise errors.BadDocument(
            f"{document}: is no result document ({error}); give a .json that `report` wrote"
        ) from error
    folder = Path(output) if output else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, pieces in render_formats(saved, [model.encode(saved)], formats, Path(templates) if templates else None):
        target = folder / f"{path.name.removesuffix('.json')}.{name}"
        target.write_bytes(b"".join(pieces))
        _say(str(target))


@cli.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False), metavar="REPORT")
@click.argument("capture", type=click.Path(exists=True, dir_okay=False), metavar="CAPTURE")
def verify(report: str, capture: str) -> None:
    """Say whether REPORT (.html, .json or .md) was made from the bytes of CAPTURE; exit 0 if so, else 1."""
    import hashlib

    with open(capture, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest in Path(report).read_text("utf-8", errors="replace"):
        _say(f"{report} was made from {capture} (SHA-256 {digest})")
        return
    _say(f"{report} was not made from {capture}, whose SHA-256 is {digest}")
    sys.exit(1)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the result document."""
    import json

    from pcapreport.report import model

    click.echo(json.dumps(model.schema(), indent=2, ensure_ascii=False))


def _say(text: str) -> None:
    """A line on standard output that may hold a file's name."""
    from pcapreport.report.wording import visible

    click.echo(visible(text))


def _fail(message: str, code: int) -> NoReturn:
    from pcapreport.report.wording import visible

    click.echo(f"pcapreport: {visible(message)}", err=True)
    sys.exit(code)


def _usage(error: click.ClickException) -> str:
    """Click's message as one line, and where to read more."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path if context else 'pcapreport'} --help"


def _told(error: Exception) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, click.ClickException):
        return _usage(error), error.exit_code
    if isinstance(error, errors.UnreadableCapture):
        return str(error), errors.EXIT_NOTHING_ANALYSED
    if isinstance(error, errors.PcapReportError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        place, reason = error.filename or "output", error.strerror or error
        return f"{place}: {reason}; check the path and its permissions", errors.EXIT_USAGE
    return (
        f"internal error ({type(error).__name__}: {error}); please report it, --debug shows where",
        errors.EXIT_NOTHING_ANALYSED,
    )


def main() -> None:
    """Entry point of the `pcapreport` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the ladder's lines on a terminal that has no such characters
    asked: set[str] = set()
    try:
        cli.main(standalone_mode=False, obj=asked)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _fail("interrupted; run the same command again to do the rest", errors.EXIT_INTERRUPTED)
    except Exception as error:
        if "debug" in asked:
            raise
        _fail(*_told(error))
