"""Numbers of another incarnation among a flow's own: a step that no window allows tells them.

A window holds less than 2^30 bytes (RFC 7323 section 2.2), so the numbers of a flow go on from where it stands, however
far it has come. Those that do not are moved `ELSEWHERE`, so that a comparison finds them below or above all its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pcapreport.tcp import sequence
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import ACK, FOREIGN, RST, SYN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ELSEWHERE = 1 << 60
"""Further away than any flow comes; a multiple of 2^32, so that the number on the wire is still known."""


def set_apart(table: ConnectionTable) -> tuple[ConnectionTable, Ints]:
    """(the table with other incarnations' numbers moved away; (2 * connections,) where each flow stood at its end).

    Flows all of whose numbers are less than 2^30 from their ISN are taken to stand there still: at 0.
    """
    reached = np.zeros(2 * len(table), np.int64)
    if not any(len(of) and max(of.max(), -of.min()) >= FOREIGN for of in (table.seq, table.ack)):
        return table, reached
    connection = table.connection
    concerned = np.zeros(len(table), bool)
    concerned[connection[(np.abs(table.seq) >= FOREIGN) | (np.abs(table.ack) >= FOREIGN)]] = True
    rows = np.flatnonzero(concerned[connection])
    acking = rows[table.flags[rows] & ACK != 0]
    flow = connection * 2 + table.side
    stray = _perhaps_stray(table, flow)
    shift = _shifts(rows, flow[rows], table.seq, stray, reached)
    of_acks = _shifts(acking, flow[acking] ^ 1, table.ack, stray, reached)
    return replace(table, seq=table.seq + shift, end=table.end + shift, ack=table.ack + of_acks), reached


def _perhaps_stray(table: ConnectionTable, flow: Ints) -> Bools:
    """Rows from whose number no flow goes on: SYN and RST, which may be forged, and what came before a flow's SYN."""
    first_syn = np.full(2 * len(table), -1)
    syns = np.flatnonzero(table.flags & SYN != 0)[::-1]
    first_syn[flow[syns]] = syns
    return np.asarray(((table.flags & (SYN | RST)) != 0) | (np.arange(len(flow)) < first_syn[flow]))


def _shifts(rows: Ints, flow: Ints, numbers: Ints, stray: Bools, reached: Ints) -> Ints:
    """By how much each of `numbers` is to be moved; `flow`: whose numbers those in `rows` are; raises `reached`."""
    shift = np.zeros(len(numbers), np.int64)
    rows, flow = rows[np.argsort(flow, kind="stable")], np.sort(flow)
    value, alone = numbers[rows], stray[rows]
    border = (np.diff(flow, prepend=-1) != 0) | (np.abs(np.diff(value, prepend=0)) >= FOREIGN) | alone
    border[1:] |= alone[:-1]
    start = np.flatnonzero(border)
    size = np.diff(start, append=len(rows))
    away = [0] * len(start)
    stands: dict[int, int] = {}
    stretches = zip(
        flow[start].tolist(),
        value[start].tolist(),
        value[start + size - 1].tolist(),
        alone[start].tolist(),
        strict=True,
    )
    for index, (whose, first, last, passed_by) in enumerate(stretches):
        here = stands.get(whose, 0)
        step = sequence.distance(first, here)
        if abs(step) >= FOREIGN:
            away[index] = ELSEWHERE if step > 0 else -ELSEWHERE
            continue
        away[index] = here + step - first  # not 0 where stray numbers before had been taken for a way round the circle
        if not passed_by:
            stands[whose] = last + away[index]
    known = list(stands)
    reached[known] = np.maximum(reached[known], list(stands.values()))
    shift[rows] = np.repeat(np.array(away, np.int64), size)
    return shift
