"""`pcapreport show`: one capture in a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from pcapreport import errors, options
from pcapreport.commands.lines import note_line
from pcapreport.language import phrase, speaking


@click.command(cls=options.SpokenCommand)
@click.argument("capture", metavar="CAPTURE")
@options.option(
    "--connection", type=click.IntRange(1), metavar="N", help="Draw this connection; default: the most notable one."
)
@options.analysis_options
@options.lang_option
def show(capture: str, connection: int | None, debug: bool, **given: Any) -> None:
    """Print the summary of CAPTURE (or -), then the ladder of one connection."""
    import shutil  # which takes its time

    from pcapreport import pipeline
    from pcapreport.batch.work import opened
    from pcapreport.report.build import DocumentOptions
    from pcapreport.report.ladder_text import ladder_text, summary_text

    only = None if connection is None else connection - 1
    pseudonyms = options.pseudonyms_of(given, note_line)
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
    from pcapreport.report.wording import SEVERITY_RANK

    return min(connections, key=lambda c: (SEVERITY_RANK[c.severity], c.id))
