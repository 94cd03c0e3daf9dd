"""The laboratory report as a page: as it is, as a sheet to be filled in, or as the sheet's answers."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from msgspec.structs import replace

from pcapreport.language import phrase, say, with_blanks
from pcapreport.report import wording
from pcapreport.report.html import linked_text, render_template
from pcapreport.report.model import Connection, Document, EndpointHistory, Endpoints, LabQuestion
from pcapreport.report.shown import Shown, frame_links, page_anchors, shown_connections
from pcapreport.report.state_diagram import state_diagram
from pcapreport.report.svg import SIDE_COLOUR, coordinate, drawing, element, quoted

COVER = {
    "course": phrase("Course"),
    "experiment": phrase("Experiment"),
    "class": phrase("Class"),
    "student_id": phrase("Student number"),
    "name": phrase("Name"),
    "date": phrase("Date"),
    "instructor": phrase("Instructor"),
    "score": phrase("Score"),
}
"""What the cover has room for, by the keys of --meta."""
TOPICS = {
    "opening": phrase("Opening"),
    "data": phrase("Data transfer"),
    "closing": phrase("Closing"),
    "trouble": phrase("Refusals, resets and attacks"),
    "thinking": phrase("To think about"),
}
FIXED_FIELDS = 18
"""Of a TCP header without options: what every segment has."""
BLANK = "_" * 8
WIDE, TALL, LEFT, RIGHT = 720.0, 560.0, 90.0, 630.0
"""Of the diagram that a student is to draw in."""
FILLED, STUDENT = "filled", "student"
TO_BE_FILLED_IN = phrase("to be filled in")


@dataclass(frozen=True)
class Sheet:
    """Which of the three is made, and how it shows what is to be found out."""

    kind: str
    links: dict[int, str]

    @property
    def blank(self) -> bool:
        """What is to be found out is left blank."""
        return self.kind == STUDENT

    def text(self, text: str) -> Markup:
        """A sentence of the document, its parts left blank on the student's sheet."""
        if not self.blank:
            return linked_text(text, self.links)
        shown = escape(wording.visible(with_blanks(text, BLANK)))
        return Markup(str(shown).replace(BLANK, str(_blank())))

    def value(self, value: Any) -> Any:
        """A number or word, left blank on the student's sheet."""
        if self.blank:
            return _blank()
        return "" if value is None else value

    def number(self, value: Any) -> Any:
        """A count with thousands separated."""
        return self.value(wording.number(value) if value is not None else None)


def _blank() -> Markup:
    """A line to write on, which a screen reader names."""
    return Markup('<span class="blank" role="img" aria-label="{}"></span>').format(say(TO_BE_FILLED_IN))


def lab_page(document: Document, templates: pathlib.Path | None) -> str:
    """The page of the document's `lab`; one that says so where there is no connection to learn from."""
    lab = document.lab
    kind = document.options.get("sheet") or FILLED
    connection = next((c for c in document.connections if lab and c.id == lab.connection), None)
    anchors = dict(page_anchors(document.connections))
    shown = list(shown_connections([connection], anchors)) if connection is not None else []
    if kind == STUDENT and connection is not None:
        shown = [_to_be_drawn(shown[0], connection)]
    links = {} if kind == STUDENT else frame_links(shown)
    return render_template(
        "lab.html.jinja",
        templates,
        links,
        document=document,
        capture=document.capture,
        lab=lab,
        sheet=Sheet(kind, links),
        one=shown[0] if shown else None,
        cover_lines=list(_cover(document.meta)),
        fixed_fields=FIXED_FIELDS,
        topics=list(_topics(lab.questions if lab else [])),
    )


def _cover(meta: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(label, what the user gave or "") of the usual lines, then of whatever else was given."""
    given = {key.lower().replace("-", "_").replace(" ", "_"): value for key, value in meta.items()}
    for key, label in COVER.items():
        yield say(label), given.pop(key, "")
    yield from ((key, value) for key, value in meta.items() if key.lower().replace("-", "_").replace(" ", "_") in given)


def _topics(questions: Iterable[LabQuestion]) -> Iterator[tuple[str, list[tuple[int, LabQuestion]]]]:
    """(heading, its numbered questions)."""
    numbered = list(enumerate(questions, 1))
    for topic, heading in TOPICS.items():
        own = [(number, question) for number, question in numbered if question.topic == topic]
        if own:
            yield heading, own


def _to_be_drawn(shown: Shown, connection: Connection) -> Shown:
    """Without what a student is to draw: the lines of the diagram and the states are there, the ways are not."""
    nothing = EndpointHistory(history=[], possible_final_states=[], time_wait=None)
    bare = replace(connection, endpoints=Endpoints(client=nothing, server=nothing), detail=None)
    title = say(phrase("States of TCP, the ways of both sides to be drawn in"))
    states = state_diagram(bare, title, say(phrase("The states of RFC 9293 and what leads from one to another.")), True)
    ladder = _lifelines(connection)
    return Shown(
        connection=connection,
        anchor=shown.anchor,
        ladder=Markup(ladder),
        rows=[],
        figures=[],
        plots_left_out=0,
        times=[],
        time_bar=Markup(""),
        states=Markup(states),
        findings=[],
    )


def _lifelines(connection: Connection) -> str:
    """Both sides' lines without any segment."""
    parts = ""
    for x, anchor, role, end in (
        (LEFT, "start", "client", connection.client),
        (RIGHT, "end", "server", connection.server),
    ):
        label = f"{say(role)} {end.address}:{end.port}"
        parts += element("text", quoted(label), x=x, y=16, text_anchor=anchor, font_size=13.0)
        down = f"M{coordinate(x)} 26V{coordinate(TALL - 6)}"
        parts += element("path", d=down, stroke=SIDE_COLOUR[role], stroke_width=2)
    title = say(phrase("Sequence diagram to be drawn"))
    return drawing(WIDE, TALL, title, say(phrase("Two lifelines, the segments between them to be drawn in")), parts)
