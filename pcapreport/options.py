"""The options of the command line: how each is given, and what it means for an analysis."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from pcapreport.configuration import rule_changes
from pcapreport.errors import UsageError
from pcapreport.language import LANGUAGES, phrase, say, speaking, spoken_language

FORMATS = ("html", "json", "md", "png", "pdf", "zip")
PARQUET = "parquet"
"""A format of the index alone."""
PROFILES = ("full", "ticket", "lab")
SHEETS = ("student", "answers")
LEVELS = ("note", "warning", "error", "never")
PREFIX = "PCAPREPORT_"
LANGUAGE_ASKED = "lang:"
"""Before the language in the notes that a command leaves for whoever tells its errors."""
EVENTS_ASKED = "events"
"""The note that whoever tells errors is to tell them as events."""
CONFIGURATION = Path("pyproject.toml")

Command = TypeVar("Command", bound=Callable[..., Any])


def asked_language(notes: Iterable[str]) -> str:
    """The language that a command noted it was asked for, or that the environment asks for."""
    noted = [note.removeprefix(LANGUAGE_ASKED) for note in notes if note.startswith(LANGUAGE_ASKED)]
    wanted = [*noted, os.environ.get(f"{PREFIX}LANG", "")][0]
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


class SpokenCommand(click.Command):
    """Its help is told in the language that was asked for before it."""

    def format_help(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes what `--help` tells; what click itself says stays English."""
        with speaking(asked_language(context.find_object(set) or ())):
            told = copy.copy(self)
            told.help = _laid_out(self.help or "", formatter.width - 2)
            told.params = [_told(parameter, formatter.width) for parameter in self.params]
            super(SpokenCommand, told).format_help(context, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Its line in the list of commands."""
        if spoken_language() == "en":
            return super().get_short_help_str(limit)
        from pcapreport.report.wording import short

        return short(say(self.help or ""), limit)


class SpokenGroup(SpokenCommand, click.Group):
    """Commands whose help is told so."""

    command_class = SpokenCommand


def _told(parameter: click.Parameter, width: int) -> click.Parameter:
    """The parameter with its help in the language spoken; beside it are its names, in at most 32 columns."""
    told = copy.copy(parameter)
    if isinstance(told, click.Option) and told.help:
        told.help = _laid_out(told.help, width - 34)
    return told


def _laid_out(text: str, room: int) -> str:
    """A help text in the language spoken, in lines where click, which counts characters, would make them too long."""
    from pcapreport.report.columns import columns, wrapped

    told = say(text)
    return told if columns(told) == len(told) else "\n".join(("\b", *wrapped(told, room)))


def option(*names: str, **kwargs: Any) -> Callable[[Command], Command]:
    """An option that PCAPREPORT_NAME in the environment sets as well."""
    long = next(name for name in names if name.startswith("--")).lstrip("-")
    return click.option(*names, envvar=PREFIX + long.replace("-", "_").upper(), show_envvar=False, **kwargs)


def _note_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(set).add("debug")
    return value


debug_option = option("--debug", is_flag=True, callback=_note_debug, help="Show a traceback for errors.")


def _speak(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value:
        context.ensure_object(set).add(f"{LANGUAGE_ASKED}{value}")
        context.with_resource(speaking(value))
    return value


def language_option(**kwargs: Any) -> Callable[[Command], Command]:
    """`--lang`, which holds from where it stands on."""
    return option("--lang", type=click.Choice(LANGUAGES), is_eager=True, callback=_speak, **kwargs)


lang_option = language_option(
    default=LANGUAGES[0],
    show_default=True,
    help="Language of pages, texts and messages; data, ids and file names stay as they are.",
)


def place(output: str) -> Any:
    """Where reports go: a directory, or an address."""
    from pcapreport.batch.urls import Url, is_url

    return Url(output) if is_url(output) else Path(output)


@contextmanager
def workers_of(executor: str) -> Iterator[Any]:
    """What gives a session its workers."""
    if executor == "local":
        from pcapreport.batch.runner import local

        yield local
        return
    from pcapreport.batch.dask_executor import cluster

    with cluster(executor) as workers:
        yield workers


def _note_events(context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value == "json":
        context.ensure_object(set).add(EVENTS_ASKED)
    return value


log_option = option(
    "--log-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    is_eager=True,
    callback=_note_events,
    help="What goes to standard error: lines for people, or one JSON object for each event.",
)


def number_of_bytes(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """10M and 10MiB are multiples of 1,024 twice over, 10MB is 10,000,000: the safe side of a limit meant otherwise."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)(i?B?)", value.strip(), re.IGNORECASE)
    if not found or not int(found[1]) or found[3].lower() == "i" or (found[3].lower() == "ib" and not found[2]):
        raise click.BadParameter(phrase("{value}: give bytes such as 500M, 2G or 10MB", value=repr(value)))
    base = 1000 if found[3].lower() == "b" else 1024
    power: int = base ** " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * power


