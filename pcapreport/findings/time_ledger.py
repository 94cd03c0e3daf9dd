"""Where the time of each connection went: every moment between its first and last segment under one heading.

The tap sees when segments pass, so each interval between one segment and the next is judged by what ended it:

- a repetition: the time before it was lost to recovery;
- while one side's window is closed: to that receiver, which did not read;
- the segments that open and, behind the last data, close the connection: to handshake and close; to the latter also
  what a side thinks about after the other's FIN;
- a keep-alive, or when all was said a FIN, a RST, or a bare acknowledgment that comes too late to answer anything: both
  sides were idle;
- data: whoever sent it was thinking, but for the round trip between the tap and that side, which is the network's. Who
  still waits for acknowledgments, or is in the midst of a message (its segment before was a full one), does not think;
- the rest, and bare acknowledgments: the network.

Where only one direction was captured none of this can be told, nor why something that waits for an acknowledgment
was neither acknowledged nor sent again for long. Round trips are the quickest answers of each side to
what passed the tap (tcp/vantage.py), so that what a side took longer than that is its own doing or a queue's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.tcp.connections import CLIENT, ConnectionTable
from pcapreport.tcp.evidence import FIN, RST, SYN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


class Part(IntEnum):
    """What an interval went to."""

    HANDSHAKE = 0
    CLIENT = 1
    """The client's application was thinking."""
    SERVER = 2
    NETWORK = 3
    RECOVERY = 4
    CLIENT_WINDOW = 5
    """The client's receive window was closed."""
    SERVER_WINDOW = 6
    CLOSE = 7
    IDLE = 8
    UNKNOWN = 9


@dataclass(frozen=True, slots=True)
class Turns:
    """Data of one side that follow data of the other: answers. All (n,), by connection and time."""

    connection: Ints
    side: Ints
    """Who answers."""
    asked: Ints
    """The row of the last data of the other side before."""
    answered: Ints
    """The first row of the answer."""
    took_ns: Ints
    own_ns: Ints
    """Of that, what the answering side was thinking."""


@dataclass(frozen=True, slots=True)
class TimeLedger:
    """Of all connections of a table."""

    spent: Ints
    """(connections, parts), ns; each row adds up to the connection's duration."""
    turns: Turns


@dataclass(frozen=True, slots=True)
class _Steps:
    """Intervals between neighboring rows that count (n,), of the row behind each; 0 ns into the next connection."""

    before: Ints
    after: Ints
    connection: Ints
    client: Bools
    """The client sent the row behind it."""
    reacts: Bools
    """The other side sent the row before it."""
    took: Ints
    whole: bool
    """All rows count, so that the columns need only be cut."""

    def of_before(self, column: npt.NDArray[T]) -> npt.NDArray[T]:
        """A column of the table for the rows before."""
        return column[:-1] if self.whole else column.take(self.before)

    def of_after(self, column: npt.NDArray[T]) -> npt.NDArray[T]:
        """The same for the rows behind."""
        return column[1:] if self.whole else column.take(self.after)


def time_ledger(evidence: Evidence) -> TimeLedger:
    """The ledger of each connection, and its turns."""
    table = evidence.table
    steps = _steps(table, evidence.passes)
    part, thought = _judged(evidence, steps)
    count, parts = len(table), len(Part)
    spent = np.zeros((count, parts), np.int64)
    np.add.at(spent.reshape(-1), steps.connection * parts + part, thought)
    network, shared = np.zeros(count, np.int64), np.flatnonzero(steps.took != thought)
    np.add.at(network, steps.connection[shared], steps.took[shared] - thought[shared])
    spent[:, Part.NETWORK] += network
    first, last = table.bounds[:-1], table.bounds[1:]
    both = [by.reduceat(table.time_ns, first) for by in (np.minimum, np.maximum)] if count else [first, last]
    spent[:, Part.UNKNOWN] += both[1] - both[0] - spent.sum(axis=1)
    return TimeLedger(spent, _turns(evidence, steps, part, thought))


