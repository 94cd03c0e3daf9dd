"""The options of the command line: how each is given, and what it means for an analysis."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from pcapreport.configuration import rule_changes
from pcapreport.language import LANGUAGES, speaking

FORMATS = ("html", "json", "md", "png", "pdf", "zip")
PROFILES = ("full", "ticket")
LEVELS = ("note", "warning", "error", "never")
PREFIX = "PCAPREPORT_"
LANGUAGE_ASKED = "lang:"
"""Before the language in the notes that a command leaves for whoever tells its errors."""
CONFIGURATION = Path("pyproject.toml")

Command = TypeVar("Command", bound=Callable[..., Any])


def option(*names: str, **kwargs: Any) -> Callable[[Command], Command]:
    """An option that PCAPREPORT_NAME in the environment sets as well."""
    long = next(name for name in names if name.startswith("--")).lstrip("-")
    return click.option(*names, envvar=PREFIX + long.replace("-", "_").upper(), show_envvar=False, **kwargs)


def _note_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(set).add("debug")
    return value


debug_option = option("--debug", is_flag=True, callback=_note_debug, help="Show a traceback for errors.")


def _speak(context: click.Context, _parameter: click.Parameter, value: str) -> str:
    context.ensure_object(set).add(f"{LANGUAGE_ASKED}{value}")
    context.with_resource(speaking(value))
    return value


lang_option = option(
    "--lang",
    type=click.Choice(LANGUAGES),
    default=LANGUAGES[0],
    show_default=True,
    is_eager=True,
    callback=_speak,
    help="Language of pages, texts and messages; data, ids and file names stay as they are.",
)


def number_of_bytes(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """10M and 10MiB are multiples of 1,024 twice over, 10MB is 10,000,000: the safe side of a limit meant otherwise."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)(i?B?)", value.strip(), re.IGNORECASE)
    if not found or not int(found[1]) or found[3].lower() == "i" or (found[3].lower() == "ib" and not found[2]):
        raise click.BadParameter(f"{value!r}: give bytes such as 500M, 2G or 10MB")
    base = 1000 if found[3].lower() == "b" else 1024
    power: int = base ** " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * power


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
                default=30,
                show_default=True,
                metavar="N",
                help="Connections told in detail; the JSON always holds all.",
            ),
            option(
                "--set",
                "thresholds",
                multiple=True,
                metavar="NAME=VALUE",
                help="Change a threshold, such as jitter=80ms; `rules --thresholds` lists them.",
            ),
            option("--checksums", is_flag=True, help="Verify TCP checksums, and tell damage from offload."),
            option(
                "--max-input",
                callback=number_of_bytes,
                metavar="BYTES",
                help="Let a compressed or piped capture grow to so many bytes, such as 4G.",
            ),
            debug_option,
        )
    ):
        command = decorate(command)
    return command


def formats(_context: click.Context, _parameter: click.Parameter, value: str) -> frozenset[str]:
    chosen = frozenset(part.strip() for part in value.split(",") if part.strip())
    if not chosen or chosen - set(FORMATS):
        raise click.BadParameter(f"{value!r}: choose from {', '.join(FORMATS)}, separated by commas")
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
        **changes(options["thresholds"]),
    }


def changes(given: Sequence[str]) -> dict[str, Any]:
    """What is not as usual: thresholds, rules."""
    from pcapreport.settings import Settings
    from pcapreport.thresholds import changed

    told = {"set": changed(Settings(), given)[1], "rules": {rule: change.severity for rule, change in _rule_changes()}}
    return {name: value for name, value in told.items() if value}


def _rule_changes() -> Any:
    from pcapreport.findings.rules import RULES

    return rule_changes(CONFIGURATION, RULES)


def baseline(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The directory that an index.json stands for."""
    return os.path.dirname(value) or "." if value and os.path.basename(value) == "index.json" else value


def meta(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE, each key once."""
    pairs = dict(value.partition("=")[::2] for value in values)
    bad = next((value for value in values if not re.match(r"[^=]+=", value)), None)
    if bad is not None:
        raise click.BadParameter(f"{bad!r}: give KEY=VALUE, such as case=4711")
    return pairs


def reading_of(checksums: bool, max_input: int | None) -> Any:
    from pcapreport.settings import DEFAULT_LIMITS, Limits, Reading

    return Reading(Limits.up_to(max_input) if max_input else DEFAULT_LIMITS, checksums)


def settings_of(time_wait: str, thresholds: Sequence[str]) -> Any:
    from pcapreport.settings import TIME_WAIT_PROFILES, Settings, time_wait_profile
    from pcapreport.thresholds import changed

    try:
        return changed(Settings(time_wait=time_wait_profile(time_wait), rules=_rule_changes()), thresholds)[0]
    except ValueError:
        names = ", ".join(TIME_WAIT_PROFILES)
        raise click.BadParameter(
            f"{time_wait!r}: give auto, a profile ({names}) or 0 to 3600 seconds", param_hint="--time-wait"
        ) from None
