"""Lines that a command prints."""

from __future__ import annotations

import click


def say_line(text: str) -> None:
    """A line on standard output that may hold a file's name."""
    from pcapreport.report.wording import visible

    click.echo(visible(text))


def note_line(text: str) -> None:
    """A line on standard error that may hold a file's name."""
    from pcapreport.report.wording import visible

    click.echo(visible(text), err=True)
