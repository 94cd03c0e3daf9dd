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

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.findings.sent_again import sent_again
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.evidence import FIN, RST, SYN
from pcapreport.tcp.vantage import find_vantages

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


DELAYED_ACK_NS = SECOND // 2
"""No acknowledgment is delayed longer (RFC 9293 section 3.8.6.3)."""


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
    """Intervals between neighboring rows of a connection that count: rows `before` and `after`, ns."""

    before: Ints
    after: Ints
    took: Ints


def time_ledger(evidence: Evidence) -> TimeLedger:
    """The ledger of each connection, and its turns."""
    table, passes = evidence.table, evidence.passes
    steps = _steps(table, passes)
    trips = np.maximum(find_vantages(table, evidence.settings).round_trip, 0)
    part, thought = _judged(evidence, steps, trips)
    count, parts = len(table), len(Part)
    spent = np.zeros((count, parts), np.int64)
    owner = table.connection[steps.before]
    network = steps.took - thought
    np.add.at(spent, (owner, part), thought)
    np.add.at(spent[:, Part.NETWORK], owner, network)
    first, last = table.bounds[:-1], table.bounds[1:]
    both = [by.reduceat(table.time_ns, first) for by in (np.minimum, np.maximum)] if count else [first, last]
    spent[:, Part.UNKNOWN] += both[1] - both[0] - spent.sum(axis=1)
    return TimeLedger(spent, _turns(evidence, steps, part, thought))


def _steps(table: ConnectionTable, passes: Passes) -> _Steps:
    """Rows that neither repeat another as copies nor belong to another connection; a clock never goes backwards."""
    counts = passes.live | ((table.flags & RST) != 0) & (passes.original < 0)
    rows = np.flatnonzero(counts)
    if len(rows) < 2:
        return _Steps(*(np.empty(0, np.int64) for _ in range(3)))
    connection, time = table.connection[rows], table.time_ns[rows]
    span = int(time.max()) - int(time.min()) + 1
    lifted = np.maximum.accumulate(connection * span + time - int(time.min())) if span * len(table) < 1 << 62 else time
    took = np.maximum(np.diff(lifted), 0)
    same = connection[1:] == connection[:-1]
    return _Steps(rows[:-1][same], rows[1:][same], took[same])


def _judged(evidence: Evidence, steps: _Steps, trips: Ints) -> tuple[Ints, Ints]:
    """(the part of each step; how much of it is that part's, the rest being the network's)."""
    table, passes = evidence.table, evidence.passes
    i, j, took = steps.before, steps.after, steps.took
    side, connection = table.side[j].astype(np.int64), table.connection[j]
    flags = table.flags[j]
    ends = (flags & (FIN | RST)) != 0
    data = (table.length[j] > 0) & ~passes.keep_alive[j] & ~passes.wandered[j]
    reacts = table.side[i] != table.side[j]
    waits = (passes.sent_before[j] > passes.acked_before[j]) & (passes.acked_before[j] >= 0)
    free = np.where(reacts, np.maximum(took - trips[connection, side], 0), np.where(waits, 0, took))
    long = took > trips[connection].sum(axis=1) + DELAYED_ACK_NS
    thinks = data & (long | ~_midway(table, passes, j))
    silent = ends & ~data & ~waits
    part = np.full(len(j), int(Part.NETWORK))
    own = took.copy()
    part[thinks] = np.where(side[thinks] == CLIENT, Part.CLIENT, Part.SERVER)
    own[thinks] = free[thinks]
    late = long & (~data | waits)
    part[late] = np.where(waits[late], Part.UNKNOWN, Part.IDLE)
    part[silent | passes.keep_alive[j] | passes.keep_alive[i]] = Part.IDLE
    closing = i >= passes.first_fin.reshape(-1, 2).min(axis=1)[connection]
    part[closing & (thinks | (i >= _last_data(table, passes)[connection]))] = Part.CLOSE
    part[j <= _third(table, passes)[connection]] = Part.HANDSHAKE
    part[sent_again(evidence)[j]] = Part.RECOVERY
    for closed, which in zip(_closed(table, passes, i), (Part.CLIENT_WINDOW, Part.SERVER_WINDOW), strict=True):
        part[closed] = which
    part[_one_sided(table, passes)[connection]] = Part.UNKNOWN
    own[(part != Part.CLIENT) & (part != Part.SERVER)] = took[(part != Part.CLIENT) & (part != Part.SERVER)]
    return part, own


