"""How the connection opened, step by step, with this capture's own numbers (RFC 9293 section 3.5).

Letters as in textbooks: j and k are the initial sequence numbers of client and server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pcapreport.capture.frames import Frame
from pcapreport.capture.packet_table import Flag
from pcapreport.findings.wording import frames, side_name
from pcapreport.language import Text, counted, phrase
from pcapreport.report.lab.header import taken_apart
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.model import LabProcess, LabStep
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.states import State

VARIANTS = {
    "three-way": phrase("Three-way handshake: SYN; SYN and ACK; ACK."),
    "fast-open": phrase(
        "Fast open: the SYN carries data already (RFC 7413), the handshake is a three-way one otherwise."
    ),
    "simultaneous": phrase("Simultaneous opening: both sides send a SYN before they have seen the other's."),
    "refused": phrase("Refused: the server answers the SYN with a RST, so there is no connection."),
    "unanswered": phrase("Unanswered: no answer to the SYN was captured, so no connection was seen to open."),
    "incomplete": phrase("Begun but not completed: the handshake stops before its last step."),
    "one-sided": phrase("Of one side only: no segment of the server was captured."),
}
NOT_CAPTURED = phrase("The capture begins after the opening, so its steps cannot be decided from this capture.")


def opening(lesson: Lesson, taken: Mapping[int, Frame], hidden: bool) -> LabProcess:
    """The process in words and its segments taken apart."""
    steps = list(_steps(lesson))
    marks = lesson.landmarks
    titles = {
        marks.syn: phrase("SYN of the client"),
        marks.other_syn: phrase("SYN of the server"),
        marks.client_syn_ack: phrase("SYN, ACK of the client"),
        marks.syn_ack: phrase("SYN, ACK of the server"),
        marks.third: phrase("ACK of the client"),
        marks.refusal: phrase("RST of the server"),
    }
    shown = sorted((index, title) for index, title in titles.items() if index is not None)
    shown = shown or [(0, phrase("The first captured segment"))]
    return LabProcess(
        kind=lesson.history.opening,
        variant=VARIANTS.get(lesson.history.opening, NOT_CAPTURED) if steps else NOT_CAPTURED,
        steps=steps,
        packets=[taken_apart(lesson, index, title, taken, hidden) for index, title in shown],
        remarks=list(_remarks(lesson)),
    )


def opening_rows(lesson: Lesson) -> set[int]:
    """The rows that `opening` takes apart."""
    marks = lesson.landmarks
    rows = (marks.syn, marks.other_syn, marks.client_syn_ack, marks.syn_ack, marks.third, marks.refusal)
    return {row for row in rows if row is not None}


def step(lesson: Lesson, index: int, text: Text) -> LabStep:
    """A step that a captured segment takes."""
    client, server = lesson.states(index)
    return LabStep(text=text, frame=lesson.frame(index), client_state=client, server_state=server)


def named(state: str) -> str:
    """A state, or that it is not known."""
    return state or phrase("an unknown state")


def _steps(lesson: Lesson) -> Iterator[LabStep]:
    marks = lesson.landmarks
    taken: list[tuple[int, Text]] = []
    if marks.syn is not None:
        taken.append((marks.syn, _syn(lesson, marks.syn, "j")))
    if marks.other_syn is not None:
        taken.append((marks.other_syn, _syn(lesson, marks.other_syn, "k")))
    for index in (marks.client_syn_ack, marks.syn_ack):
        if index is not None:
            taken.append((index, _syn_ack(lesson, index)))
    if marks.third is not None and marks.other_syn is None:
        taken.append((marks.third, _third(lesson, marks.third)))
    if marks.refusal is not None:
        taken.append((marks.refusal, _refusal(lesson, marks.refusal)))
    for index, text in sorted(taken):
        yield step(lesson, index, text)


def _syn(lesson: Lesson, index: int, letter: str) -> Text:
    row = lesson.row(index)
    parts = {
        "side": side_name(row.side),
        "letter": letter,
        "raw": row.raw_seq,
        "state": named(lesson.state(index, row.side)),
    }
    if row.length:
        return phrase(
            "The {side} sends SYN = 1, ACK = 0 with its initial sequence number seq = {letter} = {raw} "
            "(relative 0) and "
            "{length:,} bytes of data, and enters {state}.",
            length=row.length,
            **parts,
        )
    return phrase(
        "The {side} sends SYN = 1, ACK = 0 with its initial sequence number seq = {letter} = {raw} (relative 0), "
        "without data, and enters {state}.",
        **parts,
    )


def _syn_ack(lesson: Lesson, index: int) -> Text:
    row = lesson.row(index)
    mine, other = ("j", "k") if row.side == CLIENT else ("k", "j")
    return phrase(
        "The {side} sends SYN = 1, ACK = 1 with its own initial sequence number seq = {mine} = {raw} (relative 0) and "
        "acknowledges with ack = {other}+1 = {ack} (relative {relative}); it is in {state}.",
        side=side_name(row.side),
        mine=mine,
        raw=row.raw_seq,
        other=other,
        ack=row.raw_ack,
        relative=row.ack,
        state=named(lesson.state(index, row.side)),
    )


def _third(lesson: Lesson, index: int) -> Text:
    row = lesson.row(index)
    client, server = (named(state) for state in lesson.states(index))
    parts = {"seq": row.raw_seq, "ack": row.raw_ack, "client": client, "server": server}
    if row.length:
        return phrase(
            "The client sends ACK = 1 with seq = j+1 = {seq} and ack = k+1 = {ack}, and {length:,} bytes of data "
            "with it. "
            "The client is in {client}, and once this segment arrives the server is in {server}.",
            length=row.length,
            **parts,
        )
    return phrase(
        "The client sends ACK = 1 with seq = j+1 = {seq} and ack = k+1 = {ack}, without data: this takes no sequence "
        "number. The client is in {client}, and once this segment arrives the server is in {server}.",
        **parts,
    )


def _refusal(lesson: Lesson, index: int) -> Text:
    row = lesson.row(index)
    if row.ack is None:
        return phrase(
            "The server answers with RST = 1 and seq = {seq}; the client is in {state}.",
            seq=row.raw_seq,
            state=named(lesson.state(index, CLIENT)),
        )
    return phrase(
        "The server answers with RST = 1, ACK = 1, seq = {seq} and ack = j+1 = {ack}: nothing listens there. The "
        "client is "
        "in {state}.",
        seq=row.raw_seq,
        ack=row.raw_ack,
        state=named(lesson.state(index, CLIENT)),
    )


def _remarks(lesson: Lesson) -> Iterator[Text]:
    syns = lesson.frames_of("syn_retransmission")
    if syns:
        yield phrase("The SYN was sent again ({frames}).", frames=frames(syns))
    answers = lesson.frames_of("syn_ack_retransmission")
    if answers:
        yield phrase("The SYN, ACK was sent again ({frames}).", frames=frames(answers))
    marks = lesson.landmarks
    if marks.syn is not None and marks.third is not None:
        took = lesson.seconds(marks.third) - lesson.seconds(marks.syn)
        yield phrase("From the SYN to the third segment it took {time:.6f} s at the tap.", time=took)
    late = _late_server(lesson)
    if late is not None:
        yield late


def _late_server(lesson: Lesson) -> Text | None:
    """The server is ESTABLISHED only after more than the third segment."""
    third = lesson.landmarks.third
    if third is None or lesson.state(third, SERVER) == State.ESTABLISHED:
        return None
    if State.ESTABLISHED not in [item.state for item in lesson.end(SERVER).transitions]:
        return None
    again = len(lesson.frames_of("syn_ack_retransmission"))
    if again:
        return counted(
            again,
            "The server stayed in SYN-RECEIVED after the third segment, as its repeated SYN, ACK shows.",
            "The server stayed in SYN-RECEIVED after the third segment, as its {n} repeated SYN, ACKs show.",
        )
    return phrase("The server was not in ESTABLISHED yet when the third segment passed the tap.")


def offers(lesson: Lesson, side: int) -> int | None:
    """The row with the options that a side offered: its SYN or SYN, ACK."""
    return lesson.first(side, Flag.SYN)
