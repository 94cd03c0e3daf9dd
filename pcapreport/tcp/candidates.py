"""Which rows of a connection can change a state, and what they look like: the shape that connections share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import CLIENT, ConnectionTable
from pcapreport.tcp.evidence import D_SACK, FOREIGN, FORGED, GENUINE, Segment
from pcapreport.tcp.families import Rows
from pcapreport.tcp.foreign import ELSEWHERE, set_apart
from pcapreport.tcp.forgery import judged_resets, stale_fins
from pcapreport.tcp.shapes import canonical_numbers

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ints32or64 = npt.NDArray[np.int32] | npt.NDArray[np.int64]

HEAD_ROWS = 12
"""Rows at the start of a connection that are always looked at: the handshake and the first data each way."""
AROUND_CONTROL = (16, 8)
"""Rows before and after each SYN, FIN or RST: what the sender still had outstanding, what the receiver made of it."""
TAIL_ROWS = 4

CONTROL = Flag.SYN | Flag.FIN | Flag.RST


LONGEST_SHAPE = 160
"""Rows of a connection up to which others are looked for that share its shape."""


_SERVER, _FILLED, _OPEN, _AFTER = (1 << bit for bit in range(12, 16))
"""Marks beside those of evidence.py: sent by the server, with payload, with a window, of the next connection."""


class Candidates:
    """The rows of all connections that can change a state, and who of them share their shape.

    To the rows of a connection whose ports were used again are added those that opened the next one, up to its
    SYN-ACK, in the first one's numbers and sides: they tell how the first one ended.
    """

    def __init__(self, table: ConnectionTable) -> None:
        marks = _marks(table)
        table, reached = set_apart(table)
        row = candidate_rows(table)
        owner = table.connection[row]
        at, old = _aftermath(table, row, owner, _bounds(owner, len(table)))
        order = np.argsort(np.append(owner, old), kind="stable")
        later = order >= len(row)
        row, owner = np.append(row, at)[order], np.append(owner, old)[order]
        rows = _columns(table, marks).take(row, axis=0)
        if len(at):
            rows = _with(rows, later, _of_the_next(table, reached, rows[later], owner[later]))
        bounds = _bounds(owner, len(table))
        self.rows = Rows(bounds, _never_back(table.time_ns[row], owner, bounds), table.frame[row])
        self._same_rows = _numbered(rows, bounds)
        first = np.flatnonzero(np.diff(np.maximum.accumulate(self._same_rows), prepend=-1))
        sizes = np.diff(bounds)[first]
        self._bounds = np.append(0, np.cumsum(sizes))
        kept = np.repeat(bounds[first] - self._bounds[:-1], sizes) + np.arange(self._bounds[-1])
        self._shape = _shape(np.repeat(np.arange(len(first)), sizes), rows.take(kept, axis=0))

    def groups(self, key: Ints | None = None) -> list[Ints]:
        """Connections of one shape together, ascending; long ones each alone.

        `key`: (connections,) numbers from 0; the connections of one group have the same.
        """
        kind = _numbered(self._shape, self._bounds)[self._same_rows]
        long = np.flatnonzero(np.diff(self.rows.bounds) > LONGEST_SHAPE)
        kind[long] = len(kind) + np.arange(len(long))
        if key is not None:
            kind = kind * (int(key.max(initial=0)) + 1) + key
        order = np.argsort(kind, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(kind[order])) + 1) if len(order) else []

    def key(self, connection: int) -> bytes:
        """What connections of one shape have in common, in whichever part of a capture."""
        return self._rows_of(connection).tobytes()

    def _rows_of(self, connection: int) -> Ints:
        like = self._same_rows[connection]
        return self._shape[self._bounds[like] : self._bounds[like + 1]]

    def shape(self, connection: int) -> tuple[list[Segment], list[Segment]]:
        """(a connection's own segments, those that opened the next one), their numbers by rank.

        Times and frames are to be filled in.
        """
        rows = self._rows_of(connection).tolist()
        segments = [Segment(0, 0, *values) for *values, _ in rows]
        own = sum(not row[-1] for row in rows)
        return segments[:own], segments[own:]


def _marks(table: ConnectionTable) -> npt.NDArray[np.uint16]:
    """Of each row the flags that count, and what else is asked of it but its numbers."""
    marks = table.flags & np.uint16(CONTROL | Flag.ACK)
    for bit, those in enumerate((table.side, table.length > 0, table.window > 0), _SERVER.bit_length() - 1):
        marks |= those.astype(np.uint16) << np.uint16(bit)
    marks[_reports_duplicate(table.packets, table.row)] |= D_SACK
    resets = judged_resets(table)
    marks[resets.forged] |= FORGED
    marks[stale_fins(table)] |= FORGED
    marks[resets.genuine] |= GENUINE
    return marks


def _columns(table: ConnectionTable, marks: npt.NDArray[np.uint16]) -> Ints32or64:
    """(n, 4): marks, seq, end and ack of all rows, in the least room in which they fit."""
    numbers: tuple[Ints, ...] = (table.seq, table.end, table.ack)
    limits = np.iinfo(np.int32)
    fit = all(not len(of) or limits.min <= of.min() and of.max() <= limits.max for of in numbers)
    columns = np.empty((len(marks), 4), np.int32) if fit else np.empty((len(marks), 4), np.int64)
    columns[:, 0] = marks
    for at, of in enumerate(numbers, 1):
        columns[:, at] = of
    return columns


def _with(rows: Ints32or64, at: Bools, others: Ints) -> Ints32or64:
    """`rows` with `others` in their place, in more room where need be."""
    limits = np.iinfo(rows.dtype)
    if others.min() < limits.min or others.max() > limits.max:
        rows = rows.astype(np.int64)
    rows[at] = others
    return rows


def _numbered(rows: Ints32or64, bounds: Ints) -> Ints:
    """A number for each stretch of rows, the same for equal ones, from 0 in order of appearance."""
    data, width = rows.tobytes(), rows.itemsize * rows.shape[1]
    number: dict[bytes, int] = {}
    ends = (bounds * width).tolist()
    found = (number.setdefault(data[a:b], len(number)) for a, b in zip(ends, ends[1:], strict=False))
    return np.fromiter(found, np.int64, len(ends) - 1)


def _shape(owner: Ints, rows: Ints32or64) -> Ints:
    """The rows of connections `owner` as `Segment` has them from `side` on, numbers by rank; then whether they are of
    the next connection."""
    marks, *numbers = rows.T.astype(np.int64)
    side = (marks & _SERVER) != 0
    own, other = owner * 2 + side, owner * 2 + ~side
    ranks = canonical_numbers(np.concatenate([own, own, other]), np.concatenate(numbers)).reshape(3, -1)
    flags = marks & (_SERVER - 1)
    return np.stack([side, flags, *ranks, (marks & _FILLED) != 0, (marks & _OPEN) != 0, (marks & _AFTER) != 0], axis=1)


def _reports_duplicate(packets: PacketTable, rows: Ints) -> Bools:
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


def _bounds(owner: Ints, count: int) -> Ints:
    """Where the rows of each of `count` owners begin and end, given whose each row is, ascending."""
    return np.append(0, np.cumsum(np.bincount(owner, minlength=count)))


def _aftermath(table: ConnectionTable, chosen: Ints, connection: Ints, bounds: Ints) -> tuple[Ints, Ints]:
    """(rows that opened the successors, up to their SYN-ACK; the connection before, whose aftermath they are)."""
    old = np.flatnonzero(table.successor >= 0)
    new = table.successor[old]
    stop = bounds[1:].copy()
    answers = np.flatnonzero((table.flags[chosen] & (Flag.SYN | Flag.ACK)) == Flag.SYN | Flag.ACK)
    stop[connection[answers][::-1]] = answers[::-1] + 1
    counts = stop[new] - bounds[new]
    owner = np.repeat(old, counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return chosen[np.repeat(bounds[new], counts) + within], owner


def _of_the_next(table: ConnectionTable, reached: Ints, rows: Ints32or64, old: Ints) -> Ints:
    """`rows` of those that followed on connections `old`, in the sides and numbers of these (`reached`: foreign.py)."""
    marks, seq, end, ack = rows.T.astype(np.int64)
    new, own_side = table.successor[old], (marks & _SERVER != 0).astype(np.int64)
    swapped = (_client(table, new) != _client(table, old)).any(axis=0)
    side = own_side ^ swapped
    shift = sequence.distances(table.isn[new, own_side], table.isn[old, side])
    back = sequence.distances(table.isn[new, 1 - own_side], table.isn[old, 1 - side])
    of_old = _near(reached[old * 2 + side], seq + shift)
    acked = np.where(marks & Flag.ACK, _near(reached[old * 2 + 1 - side], ack + back), 0)
    return np.stack([marks ^ np.where(swapped, _SERVER, 0) | _AFTER, of_old, of_old + (end - seq), acked], axis=1)


def _near(here: Ints, numbers: Ints) -> Ints:
    """The representatives (modulo 2^32) next to where a flow stands; ELSEWHERE if no window reaches from there."""
    step = sequence.centred(numbers - here)
    return here + step + np.where(np.abs(step) < FOREIGN, 0, np.where(step < 0, -ELSEWHERE, ELSEWHERE))


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
    counts = np.diff(table.bounds)
    keep = table.original < 0
    long = counts > HEAD_ROWS + TAIL_ROWS
    if long.any():
        at = np.flatnonzero(np.repeat(long, counts))
        bounds = np.append(0, np.cumsum(counts[long]))
        keep[at] &= _notable(_Bulk(bounds, table.side[at], table.flags[at], table.end[at], table.ack[at]))
    return np.flatnonzero(keep)


class _Bulk(NamedTuple):
    """The rows of the connections that have more than are looked at in any case; columns as in the table."""

    bounds: Ints
    side: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint16]
    end: Ints
    ack: Ints

    @property
    def connection(self) -> Ints:
        """Whose each row is."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


def _notable(rows: _Bulk) -> Bools:
    """Which of the rows `candidate_rows` chooses, copies among them."""
    counts = np.diff(rows.bounds)
    start = np.repeat(rows.bounds[:-1], counts)
    stop = np.repeat(rows.bounds[1:], counts)
    at = np.arange(len(start))
    control = (rows.flags & CONTROL) != 0
    keep = control | (at - start < HEAD_ROWS) | (stop - at <= TAIL_ROWS)
    marks = np.zeros(len(at) + 1, np.int64)
    where = np.flatnonzero(control)
    before, after = AROUND_CONTROL
    np.add.at(marks, np.maximum(where - before, start[where]), 1)
    np.add.at(marks, np.minimum(where + after + 1, stop[where]), -1)
    keep |= np.cumsum(marks[:-1]) > 0
    keep |= _first_acks_of_fin(rows)
    keep[_furthest(rows)] = True
    return np.asarray(keep)


def _furthest(rows: _Bulk) -> Ints:
    """The row with which each flow first came to its last number sent and to its last one acknowledged, and the row
    before that of the latter: whether all that was acknowledged was captured, and how the last of it came."""
    connection = rows.connection
    found = []
    for side in (0, 1):
        own = (rows.side == side) & (rows.flags & Flag.RST == 0)
        for number in (rows.end, rows.ack):
            reached = np.where(own & (number < ELSEWHERE // 2), number, -ELSEWHERE)
            most = np.maximum.reduceat(reached, rows.bounds[:-1])
            first = np.flatnonzero(own & (reached == most[connection]))
            found.append(first[np.diff(connection[first], prepend=-1) != 0])
        before = np.flatnonzero(own)
        at = np.searchsorted(before, found[-1]) - 1
        found.append(before[at[at >= 0]])
    return np.concatenate(found)


def _first_acks_of_fin(rows: _Bulk, how_many: int = 3) -> Bools:
    """The first few rows of each flow that acknowledge the other side's FIN."""
    chosen = np.zeros(len(rows.side), bool)
    flow = rows.connection * 2 + rows.side
    fin_end = np.full(2 * len(rows.bounds), np.iinfo(np.int64).max)
    fins = np.flatnonzero((rows.flags & Flag.FIN) != 0)
    fin_end[flow[fins]] = rows.end[fins]
    acks = np.flatnonzero((rows.flags & Flag.ACK != 0) & (rows.ack >= fin_end[flow ^ 1]))
    by_flow = acks[np.argsort(flow[acks], kind="stable")]
    if not len(by_flow):
        return chosen
    new = np.diff(flow[by_flow], prepend=-1) != 0
    nth = np.arange(len(by_flow)) - np.maximum.accumulate(np.where(new, np.arange(len(by_flow)), 0))
    chosen[by_flow[nth < how_many]] = True
    return chosen
