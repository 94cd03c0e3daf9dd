"""A segment that fills a gap, never seen before at this tap: delivered late, or sent again after a loss before the tap?

The segment that opened the gap is the witness. What was sent before it and merely overtaken carries a timestamp no
newer and an IP ID no higher than the witness; what was sent again carries newer ones. Without either, time decides: a
loss cannot be repaired sooner than one round trip after the witness passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapreport.findings.columns import stamped
from pcapreport.findings.ip_ids import FAR_STEP, counting_flows, id_step
from pcapreport.findings.sender_clock import stamp_steps, ticked
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gaps:
    """Per row."""

    resent: Bools
    """Fills a gap and was sent after the segment that opened it."""
    reordered: Bools
    """Fills a gap and was sent before it."""
    by_time: Bools
    """That is known from the delay alone."""
    unknown: Bools
    """Fills a gap, and nothing tells which: late for the one, soon for the other, on a path of unknown length."""


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
    gaps = Gaps(*(np.zeros(count, bool) for _ in Gaps.__slots__))
    rows = np.flatnonzero(candidates)
    if not len(rows):
        return gaps
    witness = opener[rows]
    later = _newer_timestamp(table, flow, rows, witness)
    undecided = later == 0
    later[undecided] = _higher_id(table, flow, rows[undecided], witness[undecided])
    by_time = later == 0
    age = table.time_ns[rows] - table.time_ns[witness]
    soonest = np.where(round_trip[rows] >= 0, round_trip[rows] * 3 // 4, settings.reordering_ns)
    in_time = (age >= soonest) & (requested[rows] | (age >= settings.reordering_ns))
    unknown = by_time & (round_trip[rows] < 0) & ~requested[rows]
    unknown &= (age >= settings.reordering_ns) & (age < settings.shortest_rto_ns)
    gaps.resent[rows] = np.where(by_time, in_time, later > 0) & ~unknown
    gaps.reordered[rows] = ~gaps.resent[rows] & ~unknown
    gaps.by_time[rows] = by_time
    gaps.unknown[rows] = unknown
    return gaps


def _newer_timestamp(table: ConnectionTable, flow: Ints, rows: Ints, witness: Ints) -> Ints:
    """1: stamped later than the witness, -1: earlier (or in the same tick but passing ticks later), 0: unknown."""
    newer = np.sign(stamp_steps(table, rows, witness))
    same = stamped(table, rows) & stamped(table, witness) & (newer == 0)
    if same.any():
        newer[same] = -ticked(table, flow, stamped(table), rows[same], witness[same]).astype(np.int64)
    return newer


def _higher_id(table: ConnectionTable, flow: Ints, rows: Ints, witness: Ints) -> Ints:
    """1: a higher IP ID than the witness, -1: a lower, 0: the IDs of this flow tell nothing."""
    if not len(rows):
        return np.empty(0, np.int64)
    steps = id_step(table, rows, witness)
    usable = counting_flows(table, flow, flow[rows]) & (np.abs(steps) < FAR_STEP)
    return np.where(usable, np.sign(steps), 0).astype(np.int64)
