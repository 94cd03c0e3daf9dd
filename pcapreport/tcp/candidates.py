"""Which rows of a connection can change a state, and what they look like: the shape that connections share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import CLIENT, ConnectionTable
from pcapreport.tcp.evidence import D_SACK, FOREIGN, FORGED, GENUINE, Segment
from pcapreport.tcp.forgery import judged_resets
from pcapreport.tcp.shapes import canonical_numbers

Ints = npt.NDArray[np.int64]

HEAD_ROWS = 12
"""Rows at the start of a connection that are always looked at: the handshake and the first data each way."""
AROUND_CONTROL = (16, 8)
"""Rows before and after each SYN, FIN or RST: what the sender still had outstanding, what the receiver made of it."""
TAIL_ROWS = 4

CONTROL = Flag.SYN | Flag.FIN | Flag.RST


LONGEST_SHAPE = 160
"""Rows of a connection up to which others are looked for that share its shape."""


class Candidates:
    """The rows of all connections that can change a state, numbers by rank.

    To the rows of a connection whose ports were used again are added those that opened the next one, up to its
    SYN-ACK, in the first one's numbers and sides: they tell how the first one ended.
    """

    def __init__(self, table: ConnectionTable) -> None:
        chosen = candidate_rows(table)
        connection = np.repeat(np.arange(len(table)), np.diff(table.bounds))[chosen]
        at, owner = _aftermath(table, chosen, connection)
        rows = np.concatenate([chosen, at])
        owner = np.concatenate([connection, owner])
        after = np.repeat([0, 1], [len(chosen), len(at)])
        side, seq, end, ack = _in_numbers_of(table, rows, owner)
        order = np.argsort(owner, kind="stable")
        flags = table.flags[rows].astype(np.int64) & (CONTROL | Flag.ACK)
        flags |= np.where(_reports_duplicate(table.packets, table.row[rows]), D_SACK, 0)
        resets = judged_resets(table)
        flags |= np.where(np.isin(rows, resets.forged), FORGED, 0)
        flags |= np.where(np.isin(rows, resets.genuine), GENUINE, 0)
        own, other = owner * 2 + side, owner * 2 + 1 - side
        numbers = canonical_numbers(np.concatenate([own, own, other]), np.concatenate([seq, end, ack]))
        filled = (table.length[rows] > 0).astype(np.int64), (table.window[rows] > 0).astype(np.int64)
        shape = np.stack([side, flags, *numbers.reshape(3, -1), *filled, after], axis=1)
        self._shape = shape[order]
        self._frame = table.frame[rows][order]
        self._bounds = np.searchsorted(owner[order], np.arange(len(table) + 1))
        self._time = _never_back(table.time_ns[rows][order], owner[order], self._bounds)

    def groups(self, kinds: Ints) -> list[list[int]]:
        """Connections of one kind and shape together; long ones each alone. `kinds`: a number for each connection."""
        bounds, kind = self._bounds.tolist(), kinds.tolist()
        by_shape: dict[tuple[int, bytes], list[int]] = {}
        single: list[list[int]] = []
        for connection, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False)):
            if stop - start > LONGEST_SHAPE:
                single.append([connection])
            else:
                by_shape.setdefault((kind[connection], self._shape[start:stop].tobytes()), []).append(connection)
        return single + list(by_shape.values())

    def times_and_frames(self, connections: Sequence[int]) -> tuple[Ints, Ints]:
        """Two arrays (rows, connections) for connections of one shape."""
        starts = self._bounds[connections]
        rows = starts[None, :] + np.arange(self._bounds[connections[0] + 1] - starts[0])[:, None]
        return self._time[rows], self._frame[rows]

    def shape(self, connection: int) -> tuple[list[Segment], list[Segment]]:
        """(a connection's own segments, those that opened the next one); times and frames are to be filled in."""
        rows = self._shape[self._bounds[connection] : self._bounds[connection + 1]].tolist()
        segments = [Segment(0, 0, *values) for *values, _ in rows]
        own = sum(not row[-1] for row in rows)
        return segments[:own], segments[own:]


def _reports_duplicate(packets: PacketTable, rows: Ints) -> npt.NDArray[np.bool_]:
    """Which of these rows of the packet table carry a D-SACK: a first block at or below what they acknowledge."""
    reports = np.zeros(len(rows), bool)
    with_sack = np.flatnonzero(packets["sack"][rows] >= 0)
    at = rows[with_sack]
    right = packets.sack_blocks[packets["sack"][at], 0, 1]
    reports[with_sack] = sequence.distances(packets["ack"][at], right) >= 0
    return reports


def _never_back(time: Ints, owner: Ints, bounds: Ints) -> Ints:
    """Times that never step back within a connection: a clock that was set back must not undo an order of events.

    Where they would, each is a nanosecond after the one before, so that the order can be told from them."""
    steps_back = np.flatnonzero((time[1:] < time[:-1]) & (owner[1:] == owner[:-1]))
    if len(steps_back):
        time = time.copy()
        for connection in np.unique(owner[steps_back]).tolist():
            rows = slice(bounds[connection], bounds[connection + 1])
            grain = np.arange(len(time[rows]))
            time[rows] = np.maximum.accumulate(time[rows] - grain) + grain
    return time


def _aftermath(table: ConnectionTable, chosen: Ints, connection: Ints) -> tuple[Ints, Ints]:
    """(rows that opened the successors, up to their SYN-ACK; the connection before, whose aftermath they are)."""
    old = np.flatnonzero(table.successor >= 0)
    new = table.successor[old]
    bounds = np.searchsorted(connection, np.arange(len(table) + 1))
    stop = bounds[1:].copy()
    answers = np.flatnonzero((table.flags[chosen] & (Flag.SYN | Flag.ACK)) == Flag.SYN | Flag.ACK)
    stop[connection[answers][::-1]] = answers[::-1] + 1
    counts = stop[new] - bounds[new]
    owner = np.repeat(old, counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return chosen[np.repeat(bounds[new], counts) + within], owner


def _in_numbers_of(table: ConnectionTable, rows: Ints, owner: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """(side, seq, end, ack) of `rows` as the connections `owner` count them, whichever connection they belong to."""
    side, seq, end, ack = table.side[rows].astype(np.int64), table.seq[rows], table.end[rows], table.ack[rows]
    connection = np.searchsorted(table.bounds, rows, side="right") - 1
    foreign = np.flatnonzero(connection != owner)
    new, old = connection[foreign], owner[foreign]
    own_side = side[foreign]
    side[foreign] = own_side ^ (_client(table, new) != _client(table, old)).any(axis=0)
    shift = sequence.distances(table.isn[new, own_side], table.isn[old, side[foreign]])
    back = sequence.distances(table.isn[new, 1 - own_side], table.isn[old, 1 - side[foreign]])
    length = end[foreign] - seq[foreign]
    seq[foreign] = sequence.centred(seq[foreign] + shift)
    end[foreign] = seq[foreign] + length
    acked = (table.flags[rows[foreign]] & Flag.ACK) != 0
    ack[foreign] = np.where(acked, sequence.centred(ack[foreign] + back), 0)
    return side, seq, end, ack


def _client(table: ConnectionTable, connections: Ints) -> npt.NDArray[np.uint64]:
    """(3, n): the client's address and port of each connection."""
    first = table.bounds[connections]
    row, sent = table.row[first], table.side[first] == CLIENT
    names = (("src_hi", "dst_hi"), ("src_lo", "dst_lo"), ("sport", "dport"))
    return np.stack([np.where(sent, table.packets[a][row], table.packets[b][row]).astype(np.uint64) for a, b in names])


def candidate_rows(table: ConnectionTable) -> npt.NDArray[np.int64]:
    """Positions (ascending) of the rows that can change a state or bound the time of a change.

    All SYN, FIN and RST and their neighbours, the first and last rows of each connection, and the first segments of
    each side that acknowledge the other's FIN; no copies. Bulk data in between moves nothing (RFC 9293 3.10.7.4).
    """
    total = len(table.row)
    if not total:
        return np.empty(0, np.int64)
    counts = np.diff(table.bounds)
    start = np.repeat(table.bounds[:-1], counts)
    stop = np.repeat(table.bounds[1:], counts)
    at = np.arange(total)
    control = (table.flags & CONTROL) != 0
    keep = control | (at - start < HEAD_ROWS) | (stop - at <= TAIL_ROWS)
    marks = np.zeros(total + 1, np.int64)
    where = np.flatnonzero(control)
    before, after = AROUND_CONTROL
    np.add.at(marks, np.maximum(where - before, start[where]), 1)
    np.add.at(marks, np.minimum(where + after + 1, stop[where]), -1)
    keep |= np.cumsum(marks[:-1]) > 0
    keep |= _first_acks_of_fin(table)
    keep[_furthest(table)] = True
    return np.flatnonzero(keep & (table.original < 0))


def _furthest(table: ConnectionTable) -> Ints:
    """The row with which each flow first came to its last number sent and to its last one acknowledged, and the row
    before that of the latter: whether all that was acknowledged was captured, and how the last of it came."""
    connection = np.repeat(np.arange(len(table)), np.diff(table.bounds))
    found = []
    for side in (0, 1):
        own = (table.side == side) & (table.flags & Flag.RST == 0)
        for number in (table.end, table.ack):
            reached = np.where(own & (number < FOREIGN), number, -FOREIGN)
            most = np.maximum.reduceat(reached, table.bounds[:-1])
            rows = np.flatnonzero(own & (reached == most[connection]))
            found.append(rows[np.diff(connection[rows], prepend=-1) != 0])
        before = np.flatnonzero(own)
        at = np.searchsorted(before, found[-1]) - 1
        found.append(before[at[at >= 0]])
    return np.concatenate(found)


def _first_acks_of_fin(table: ConnectionTable, how_many: int = 3) -> npt.NDArray[np.bool_]:
    """The first few rows of each flow that acknowledge the other side's FIN."""
    chosen = np.zeros(len(table.row), bool)
    connection = np.repeat(np.arange(len(table)), np.diff(table.bounds))
    flow = connection * 2 + table.side
    fin_end = np.full(2 * len(table), np.iinfo(np.int64).max)
    fins = np.flatnonzero((table.flags & Flag.FIN) != 0)
    fin_end[flow[fins]] = table.end[fins]
    acks = np.flatnonzero((table.flags & Flag.ACK != 0) & (table.ack >= fin_end[flow ^ 1]))
    by_flow = acks[np.argsort(flow[acks], kind="stable")]
    if not len(by_flow):
        return chosen
    new = np.diff(flow[by_flow], prepend=-1) != 0
    nth = np.arange(len(by_flow)) - np.maximum.accumulate(np.where(new, np.arange(len(by_flow)), 0))
    chosen[by_flow[nth < how_many]] = True
    return chosen
