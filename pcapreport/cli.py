"""The command line: it gathers the commands, and tells in one line why one could not be carried out."""

from __future__ import annotations

import io
import sys
import time
from functools import partial
from typing import NoReturn

import click

from pcapreport import errors, options
from pcapreport.commands import reference, report, saved, show
from pcapreport.configuration import configured
from pcapreport.language import Text, phrase, speaking
from pcapreport.version import __version__


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


for _command in (
    report.report,
    show.show,
    reference.rules,
    saved.render,
    saved.verify,
    reference.templates,
    reference.schema,
):
    cli.add_command(_command)


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