def _midway(table: ConnectionTable, passes: Passes, rows: Ints) -> Bools:
    """Goes on with a message: the sender's last segment was as long as any of its, and nobody spoke since."""
    largest = np.zeros(2 * len(table), np.int64)
    flow = passes.connection * 2 + table.side
    np.maximum.at(largest, flow, table.length)
    last, peer = passes.previous_send[rows], passes.previous_peer[rows]
    spoke = (peer > last) & (table.length[peer] > 0)
    return np.asarray((last >= 0) & (table.length[last] > 0) & (table.length[last] >= largest[flow[rows]]) & ~spoke)


def _last_data(table: ConnectionTable, passes: Passes) -> Ints:
    """Per connection the last row with data, or -1."""
    found = np.full(len(table), -1)
    rows = np.flatnonzero(passes.live & (table.length > 0) & ~passes.keep_alive)
    found[table.connection[rows]] = rows
    return found


def _third(table: ConnectionTable, passes: Passes) -> Ints:
    """Per connection the row that completes the handshake (the client's first without SYN, or what its SYNs came to
    where it sent none), or -1 where the capture begins later."""
    syn = (table.flags & SYN) != 0
    begun = np.zeros(len(table), bool)
    begun[table.connection[np.flatnonzero(syn & passes.live)]] = True
    found = np.full(len(table), -1)
    rows = np.flatnonzero(passes.live & syn)
    found[table.connection[rows]] = rows
    rows = np.flatnonzero(passes.live & ~syn & (table.side == CLIENT))[::-1]
    first = np.full(len(table), -1)
    first[table.connection[rows]] = rows
    return np.where(begun, np.maximum(found, first), -1)


def _closed(table: ConnectionTable, passes: Passes, rows: Ints) -> tuple[Bools, Bools]:
    """Whether the window of (client, server) is closed after each row."""
    shut = (table.window == 0) & ((table.flags & (SYN | FIN | RST)) == 0) & passes.live
    own, peer = shut[rows], passes.peer_window_zero[rows] & passes.live[rows]
    client = table.side[rows] == CLIENT
    return np.where(client, own, peer), np.where(client, peer, own)


def _one_sided(table: ConnectionTable, passes: Passes) -> Bools:
    """Per connection: it is not the case that both sides were captured."""
    seen = np.zeros((len(table), 2), bool)
    rows = np.flatnonzero(passes.live)
    seen[table.connection[rows], table.side[rows]] = True
    return ~(seen[:, CLIENT] & seen[:, SERVER])


def _turns(evidence: Evidence, steps: _Steps, part: Ints, own: Ints) -> Turns:
    table, passes = evidence.table, evidence.passes
    rows = np.flatnonzero(passes.live & (table.length > 0) & ~passes.keep_alive & (passes.known == 0))
    before, after = rows[:-1], rows[1:]
    turn = (table.connection[before] == table.connection[after]) & (table.side[before] != table.side[after])
    asked, answered = before[turn], after[turn]
    thought = np.zeros(len(table.row) + 1, np.int64)
    thought[steps.after + 1] = np.where((part == Part.CLIENT) | (part == Part.SERVER), own, 0)
    total = np.cumsum(thought)
    return Turns(
        connection=table.connection[answered],
        side=table.side[answered].astype(np.int64),
        asked=asked,
        answered=answered,
        took_ns=np.maximum(table.time_ns[answered] - table.time_ns[asked], 0),
        own_ns=total[answered + 1] - total[asked + 1],
    )
