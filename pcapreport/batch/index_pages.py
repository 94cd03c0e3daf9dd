"""The pages of the index: one, or several where there are very many captures, of which the first finds them all.

A row is rendered once. Its markup stands on the page that it belongs to; where there are several pages, the first also
holds all rows compressed, so that its script can find, sort and show any capture without asking for another file.
"""

from __future__ import annotations

import base64
import pathlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from markupsafe import Markup

from pcapreport.batch.class_index import render_class
from pcapreport.batch.index import READ, IndexEntry, summary_sentence, worst_first
from pcapreport.batch.index_overview import Overview, overview
from pcapreport.language import (
    LANGUAGES,
    first_sentence,
    further_sentences,
    phrase,
    remembered,
    say,
    speaking,
)
from pcapreport.message import Message
from pcapreport.report.html import render_template, template_of
from pcapreport.report.wording import visible

PAGE_ROWS = 500
"""Captures on a page, where they are more than four times as many: then the first page opens at once."""
SCRIPTS = ("script.js", "index.js")
FOUND_BY = 8
"""Busiest hosts of a capture by whose addresses it is found."""
FAILURE_WORDS = {
    "unreadable": phrase("unreadable"),
    "timeout": phrase("time limit"),
    "crashed": phrase("crashed"),
}
STATUS_WORDS = {"ok": phrase("read whole"), "damaged": phrase("damaged"), **FAILURE_WORDS}
LEVELS = ("error", "warning", "note", "")
SIDES = ("client", "server", "network", "capture", "undecidable", "none")


class Look(NamedTuple):
    """How the pages are to be."""

    templates: pathlib.Path | None = None
    """A directory of templates that replace the packaged ones."""
    language: str = LANGUAGES[0]
    lab: bool = False
    """Those of a class."""
    key_id: str = ""
    """Of the key by which names are replaced, if they are."""
    parquet: bool = False
    """With tables for programs beside them."""
    rows: int = PAGE_ROWS
    """Captures on one page, if they are more than four times as many."""


class PageLink(NamedTuple):
    """A page of the index."""

    number: int
    name: str
    first: int
    last: int
    """The captures on it, by their places."""


def page_name(number: int) -> str:
    """File name of a page, without ".html"."""
    return "index" if number == 1 else f"index-{number}"


def render_index(
    entries: Iterable[IndexEntry],
    templates: pathlib.Path | None = None,
    language: str = LANGUAGES[0],
    lab: bool = False,
    key_id: str = "",
) -> str:
    """The first page."""
    return list(index_pages(worst_first(entries), Look(templates, language, lab, key_id)))[-1][1]


def index_pages(ordered: Sequence[IndexEntry], look: Look) -> Iterator[tuple[str, str]]:
    """(file name, page) of each; the first page comes last, when all that it leads to is there."""
    if look.lab:
        messages = {english: message for entry in ordered for english, message in entry.messages.items()}
        with speaking(look.language, messages):
            yield f"{page_name(1)}.html", render_class(ordered, look.templates, look.key_id)
        return
    links = _links(len(ordered), look.rows)
    data = _Data(len(links) > 1, look.language)
    first: list[Markup] = []
    for link in links:
        rows = list(_rows(ordered[link.first - 1 : link.last], link.first, look))
        data.add(ordered[link.first - 1 : link.last], rows)
        if link.number == 1:
            first = rows
        else:
            yield f"{link.name}.html", _page("index_more.html.jinja", ordered, rows, link, links, look)
    told = overview(ordered)
    messages = {english: message for entry in told.failures for english, message in entry.messages.items()}
    values = {
        "summary": summary_sentence(ordered),
        "told": told,
        "facets": _facets(ordered, told),
        "data": data.block(),
        "packed": data.packed,
    }
    page = _page("index.html.jinja", ordered, first, links[0], links, look, messages, **values)
    yield f"{page_name(1)}.html", page


def _page(
    template: str,
    ordered: Sequence[IndexEntry],
    rows: Sequence[Markup],
    here: PageLink,
    links: Sequence[PageLink],
    look: Look,
    messages: Mapping[str, Message] | None = None,
    **values: Any,
) -> str:
    with speaking(look.language, messages):
        return render_template(
            template,
            look.templates,
            scripts=SCRIPTS if here.number == 1 else SCRIPTS[:1],
            rows=Markup("\n").join(rows),
            here=here,
            pages=links,
            captures=len(ordered),
            key_id=look.key_id,
            failure_words=FAILURE_WORDS,
            reason_of=reason_of,
            **values,
        )


