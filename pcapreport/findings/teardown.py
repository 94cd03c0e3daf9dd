"""How connections end: resets and their reasons, closes that stay one-sided or unanswered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.grouping import SIDES, Bools, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.segmented import latest_before
from pcapreport.findings.wording import The, count, duration, first_of, frames, side_name, times
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.history import EndpointHistory
from pcapreport.tcp.states import State

NEVER_OPEN = ("refused", "unanswered", "incomplete")
ABORTING = {"reset-by-client": CLIENT, "reset-by-server": SERVER}


def resets(evidence: Evidence) -> Iterator[Finding]:
    """Each RST of a connection that had been open: the one that ended it, or one that came when it was over."""
    table, passes = evidence.table, evidence.passes
    chosen = ((table.flags & Flag.RST) != 0) & (passes.original < 0) & ~_to_old_numbers(evidence)
    for group in groups(evidence, chosen):
        history = evidence.histories.like(group.connection)
        if history.opening in NEVER_OPEN:
            continue
        if ABORTING.get(history.closing) == group.side:
            yield from _abort(evidence, group)
        elif history.closing in ABORTING or _over(evidence, group):
            yield _harmless(evidence, group)
        else:
            yield _ignored(evidence, group)


def _to_old_numbers(evidence: Evidence) -> Bools:
    """Resets that answer a segment with an earlier incarnation's numbers, or carry such (see time_wait.py)."""
    table, passes = evidence.table, evidence.passes
    strange = ~passes.live & (passes.original < 0) & ((table.flags & Flag.RST) == 0)
    answered = latest_before(strange, table.bounds[:-1], passes.connection)
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
    numbers = group.frames(evidence)
    lost = _outstanding(evidence, row)
    reason, alternatives = _reason(evidence, group, row)
    more = f"; {count(lost, 'byte')} of data {'was' if lost == 1 else 'were'} not acknowledged by then" if lost else ""
    summary = f"{The(group.side)} reset the connection{where} ({first_of(numbers)}): {reason}{more}."
    severity = Severity.ERROR if lost else Severity.WARNING
    yield finding(
        evidence,
        "reset",
        group.connection,
        SIDES[group.side],
        group.rows,
        summary,
        severity,
        Confidence.HIGH,
        alternatives,
    )
    prompt = int(passes.previous_peer[row])
    if prompt >= 0 and table.length[prompt] and _sent_fin_before(evidence, group, prompt):
        yield _data_after_close(evidence, group, prompt)
    elif table.flags[row] & Flag.ACK and passes.peer_sent_before[row] > table.ack[row] > 0:
        yield _unread(evidence, group, row)


def _outstanding(evidence: Evidence, row: int) -> int:
    """Bytes either side had sent that the other had not acknowledged when `row` passed."""
    passes = evidence.passes
    pairs = ((passes.sent_before, passes.acked_before), (passes.peer_sent_before, passes.own_ack_before))
    total = 0
    for sent, acked in pairs:
        if sent[row] > 0 and acked[row] > 0:
            total += max(int(sent[row] - acked[row]), 0)
    return total


def _sent_fin_before(evidence: Evidence, group: Group, row: int) -> bool:
    table = evidence.table
    earlier = slice(int(table.bounds[group.connection]), row)
    return bool(np.any((table.side[earlier] == group.side) & ((table.flags[earlier] & Flag.FIN) != 0)))


def _reason(evidence: Evidence, group: Group, row: int) -> tuple[str, tuple[Alternative, ...]]:
    """Why it was sent, as far as the RST and what came before it tell, and what else could be."""
    table, passes = evidence.table, evidence.passes
    prompt = int(passes.previous_peer[row])
    alone = int(passes.previous[row])
    if prompt >= 0 and alone > prompt and passes.keep_alive[alone]:
        return "its keep-alives had no answer", ()
    if table.flags[row] & Flag.ACK:
        unread = Alternative("It closed while received data lay unread.", Confidence.MEDIUM)
        killed = Alternative("A middle box sent the RST in its name.", Confidence.LOW)
        return "aborted from its own side, by its application or a timer of its own", (unread, killed)
    answered = f"frame {int(table.frame[prompt])}" if prompt >= 0 else "an earlier segment"
    if prompt >= 0 and _sent_fin_before(evidence, group, prompt):
        return f"it had closed already and no one was left to take {answered}", ()
    restarted = Alternative("A middle box that lost the connection's state sent it in its name.", Confidence.LOW)
    return f"it no longer knew the connection when {answered} came (a restart, or state lost)", (restarted,)


def _data_after_close(evidence: Evidence, group: Group, prompt: int) -> Finding:
    table = evidence.table
    summary = (
        f"{The(1 - group.side)} sent {count(int(table.length[prompt]), 'byte')} (frame {int(table.frame[prompt])}) "
        f"after the {side_name(group.side)} had closed; they were thrown away."
    )
    rows = np.array([prompt, int(group.rows[0])])
    return finding(evidence, "data_after_close", group.connection, SIDES[1 - group.side], rows, summary)


