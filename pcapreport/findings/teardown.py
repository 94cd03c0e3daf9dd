"""How connections end: resets and their reasons, closes that stay unanswered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.grouping import SIDES, Bools, Group, Ints, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.segmented import latest_before
from pcapreport.findings.wording import The, duration, first_of, frames, side_name, times
from pcapreport.language import counted
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import ACK, FIN, RST
from pcapreport.tcp.history import EndpointHistory
from pcapreport.tcp.states import State

NEVER_OPEN = ("refused", "unanswered", "incomplete")
ABORTING = {"reset-by-client": CLIENT, "reset-by-server": SERVER}


def resets(evidence: Evidence) -> Iterator[Finding]:
    """Each RST of a connection that had been open: the one that ended it, or one that came when it was over."""
    table, passes = evidence.table, evidence.passes
    chosen = ((table.flags & RST) != 0) & (passes.original < 0) & ~_to_old_numbers(evidence)
    forged = evidence.forgery.forged_rows  # told by middlebox.py
    chosen[forged] = False
    first_forged = _first_forged(evidence, forged)
    for group in groups(evidence, chosen):
        history = evidence.histories.like(group.connection)
        if history.opening in NEVER_OPEN:
            continue
        if first_forged.get((group.connection, 1 - group.side), group.rows[0]) < group.rows[0]:
            yield _harmless(evidence, group, "a RST from a box in the path had ended it for this side")
        elif ABORTING.get(history.closing) == group.side:
            yield from _abort(evidence, group)
        elif history.closing in ABORTING or _over(evidence, group):
            yield _harmless(evidence, group)
        else:
            yield _ignored(evidence, group)


def _first_forged(evidence: Evidence, forged: Ints) -> dict[tuple[int, int], int]:
    """The first forged row by connection and the side that it names."""
    names = zip(evidence.passes.connection[forged].tolist(), evidence.table.side[forged].tolist(), strict=True)
    return {name: row for name, row in reversed(list(zip(names, forged.tolist(), strict=True)))}


def _to_old_numbers(evidence: Evidence) -> Bools:
    """Resets that answer a segment with an earlier incarnation's numbers, or carry such (see time_wait.py)."""
    table, passes = evidence.table, evidence.passes
    strange = ~passes.live & (passes.original < 0) & ((table.flags & RST) == 0)
    if not strange.any():
        return np.asarray(table.seq < 0)
    answered = latest_before(strange, table.bounds[passes.connection])
    return np.asarray((table.seq < 0) | (answered >= 0) & (table.seq == table.ack[answered]))


def _end(evidence: Evidence, connection: int, side: int) -> EndpointHistory:
    history = evidence.histories.like(connection)
    return history.client if side == CLIENT else history.server


def _states(end: EndpointHistory) -> list[State]:
    return [item.state for item in end.transitions]


def _before_closed(end: EndpointHistory) -> State | None:
    """The state from which it was closed."""
    states = _states(end)
    return states[-2] if len(states) > 1 and states[-1] is State.CLOSED else end.final


def _abort(evidence: Evidence, group: Group) -> Iterator[Finding]:
    table, passes = evidence.table, evidence.passes
    row = int(group.rows[0])
    mine = _before_closed(_end(evidence, group.connection, group.side))
    where = f" in {mine.value}" if mine else ""
    numbers = group.numbers
    lost = _outstanding(evidence, group, row)
    if _orphaned(evidence, group, row):
        yield _closed_too_late(evidence, group, row)
        return
    reason, alternatives, confidence = _reason(evidence, group, row)
    more = (
        f"; {counted(lost, '{n:,} byte', '{n:,} bytes')} of data {'was' if lost == 1 else 'were'} not acknowledged by then"
        if lost
        else ""
    )
    summary = f"{The(group.side)} reset the connection{where} ({first_of(numbers)}): {reason}{more}."
    severity = Severity.ERROR if lost else Severity.WARNING
    yield finding(
        evidence,
        "reset",
        group.connection,
        SIDES[group.side],
        group,
        summary,
        severity,
        confidence,
        alternatives,
    )
    prompt = int(passes.previous_peer[row])
    if prompt >= 0 and table.length[prompt] and _closed_before(evidence, group.connection, group.side, prompt):
        yield _data_after_close(evidence, group, prompt)
    elif table.flags[row] & ACK and (left := _untaken(evidence, group, row)):
        yield _unread(evidence, group, row, left)


def _outstanding(evidence: Evidence, group: Group, row: int) -> int:
    """Bytes either side had sent that the other had not acknowledged when `row`, of the group, passed."""
    passes = evidence.passes
    pairs = ((passes.sent_before, passes.acked_before), (passes.peer_sent_before, passes.own_ack_before))
    total = 0
    for side, (sent, acked) in zip((group.side, 1 - group.side), pairs, strict=True):
        if sent[row] > 0 and acked[row] > 0:
            total += max(int(sent[row] - acked[row]) - _closed_before(evidence, group.connection, side, row), 0)
    return total