def reason_of(entry: IndexEntry) -> str:
    """Why a capture is not "ok", said beside its name, which is not told again."""
    told = say(entry.message)
    return told.removeprefix(entry.file).lstrip(":： ") if told.startswith(entry.file) else told


def _links(captures: int, rows: int) -> list[PageLink]:
    count = -(-captures // rows) if captures > 4 * rows else 1
    rows = rows if count > 1 else captures
    return [
        PageLink(number, page_name(number), (number - 1) * rows + 1, min(number * rows, captures))
        for number in range(1, count + 1)
    ]


def _rows(entries: Iterable[IndexEntry], first: int, look: Look) -> Iterator[Markup]:
    """The rows of a table, whose first one has this place among all captures."""
    template = template_of("_index_row.html.jinja", look.templates)
    for place, entry in enumerate(entries, first):
        with speaking(look.language, entry.messages):
            verdict = remembered(entry.verdict, entry.messages)
            values = {
                "verdict": first_sentence(verdict),
                "rest": further_sentences(verdict),
                "read": entry.status in READ,
                "why": reason_of(entry),
                "failure_words": FAILURE_WORDS,
            }
            yield Markup(template(e=entry, place=place, **values))


class Facet(NamedTuple):
    """A choice of a filter."""

    value: str
    words: str
    captures: int


def _facets(ordered: Sequence[IndexEntry], told: Overview) -> dict[str, list[Facet]]:
    """What can be filtered by, as far as it was met."""
    read = [entry for entry in ordered if entry.status in READ]
    levels = Counter[str](entry.severity or "none" for entry in read)
    statuses = Counter[str](entry.status for entry in ordered)
    sides = Counter[str](entry.side for entry in read)
    return {
        "severity": [Facet(name, name, levels[name]) for name in ("error", "warning", "note", "none") if levels[name]],
        "status": [Facet(name, words, statuses[name]) for name, words in STATUS_WORDS.items() if statuses[name]],
        "side": [Facet(name, name, sides[name]) for name in SIDES if sides[name]],
        "rule": [Facet(one.id, one.title, one.captures) for one in told.heat.rules],
    }


class _Data:
    """What the script is given: by what rows are sorted, filtered and found, and all rows where they do not stand on
    the page."""

    SORTED = (
        "connections", "opened", "refused", "reset", "orderly", "packets", "retransmitted_share", "round_trip_s",
        "time_wait_peak", "duration_s", "size_bytes",
    )  # fmt: skip
    """Numbers, as the columns stand from the fourth on."""

    def __init__(self, packed: bool, language: str) -> None:
        self.packed = packed
        self._language = language
        self._deflate = zlib.compressobj(6)
        self._pieces: list[bytes] = []
        self._rules: dict[str, int] = {}
        self._put(b'{"captures":[')
        self._count = 0

    def _put(self, data: bytes) -> None:
        self._pieces.append(self._deflate.compress(data) if self.packed else data)

    def add(self, entries: Sequence[IndexEntry], rows: Sequence[Markup]) -> None:
        """The next captures and their rows."""
        for entry, row in zip(entries, rows, strict=True):
            with speaking(self._language, entry.messages):
                rest = say(further_sentences(remembered(entry.verdict, entry.messages)))
            one: list[object] = [
                visible(entry.file),
                entry.status,
                (entry.severity or "none") if entry.status in READ else "",
                entry.side if entry.status in READ else "",
                [self._rules.setdefault(visible(rule), len(self._rules)) for rule in entry.rules],
                " ".join((*(talker.address for talker in entry.talkers[:FOUND_BY]), visible(rest))),
                [getattr(entry, name) if entry.status in READ else None for name in self.SORTED],
                entry.start,
            ]
            if self.packed:
                one.append(row)
            self._put((b"," if self._count else b"") + msgspec.json.encode(one, enc_hook=str))
            self._count += 1

    def block(self) -> Markup:
        """The contents of the data element."""
        self._put(b'],"rules":' + msgspec.json.encode(list(self._rules)) + b"}")
        if self.packed:
            whole = base64.b64encode(b"".join([*self._pieces, self._deflate.flush()]))
        else:
            whole = b"".join(self._pieces).replace(b"<", b"\\u003c")
        self._pieces.clear()
        return Markup(whole.decode())