def bytes_option(name: str, **kwargs: Any) -> Callable[[Command], Command]:
    """An option that takes a number of bytes."""
    return option(name, callback=number_of_bytes, metavar="BYTES", **kwargs)


_ANONYMIZE = (
    option(
        "--anonymize",
        is_flag=True,
        help="Replace addresses (prefixes are preserved), names, comments and paths by pseudonyms.",
    ),
    option("--anonymize-ports", is_flag=True, help="Replace ports too, each within its class; implies --anonymize."),
    option(
        "--key-file",
        type=click.Path(dir_okay=False),
        metavar="F",
        help="Key of the pseudonyms, made if F is not there; the same key gives the same ones. Default: a random key "
        "for this run, so that two runs differ.",
    ),
)


def analysis_options(command: Command) -> Command:
    """Options of every command that reads captures."""
    for decorate in reversed(
        (
            option(
                "--time-wait",
                default="auto",
                show_default=True,
                metavar="auto|PROFILE|SECONDS",
                help="How long TIME-WAIT lasts: linux, windows, bsd, macos, rfc9293, or seconds.",
            ),
            option(
                "--max-connections",
                type=click.IntRange(0),
                metavar="N",
                help="Connections told in detail; default: some of each kind, 30 at most. The JSON always holds all.",
            ),
            option(
                "--set",
                "thresholds",
                multiple=True,
                metavar="NAME=VALUE",
                help="Change a threshold, such as jitter=80ms; `rules --thresholds` lists them.",
            ),
            *_ANONYMIZE,
            option("--checksums", is_flag=True, help="Verify TCP checksums, and tell damage from offload."),
            bytes_option(
                "--max-input",
                help="Let a compressed or piped capture grow to so many bytes, such as 4G.",
            ),
            debug_option,
        )
    ):
        command = decorate(command)
    return command


def formats(_context: click.Context, _parameter: click.Parameter, value: str) -> frozenset[str]:
    """Of one capture's report."""
    return _chosen(value, FORMATS)


def batch_formats(_context: click.Context, _parameter: click.Parameter, value: str) -> frozenset[str]:
    """Of reports and of the index over them."""
    chosen = _chosen(value, (*FORMATS, PARQUET))
    if PARQUET in chosen:
        from pcapreport.batch import parquet

        parquet.require()
    return chosen


def _chosen(value: str, known: Sequence[str]) -> frozenset[str]:
    chosen = frozenset(part.strip() for part in value.split(",") if part.strip())
    if not chosen or chosen - set(known):
        choice = ", ".join(known)
        message = phrase("{value}: choose from {choice}, separated by commas", value=repr(value), choice=choice)
        raise click.BadParameter(message)
    if "pdf" in chosen:
        from pcapreport.report import pdf

        pdf.require()
    return chosen


