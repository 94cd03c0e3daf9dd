"""The page as PDF: printed by its own rules for print, the same bytes each time, without a request of any kind.

The only module that imports weasyprint, and only when a PDF is made. To lay a page out takes it about 3 s and 50 MB for
each 100 kB of HTML, which is why of a large page a shorter one is printed.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pcapreport.errors import UsageError
from pcapreport.report.html import MOST_BYTES, render_html
from pcapreport.report.model import Document

MOST_PRINTED = 500_000
"""Bytes of a page that is printed as it is: some 50 sheets in some 15 s. Nobody reads more on paper."""


def require() -> None:
    """Raises UsageError, in one line, where no PDF can be made here."""
    if importlib.util.find_spec("weasyprint") is None:
        raise UsageError("--format pdf needs WeasyPrint; pip install 'pcapreport[pdf]'")
    try:
        importlib.import_module("weasyprint")
    except OSError as error:  # it is there, and cannot load Pango
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"--format pdf: WeasyPrint cannot start ({reason}); install Pango, then try again") from error


def render_pdf(document: Document, templates: Path | None = None) -> bytes:
    """The page of `render_html`, printed; a shorter one where that is too large, or where the PDF would be larger than
    the document's option max_size."""
    most = document.options.get("max_size") or MOST_BYTES
    page = render_html(document, templates, min(most, MOST_PRINTED))
    with _without_search_for_cycles():
        made = _printed(page)
        while len(made) > most and len(shorter := render_html(document, templates, len(page) // 2)) < len(page):
            page = shorter
            made = _printed(page)
    return made


def _printed(page: str) -> bytes:
    import weasyprint
    from weasyprint.urls import URLFetcher

    class Nothing(URLFetcher):  # type: ignore[misc]  # weasyprint tells no types
        """Whatever it is asked for, it refuses: the page holds all that it shows."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            raise ValueError(f"{url} is not to be fetched")

    identifier = hashlib.sha256(page.encode()).digest()[:16]
    html = weasyprint.HTML(string=page, base_url="about:blank", url_fetcher=Nothing())
    made: bytes = html.write_pdf(pdf_identifier=identifier, pdf_tags=True)
    return made


@contextmanager
def _without_search_for_cycles() -> Iterator[None]:
    """It would take a quarter of the time, and find little before the end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
