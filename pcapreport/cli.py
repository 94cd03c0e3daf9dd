"""The command line: the only module that prints, reads the clock or ends the process."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from pcapreport import errors
from pcapreport.version import __version__

FORMATS = ("html", "json", "md")
LEVELS = ("note", "warning", "error", "never")
PREFIX = "PCAPREPORT_"

Command = TypeVar("Command", bound=Callable[..., Any])


def _option(*names: str, **kwargs: Any) -> Callable[[Command], Command]:
    """An option that PCAPREPORT_NAME in the environment sets as well."""
    long = next(name for name in names if name.startswith("--")).lstrip("-")
    return click.option(*names, envvar=PREFIX + long.replace("-", "_").upper(), show_envvar=False, **kwargs)


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
            _option("--debug", is_flag=True, help="Show a traceback for errors."),
        )
    ):
        command = decorate(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pcapreport")
@click.pass_context
def cli(context: click.Context) -> None:
    """Reports on the TCP connections in packet captures: each side's states, what went wrong, and the evidence."""
    context.default_map = _configured(context.command)


def _configured(command: click.Command) -> dict[str, dict[str, Any]]:
    """Defaults from [tool.pcapreport] of ./pyproject.toml, for every command that has such an option."""
    path = Path("pyproject.toml")
    if not path.is_file():
        return {}
    try:
        given = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("pcapreport", {})
    except (OSError, ValueError) as error:
        raise errors.UsageError(f"pyproject.toml: {error}; correct it") from error
    wanted = {key.replace("-", "_"): value for key, value in given.items()}
    commands = command.commands.items() if isinstance(command, click.Group) else ()
    known = {name: {p.name for p in sub.params if isinstance(p, click.Option) and p.name} for name, sub in commands}
    unknown = set(wanted) - set().union(*known.values())
    if unknown:
        valid = ", ".join(sorted(key.replace("_", "-") for key in set().union(*known.values())))
        raise errors.UsageError(
            f"pyproject.toml: [tool.pcapreport] has no {', '.join(sorted(unknown))}; valid: {valid}"
        )
    return {name: {key: value for key, value in wanted.items() if key in names} for name, names in known.items()}


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

    request = session.Request(
        paths=tuple(paths),
        out=Path(output),
        formats=formats,
        settings=_settings(options["time_wait"]),
        details=options["max_connections"],
        effective=_effective(formats, options),
        timeout=options["timeout"],
        templates=Path(options["templates"]) if options["templates"] else None,
        jobs=options["jobs"],
        force=options["force"],
        debug=options["debug"],
    )
    progress = _Progress(options["quiet"], options["verbose"])
    entries = session.run(request, progress.tell, progress.plan)
    progress.finish()
    click.echo(str(Path(output) / "index.html"))
    sys.exit(session.exit_code(entries, fail_on))