def effective(options: dict[str, Any]) -> dict[str, Any]:
    """The options that shape a result, as the document tells them; nothing about this machine.

    In which formats it is written is not among them: the document of a capture is the same in any company.
    """
    return {
        "time_wait": options["time_wait"],
        "max_connections": options["max_connections"],
        "checksums": options["checksums"],
        "max_input": options["max_input"],
        "max_size": options["max_size"],
        "profile": options["profile"],
        "lang": options["lang"],
        **{name: options[name] for name in ("sheet", "connection") if options[name]},
        **changes(options["thresholds"]),
    }


def changes(given: Sequence[str]) -> dict[str, Any]:
    """What is not as usual: thresholds, rules."""
    from pcapreport.settings import Settings
    from pcapreport.thresholds import changed

    told = {"set": changed(Settings(), given)[1], "rules": {rule: change.severity for rule, change in _rule_changes()}}
    return {name: value for name, value in told.items() if value}


def _rule_changes() -> Any:
    return rule_changes(CONFIGURATION, _rules)


def _rules() -> Iterable[str]:
    from pcapreport.findings.rules import RULES  # with all that finds, which takes its time

    return RULES


def baseline(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The directory that an index.json stands for."""
    return os.path.dirname(value) or "." if value and os.path.basename(value) == "index.json" else value


def meta(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE, each key once."""
    pairs = dict(value.partition("=")[::2] for value in values)
    bad = next((value for value in values if not re.match(r"[^=]+=", value)), None)
    if bad is not None:
        raise click.BadParameter(phrase("{value}: give KEY=VALUE, such as case=4711", value=repr(bad)))
    return pairs


def pseudonyms_of(given: dict[str, Any], note: Callable[[str], None]) -> Any:
    """What replaces names, None if nothing does; a key that was made for it is told of."""
    if not (given["anonymize"] or given["anonymize_ports"]):
        _check_no_key_given()
        return None
    from pcapreport.key_file import key_in
    from pcapreport.pseudonyms import Pseudonyms, available

    if not available():
        raise UsageError(phrase("--anonymize needs the library yacryptopan: pip install 'pcapreport[anon]'"))
    if not given["key_file"]:
        return Pseudonyms.of_this_run(given["anonymize_ports"])
    file = given["key_file"]
    key, made = key_in(Path(file))
    if made:
        note(phrase("{file}: a new key was made; whoever has it can tell originals, so keep it", file=file))
    return Pseudonyms(key, given["anonymize_ports"])


def _check_no_key_given() -> None:
    """Where the configuration names a key it is there for when it is needed; a user who names one wants it used."""
    context = click.get_current_context()
    if context.get_parameter_source("key_file") is click.core.ParameterSource.COMMANDLINE:
        raise UsageError(phrase("--key-file is for --anonymize; give that too"))


def anonymized(pseudonyms: Any) -> dict[str, Any]:
    """As the document tells it; nothing where nothing is replaced."""
    if pseudonyms is None:
        return {}
    return {"anonymize": True, "anonymize_ports": pseudonyms.with_ports, "key_id": pseudonyms.key_id}


def reading_of(checksums: bool, max_input: int | None, pseudonyms: Any = None, frames: bool = False) -> Any:
    from pcapreport.settings import DEFAULT_LIMITS, Limits, Reading

    return Reading(Limits.up_to(max_input) if max_input else DEFAULT_LIMITS, checksums, frames, pseudonyms)


def settings_of(time_wait: str, thresholds: Sequence[str]) -> Any:
    from pcapreport.settings import TIME_WAIT_PROFILES, Settings, time_wait_profile
    from pcapreport.thresholds import changed

    try:
        return changed(Settings(time_wait=time_wait_profile(time_wait), rules=_rule_changes()), thresholds)[0]
    except ValueError:
        message = phrase(
            "{value}: give auto, a profile ({profiles}) or 0 to 3600 seconds",
            value=repr(time_wait),
            profiles=", ".join(TIME_WAIT_PROFILES),
        )
        raise click.BadParameter(message, param_hint="--time-wait") from None
