"""How connections end: resets and their reasons, closes that stay unanswered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
_EARLIER = phrase("an earlier segment")
_IN_STATE = {state: phrase(" in {state}", state=state.value) for state in State}
_BY_ITSELF = (
    Alternative(phrase("It closed while received data lay unread."), Confidence.MEDIUM),
    Alternative(phrase("A middle box sent the RST in its name."), Confidence.LOW),
)
_BY_OTHERS = (
    Alternative(
        phrase("A RST that passed only behind this tap, such as a middle box's, had ended it."), Confidence.MEDIUM
    ),
    Alternative(phrase("A middle box that lost the connection's state sent it in its name."), Confidence.LOW),
)
_NOT_ARRIVED = (Alternative(phrase("It aborted before these bytes arrived."), Confidence.MEDIUM),)
ABORTING = {"reset-by-client": CLIENT, "reset-by-server": SERVER}


def resets(evidence: Evidence) -> Iterator[Finding]:
    """Each RST of a connection that had been open: the one that ended it, or one that came when it was over."""
    table, passes = evidence.table, evidence.passes
    chosen = ((table.flags & RST) != 0) & (passes.original < 0) & ~_to_old_numbers(evidence)
    forged = evidence.forgery.forged_rows  # told by middlebox.py
    chosen[forged] = False
    first_forged = _first_forged(evidence, forged)
    opened = (group for group in groups(evidence, chosen) if _opened(evidence, group))
    for group, reset in _with_resets(evidence, list(opened)):
        history = evidence.histories.like(group.connection)
        if first_forged and first_forged.get((group.connection, 1 - group.side), reset.row) < reset.row:
            yield _harmless(evidence, group, _ENDED_BY_BOX)
        elif ABORTING.get(history.closing) == group.side:
            yield from _abort(evidence, group, reset)
        elif history.closing in ABORTING or _over(evidence, group):
            yield _harmless(evidence, group)
        else:
            yield _ignored(evidence, group)


def _opened(evidence: Evidence, group: Group) -> bool:
    return evidence.histories.like(group.connection).opening not in NEVER_OPEN


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


class _Reset(NamedTuple):
    """The first RST of a side and what came before it: looked up for all together."""

    row: int
    acks: bool
    """It acknowledges."""
    keeps_alive: bool
    """Its sender's last word before, after the other side's, was a keep-alive."""
    lost: int
    """Bytes either side had sent that the other had not acknowledged."""
    left: int
    """Bytes of the other side that it does not acknowledge, their FIN apart."""
    prompt: int
    """The row of the other side's last word before, or -1; what it said:"""
    prompt_frame: int
    prompt_length: int
    since_prompt: int
    """ns"""
    answers_empty: bool
    """It has no ACK, and the number that an empty word of the other side asked for."""
    closed_before_prompt: bool
    """Its sender's FIN had passed by then."""


def _with_resets(evidence: Evidence, found: list[Group]) -> Iterator[tuple[Group, _Reset]]:
    """Each group with its first RST."""
    table, passes = evidence.table, evidence.passes
    if not found:
        return
    row = np.array([group.rows[0] for group in found])
    flow = passes.connection[row] * 2 + table.side[row]
    own_fin, peer_fin = passes.first_fin[flow], passes.first_fin[flow ^ 1]
    prompt, alone = passes.previous_peer[row], passes.previous[row]
    acks, taken, sent = (table.flags[row] & ACK) != 0, table.ack[row], passes.peer_sent_before[row]
    untaken = np.maximum(sent - taken - ((taken < sent) & (peer_fin < row)), 0)
    lost = _outstanding(passes.sent_before[row], passes.acked_before[row], own_fin < row)
    lost += _outstanding(sent, passes.own_ack_before[row], peer_fin < row)
    length = np.where(prompt >= 0, table.length[prompt], 0)
    columns = (
        row,
        acks,
        (prompt >= 0) & (alone > prompt) & passes.keep_alive[alone],
        lost,
        np.where(taken > 0, untaken, 0),
        prompt,
        table.frame[prompt],
        length,
        table.time_ns[row] - table.time_ns[prompt],
        (prompt >= 0) & ~acks & (length == 0) & (table.seq[row] == table.ack[prompt]),
        (prompt >= 0) & (own_fin < prompt),
    )
    yield from zip(found, map(_Reset._make, zip(*(column.tolist() for column in columns), strict=True)), strict=True)


