"""Connections -> histories: picks the rows that can change a state, and asks the reconstructor for both ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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

HEAD_ROWS = 12
"""Rows at the start of a connection that are always looked at: the handshake and the first data each way."""
AROUND_CONTROL = (16, 8)
"""Rows before and after each SYN, FIN or RST: what the sender still had outstanding, what the receiver made of it."""
TAIL_ROWS = 4

CONTROL = Flag.SYN | Flag.FIN | Flag.RST


class _Columns(NamedTuple):
    """The candidate rows of all connections, as Python lists."""

    time: list[int]
    frame: list[int]
    side: list[int]
    flags: list[int]
    seq: list[int]
    end: list[int]
    ack: list[int]
    length: list[int]
    window: list[int]


def reconstruct_all(table: ConnectionTable, capture_end: int, settings: Settings) -> Iterator[ConnectionHistory]:
    """The history of every connection, in order."""
    chosen = candidate_rows(table)
    bounds = np.searchsorted(chosen, table.bounds).tolist()
    columns = _Columns(
        *(
            column[chosen].tolist()
            for column in (
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
        )
    )

    def segments_of(connection: int) -> list[Segment]:
        rows = slice(bounds[connection], bounds[connection + 1])
        return [Segment(*values) for values in zip(*(column[rows] for column in columns), strict=True)]

    successor = table.successor.tolist()
    for connection in range(len(table)):
        segments = without_copies(segments_of(connection), settings)
        surroundings = Surroundings(capture_end, None, None)
        if successor[connection] >= 0:
            aftermath = _in_numbers_of(table, connection, successor[connection], segments_of(successor[connection]))
            surroundings = _surroundings(capture_end, aftermath)
            segments = segments + [s for s in aftermath if not s.flags & (Flag.SYN)]
        yield _connection_history(segments, surroundings, settings)


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
