"""Commands about reports that were written: `render` and `verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pcapreport import errors, options
from pcapreport.commands.lines import say_line
from pcapreport.language import phrase


@click.command(cls=options.SpokenCommand)
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
        say_line(str(target))


@click.command(cls=options.SpokenCommand)
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
    say_line(phrase(str(form), report=report, capture=capture, digest=digest))
    if not made:
        sys.exit(1)
