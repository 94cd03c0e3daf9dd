"""Commands that need no capture: what rules mean, the built-in templates, the schema of the document."""

from __future__ import annotations

from pathlib import Path

import click

from pcapreport import errors, options
from pcapreport.commands.lines import say_line
from pcapreport.language import phrase


@click.command(cls=options.SpokenCommand)
@click.argument("rule", required=False, metavar="[ID]")
@options.option("--thresholds", is_flag=True, help="List the thresholds that --set changes.")
@options.lang_option
def rules(rule: str | None, thresholds: bool, lang: str) -> None:
    """List the rules, or print one rule's manual page."""
    from pcapreport import thresholds as all_thresholds
    from pcapreport.report.manual import listing, page

    click.echo(all_thresholds.listing() if thresholds else page(rule) if rule else listing())


@click.command(cls=options.SpokenCommand)
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
        say_line(str(folder / item.name))


@click.command(cls=options.SpokenCommand)
def schema() -> None:
    """Print the JSON Schema of the result document."""
    import json

    from pcapreport.report import model

    click.echo(json.dumps(model.schema(), indent=2, ensure_ascii=False))
