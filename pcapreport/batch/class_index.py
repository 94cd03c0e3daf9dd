"""The batch page for an instructor: what each capture of a class shows, and which captures are the same."""

from __future__ import annotations

import pathlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pcapreport.language import Text, counted, phrase
from pcapreport.report.html import render_template

if TYPE_CHECKING:
    from pcapreport.batch.index import IndexEntry

PARTS = {
    "handshake": phrase("Handshake"),
    "data": phrase("Data"),
    "teardown": phrase("Release"),
    "time_wait": phrase("TIME-WAIT"),
}
RELEASES = (
    phrase("four-segments"),
    phrase("half-close"),
    phrase("three-segments"),
    phrase("simultaneous"),
    phrase("reset"),
    phrase("reset-after-fin"),
    phrase("half-closed"),
    phrase("refused"),
    phrase("unfinished"),
    phrase("open"),
)
"""The words of a release's kind, which `said` says."""
MOST_NAMED = 6


class Same(NamedTuple):
    """Other captures that a capture is like, and in what."""

    how: Text
    files: list[str]
    more: int
    """Others that are not named."""


def render_class(entries: Sequence[IndexEntry], templates: pathlib.Path | None, key_id: str = "") -> str:
    """One row a capture, by name; `speaking` is the caller's, `key_id` as in the other index."""
    ordered = sorted(entries, key=lambda entry: entry.file)
    return render_template(
        "class.html.jinja",
        templates,
        entries=ordered,
        parts=PARTS,
        same=alike(ordered),
        summary=_summary(ordered),
        key_id=key_id,
    )


def alike(entries: Sequence[IndexEntry]) -> dict[str, list[Same]]:
    """Of each capture that others are like the reasons, the strongest for each pair."""
    told: dict[str, list[Same]] = defaultdict(list)
    known: dict[str, set[str]] = defaultdict(set)
    keys: tuple[tuple[Text, Callable[[IndexEntry], list[str]]], ...] = (
        (phrase("the same file"), lambda e: [e.sha256] if e.sha256 else []),
        (phrase("the same bytes, compressed otherwise"), lambda e: [e.lab.content] if e.lab else []),
        (phrase("the same segments, saved otherwise"), lambda e: [e.lab.segments] if e.lab and e.lab.segments else []),
        (phrase("the same connections among others"), lambda e: e.lab.connections if e.lab else []),
    )
    for how, keys_of in keys:
        for file, others in _sharing(entries, keys_of):
            fresh = sorted(others - known[file])
            if fresh:
                told[file].append(Same(how, fresh[:MOST_NAMED], max(len(fresh) - MOST_NAMED, 0)))
                known[file].update(fresh)
    return dict(told)


def _sharing(
    entries: Sequence[IndexEntry], keys_of: Callable[[IndexEntry], list[str]]
) -> Iterator[tuple[str, set[str]]]:
    """(a file, the other files with one of its keys)."""
    holders: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        for key in keys_of(entry):
            holders[key].append(entry.file)
    for entry in entries:
        others = {file for key in keys_of(entry) for file in holders[key]} - {entry.file}
        if others:
            yield entry.file, others


def _summary(entries: Sequence[IndexEntry]) -> Text:
    whole = sum(entry.lab is not None and all(entry.lab.parts.values()) for entry in entries)
    return phrase(
        "{captures}: {whole} with handshake, data, release and TIME-WAIT; {copies} like another.",
        captures=counted(len(entries), "{n:,} capture", "{n:,} captures"),
        whole=whole,
        copies=len(alike(entries)),
    )
