"""The laboratory report of one connection as the document holds it."""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.capture.frames import Frame
from pcapreport.findings.wording import address, side_name
from pcapreport.language import Text, counted, phrase
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.opening import opening, opening_rows
from pcapreport.report.lab.questions_closing import on_closing, on_trouble
from pcapreport.report.lab.questions_data import on_data
from pcapreport.report.lab.questions_opening import on_opening
from pcapreport.report.lab.questions_thinking import on_thinking
from pcapreport.report.lab.release import moment, release, release_rows
from pcapreport.report.lab.transfer import sending_side, transfer
from pcapreport.report.model import Lab, LabProcess, LabTransfer
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER


def lab_record(lesson: Lesson) -> Lab:
    """All sections; the connection's number is not known yet and 0."""
    capture = lesson.evidence.capture
    taken: dict[int, Frame] = {}
    hidden = False
    if capture.frames is not None:
        taken = capture.frames.of({lesson.frame(row) for row in _rows_taken(lesson)})
        hidden = capture.frames.pseudonyms is not None
    began, ended = opening(lesson, taken, hidden), release(lesson, taken, hidden)
    moved = transfer(lesson)
    questions = [
        *on_opening(lesson, taken),
        *on_data(lesson, moved, taken),
        *on_closing(lesson),
        *on_trouble(lesson),
        *on_thinking(lesson),
    ]
    return Lab(
        connection=0,
        parts=lesson.parts,
        opening=began,
        release=ended,
        transfer=moved,
        questions=questions,
        summary=list(_summary(lesson, began, ended, moved)),
    )


def _rows_taken(lesson: Lesson) -> set[int]:
    """The rows whose bytes are looked at: those of opening and release, the first one, and the first with data."""
    data = [int(rows[0]) for side in (CLIENT, SERVER) if len(rows := lesson.carrying(side))]
    return {0, *opening_rows(lesson), *release_rows(lesson), *data}


def _summary(lesson: Lesson, began: LabProcess, ended: LabProcess, moved: LabTransfer | None) -> Iterator[Text]:
    client, server = (address(end) for end in lesson.ends)
    yield phrase("{client} (client) and {server} (server):", client=client, server=server)
    yield phrase("Opening: {variant}", variant=began.variant)
    if moved is not None:
        side = sending_side(lesson)
        yield phrase(
            "Data: {total:,} bytes of the {side} in {segments}.",
            total=moved.bytes,
            side=side_name(side or 0),
            segments=counted(moved.segments, "{n} segment", "{n:,} segments"),
        )
    yield phrase("Release: {variant}", variant=ended.variant)
    for side in (CLIENT, SERVER):
        states = [str(item.state) for item in lesson.end(side).transitions]
        if states:
            yield phrase("The {side} went through {states}.", side=side_name(side), states=" > ".join(states))
    waits = [(side, wait) for side in (CLIENT, SERVER) if (wait := lesson.end(side).time_wait) is not None]
    for side, wait in waits:
        parts = {"side": side_name(side), "two_msl": wait.two_msl / SECOND, "profile": wait.profile}
        if wait.ended_by in ("reset", "reuse"):
            at = moment(lesson, wait.ended_at)
            yield phrase(
                "The {side} was in TIME-WAIT, which was ended early at {at} (2MSL is taken to be {two_msl:g} s, "
                "profile "
                "{profile}).",
                at=at,
                **parts,
            )
        else:
            yield phrase("The {side} waits 2MSL ({two_msl:g} s, profile {profile}) in TIME-WAIT.", **parts)
    if not waits:
        yield phrase("No side is seen in TIME-WAIT.")