def _steps(table: ConnectionTable, passes: Passes) -> _Steps:
    """Rows that neither repeat another as copies nor belong to another connection; a clock never goes backwards."""
    counts = passes.live | ((table.flags & RST) != 0) & (passes.original < 0)
    rows = np.flatnonzero(counts)
    connection, time, side = table.connection.take(rows), table.time_ns.take(rows), table.side.take(rows)
    took = np.diff(_never_back(time, connection))
    took[connection[1:] != connection[:-1]] = 0
    whole = len(rows) == len(counts)
    return _Steps(rows[:-1], rows[1:], connection[1:], side[1:] == CLIENT, side[1:] != side[:-1], took, whole)


def _never_back(time: Ints, connection: Ints) -> Ints:
    """The highest time so far in each connection."""
    begun = int(time.min()) if len(time) else 0
    span = int(time.max(initial=begun)) - begun + 1
    if span * (int(connection.max(initial=0)) + 1) < 1 << 62:
        return np.asarray(np.maximum.accumulate(connection * span + (time - begun)) - connection * span)
    moments, rank = np.unique(time, return_inverse=True)
    lift = connection * len(moments)
    return np.asarray(moments[np.maximum.accumulate(lift + rank) - lift])


def _judged(evidence: Evidence, steps: _Steps) -> tuple[npt.NDArray[np.int8], Ints]:
    """(the part of each step; how much of it is that part's, the rest being the network's)."""
    table, passes = evidence.table, evidence.passes
    j, took, connection = steps.after, steps.took, steps.connection
    trips = np.maximum(evidence.vantages.round_trip, 0)
    alive = steps.of_after(passes.keep_alive)
    data = (steps.of_after(table.length) > 0) & ~alive & ~steps.of_after(passes.wandered)
    acked = steps.of_after(passes.acked_before)
    waits = (steps.of_after(passes.sent_before) > acked) & (acked >= 0)
    long = took > (trips.sum(axis=1) + evidence.settings.longest_ack_delay_ns).take(connection)
    thinks = data.copy()
    short = np.flatnonzero(data & ~long)
    thinks[short[_midway(table, passes, j[short])]] = False
    ends = (steps.of_after(table.flags) & (FIN | RST)) != 0
    part = np.full(len(j), int(Part.NETWORK), np.int8)
    part[thinks] = np.where(steps.client[thinks], np.int8(Part.CLIENT), np.int8(Part.SERVER))
    late = long & (~data | waits)
    part[late] = np.where(waits[late], np.int8(Part.UNKNOWN), np.int8(Part.IDLE))
    part[ends & ~data & ~waits | alive | steps.of_before(passes.keep_alive)] = Part.IDLE
    closing = steps.before >= passes.first_fin.reshape(-1, 2).min(axis=1, initial=len(table.row)).take(connection)
    part[closing & (thinks | (steps.before >= _last_data(table, passes).take(connection)))] = Part.CLOSE
    part[j <= _third(table, passes).take(connection)] = Part.HANDSHAKE
    part[steps.of_after(evidence.sent_again)] = Part.RECOVERY
    for closed, which in zip(_closed(table, passes, steps), (Part.CLIENT_WINDOW, Part.SERVER_WINDOW), strict=True):
        part[closed] = which
    part[_one_sided(table, passes).take(connection)] = Part.UNKNOWN
    own, thought = took.copy(), np.flatnonzero((part == Part.CLIENT) | (part == Part.SERVER))
    own[thought] = _free(steps, thought, waits, trips)
    return part, own


def _free(steps: _Steps, chosen: Ints, waits: Bools, trips: Ints) -> Ints:
    """How long of the chosen steps their sender could have sent."""
    took, side = steps.took[chosen], 1 - steps.client[chosen].astype(np.int64)
    trip = trips.reshape(-1)[steps.connection[chosen] * 2 + side]
    return np.where(steps.reacts[chosen], np.maximum(took - trip, 0), np.where(waits[chosen], 0, took))