def _effective(formats: frozenset[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options that shape a result, as the document tells them; nothing about this machine."""
    return {
        "format": ",".join(sorted(formats)),
        "time_wait": options["time_wait"],
        "max_connections": options["max_connections"],
    }


def _settings(time_wait: str) -> Any:
    from pcapreport.settings import TIME_WAIT_PROFILES, Settings, time_wait_profile

    try:
        return Settings(time_wait=time_wait_profile(time_wait))
    except ValueError:
        names = ", ".join(TIME_WAIT_PROFILES)
        raise click.BadParameter(
            f"{time_wait!r}: give auto, a profile ({names}) or 0 to 3600 seconds", param_hint="--time-wait"
        ) from None


class _Progress:
    """Progress and messages on standard error."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.total = self.count = 0
        self.live = not quiet and not verbose and sys.stderr.isatty()

    def plan(self, total: int, skipped: int) -> None:
        """Called once, before the first capture."""
        self.total = total
        if skipped and self.verbose:
            click.echo(f"{skipped} other files are no captures", err=True)

    def tell(self, entry: Any) -> None:
        """Called for each capture when it is done."""
        from pcapreport.report.wording import visible

        self.count += 1
        if entry.status != "ok":
            self._clear()
            click.echo(visible(entry.message or f"{entry.file}: {entry.status}"), err=True)
        elif self.verbose:
            click.echo(visible(f"{entry.file}: {entry.verdict}"), err=True)
        if self.live:
            click.echo(f"\r\033[K[{self.count}/{self.total}] {visible(entry.file)[:60]}", err=True, nl=False)

    def _clear(self) -> None:
        if self.live:
            click.echo("\r\033[K", err=True, nl=False)

    def finish(self) -> None:
        """Called once, after the last."""
        self._clear()
        if not self.quiet:
            click.echo(f"{self.count} of {self.total} captures done", err=True)


@cli.command()
@click.argument("capture", metavar="CAPTURE")
@click.option(
    "--connection", type=click.IntRange(1), metavar="N", help="Draw this connection; default: the most notable one."
)
@_analysis_options
def show(capture: str, connection: int | None, time_wait: str, max_connections: int, debug: bool) -> None:
    """Print the summary of CAPTURE (or -), then the ladder of one connection."""
    from pcapreport import pipeline
    from pcapreport.report.build import DocumentOptions
    from pcapreport.report.ladder_text import ladder_text, summary_text

    only = None if connection is None else connection - 1
    options = DocumentOptions(details=max_connections, only=only, effective={"time_wait": time_wait})
    source: Any = sys.stdin.buffer if capture == "-" else capture
    name = "stdin" if capture == "-" else os.path.basename(capture)
    document = pipeline.analyze(source, name=name, settings=_settings(time_wait), options=options)
    click.echo(summary_text(document))
    if not document.connections:
        return
    if connection is not None and connection > len(document.connections):
        raise errors.UsageError(
            f"{name}: has {len(document.connections)} connections; there is no connection {connection}"
        )
    detailed = [c for c in document.connections if c.detail is not None]
    chosen = document.connections[connection - 1] if connection else _most_notable(detailed or document.connections)
    width = max(80, min(shutil.get_terminal_size((100, 24)).columns, 140))
    click.echo("")
    click.echo(ladder_text(chosen, width))


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
@_option("--debug", is_flag=True, help="Show a traceback for errors.")
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
    for name, data in render_formats(saved, formats, Path(templates) if templates else None):
        target = folder / f"{path.name.removesuffix('.json')}.{name}"
        target.write_bytes(data)
        click.echo(str(target))


@cli.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False), metavar="REPORT")
@click.argument("capture", type=click.Path(exists=True, dir_okay=False), metavar="CAPTURE")
def verify(report: str, capture: str) -> None:
    """Say whether REPORT (.html, .json or .md) was made from the bytes of CAPTURE; exit 0 if so, else 1."""
    import hashlib

    with open(capture, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest in Path(report).read_text("utf-8", errors="replace"):
        click.echo(f"{report} was made from {capture} (SHA-256 {digest})")
        return
    click.echo(f"{report} was not made from {capture}, whose SHA-256 is {digest}")
    sys.exit(1)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the result document."""
    import json

    from pcapreport.report import model

    click.echo(json.dumps(model.schema(), indent=2, ensure_ascii=False))


def _fail(message: str, code: int) -> NoReturn:
    from pcapreport.report.wording import visible

    click.echo(f"pcapreport: {visible(message)}", err=True)
    sys.exit(code)


def _guarded(run: Callable[[], None]) -> Callable[[], None]:
    @functools.wraps(run)
    def guarded() -> None:
        debug = "--debug" in sys.argv
        try:
            run()
        except errors.PcapReportError as error:
            if debug:
                raise
            _fail(
                str(error),
                errors.EXIT_NOTHING_ANALYSED if isinstance(error, errors.UnreadableCapture) else error.exit_code,
            )
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except KeyboardInterrupt:
            _fail("interrupted; run the same command again to do the rest", errors.EXIT_INTERRUPTED)
        except OSError as error:
            if debug:
                raise
            _fail(
                f"{error.filename or 'output'}: {error.strerror or error}; check the path and its permissions",
                errors.EXIT_USAGE,
            )

    return guarded


@_guarded
def main() -> None:
    """Entry point of the `pcapreport` command."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
