"""`pcapreport report`: a report for every capture, and an index over them."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcapreport import options
from pcapreport.commands.lines import say_line
from pcapreport.language import phrase

if TYPE_CHECKING:
    from pcapreport.batch.work import Order
    from pcapreport.progress import Progress


@click.command(cls=options.SpokenCommand)
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
@options.bytes_option(
    "--max-memory",
    help="Give a capture up that needs more, such as 4G (on Linux); default: four fifths of what the machine has.",
)
@options.bytes_option(
    "--memory",
    default="1G",
    show_default=True,
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
@options.bytes_option(
    "--max-size",
    default="5M",
    show_default=True,
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
def report(paths: Sequence[str], formats: frozenset[str], fail_on: str, **given: Any) -> None:
    """Write a report for every capture under PATH (file, directory, or - for standard input), and an index."""
    from pcapreport.batch import session
    from pcapreport.batch.output import output_at

    log = _log(given)
    pseudonyms = options.pseudonyms_of(given, log.note)
    order = _order(formats - {options.PARQUET}, pseudonyms, given)
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
    say_line(index)
    sys.exit(code)


def _order(formats: frozenset[str], pseudonyms: Any, given: dict[str, Any]) -> Order:
    """What is to be done with each capture."""
    from pcapreport.batch.work import Order

    lab = given["profile"] == "lab"
    return Order(
        out=options.place(given["output"]),
        formats=formats,
        settings=options.settings_of(given["time_wait"], given["thresholds"]),
        details=given["max_connections"],
        effective={**options.effective(given), **options.anonymized(pseudonyms)},
        memory=given["memory"],
        reading=options.reading_of(given["checksums"], given["max_input"], pseudonyms, frames=lab),
        lab=lab,
        lesson=given["connection"],
        timeout=given["timeout"],
        templates=Path(given["templates"]) if given["templates"] else None,
        baseline=Path(given["baseline"]) if given["baseline"] else None,
        debug=given["debug"],
        language=given["lang"],
        meta=given["meta"],
        most_memory=given["max_memory"],
        silent=given["log_format"] == "json" and not given["debug"],
    )


def _log(given: dict[str, Any]) -> Progress:
    """Who tells the user on standard error what happens."""
    from pcapreport.progress import Events, Progress

    echo = partial(click.echo, err=True)
    if given["log_format"] == "json":
        warnings.simplefilter("ignore")  # of libraries: nothing else is to be there
        return Events(echo, time.monotonic)
    live = not given["quiet"] and not given["verbose"] and sys.stderr.isatty()
    return Progress(echo, given["quiet"], given["verbose"], live, time.monotonic)