def _midway(table: ConnectionTable, passes: Passes, rows: Ints) -> Bools:
    """Of these rows: goes on with a message. The sender's last segment was as long as any of its, and nobody spoke
    since."""
    largest = np.zeros(2 * len(table), np.int64)
    data = np.flatnonzero(table.length > 0)
    np.maximum.at(largest, passes.connection[data] * 2 + table.side[data], table.length[data])
    last, peer = passes.previous_send[rows], passes.previous_peer[rows]
    length = table.length.take(last, mode="clip")
    midway = (last >= 0) & (length > 0) & (length >= largest[passes.connection[rows] * 2 + table.side[rows]])
    midway[midway] = ~((peer[midway] > last[midway]) & (table.length[peer[midway]] > 0))
    return np.asarray(midway)


def _last_data(table: ConnectionTable, passes: Passes) -> Ints:
    """Per connection the last row with data, or -1."""
    rows = np.flatnonzero(passes.live & (table.length > 0) & ~passes.keep_alive)
    return _last(table, rows)


def _last(table: ConnectionTable, rows: Ints) -> Ints:
    """Per connection the last of these rows, or -1."""
    found = np.append(-1, rows)[np.searchsorted(rows, table.bounds[1:])]
    return np.where(found >= table.bounds[:-1], found, -1)


def _third(table: ConnectionTable, passes: Passes) -> Ints:
    """Per connection the row that completes the handshake (the client's first without SYN, or what its SYNs came to
    where it sent none), or -1 where the capture begins later."""
    syn = (table.flags & SYN) != 0
    found = _last(table, np.flatnonzero(passes.live & syn))
    rows = np.append(np.flatnonzero(passes.live & ~syn & (table.side == CLIENT)), len(table.row))
    first = rows[np.searchsorted(rows, table.bounds[:-1])]
    return np.where(found >= 0, np.maximum(found, np.where(first < table.bounds[1:], first, -1)), -1)


def _closed(table: ConnectionTable, passes: Passes, steps: _Steps) -> tuple[Ints, Ints]:
    """The steps during which the window of (client, server) is closed."""
    shut = (table.window == 0) & ((table.flags & (SYN | FIN | RST)) == 0) & passes.live
    peer_shut = passes.peer_window_zero & passes.live
    some = np.flatnonzero(steps.of_before(shut | peer_shut))
    rows = steps.before[some]
    own, peer, client = shut[rows], peer_shut[rows], table.side[rows] == CLIENT
    return some[np.where(client, own, peer)], some[np.where(client, peer, own)]


def _one_sided(table: ConnectionTable, passes: Passes) -> Bools:
    """Per connection: it is not the case that both sides were captured."""
    if not len(table):
        return np.zeros(0, bool)
    first, client = table.bounds[:-1], table.side == CLIENT
    seen = [np.logical_or.reduceat(passes.live & own, first) for own in (client, ~client)]
    return np.asarray(~(seen[0] & seen[1]))


def _turns(evidence: Evidence, steps: _Steps, part: npt.NDArray[np.int8], own: Ints) -> Turns:
    table, passes = evidence.table, evidence.passes
    rows = np.flatnonzero(passes.live & (table.length > 0) & ~passes.keep_alive & (passes.known == 0))
    side, connection = table.side.take(rows), table.connection.take(rows)
    turn = np.flatnonzero((connection[1:] == connection[:-1]) & (side[1:] != side[:-1]))
    asked, answered = rows[turn], rows[turn + 1]
    thought = np.zeros(len(table.row) + 1, np.int64)
    thinking = np.flatnonzero((part == Part.CLIENT) | (part == Part.SERVER))
    thought[steps.after[thinking] + 1] = own[thinking]
    total = np.cumsum(thought)
    return Turns(
        connection=connection[turn + 1],
        side=side[turn + 1].astype(np.int64),
        asked=asked,
        answered=answered,
        took_ns=np.maximum(table.time_ns[answered] - table.time_ns[asked], 0),
        own_ns=total[answered + 1] - total[asked + 1],
    )
