"""How the connection was released, step by step, with the variant that the capture really shows (RFC 9293 section 3.6).

Letters as in textbooks: u numbers the first FIN, v the segment that acknowledges it, w the other side's FIN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pcapreport.capture.frames import Frame
from pcapreport.findings.wording import duration, frames, side_name
from pcapreport.language import Text, counted, phrase, sentences
from pcapreport.report.lab.header import taken_apart
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.opening import named, step
from pcapreport.report.model import LabProcess, LabStep
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.history import TimeWait
from pcapreport.tcp.vantage import UNKNOWN_NS

VARIANTS = {
    "four-segments": phrase("Four segments: FIN; ACK; FIN and ACK; ACK."),
    "half-close": phrase("Four segments with a half-close: after the first FIN the other side went on sending data."),
    "three-segments": phrase("Three segments: the other side's FIN carries the ACK of the first FIN."),
    "simultaneous": phrase("Simultaneous: each side sent its FIN before the other's had arrived."),
    "reset": phrase("Reset: a RST ended the connection, without any FIN."),
    "reset-after-fin": phrase("Reset after a FIN: a RST ended the connection before its release was complete."),
    "half-closed": phrase("Half-closed: only one side sent a FIN in this capture."),
    "refused": phrase("There was no connection to release: it was refused."),
    "unfinished": phrase("Not complete in this capture: both FINs were sent, the last ACK was not captured."),
    "open": phrase("No FIN and no RST was captured: how the connection ended cannot be decided from this capture."),
}
COMPLETE = ("four-segments", "half-close", "three-segments", "simultaneous")
NEAR_NS = 500_000
"""A side that answers so soon is the host of the tap, or beside it."""
DELAYED_ACK_NS = 40_000_000
"""Linux acknowledges after 40 ms at the latest where it has nothing to send (TCP_DELACK_MIN, include/net/tcp.h)."""


def kind_of(lesson: Lesson) -> str:
    """Which variant the capture shows, a word of VARIANTS."""
    marks, closing = lesson.landmarks, lesson.history.closing
    if lesson.history.opening == "refused":
        return "refused"
    if closing.startswith("reset-by-"):
        return "reset" if marks.fin is None else "reset-after-fin"
    if marks.fin is None:
        return "open"
    if marks.other_fin is None:
        return "half-closed"
    if crossed(lesson):
        return "simultaneous"
    if marks.other_fin_ack is None:
        return "unfinished"
    if marks.fin_ack == marks.other_fin:
        return "three-segments"
    return "half-close" if len(half_closed_data(lesson)) else "four-segments"


def crossed(lesson: Lesson) -> bool:
    """The second FIN does not acknowledge the first, nor did its sender before."""
    marks = lesson.landmarks
    if marks.fin is None or marks.other_fin is None:
        return False
    return marks.fin_ack is None or marks.fin_ack > marks.other_fin


def half_closed_data(lesson: Lesson) -> np.ndarray:
    """Rows with data of the side that had not closed, behind its ACK of the first FIN."""
    marks = lesson.landmarks
    if marks.fin is None or marks.fin_ack is None or lesson.closer is None:
        return np.empty(0, np.int64)
    rows = lesson.carrying(1 - lesson.closer)
    return rows[rows >= marks.fin_ack]


def release(lesson: Lesson, taken: Mapping[int, Frame], hidden: bool) -> LabProcess:
    """The process in words and its segments taken apart."""
    kind = kind_of(lesson)
    titles = {
        index: phrase("{flags} of the {side}", flags=lesson.row(index).words, side=side_name(lesson.row(index).side))
        for index in sorted(release_rows(lesson))
    }
    return LabProcess(
        kind=kind,
        variant=VARIANTS[kind],
        steps=list(_steps(lesson, kind)),
        packets=[taken_apart(lesson, index, title, taken, hidden) for index, title in titles.items()],
        remarks=list(_remarks(lesson, kind)),
    )


def release_rows(lesson: Lesson) -> set[int]:
    """The rows that `release` takes apart."""
    marks = lesson.landmarks
    rows = (marks.fin, marks.fin_ack, marks.other_fin, marks.other_fin_ack, marks.reset)
    return {row for row in rows if row is not None}


def _steps(lesson: Lesson, kind: str) -> Iterator[LabStep]:
    marks = lesson.landmarks
    taken: list[tuple[int, Text]] = []
    if marks.fin is not None:
        taken.append((marks.fin, _fin(lesson, marks.fin)))
    if marks.fin_ack is not None and marks.fin_ack != marks.other_fin:
        taken.append((marks.fin_ack, _fin_ack(lesson, marks.fin_ack, crossed(lesson))))
    late = half_closed_data(lesson)
    if len(late):
        taken.append((int(late[-1]), _late_data(lesson, late)))
    if marks.other_fin is not None:
        taken.append((marks.other_fin, _other_fin(lesson, marks.other_fin, kind)))
    if marks.other_fin_ack is not None and marks.other_fin_ack != marks.fin_ack:
        taken.append((marks.other_fin_ack, _last_ack(lesson, marks.other_fin_ack)))
    if marks.reset is not None and kind.startswith("reset"):
        taken.append((marks.reset, _reset(lesson, marks.reset)))
    for index, text in sorted(taken):
        yield step(lesson, index, text)
    for side in (CLIENT, SERVER):
        wait = lesson.end(side).time_wait
        if wait is not None:
            yield _expiry(lesson, side, wait)


def _fin(lesson: Lesson, index: int) -> Text:
    row = lesson.row(index)
    return phrase(
        "The {side} has no more data: it sends FIN = 1 with seq = u = {raw} (relative {relative}) and enters {state}.",
        side=side_name(row.side),
        raw=fin_number(lesson, index),
        relative=row.end - 1,
        state=named(lesson.state(index, row.side)),
    )


def fin_number(lesson: Lesson, index: int) -> int:
    """The raw sequence number that a FIN itself takes, behind the data of its segment."""
    row = lesson.row(index)
    return (row.raw_seq + row.length) % (1 << 32)


def _fin_ack(lesson: Lesson, index: int, crossing: bool) -> Text:
    row = lesson.row(index)
    mine, other = (named(lesson.state(index, side)) for side in (row.side, 1 - row.side))
    parts = {
        "side": side_name(row.side),
        "other": side_name(1 - row.side),
        "ack": row.raw_ack,
        "seq": row.raw_seq,
        "mine": mine,
        "theirs": other,
    }
    if crossing:
        return phrase(
            "The {side} acknowledges the FIN of the {other}: ACK = 1, ack = u+1 = {ack}, seq = {seq}. The {side} is in "
            "{mine}, and once this arrives the {other} is in {theirs}.",
            **parts,
        )
    return phrase(
        "The {side} acknowledges: ACK = 1, ack = u+1 = {ack}, seq = v = {seq}. The {side} is in {mine}, and once this "
        "arrives the {other} is in {theirs}: the connection is half-closed.",
        **parts,
    )


def _late_data(lesson: Lesson, rows: np.ndarray) -> Text:
    total, numbers = int(lesson.rows.length[rows].sum()), lesson.rows.frame[rows].tolist()
    return phrase(
        "Half-closed, the {side} still sends {total:,} bytes of data ({frames}), which the {other} acknowledges.",
        side=side_name(int(lesson.rows.side[rows[0]])),
        other=side_name(1 - int(lesson.rows.side[rows[0]])),
        total=total,
        frames=frames(numbers),
    )


def _other_fin(lesson: Lesson, index: int, kind: str) -> Text:
    row = lesson.row(index)
    parts = {
        "side": side_name(row.side),
        "raw": fin_number(lesson, index),
        "relative": row.end - 1,
        "ack": row.raw_ack,
        "state": named(lesson.state(index, row.side)),
    }
    if kind == "simultaneous" or crossed(lesson):
        return phrase(
            "The {side} sends FIN = 1 with seq = w = {raw} (relative {relative}) and ack = {ack}, before the "
            "other FIN has "
            "arrived, and enters {state}.",
            **parts,
        )
    if kind == "three-segments":
        return phrase(
            "The {side} acknowledges and closes in one segment: FIN = 1, ACK = 1, ack = u+1 = {ack}, seq = w = {raw} "
            "(relative {relative}). It goes through CLOSE-WAIT at once and enters {state}.",
            **parts,
        )
    return phrase(
        "The {side} has no more data either: it sends FIN = 1, ACK = 1 with seq = w = {raw} (relative {relative}) and "
        "ack = u+1 = {ack}, and enters {state}.",
        **parts,
    )


def _last_ack(lesson: Lesson, index: int) -> Text:
    row = lesson.row(index)
    return phrase(
        "The {side} acknowledges: ACK = 1, ack = w+1 = {ack}, seq = u+1 = {seq}, and is in {mine}; once this "
        "arrives the "
        "{other} is in {theirs}.",
        side=side_name(row.side),
        other=side_name(1 - row.side),
        ack=row.raw_ack,
        seq=row.raw_seq,
        mine=named(lesson.state(index, row.side)),
        theirs=named(lesson.state(index, 1 - row.side)),
    )


def _reset(lesson: Lesson, index: int) -> Text:
    row = lesson.row(index)
    return phrase(
        "The {side} sends RST = 1 with seq = {seq} (relative {relative}). It is in {mine}, and once this arrives the "
        "{other} is in {theirs}. Nothing answers a reset, and neither side waits in TIME-WAIT.",
        side=side_name(row.side),
        other=side_name(1 - row.side),
        seq=row.raw_seq,
        relative=row.seq,
        mine=named(lesson.state(index, row.side)),
        theirs=named(lesson.state(index, 1 - row.side)),
    )


def moment(lesson: Lesson, time_ns: int | None) -> str:
    """Seconds since the first packet, six decimals."""
    return phrase("an unknown moment") if time_ns is None else f"{lesson.clock.seconds(time_ns):.6f} s"


def _expiry(lesson: Lesson, side: int, wait: TimeWait) -> LabStep:
    parts = {
        "side": side_name(side),
        "two_msl": wait.two_msl / SECOND,
        "profile": wait.profile,
        "since": moment(lesson, wait.expires[0]),
        "until": moment(lesson, wait.expires[1]),
    }
    if wait.ended_by == "expiry":
        text = phrase(
            "The {side} stays in TIME-WAIT for 2MSL, taken to be {two_msl:g} s (profile {profile}), and enters "
            "CLOSED between "
            "{since} and {until}, within the capture.",
            **parts,
        )
    elif wait.ended_by == "capture-end":
        text = phrase(
            "The {side} stays in TIME-WAIT for 2MSL, taken to be {two_msl:g} s (profile {profile}): it would "
            "enter CLOSED "
            "between {since} and {until}; the capture ends before, so that cannot be decided from it.",
            **parts,
        )
    else:
        ended = moment(lesson, wait.ended_at)
        by = phrase("a reset") if wait.ended_by == "reset" else phrase("a new connection on the same ports")
        text = phrase(
            "The {side} would stay in TIME-WAIT for 2MSL, taken to be {two_msl:g} s (profile {profile}), but {by} "
            "ended it at "
            "{ended}.",
            by=by,
            ended=ended,
            **parts,
        )
    after = ["", ""]
    after[side] = "CLOSED" if wait.ended_by != "capture-end" else "TIME-WAIT"
    return LabStep(text=text, frame=wait.ended_frame, client_state=after[CLIENT], server_state=after[SERVER])


def _remarks(lesson: Lesson, kind: str) -> Iterator[Text]:
    marks = lesson.landmarks
    if kind in ("three-segments", "four-segments", "half-close"):
        yield why_so_many(lesson, kind)
    fins = lesson.frames_of("fin_retransmission")
    if fins:
        yield counted(
            len(fins),
            "A FIN was sent again ({frames}).",
            "FINs were sent again {n:,} times ({frames}).",
            frames=frames(fins),
        )
    if kind in ("three-segments", "four-segments", "half-close") and lesson.closer is not None:
        yield phrase(
            "The {other} is CLOSED as soon as the last ACK reaches it. The {side} closed first and waits: if "
            "that ACK was "
            "lost, the {other} sends its FIN again, and only the {side} can answer it. So the {other} is CLOSED "
            "before the "
            "{side}.",
            side=side_name(lesson.closer),
            other=side_name(1 - lesson.closer),
        )
    if kind == "simultaneous" and marks.other_fin_ack is not None and marks.fin_ack is not None:
        yield phrase("Both sides closed first, so both go through CLOSING and wait in TIME-WAIT.")


def why_so_many(lesson: Lesson, kind: str) -> Text:
    """Why the release took three or four segments; with how much of the times is the way to that side and back."""
    marks = lesson.landmarks
    assert marks.fin is not None
    closed_second = 1 - int(lesson.rows.side[marks.fin])
    way = lesson.evidence.vantages.of(lesson.connection).round_trip[closed_second]
    if way == UNKNOWN_NS or way < NEAR_NS:
        return _why_so_many(lesson, kind)
    note = phrase(
        "Of these times, seen at the tap, about {way} is the way to the {other} and back.",
        way=duration(way),
        other=side_name(closed_second),
    )
    return sentences(_why_so_many(lesson, kind), note)


def _why_so_many(lesson: Lesson, kind: str) -> Text:
    marks = lesson.landmarks
    assert marks.fin is not None and marks.fin_ack is not None and marks.other_fin is not None
    times = lesson.rows.time_ns
    other = side_name(1 - int(lesson.rows.side[marks.fin]))
    if kind == "three-segments":
        return phrase(
            "Three segments and not four: the {other} closed {time} after the first FIN passed the tap, before "
            "it had sent "
            "an ACK by itself (which may wait for {delay}), so that its FIN carries the ACK.",
            other=other,
            time=duration(max(int(times[marks.other_fin] - times[marks.fin]), 0)),
            delay=duration(DELAYED_ACK_NS),
        )
    parts = {
        "other": other,
        "acked": duration(max(int(times[marks.fin_ack] - times[marks.fin]), 0)),
        "closed": duration(max(int(times[marks.other_fin] - times[marks.fin_ack]), 0)),
    }
    late = half_closed_data(lesson)
    if len(late):
        return phrase(
            "Four segments and not three: the {other} acknowledged the FIN after {acked}, still had {total:,} "
            "bytes to send, "
            "and closed {closed} after its ACK.",
            total=int(lesson.rows.length[late].sum()),
            **parts,
        )
    return phrase(
        "Four segments and not three: the {other} acknowledged the FIN after {acked}, but its application closed only "
        "{closed} after that ACK.",
        **parts,
    )