def _outstanding(sent: Ints, acked: Ints, closed: Bools) -> Ints:
    """Bytes that one side had sent and the other had not acknowledged; `closed`: a FIN among them."""
    return np.where((sent > 0) & (acked > 0), np.maximum(sent - acked - closed, 0), 0)


def _abort(evidence: Evidence, group: Group, reset: _Reset) -> Iterator[Finding]:
    mine = _before_closed(_end(evidence, group.connection, group.side))
    lost = reset.lost
    if _orphaned(evidence, group, reset):
        yield _closed_too_late(evidence, group, reset.row)
        return
    reason, alternatives, confidence = _reason(evidence, reset)
    summary = phrase(
        "{who} reset the connection{where} ({frames}): {reason}{more}.",
        who=The(group.side),
        where=_IN_STATE[mine] if mine else "",
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
    if reset.prompt_length and reset.closed_before_prompt:
        yield _data_after_close(evidence, group, reset.prompt)
    elif reset.acks and reset.left:
        yield _unread(evidence, group, reset)


def _not_acknowledged(lost: int) -> Text:
    return counted(
        lost,
        "; {n:,} byte of data was not acknowledged by then",
        "; {n:,} bytes of data were not acknowledged by then",
    )


def _closed_before(evidence: Evidence, connection: int, side: int, row: int) -> bool:
    """Its FIN had passed when `row` did."""
    return bool(evidence.passes.first_fin[2 * connection + side] < row)


def _reason(evidence: Evidence, reset: _Reset) -> tuple[Text, tuple[Alternative, ...], Confidence]:
    """Why it was sent, as far as the RST and what came before it tell, what else could be, and how sure that is."""
    if reset.keeps_alive:
        return _KEEP_ALIVES, (), Confidence.HIGH
    if reset.acks:
        return _OWN_ACCORD, _BY_ITSELF, Confidence.HIGH
    answered = phrase("frame {frame}", frame=reset.prompt_frame) if reset.prompt >= 0 else _EARLIER
    if reset.closed_before_prompt:
        closed = phrase("it had closed already and no one was left to take {segment}", segment=answered)
        return closed, (), Confidence.HIGH
    reason = phrase("it no longer knew the connection when {segment} came (a restart, or state lost)", segment=answered)
    if reset.prompt >= 0 and reset.since_prompt <= evidence.settings.beside_tap_ns:
        return reason, (), Confidence.HIGH  # whatever else had ended it there would have passed this tap
    return reason, _BY_OTHERS, Confidence.MEDIUM


def _orphaned(evidence: Evidence, group: Group, reset: _Reset) -> bool:
    """Its FIN had long been acknowledged when the other's FIN, or an empty segment, came; no data, no FIN before.

    In FIN-WAIT-2 a host answers these by an ACK; a RST shows that it waits no more (tcp_fin_timeout on Linux).
    """
    if not reset.answers_empty:
        return False
    table, passes = evidence.table, evidence.passes
    earlier = np.arange(table.bounds[group.connection], reset.prompt)
    fins = earlier[((table.flags[earlier] & FIN) != 0) & passes.live[earlier]]
    if not len(fins) or np.any(table.side[fins] != group.side):
        return False
    known = earlier[(table.side[earlier] != group.side) & passes.acks[earlier]]
    known = known[table.ack[known] >= table.end[fins[0]]]
    return bool(len(known)) and table.time_ns[reset.prompt] - table.time_ns[known[0]] > evidence.settings.unanswered_ns


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


def _unread(evidence: Evidence, group: Group, reset: _Reset) -> Finding:
    summary = counted(
        reset.left,
        "{who} closed by a RST (frame {frame}) without taking the last {n:,} byte of the {side}.",
        "{who} closed by a RST (frame {frame}) without taking the last {n:,} bytes of the {side}.",
        who=The(group.side),
        frame=int(evidence.table.frame[reset.row]),
        side=side_name(1 - group.side),
    )
    return finding(
        evidence,
        "close_with_unread_data",
        group.connection,
        SIDES[group.side],
        [reset.row],
        summary,
        None,
        Confidence.MEDIUM,
        _NOT_ARRIVED,
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
