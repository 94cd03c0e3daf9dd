"""What became of each later SYN that met an endpoint's TIME-WAIT on the same addresses and ports.

RFC 9293 section 3.6.1 lets TIME-WAIT be left for a SYN with a number above all of the old connection (MAY-2), RFC 6191
for one with a newer timestamp; Linux does both. Any other SYN is answered by an ACK with the old numbers (RFC 9293
section 3.10.7.4), whose RST then ends TIME-WAIT (RFC 1337), or is dropped in silence (RFC 6191). The host that waits
may itself connect anew from the same port (Linux: tcp_tw_reuse, where timestamps were used, 1 s after the last one).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.packet_table import Option
from pcapreport.tcp import sequence, time_wait
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import ACK, FIN, FOREIGN, RST, SYN
from pcapreport.tcp.history import ConnectionHistory, LaterSyn, Meeting, TimeWait

MOST = 100
"""Later SYNs looked at for one TIME-WAIT."""


ENDS = frozenset(Meeting) - {Meeting.CHALLENGED, Meeting.UNANSWERED}
"""After these TIME-WAIT is over."""


def with_later_syns(table: ConnectionTable, connection: int, history: ConnectionHistory) -> ConnectionHistory:
    """The history with what met the TIME-WAIT of each end."""
    client, server = (
        end
        if end.time_wait is None
        else end._replace(
            time_wait=end.time_wait._replace(later_syns=tuple(_later_syns(table, connection, side, end.time_wait)))
        )
        for side, end in enumerate((history.client, history.server))
    )
    return history._replace(client=client, server=server)


def _later_syns(table: ConnectionTable, connection: int, side: int, ledger: TimeWait) -> list[LaterSyn]:
    """The SYNs that came while that side's TIME-WAIT lasted, and the first one after it."""
    found: list[LaterSyn] = []
    last = [_Last(table, connection, one) for one in (0, 1)]
    successor = int(table.successor[connection])
    while successor >= 0 and len(found) < MOST:
        for meeting in _of_one(table, connection, successor, side, ledger, last):
            found.append(meeting)
            if meeting.meeting in ENDS:
                return found
        successor = int(table.successor[successor])
    return found


class _Last:
    """How far one side of the old connection had come."""

    def __init__(self, table: ConnectionTable, connection: int, side: int) -> None:
        rows = np.arange(table.bounds[connection], table.bounds[connection + 1])
        rows = rows[(table.side[rows] == side) & (table.flags[rows] & RST == 0) & (np.abs(table.seq[rows]) < FOREIGN)]
        isn = int(table.isn[connection, side])
        self.next_seq = (isn + int(table.end[rows].max(initial=1))) % sequence.MODULUS
        at = table.row[rows]
        at = at[(table.packets["options"][at] & Option.TIMESTAMP) != 0]
        self.stamp: int | None = None
        if len(at):
            stamps = table.packets["ts_val"][at]
            self.stamp = (int(stamps[0]) + int(sequence.distances(stamps, stamps[:1]).max())) % sequence.MODULUS


def _of_one(
    table: ConnectionTable, old: int, new: int, side: int, ledger: TimeWait, last: list[_Last]
) -> Iterator[LaterSyn]:
    """The SYNs of one later connection, in order."""
    crossed = table.endpoints(old)[0] != table.endpoints(new)[0]
    start, stop = int(table.bounds[new]), int(table.bounds[new + 1])
    control = table.flags[start:stop] & (SYN | ACK | FIN | RST)
    syns = start + np.flatnonzero((control == SYN) & (table.original[start:stop] < 0))
    for at, row in enumerate(syns[:MOST].tolist()):
        sender = int(table.side[row])
        following = [other for other in syns[at + 1 :].tolist() if table.side[other] == sender]
        until = following[0] if following else stop
        by_owner = (sender ^ crossed) == side
        own = last[sender ^ crossed]
        stamped = bool(table.packets["options"][table.row[row]] & Option.TIMESTAMP)
        time = int(table.time_ns[row])
        syn = LaterSyn(
            frame=int(table.frame[row]),
            at=time,
            meeting=Meeting.BY_OWNER if by_owner else Meeting.UNANSWERED,
            seq=int(table.packets["seq"][table.row[row]]),
            next_seq=own.next_seq,
            stamp=int(table.packets["ts_val"][table.row[row]]) if stamped else None,
            last_stamp=own.stamp,
            may_be_over=time_wait.may_be_over(ledger, time),
            answer=None,
            reset=None,
            again=int(table.time_ns[until]) - time if following else None,
        )
        if not by_owner:
            syn = _answered(table, row, until, ledger, syn)
        if time_wait.is_over(ledger, time) and syn.meeting is not Meeting.CHALLENGED:
            syn = syn._replace(meeting=Meeting.AFTER_EXPIRY)
        yield syn


def _answered(table: ConnectionTable, row: int, until: int, ledger: TimeWait, syn: LaterSyn) -> LaterSyn:
    """With what the endpoint in TIME-WAIT made of it, in the rows before the same host's next SYN."""
    sender, taken = int(table.side[row]), int(table.end[row])
    for at in range(row + 1, min(until, row + MOST)):
        if int(table.side[at]) == sender:
            continue
        flags, frame = int(table.flags[at]), int(table.frame[at])
        answers = bool(flags & ACK) and table.end[row] - table.length[row] <= table.ack[at] <= taken
        if flags & SYN and answers:
            return syn._replace(meeting=_why_accepted(ledger, syn), answer=frame)
        if flags & RST and answers:
            return syn._replace(meeting=Meeting.REFUSED, answer=frame)
        if not flags & (SYN | RST | FIN) and not answers and flags & ACK:
            resets = (i for i in range(at + 1, until) if table.flags[i] & RST and int(table.side[i]) == sender)
            reset = next((int(table.frame[i]) for i in resets), None)
            return syn._replace(meeting=Meeting.CHALLENGED, answer=frame, reset=reset)
    return syn


def _why_accepted(ledger: TimeWait, syn: LaterSyn) -> Meeting:
    if ledger.ended_by == "reset" and ledger.ended_at is not None and ledger.ended_at <= syn.at:
        return Meeting.AFTER_RESET
    outdated = syn.stamp is not None and syn.last_stamp is not None and not syn.newer and syn.stamp != syn.last_stamp
    if syn.higher and not outdated:
        return Meeting.HIGHER_SEQUENCE
    if syn.newer and syn.last_stamp is not None:
        return Meeting.NEWER_TIMESTAMP
    return Meeting.AFTER_EXPIRY if syn.may_be_over else Meeting.ACCEPTED