def _unread(evidence: Evidence, group: Group, row: int) -> Finding:
    table, passes = evidence.table, evidence.passes
    left = int(passes.peer_sent_before[row] - table.ack[row])
    summary = (
        f"{The(group.side)} closed by a RST (frame {int(table.frame[row])}) without taking the last "
        f"{count(left, 'byte')} of the {side_name(1 - group.side)}."
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
    rows = np.arange(table.bounds[group.connection], table.bounds[group.connection + 1])
    fins = rows[(table.flags[rows] & Flag.FIN) != 0]
    if len(set(table.side[fins[fins < row]].tolist())) == 2:
        return True
    wait = max(int(passes.round_trip_ns[group.connection]), 0) + evidence.settings.jitter_ns
    later = rows[(rows > row) & passes.live[rows] & (table.time_ns[rows] > table.time_ns[row] + wait)]
    return not len(later)


def _harmless(evidence: Evidence, group: Group) -> Finding:
    table, passes = evidence.table, evidence.passes
    row = int(group.rows[0])
    prompt = int(passes.previous_peer[row])
    numbers = group.frames(evidence)
    state = _before_closed(_end(evidence, group.connection, group.side))
    answered = f", in answer to frame {int(table.frame[prompt])}" if prompt >= 0 else ""
    history = evidence.histories.like(group.connection)
    if history.closing in ABORTING:
        why = "the connection had been reset already"
    elif state in (State.TIME_WAIT, State.LAST_ACK, State.CLOSED, State.CLOSING):
        why = "both sides had closed already"
    else:
        why = "its connection was gone already"
    summary = (
        f"{The(group.side)} sent a RST when it was over ({first_of(numbers)}){answered}: {why}, so it did no harm."
    )
    return finding(evidence, "reset_after_close", group.connection, SIDES[group.side], group.rows, summary)


def _ignored(evidence: Evidence, group: Group) -> Finding:
    numbers = group.frames(evidence)
    summary = (
        f"A RST in the name of the {side_name(group.side)} ({first_of(numbers)}) did not end the connection, which "
        "went on afterwards: it was lost, stale or forged."
    )
    return finding(
        evidence, "reset_ignored", group.connection, SIDES[group.side], group.rows, summary, None, Confidence.MEDIUM
    )


def unanswered_fins(evidence: Evidence) -> Iterator[Finding]:
    """FINs that the other side never acknowledged though the capture went on."""
    table, passes = evidence.table, evidence.passes
    fin = passes.live & ((table.flags & Flag.FIN) != 0)
    end = evidence.capture.last_ns or 0
    open_fin = fin & (passes.acked_at_end < table.end) & (passes.acked_at_end > 0)
    for group in groups(evidence, open_fin):
        history = evidence.histories.like(group.connection)
        waited = end - int(table.time_ns[group.rows[-1]])
        if waited < evidence.settings.unanswered_ns or history.closing in ABORTING:
            continue
        rows = np.arange(group.rows[0], table.bounds[group.connection + 1])
        if np.any((table.flags[rows] & Flag.RST) != 0):
            continue
        numbers = group.frames(evidence)
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
            group.rows,
            summary,
            None,
            Confidence.MEDIUM,
            others,
        )


def half_closed(evidence: Evidence) -> Iterator[Finding]:
    """One side closed and the other went on sending, or never closed."""
    table, passes = evidence.table, evidence.passes
    fin = passes.live & ((table.flags & Flag.FIN) != 0) & (passes.known == 0)
    first = np.full(len(table), -1)
    at = np.flatnonzero(fin)[::-1]
    first[passes.connection[at]] = at
    has = first >= 0
    ends = np.where(has, table.end[first], 0)
    closer = table.side[first] if len(first) else np.zeros(0, np.uint8)
    late = passes.live & (table.length > 0) & (table.side != closer[passes.connection]) & has[passes.connection]
    late &= passes.acks & (table.ack >= ends[passes.connection]) & (passes.known < table.end - table.seq)
    answered = set()
    for group in groups(evidence, late):
        answered.add(group.connection)
        if evidence.histories.like(group.connection).closing in ("client-first", "server-first", "half-closed"):
            yield _went_on(evidence, group, int(first[group.connection]))
    for connection in np.flatnonzero(has).tolist():
        if evidence.histories.like(connection).closing == "half-closed" and connection not in answered:
            yield from _never_closed(evidence, connection, int(first[connection]))


def _went_on(evidence: Evidence, group: Group, fin: int) -> Finding:
    table = evidence.table
    data = int(table.length[group.rows].sum())
    span = duration(max(int(table.time_ns[group.rows[-1]] - table.time_ns[fin]), 0))
    summary = (
        f"{The(1 - group.side)} closed its direction in frame {int(table.frame[fin])}; the {side_name(group.side)} "
        f"knew it and sent {count(data, 'byte')} more in {count(len(group.rows), 'segment')} over the next {span}."
    )
    rows = np.concatenate([[fin], group.rows])
    return finding(evidence, "half_closed", group.connection, SIDES[1 - group.side], rows, summary)


def _never_closed(evidence: Evidence, connection: int, fin: int) -> Iterator[Finding]:
    table, passes = evidence.table, evidence.passes
    closer = int(table.side[fin])
    waited = (evidence.capture.last_ns or 0) - int(table.time_ns[fin])
    if waited < evidence.settings.unanswered_ns or passes.acked_at_end[fin] < table.end[fin]:
        return
    summary = (
        f"{The(closer)} closed in frame {int(table.frame[fin])}; the {side_name(1 - closer)} acknowledged that but "
        f"had not closed its own side {duration(waited)} later, when the capture ends: it stays in CLOSE-WAIT."
    )
    others = (Alternative("Its FIN was not captured, or it still had something to send.", Confidence.LOW),)
    long = waited >= evidence.settings.time_wait.two_msl_ns  # longer than any orderly close would keep a socket
    severity = Severity.WARNING if long else Severity.NOTE
    yield finding(
        evidence,
        "half_closed",
        connection,
        SIDES[1 - closer],
        [fin],
        summary,
        severity,
        Confidence.HIGH,
        others,
    )
