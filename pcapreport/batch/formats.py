"""The files of one capture: each format made once, and the bundle of them kept to its size."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pcapreport.errors import UsageError
from pcapreport.report.model import Document

SINGLE = ("json", "html", "md", "png", "pdf")
BUNDLED = ("html", "md", "png", "json")
"""What a bundle always holds."""
MOST_SUMMARY = 1 << 20
"""Bytes of a bundle's summary that are read: it has fewer."""


@dataclass
class Renderings:
    """The document in each format that is asked for."""

    document: Document
    json: Iterable[bytes]
    """The whole document, encoded, in pieces."""
    templates: Path | None = None
    _made: dict[str, bytes] = field(default_factory=dict)

    def of(self, formats: frozenset[str]) -> Iterator[tuple[str, Iterable[bytes]]]:
        """(format, its bytes in pieces) of each of them; of what cannot be made here, nothing."""
        if "zip" in formats:
            wanted = [name for name in (*BUNDLED, "pdf") if name != "pdf" or name in formats]
            yield "zip", [self._bundle(wanted)]
        for name in SINGLE:
            if name == "json" and name in formats and name not in self._made:
                yield name, self.json
            elif name in formats and (data := self.whole(name)):
                yield name, [data]

    def whole(self, name: str) -> bytes:
        """One format in one piece."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> bytes:
        if name == "json":
            return b"".join(self.json)
        if name == "html":
            return self.page()
        if name == "md":
            from pcapreport.report.summary import render_markdown

            return render_markdown(self.document).encode()
        if name == "png":
            from pcapreport.report.card import render_card

            return render_card(self.document)
        from pcapreport.report.pdf import render_pdf

        return render_pdf(self.document, self.templates)

    def page(self, most: int | None = None) -> bytes:
        """The page, of `most` bytes or else as large as the document's options allow."""
        from pcapreport.report.html import render_html

        return render_html(self.document, self.templates, most).encode()

    def _bundle(self, names: Iterable[str]) -> bytes:
        from pcapreport.language import speaking
        from pcapreport.report.bundle import fitted

        parts = {name: data for name in names if (data := self.whole(name))}
        with speaking(self.document.language, self.document.messages):
            return fitted(parts, self.document.options.get("max_size"), self.page)


def readable(report: Path) -> str:
    """What a report says, where that can be searched: not a picture, not a PDF, of a bundle the summary."""
    from pcapreport.report.bundle import NAMES

    if report.suffix in (".pdf", ".png"):
        raise UsageError(f"{report}: what it says cannot be searched; give the .html, .json, .md or .zip beside it")
    if not zipfile.is_zipfile(report):
        return report.read_text("utf-8", errors="replace")
    try:
        with zipfile.ZipFile(report) as archive, archive.open(NAMES["md"]) as summary:
            return summary.read(MOST_SUMMARY).decode("utf-8", errors="replace")
    except (KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise UsageError(f"{report}: is no bundle that `report --format zip` wrote ({error})") from error
