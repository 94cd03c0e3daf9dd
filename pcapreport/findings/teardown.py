"""How connections end: resets and their reasons, closes that stay unanswered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.grouping import SIDES, Bools, Group, Ints, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.segmented import latest_before
from pcapreport.findings.wording import The, duration, first_of, side_name, times
from pcapreport.language import Text, counted, phrase
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import ACK, FIN, RST
from pcapreport.tcp.history import EndpointHistory
from pcapreport.tcp.states import State

NEVER_OPEN = ("refused", "unanswered", "incomplete")
_ENDED_BY_BOX = phrase("a RST from a box in the path had ended it for this side")
_KEEP_ALIVES = phrase("its keep-alives had no answer")
_OWN_ACCORD = phrase("aborted from its own side, by its application or a timer of its own")
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
            yield _harmless(evidence, group, _ENDED_BY_BOX)
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
    where = phrase(" in {state}", state=mine.value) if mine else ""
    lost = _outstanding(evidence, group, row)
    if _orphaned(evidence, group, row):
        yield _closed_too_late(evidence, group, row)
        return
    reason, alternatives, confidence = _reason(evidence, group, row)
    summary = phrase(
        "{who} reset the connection{where} ({frames}): {reason}{more}.",
        who=The(group.side),
        where=where,
        frames=first_of(group.numbers),
        reason=reason,
        more=_not_acknowledged(lost) if lost else "",
    )
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


def _not_acknowledged(lost: int) -> Text:
    return counted(
        lost,
        "; {n:,} byte of data was not acknowledged by then",
        "; {n:,} bytes of data were not acknowledged by then",
    )


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


def _reason(evidence: Evidence, group: Group, row: int) -> tuple[Text, tuple[Alternative, ...], Confidence]:
    """Why it was sent, as far as the RST and what came before it tell, what else could be, and how sure that is."""
    table, passes = evidence.table, evidence.passes
    prompt = int(passes.previous_peer[row])
    alone = int(passes.previous[row])
    if prompt >= 0 and alone > prompt and passes.keep_alive[alone]:
        return _KEEP_ALIVES, (), Confidence.HIGH
    if table.flags[row] & ACK:
        unread = Alternative(phrase("It closed while received data lay unread."), Confidence.MEDIUM)
        killed = Alternative(phrase("A middle box sent the RST in its name."), Confidence.LOW)
        return _OWN_ACCORD, (unread, killed), Confidence.HIGH
    answered = phrase("frame {frame}", frame=int(table.frame[prompt])) if prompt >= 0 else phrase("an earlier segment")
    if prompt >= 0 and _closed_before(evidence, group.connection, group.side, prompt):
        closed = phrase("it had closed already and no one was left to take {segment}", segment=answered)
        return closed, (), Confidence.HIGH
    reason = phrase("it no longer knew the connection when {segment} came (a restart, or state lost)", segment=answered)
    if prompt >= 0 and table.time_ns[row] - table.time_ns[prompt] <= evidence.settings.beside_tap_ns:
        return reason, (), Confidence.HIGH  # whatever else had ended it there would have passed this tap
    others = (
        Alternative(
            phrase("A RST that passed only behind this tap, such as a middle box's, had ended it."), Confidence.MEDIUM
        ),
        Alternative(phrase("A middle box that lost the connection's state sent it in its name."), Confidence.LOW),
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


_LATE_FIN = phrase(
    "{who} sent its FIN (frame {frame}) only {time} after the {side}'s FIN (frame {fin}), which had given up "
    "FIN-WAIT-2 by then and answered with a RST (frame {reset})."
)
_LATE_WORD = phrase(
    "{who} spoke again (frame {frame}) only {time} after the {side}'s FIN (frame {fin}), which had given up "
    "FIN-WAIT-2 by then and answered with a RST (frame {reset})."
)


def _closed_too_late(evidence: Evidence, group: Group, row: int) -> Finding:
    table, prompt = evidence.table, int(evidence.passes.previous_peer[row])
    rows = np.arange(table.bounds[group.connection], prompt)
    fin = int(rows[((table.flags[rows] & FIN) != 0)][0])
    other = 1 - group.side
    summary = phrase(
        _LATE_FIN if table.flags[prompt] & FIN else _LATE_WORD,
        who=The(other),
        frame=int(table.frame[prompt]),
        time=duration(int(table.time_ns[prompt] - table.time_ns[fin])),
        side=side_name(group.side),
        fin=int(table.frame[fin]),
        reset=int(table.frame[row]),
    )
    hasty = Alternative(phrase("The closing side's host gives up FIN-WAIT-2 sooner than is usual."), Confidence.LOW)
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
    summary = counted(
        int(table.length[prompt]),
        "{who} sent {n:,} byte (frame {frame}) after the {side} had closed; they were thrown away.",
        "{who} sent {n:,} bytes (frame {frame}) after the {side} had closed; they were thrown away.",
        who=The(1 - group.side),
        frame=int(table.frame[prompt]),
        side=side_name(group.side),
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
    summary = counted(
        left,
        "{who} closed by a RST (frame {frame}) without taking the last {n:,} byte of the {side}.",
        "{who} closed by a RST (frame {frame}) without taking the last {n:,} bytes of the {side}.",
        who=The(group.side),
        frame=int(table.frame[row]),
        side=side_name(1 - group.side),
    )
    other = Alternative(phrase("It aborted before these bytes arrived."), Confidence.MEDIUM)
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


def _why_over(evidence: Evidence, group: Group) -> Text:
    state = _before_closed(_end(evidence, group.connection, group.side))
    if evidence.histories.like(group.connection).closing in ABORTING:
        return phrase("the connection had been reset already")
    if state in (State.TIME_WAIT, State.LAST_ACK, State.CLOSED, State.CLOSING):
        return phrase("both sides had closed already")
    return phrase("its connection was gone already")


def _harmless(evidence: Evidence, group: Group, why: Text | None = None) -> Finding:
    table, passes = evidence.table, evidence.passes
    prompt = int(passes.previous_peer[int(group.rows[0])])
    answered = phrase(", in answer to frame {frame}", frame=int(table.frame[prompt])) if prompt >= 0 else ""
    summary = phrase(
        "{who} sent a RST when it was over ({frames}){answered}: {why}, so it did no harm.",
        who=The(group.side),
        frames=first_of(group.numbers),
        answered=answered,
        why=why or _why_over(evidence, group),
    )
    return finding(evidence, "reset_after_close", group.connection, SIDES[group.side], group, summary)


def _ignored(evidence: Evidence, group: Group) -> Finding:
    summary = phrase(
        "A RST in the name of the {side} ({frames}) did not end the connection, which went on afterwards: it was lost, "
        "stale or forged.",
        side=side_name(group.side),
        frames=first_of(group.numbers),
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
        summary = phrase(
            "{who} sent its FIN {times} ({frames}) and the {side} never acknowledged it in {time}; {rest}.",
            who=The(group.side),
            times=times(len(numbers)),
            frames=first_of(numbers),
            side=side_name(1 - group.side),
            time=duration(end - int(table.time_ns[group.rows[0]])),
            rest=phrase("its last word is frame {frame}", frame=int(table.frame[heard[-1]]))
            if len(heard)
            else phrase("it sent nothing more"),
        )
        others = (Alternative(phrase("The network lost the FIN or its acknowledgment each time."), Confidence.MEDIUM),)
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
