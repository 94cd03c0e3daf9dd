"""A segment that fills a gap, never seen before at this tap: delivered late, or sent again after a loss before the tap?

The segment that opened the gap is the witness. What was sent before it and merely overtaken carries a timestamp no
newer and an IP ID no higher than the witness; what was sent again carries newer ones. Without either, time decides: a
loss cannot be repaired sooner than one round trip after the witness passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapreport.findings.columns import column, stamped
from pcapreport.settings import Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ORDERLY_SHARE = 0.9
"""A flow whose IP IDs rise by small steps this often counts its packets with them."""
SMALL_STEP = 256


@dataclass(frozen=True, slots=True)
class Gaps:
    """Per row."""

    resent: Bools
    """Fills a gap and was sent after the segment that opened it."""
    reordered: Bools
    """Fills a gap and was sent before it."""
    by_time: Bools
    """That is known from the delay alone."""


def judge_gaps(
    table: ConnectionTable,
    flow: Ints,
    candidates: Bools,
    opener: Ints,
    requested: Bools,
    round_trip: Ints,
    settings: Settings,
) -> Gaps:
    """Judge the `candidates`; `requested`: duplicate or selective ACKs had asked for the gap; `round_trip`: per row."""
    count = len(table.row)
    gaps = Gaps(np.zeros(count, bool), np.zeros(count, bool), np.zeros(count, bool))
    rows = np.flatnonzero(candidates)
    if not len(rows):
        return gaps
    witness = opener[rows]
    later = _newer_timestamp(table, rows, witness)
    undecided = later == 0
    later[undecided] = _higher_id(table, flow, rows[undecided], witness[undecided])
    by_time = later == 0
    age = table.time_ns[rows] - table.time_ns[witness]
    soonest = np.where(round_trip[rows] >= 0, round_trip[rows] * 3 // 4, settings.reordering_ns)
    in_time = (age >= soonest) & (requested[rows] | (age >= settings.reordering_ns))
    gaps.resent[rows] = np.where(by_time, in_time, later > 0)
    gaps.reordered[rows] = ~gaps.resent[rows]
    gaps.by_time[rows] = by_time
    return gaps


def _newer_timestamp(table: ConnectionTable, rows: Ints, witness: Ints) -> Ints:
    """1: stamped later than the witness, -1: earlier, 0: in the same tick or unknown."""
    has = stamped(table)
    values = column(table, "ts_val").astype(np.uint32)
    newer = np.sign(sequence.distances(values[rows], values[witness]))
    return np.where(has[rows] & has[witness], newer, 0).astype(np.int64)


def _higher_id(table: ConnectionTable, flow: Ints, rows: Ints, witness: Ints) -> Ints:
    """1: a higher IP ID than the witness, -1: a lower, 0: the IDs of this flow tell nothing."""
    if not len(rows):
        return np.empty(0, np.int64)
    steps = _id_step(table, rows, witness)
    orderly = {int(one): _counts_packets(table, flow, int(one)) for one in np.unique(flow[rows])}
    usable = np.array([orderly[int(one)] for one in flow[rows]])
    return np.where(usable, np.sign(steps), 0).astype(np.int64)


def _id_step(table: ConnectionTable, later: Ints, earlier: Ints) -> Ints:
    """Difference of two IP IDs on their circle of 2^16."""
    ids = table.packets["ip_id"]
    step = ids[table.row[later]].astype(np.int64) - ids[table.row[earlier]].astype(np.int64)
    return (step + (1 << 15)) % (1 << 16) - (1 << 15)


def _counts_packets(table: ConnectionTable, flow: Ints, one: int) -> bool:
    """The sender's IP IDs rise with each packet (IPv4 only)."""
    rows = np.arange(table.bounds[one // 2], table.bounds[one // 2 + 1])
    rows = rows[flow[rows] == one]
    if len(rows) < 4 or (table.packets["ip_version"][table.row[rows]] != 4).any():
        return False
    steps = _id_step(table, rows[1:], rows[:-1])
    return bool(np.mean((steps > 0) & (steps < SMALL_STEP)) >= ORDERLY_SHARE * (1 - 2 / len(rows)))
