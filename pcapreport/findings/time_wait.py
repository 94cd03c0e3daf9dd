"""TIME-WAIT: started anew, ended early by a new connection, or in the way of one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings import time_wait_words
from pcapreport.findings.grouping import SIDES, finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.wording import The, duration, frames, listed, side_name
from pcapreport.language import joined, phrase, sentences
from pcapreport.tcp.connections import CLIENT
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN
from pcapreport.tcp.history import ConnectionHistory, TimeWait
from pcapreport.tcp.states import State


def ledgers(evidence: Evidence) -> Iterator[Finding]:
    """What happened to each TIME-WAIT."""
    for family in evidence.histories.families:
        ends = (family.like.client.time_wait, family.like.server.time_wait)
        if any(ledger is not None and (ledger.restarts or ledger.ended_by == "reuse") for ledger in ends):
            for connection, history in evidence.histories.of(family):
                yield from _of_connection(evidence, connection, history)


def _of_connection(evidence: Evidence, connection: int, history: ConnectionHistory) -> Iterator[Finding]:
    for side, end in enumerate((history.client, history.server)):
        if end.time_wait is None:
            continue
        if end.time_wait.restarts:
            yield _restarts(evidence, connection, side, end.time_wait)
        if end.time_wait.ended_by == "reuse":
            yield _reuse(evidence, connection, side, end.time_wait)


def _of_frames(rule: str, connection: int, side: Side, numbers: list[int], at: int | None, summary: str) -> Finding:
    """A finding that the history, not a row, gives the frames of."""
    return Finding(rule, Severity.NOTE, Confidence.HIGH, side, tuple(sorted(set(numbers))), at, summary, connection)


_ANEW = phrase("Frame {frames} reached the {side} in TIME-WAIT and started its wait of {time} anew: {why}.")
_ANEW_BY_SEVERAL = phrase("Frames {frames} reached the {side} in TIME-WAIT and started its wait of {time} anew: {why}.")
_NO_LAST_ACK = phrase("the {other} had not got the last ACK")
_WHY_ANEW = {
    "FIN": _NO_LAST_ACK,
    "data": phrase("the {other} sent old data again"),
    "ACK": phrase("an ACK of the {other} was answered by another, as Linux does"),
}
"""By what the segment was."""
MOST_FRAMES = 4
"""Named in a sentence."""


def _restarts(evidence: Evidence, connection: int, side: int, ledger: TimeWait) -> Finding:
    restarts = ledger.restarts
    numbers, first = [item.frame for item in restarts], restarts[0]
    kinds = {item.what for item in restarts}
    forms = [form for what, form in _WHY_ANEW.items() if what in kinds] or [_NO_LAST_ACK]
    whys = [phrase(form, other=side_name(1 - side)) for form in forms]
    summary = phrase(
        _ANEW if len(numbers) == 1 else _ANEW_BY_SEVERAL,
        frames=listed([str(number) for number in numbers], MOST_FRAMES),
        side=side_name(side),
        time=duration(ledger.two_msl),
        why=joined(whys, ", and "),
    )
    return _of_frames("time_wait_restart", connection, SIDES[side], numbers, first.at, summary)


def _reuse(evidence: Evidence, connection: int, side: int, ledger: TimeWait) -> Finding:
    entered = next((t for t in reversed(ledger.entered) if t is not None), None)
    after: str = ""
    if entered and ledger.ended_at:
        after = phrase(", {time} into it", time=duration(ledger.ended_at - entered))
    numbers = [ledger.ended_frame] if ledger.ended_frame else []
    last = ledger.later_syns[-1] if ledger.later_syns else None
    summary = phrase(
        "A new connection on the same addresses and ports ended the {side}'s TIME-WAIT of {time} early{after} "
        "({frames}).",
        side=side_name(side),
        time=duration(ledger.two_msl),
        after=after,
        frames=frames(numbers) if numbers else phrase("no frame shows it"),
    )
    if last and last.frame in numbers:
        summary = sentences(summary, phrase("The SYN was {told}.", told=time_wait_words.told(last)))
    return _of_frames("time_wait_reuse", connection, SIDES[side], numbers, ledger.ended_at, summary)


def collisions(evidence: Evidence) -> Iterator[Finding]:
    """A SYN that met an old connection: answered by an ACK with old numbers, which the opener reset."""
    table = evidence.table
    predecessor = np.full(len(table), -1)
    has = np.flatnonzero(table.successor >= 0)
    predecessor[table.successor[has]] = has
    for connection, rows in _challenges(evidence):
        old = int(predecessor[connection])
        side = int(table.side[rows[1]])
        history = evidence.histories.like(old) if old >= 0 else None
        end = None
        if history is not None:
            end = history.client if _same_end(evidence, old, connection, side) else history.server
        waiting = end is not None and any(item.state is State.TIME_WAIT for item in end.transitions)
        yield _collision(evidence, connection, rows, waiting, history is not None)


def _same_end(evidence: Evidence, old: int, new: int, side: int) -> bool:
    """The end that is `side` in the new connection was the client of the old one."""
    return evidence.table.endpoints(new)[side] == evidence.table.endpoints(old)[CLIENT]


def _challenges(evidence: Evidence) -> Iterator[tuple[int, list[int]]]:
    """(connection, rows of SYN, ACK, RST and the SYN that follows) wherever such an exchange stands."""
    table, passes = evidence.table, evidence.passes
    control = np.where(passes.original < 0, table.flags & (SYN | ACK | RST | FIN), 0)
    answers = np.flatnonzero((control == ACK) & ~passes.live)
    seen = set()
    for row in answers.tolist():
        connection = int(passes.connection[row])
        start, stop = int(table.bounds[connection]), int(table.bounds[connection + 1])
        if connection in seen or row == start:
            continue
        syn = next((i for i in range(row - 1, max(start - 1, row - 8), -1) if control[i] == SYN), None)
        reset = next((i for i in range(row + 1, min(stop, row + 8)) if control[i] & RST), None)
        if syn is None or table.side[syn] == table.side[row]:
            continue
        rows = [syn, row]
        if reset is not None and table.side[reset] == table.side[syn]:
            again = next((i for i in range(reset + 1, min(stop, reset + 8)) if control[i] == SYN), None)
            rows += [reset] + ([again] if again is not None else [])
        seen.add(connection)
        yield connection, rows


_STILL_WAITING = phrase("{who} was still in TIME-WAIT for the connection before on the same ports: {steps}.")
_STILL_HOLDING = phrase("{who} was still holding an older connection on the same ports: {steps}.")
_EXCHANGES = {
    2: phrase("it answered the SYN (frame {syn}) with an ACK of the old numbers (frame {ack})"),
    3: phrase(
        "it answered the SYN (frame {syn}) with an ACK of the old numbers (frame {ack}), the {other} reset that (frame "
        "{reset})"
    ),
    4: phrase(
        "it answered the SYN (frame {syn}) with an ACK of the old numbers (frame {ack}), the {other} reset that (frame "
        "{reset}) and sent its SYN again (frame {again}), {time} late"
    ),
}
"""By how many of its segments were captured."""


def _collision(evidence: Evidence, connection: int, rows: list[int], waiting: bool, known: bool) -> Finding:
    table = evidence.table
    side = int(table.side[rows[1]])
    numbers = [int(table.frame[row]) for row in rows]
    cost = int(table.time_ns[rows[-1]] - table.time_ns[rows[0]])
    steps = phrase(
        _EXCHANGES[len(numbers)],
        **dict(zip(("syn", "ack", "reset", "again"), numbers, strict=False)),
        other=side_name(1 - side),
        time=duration(max(cost, 0)),
    )
    summary = phrase(_STILL_WAITING if waiting else _STILL_HOLDING, who=The(side), steps=steps)
    rule = "time_wait_collision" if waiting else "half_open_connection"
    before = Alternative(
        phrase("It was in TIME-WAIT for a connection that ended before the capture began."), Confidence.MEDIUM
    )
    level, others = (Confidence.HIGH, ()) if known else (Confidence.MEDIUM, (before,))
    return finding(evidence, rule, connection, SIDES[side], rows, summary, None, level, others)
