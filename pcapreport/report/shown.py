"""What the page shows of the connections told in detail: drawings made, rows with ids, the plots that have room."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pcapreport.language import phrase
from pcapreport.report import wording
from pcapreport.report.figures import ConnectionFigures, Figure
from pcapreport.report.model import Connection, Finding, LadderRow
from pcapreport.report.sequence_diagram import sequence_diagram
from pcapreport.report.state_diagram import state_diagram
from pcapreport.report.time_bar import shares, swatch, time_bar

STATE_DIAGRAMS = 8
"""Connections that have one, where many share the page: the worst."""
EXCERPTS, AROUND = 4, 2
"""Findings of one connection that the segments around are shown of, and rows before and after."""


@dataclass(frozen=True)
class Shown:
    """A connection that the page shows in detail."""

    connection: Connection
    anchor: str
    ladder: Markup
    rows: list[tuple[LadderRow, str]]
    """The ladder's rows and their ids on the page; "" for a row without frames of its own."""
    figures: list[Figure]
    plots_left_out: int
    """Plots that would have had enough points but no room on the page."""
    times: list[tuple[Markup, str, float, float]]
    """Where the time went: colour, words, seconds, share (see `time_bar.shares`)."""
    time_bar: Markup
    states: Markup
    """The state diagram; "" where too many connections share the page."""
    findings: list[tuple[Finding, list[tuple[LadderRow, bool]]]]
    """The worst first, each with the rows around its first frame and which of them it names."""


def slug(text: str) -> str:
    """An id from hostile text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "unnamed"


def page_anchors(connections: Iterable[Connection]) -> Iterator[tuple[int, str]]:
    """(connection id, its id on the page), each used once."""
    used: set[str] = set()
    for connection in connections:
        anchor = slug(connection.anchor) if connection.anchor else f"connection-{connection.id}"
        if not anchor[0].isalpha():
            anchor = f"c-{anchor}"
        if anchor in used:
            anchor = f"{anchor}-n{connection.id}"
        used.add(anchor)
        yield connection.id, anchor


def frame_links(shown: Iterable[Shown]) -> dict[int, str]:
    """Frame -> id of the packet table's row that shows it."""
    links: dict[int, str] = {}
    for one in shown:
        for row, row_id in one.rows:
            links.update((frame, row_id) for frame in row.frames if row_id)
    return links


def shown_connections(detailed: Sequence[Connection], anchors: dict[int, str]) -> Iterator[Shown]:
    """The connections with details, their drawings made."""
    room = ConnectionFigures(detailed)
    used: set[int] = set()
    for place, connection in enumerate(detailed):
        ladder = connection.detail.ladder if connection.detail else []
        rows = list(_with_ids(ladder, used))
        diagram = sequence_diagram(
            connection,
            phrase("Sequence diagram of connection {id}", id=connection.id),
            phrase("Client left, server right, time runs down; the table of its rows says the same."),
            [row_id for _, row_id in rows],
        )
        figures, left_out = room.of(connection)
        spent = connection.metrics.time_ledger
        told = shares(spent) if spent else []
        title = phrase("Where the time of connection {id} went", id=connection.id)
        bar = time_bar(spent, title) if spent and len(told) > 1 else ""
        yield Shown(
            connection=connection,
            anchor=anchors[connection.id],
            ladder=Markup(diagram),
            rows=rows,
            figures=figures,
            plots_left_out=left_out,
            times=[(Markup(swatch(name)), words, time, part) for name, words, time, part in told],
            time_bar=Markup(bar),
            states=_states(connection) if place < STATE_DIAGRAMS else Markup(""),
            findings=list(_with_excerpts(connection.findings, ladder)),
        )


def _with_excerpts(
    findings: Iterable[Finding], ladder: Sequence[LadderRow]
) -> Iterator[tuple[Finding, list[tuple[LadderRow, bool]]]]:
    """The worst first; the first few with the rows of the diagram around the first frame that each names."""
    row_of = {frame: at for at, row in enumerate(ladder) for frame in row.frames}
    for number, finding in enumerate(sorted(findings, key=lambda f: wording.SEVERITY_RANK[f.severity])):
        at = next((row_of[frame] for frame in finding.frames if frame in row_of), None)
        if number >= EXCERPTS or at is None:
            yield finding, []
            continue
        named = set(finding.frames)
        around = ladder[max(at - AROUND, 0) : at + AROUND + 1]
        yield finding, [(row, not named.isdisjoint(row.frames)) for row in around if row.frames]


def _states(connection: Connection) -> Markup:
    """The state diagram with the ways of both sides."""
    title = phrase("Ways of both sides of connection {id} through the states of TCP", id=connection.id)
    description = phrase("The tables of states say the same, with times and frames.")
    return Markup(state_diagram(connection, title, description))


def _with_ids(ladder: Iterable[LadderRow], used: set[int]) -> Iterator[tuple[LadderRow, str]]:
    """Each row with an id made from its first frame, which no other row on the page may have."""
    for row in ladder:
        first = row.frames[0] if row.frames else None
        if first is None or first in used:
            yield row, ""
        else:
            used.add(first)
            yield row, f"f{first}"
