"""Connections -> histories: picks the rows that can change a state, and asks the reconstructor for both ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.settings import Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.classify import classify_closing, classify_opening
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.evidence import Segment, View, without_copies
from pcapreport.tcp.history import ConnectionHistory
from pcapreport.tcp.reconstructor import Surroundings, reconstruct
from pcapreport.tcp.shapes import canonical_numbers, reconstruct_alike

HEAD_ROWS = 12
"""Rows at the start of a connection that are always looked at: the handshake and the first data each way."""
AROUND_CONTROL = (16, 8)
"""Rows before and after each SYN, FIN or RST: what the sender still had outstanding, what the receiver made of it."""
TAIL_ROWS = 4

CONTROL = Flag.SYN | Flag.FIN | Flag.RST


LONGEST_SHAPE = 48
"""Candidate rows of a connection up to which others are looked for that share its shape."""


def reconstruct_all(table: ConnectionTable, capture_end: int, settings: Settings) -> list[ConnectionHistory]:
    """The history of every connection, in order."""
    rows = _Candidates(table)
    histories: list[ConnectionHistory | None] = [None] * len(table)
    for alike in rows.groups():
        first = alike[0]
        if table.successor[first] >= 0:
            histories[first] = _with_successor(table, rows, first, capture_end, settings)
            continue

        def alone(segments: Sequence[Segment], end: int) -> ConnectionHistory:
            kept = without_copies(segments, settings)
            return _connection_history(kept, Surroundings(end, None, None), settings)

        times, frames = rows.times_and_frames(alike)
        found = reconstruct_alike(times, frames, rows.canonical(first), capture_end, alone)
        for connection, history in zip(alike, found, strict=True):
            histories[connection] = history
    return [history for history in histories if history is not None]


class _Candidates:
    """The candidate rows of all connections, with numbers as they are and by rank."""

    def __init__(self, table: ConnectionTable) -> None:
        self.table = table
        self.chosen = chosen = candidate_rows(table)
        self.bounds = np.searchsorted(chosen, table.bounds)
        connection = np.repeat(np.arange(len(table)), np.diff(self.bounds))
        side = table.side[chosen].astype(np.int64)
        own, other = connection * 2 + side, connection * 2 + 1 - side
        numbers = canonical_numbers(
            np.concatenate([own, own, other]),
            np.concatenate([table.seq[chosen], table.end[chosen], table.ack[chosen]]),
        )
        seq, end, ack = numbers.reshape(3, -1)
        flags = table.flags[chosen].astype(np.int64) & (CONTROL | Flag.ACK)
        length, window = (table.length[chosen] > 0).astype(np.int64), (table.window[chosen] > 0).astype(np.int64)
        self._shape = np.stack([side, flags, seq, end, ack, length, window], axis=1)

    def groups(self) -> list[list[int]]:
        """Connections of one shape together; those with a successor, and long ones, each alone."""
        bounds, successor = self.bounds.tolist(), self.table.successor.tolist()
        by_shape: dict[bytes, list[int]] = {}
        single: list[list[int]] = []
        for connection in range(len(self.table)):
            start, stop = bounds[connection], bounds[connection + 1]
            if successor[connection] >= 0 or stop - start > LONGEST_SHAPE:
                single.append([connection])
            else:
                by_shape.setdefault(self._shape[start:stop].tobytes(), []).append(connection)
        return single + list(by_shape.values())

    def times_and_frames(self, connections: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Two arrays (rows, connections) for connections of one shape."""
        starts = self.bounds[connections]
        rows = self.chosen[starts[None, :] + np.arange(self.bounds[connections[0] + 1] - starts[0])[:, None]]
        return self.table.time_ns[rows], self.table.frame[rows]

    def canonical(self, connection: int) -> list[Segment]:
        """The segments of a connection with canonical numbers; times and frames are to be filled in."""
        rows = self._shape[self.bounds[connection] : self.bounds[connection + 1]].tolist()
        return [Segment(0, 0, *values) for values in rows]

    def segments(self, connection: int) -> list[Segment]:
        """The segments of a connection as they are."""
        table, rows = self.table, self.chosen[self.bounds[connection] : self.bounds[connection + 1]]
        columns = (
            table.time_ns,
            table.frame,
            table.side,
            table.flags,
            table.seq,
            table.end,
            table.ack,
            table.length,
            table.window,
        )
        return [Segment(*values) for values in zip(*(column[rows].tolist() for column in columns), strict=True)]


def _with_successor(
    table: ConnectionTable, rows: _Candidates, connection: int, capture_end: int, settings: Settings
) -> ConnectionHistory:
    """The history of a connection whose ports were used again: what opened the next one tells of its end."""
    successor = int(table.successor[connection])
    aftermath = _in_numbers_of(table, connection, successor, rows.segments(successor))
    segments = without_copies(rows.segments(connection), settings) + [s for s in aftermath if not s.flags & Flag.SYN]
    return _connection_history(segments, _surroundings(capture_end, aftermath), settings)


def _connection_history(segments: list[Segment], surroundings: Surroundings, settings: Settings) -> ConnectionHistory:
    client = reconstruct(View(CLIENT, segments, settings), surroundings)
    server = reconstruct(View(SERVER, segments, settings), surroundings)
    opening = classify_opening(client, server, segments)
    return ConnectionHistory(client, server, opening, classify_closing(client, server, segments, opening))


def _surroundings(capture_end: int, aftermath: list[Segment]) -> Surroundings:
    syn = next((s for s in aftermath if s.flags & Flag.SYN), None)
    accepted = next((s for s in aftermath if syn is not None and s.is_syn_ack and s.side != syn.side), None)
    return Surroundings(capture_end, syn, accepted)


def _in_numbers_of(table: ConnectionTable, old: int, new: int, segments: list[Segment]) -> list[Segment]:
    """The next incarnation's opening, up to its SYN-ACK, in the numbers and sides of the one before."""
    swap = table.endpoints(old)[0] != table.endpoints(new)[0]
    moved = []
    for segment in segments:
        side = 1 - segment.side if swap else segment.side
        seq_shift = sequence.distance(int(table.isn[new, segment.side]), int(table.isn[old, side]))
        ack_shift = sequence.distance(int(table.isn[new, 1 - segment.side]), int(table.isn[old, 1 - side]))
        moved.append(
            segment._replace(
                side=side,
                seq=_wrap(segment.seq + seq_shift),
                end=_wrap(segment.seq + seq_shift) + segment.end - segment.seq,
                ack=_wrap(segment.ack + ack_shift) if segment.flags & Flag.ACK else 0,
            )
        )
        if segment.is_syn_ack:
            break
    return moved


def _wrap(number: int) -> int:
    return sequence.distance(number % sequence.MODULUS, 0)


def candidate_rows(table: ConnectionTable) -> npt.NDArray[np.int64]:
    """Positions (ascending) of the rows that can change a state or bound the time of a change.

    All SYN, FIN and RST and their neighbours, the first and last rows of each connection, and the first segments of
    each side that acknowledge the other's FIN. Bulk data in between moves nothing (RFC 9293 section 3.10.7.4).
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
    return np.flatnonzero(keep)


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
