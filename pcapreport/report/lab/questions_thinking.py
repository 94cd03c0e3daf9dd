"""Questions to think about, as Chinese sheets end with; answered with this capture's numbers where it has them."""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.language import Text, phrase
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.question import question
from pcapreport.report.lab.release import kind_of, why_so_many
from pcapreport.report.lab.transfer import least_window, sending_side
from pcapreport.report.model import LabQuestion
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER

REASONED = phrase("By reasoning; the frames named show it in this capture.")


def on_thinking(lesson: Lesson) -> Iterator[LabQuestion]:
    """Why it is as it is."""
    yield _three(lesson)
    yield _four(lesson)
    yield _two_msl(lesson)
    yield _numbers(lesson)
    yield _windows(lesson)


def _three(lesson: Lesson) -> LabQuestion:
    marks = lesson.landmarks
    answers = [
        phrase(
            "Each side has to learn that the other has its initial sequence number. After two segments the "
            "server does not "
            "know whether its own arrived; and an old SYN that comes late would open a connection that nobody "
            "wants, which "
            "the client's third segment (or its RST) prevents."
        )
    ]
    if marks.syn_ack is not None and marks.third is not None:
        answers.append(
            phrase(
                "Here only frame {third}, with ack = {ack}, tells the server that its number {isn} arrived.",
                third=lesson.frame(marks.third),
                ack=lesson.row(marks.third).raw_ack,
                isn=lesson.row(marks.syn_ack).raw_seq,
            )
        )
    frames = [lesson.frame(row) for row in (marks.syn, marks.syn_ack, marks.third) if row is not None]
    return question(
        "why_three",
        "thinking",
        phrase("Why does the handshake take three segments and not two?"),
        answers,
        REASONED,
        frames,
    )


def _four(lesson: Lesson) -> LabQuestion:
    marks, kind = lesson.landmarks, kind_of(lesson)
    answers: list[Text] = [
        phrase(
            "Each direction is closed by itself: a FIN says only that its sender has no more data. The other "
            "side's TCP "
            "acknowledges at once, but its application closes when it has said all, which takes another FIN and ACK."
        )
    ]
    if kind in ("three-segments", "four-segments", "half-close"):
        answers.append(why_so_many(lesson, kind))
    rows = (marks.fin, marks.fin_ack, marks.other_fin, marks.other_fin_ack)
    frames = [lesson.frame(row) for row in rows if row is not None]
    return question(
        "why_four", "thinking", phrase("Why does the release take four segments?"), answers, REASONED, frames
    )


def _two_msl(lesson: Lesson) -> LabQuestion:
    answers = [
        phrase(
            "If the last ACK is lost the other side sends its FIN again: it takes at most one MSL until that ACK "
            "is gone and "
            "one more until the repeated FIN arrives. And after 2MSL all segments of this connection have left "
            "the network, "
            "so that none can be taken for one of a new connection on the same ports."
        )
    ]
    frames: list[int] = []
    for side in (CLIENT, SERVER):
        wait = lesson.end(side).time_wait
        if wait is not None and wait.restarts:
            frames += [restart.frame for restart in wait.restarts]
            answers.append(
                phrase("Here frame {frame} came in TIME-WAIT and was answered again.", frame=wait.restarts[0].frame)
            )
        elif wait is not None:
            answers.append(
                phrase(
                    "Here 2MSL is taken to be {two_msl:g} s, and nothing had to be answered again.",
                    two_msl=wait.two_msl / SECOND,
                )
            )
    return question("why_two_msl", "thinking", phrase("Why does TIME-WAIT last 2MSL?"), answers, REASONED, frames)


def _numbers(lesson: Lesson) -> LabQuestion:
    marks = lesson.landmarks
    answers = [
        phrase(
            "So that they can be acknowledged and sent again like data: an acknowledgment of the number behind "
            "SYN or FIN "
            "says without doubt that this segment arrived. A bare ACK takes none, so it is never acknowledged itself."
        )
    ]
    pairs = [(marks.syn, marks.syn_ack), (marks.fin, marks.fin_ack)]
    for first, answer in pairs:
        if first is not None and answer is not None:
            row = lesson.row(first)
            answers.append(
                phrase(
                    "Here frame {frame} ({flags}) ends with number {last}, and frame {answer} acknowledges {ack}.",
                    frame=row.frame,
                    flags=row.words,
                    last=(row.raw_seq + row.end - row.seq - 1) % (1 << 32),
                    answer=lesson.frame(answer),
                    ack=lesson.row(answer).raw_ack,
                )
            )
    frames = [lesson.frame(row) for pair in pairs for row in pair if row is not None]
    return question(
        "why_numbers", "thinking", phrase("Why do SYN and FIN take a sequence number each?"), answers, REASONED, frames
    )


def _windows(lesson: Lesson) -> LabQuestion:
    text = phrase("What do the changes of the window say?")
    answers = [
        phrase(
            "The window is the room that the receiver has for data not yet read by its application: it shrinks "
            "while the "
            "application reads more slowly than data arrives, and grows when it reads or when its host enlarges the "
            "buffer. At 0 the sender has to wait and probes."
        )
    ]
    side = sending_side(lesson)
    least, frame = (None, None) if side is None else least_window(lesson, 1 - side)
    if least is not None and frame is not None:
        closed = bool(lesson.frames_of("zero_window"))
        answers.append(
            phrase(
                "Here the receiver's window was closed: its smallest is {least:,} bytes (frame {frame}).",
                least=least,
                frame=frame,
            )
            if closed
            else phrase(
                "Here the receiver's window never closed: its smallest is {least:,} bytes (frame {frame}).",
                least=least,
                frame=frame,
            )
        )
    return question("window_changes", "thinking", text, answers, REASONED, [frame])