def _closed_before(evidence: Evidence, connection: int, side: int, row: int) -> bool:
    """Its FIN had passed when `row` did."""
    return bool(evidence.passes.first_fin[2 * connection + side] < row)


def _reason(evidence: Evidence, group: Group, row: int) -> tuple[str, tuple[Alternative, ...], Confidence]:
    """Why it was sent, as far as the RST and what came before it tell, what else could be, and how sure that is."""
    table, passes = evidence.table, evidence.passes
    prompt = int(passes.previous_peer[row])
    alone = int(passes.previous[row])
    if prompt >= 0 and alone > prompt and passes.keep_alive[alone]:
        return "its keep-alives had no answer", (), Confidence.HIGH
    if table.flags[row] & ACK:
        unread = Alternative("It closed while received data lay unread.", Confidence.MEDIUM)
        killed = Alternative("A middle box sent the RST in its name.", Confidence.LOW)
        return "aborted from its own side, by its application or a timer of its own", (unread, killed), Confidence.HIGH
    answered = f"frame {int(table.frame[prompt])}" if prompt >= 0 else "an earlier segment"
    if prompt >= 0 and _closed_before(evidence, group.connection, group.side, prompt):
        return f"it had closed already and no one was left to take {answered}", (), Confidence.HIGH
    reason = f"it no longer knew the connection when {answered} came (a restart, or state lost)"
    if prompt >= 0 and table.time_ns[row] - table.time_ns[prompt] <= evidence.settings.beside_tap_ns:
        return reason, (), Confidence.HIGH  # whatever else had ended it there would have passed this tap
    others = (
        Alternative("A RST that passed only behind this tap, such as a middle box's, had ended it.", Confidence.MEDIUM),
        Alternative("A middle box that lost the connection's state sent it in its name.", Confidence.LOW),
    )
    return reason, others, Confidence.MEDIUM


def _orphaned(evidence: Evidence, group: Group, row: int) -> bool:
    """Its FIN had long been acknowledged when the other's FIN, or an empty segment, came; no data, no FIN before.

    In FIN-WAIT-2 a host answers these by an ACK; a RST shows that it waits no more (tcp_fin_timeout on Linux).
    """
    table, passes = evidence.table, evidence.passes
    prompt = int(passes.previous_peer[row])
    if prompt < 0 or table.flags[row] & ACK or table.length[prompt] or table.seq[row] != table.ack[prompt]:
        return False
    earlier = np.arange(table.bounds[group.connection], prompt)
    fins = earlier[((table.flags[earlier] & FIN) != 0) & passes.live[earlier]]
    if not len(fins) or np.any(table.side[fins] != group.side):
        return False
    known = earlier[(table.side[earlier] != group.side) & passes.acks[earlier]]
    known = known[table.ack[known] >= table.end[fins[0]]]
    return bool(len(known)) and table.time_ns[prompt] - table.time_ns[known[0]] > evidence.settings.unanswered_ns


def _closed_too_late(evidence: Evidence, group: Group, row: int) -> Finding:
    table, prompt = evidence.table, int(evidence.passes.previous_peer[row])
    rows = np.arange(table.bounds[group.connection], prompt)
    fin = int(rows[((table.flags[rows] & FIN) != 0)][0])
    late, other = duration(int(table.time_ns[prompt] - table.time_ns[fin])), 1 - group.side
    what = "sent its FIN" if table.flags[prompt] & FIN else "spoke again"
    summary = (
        f"{The(other)} {what} (frame {int(table.frame[prompt])}) only {late} after the {side_name(group.side)}'s FIN "
        f"(frame {int(table.frame[fin])}), which had given up FIN-WAIT-2 by then and answered with a RST "
        f"(frame {int(table.frame[row])})."
    )
    hasty = Alternative("The closing side's host gives up FIN-WAIT-2 sooner than is usual.", Confidence.LOW)
    found = np.concatenate([[fin, prompt], group.rows])
    return finding(
        evidence,
        "fin_wait_2_orphaned",
        group.connection,
        SIDES[other],
        found,
        summary,
        None,
        Confidence.HIGH,
        (hasty,),
    )


def _data_after_close(evidence: Evidence, group: Group, prompt: int) -> Finding:
    table = evidence.table
    summary = (
        f"{The(1 - group.side)} sent {counted(int(table.length[prompt]), '{n:,} byte', '{n:,} bytes')} (frame {int(table.frame[prompt])}) "
        f"after the {side_name(group.side)} had closed; they were thrown away."
    )
    rows = np.array([prompt, int(group.rows[0])])
    return finding(evidence, "data_after_close", group.connection, SIDES[1 - group.side], rows, summary)


def _untaken(evidence: Evidence, group: Group, row: int) -> int:
    """Bytes of the other side that a RST does not acknowledge, its FIN apart."""
    table = evidence.table
    sent, taken = int(evidence.passes.peer_sent_before[row]), int(table.ack[row])
    closed = taken < sent and _closed_before(evidence, group.connection, 1 - group.side, row)
    return max(sent - taken - closed, 0) if taken > 0 else 0


def _unread(evidence: Evidence, group: Group, row: int, left: int) -> Finding:
    table = evidence.table
    summary = (
        f"{The(group.side)} closed by a RST (frame {int(table.frame[row])}) without taking the last "
        f"{counted(left, '{n:,} byte', '{n:,} bytes')} of the {side_name(1 - group.side)}."
    )
    other = Alternative("It aborted before these bytes arrived.", Confidence.MEDIUM)
    return finding(
        evidence,
        "close_with_unread_data",
        group.connection,
        SIDES[group.side],
        [row],
        summary,
        None,
        Confidence.MEDIUM,
        (other,),
    )


def _over(evidence: Evidence, group: Group) -> bool:
    """Both sides had sent a FIN before the first RST of the group, or nothing followed it from the other side."""
    table, passes = evidence.table, evidence.passes
    row = int(group.rows[0])
    if all(_closed_before(evidence, group.connection, side, row) for side in (CLIENT, SERVER)):
        return True
    wait = max(int(passes.round_trip_ns[group.connection]), 0) + evidence.settings.jitter_ns
    later = slice(row + 1, int(table.bounds[group.connection + 1]))
    return not (passes.live[later] & (table.time_ns[later] > table.time_ns[row] + wait)).any()


def _harmless(evidence: Evidence, group: Group, told: str = "") -> Finding:
    table, passes = evidence.table, evidence.passes
    row = int(group.rows[0])
    prompt = int(passes.previous_peer[row])
    numbers = group.numbers
    state = _before_closed(_end(evidence, group.connection, group.side))
    answered = f", in answer to frame {int(table.frame[prompt])}" if prompt >= 0 else ""
    history = evidence.histories.like(group.connection)
    if told:
        why = told
    elif history.closing in ABORTING:
        why = "the connection had been reset already"
    elif state in (State.TIME_WAIT, State.LAST_ACK, State.CLOSED, State.CLOSING):
        why = "both sides had closed already"
    else:
        why = "its connection was gone already"
    summary = (
        f"{The(group.side)} sent a RST when it was over ({first_of(numbers)}){answered}: {why}, so it did no harm."
    )
    return finding(evidence, "reset_after_close", group.connection, SIDES[group.side], group, summary)


def _ignored(evidence: Evidence, group: Group) -> Finding:
    numbers = group.numbers
    summary = (
        f"A RST in the name of the {side_name(group.side)} ({first_of(numbers)}) did not end the connection, which "
        "went on afterwards: it was lost, stale or forged."
    )
    return finding(
        evidence, "reset_ignored", group.connection, SIDES[group.side], group, summary, None, Confidence.MEDIUM
    )


def unanswered_fins(evidence: Evidence) -> Iterator[Finding]:
    """FINs that the other side never acknowledged though the capture went on."""
    table, passes = evidence.table, evidence.passes
    fin = passes.live & ((table.flags & FIN) != 0)
    end = evidence.capture.last_ns or 0
    open_fin = fin & (passes.acked_at_end < table.end) & (passes.acked_at_end > 0)
    for group in groups(evidence, open_fin):
        history = evidence.histories.like(group.connection)
        waited = end - int(table.time_ns[group.rows[-1]])
        if waited < evidence.settings.unanswered_ns or history.closing in ABORTING:
            continue
        rows = np.arange(group.rows[0], table.bounds[group.connection + 1])
        if np.any((table.flags[rows] & RST) != 0):
            continue
        numbers = group.numbers
        heard = rows[(table.side[rows] != group.side) & passes.live[rows]]
        rest = f"its last word is {frames([int(table.frame[heard[-1]])])}" if len(heard) else "it sent nothing more"
        silence = duration(end - int(table.time_ns[group.rows[0]]))
        summary = (
            f"{The(group.side)} sent its FIN {times(len(numbers))} ({first_of(numbers)}) and the "
            f"{side_name(1 - group.side)} never acknowledged it in {silence}; {rest}."
        )
        others = (Alternative("The network lost the FIN or its acknowledgment each time.", Confidence.MEDIUM),)
        yield finding(
            evidence,
            "fin_unanswered",
            group.connection,
            SIDES[1 - group.side],
            group,
            summary,
            None,
            Confidence.MEDIUM,
            others,
        )
