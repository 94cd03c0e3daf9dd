"""The clock that a sender stamps its segments with (RFC 7323): how long it stands still between two ticks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.findings.columns import column, stamped
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TICKS = 1.5
"""Segments with one timestamp were sent within one tick; the network adds some difference."""
LARGEST_STEP = 16
"""Some clocks count milliseconds but move with the system's timer, 64 times a second."""


def ticked(table: ConnectionTable, flow: Ints, live: Bools, rows: Ints, earlier: Ints) -> Bools:
    """Per row: its sender's clock went on for sure between the passing of `earlier`, of its flow, and of the row."""
    concerned = np.zeros(2 * len(table), bool)
    concerned[flow[rows]] = True
    among = np.flatnonzero(live & concerned[flow])
    among = among[stamped(table, among)]
    tick = _longest_ticks(table, flow, among)[flow[rows]]
    return np.asarray(table.time_ns[rows] - table.time_ns[earlier] >= TICKS * tick)


def stamp_steps(table: ConnectionTable, rows: Ints, earlier: Ints) -> Ints:
    """How far each row's timestamp is beyond that of `earlier`; 0 as well where one of them has none."""
    now, then = (column(table, "ts_val", at).astype(np.uint32) for at in (rows, earlier))
    return np.where(stamped(table, rows) & stamped(table, earlier), sequence.distances(now, then), 0)


def _longest_ticks(table: ConnectionTable, flow: Ints, among: Ints) -> Floats:
    """Per flow, ns: a tick at the rate at which these rows' timestamps grow at least, times their smallest step up to
    LARGEST_STEP; infinite where they do not grow."""
    ticks = np.full(2 * len(table), np.inf)
    if not len(among):
        return ticks
    order = among[np.argsort(flow[among], kind="stable")]
    starts = np.flatnonzero(np.diff(flow[order], prepend=-1))
    firsts = order[np.repeat(starts, np.diff(np.append(starts, len(order))))]
    grown = np.maximum.reduceat(stamp_steps(table, order, firsts), starts)
    steps = stamp_steps(table, order, np.append(order[:1], order[:-1]))
    steps[starts] = 0
    least = np.minimum.reduceat(np.where(steps > 0, steps, LARGEST_STEP), starts)
    span = np.maximum.reduceat(table.time_ns[order], starts) - table.time_ns[order[starts]]
    grows = grown > 0
    ticks[flow[order[starts]][grows]] = (span / np.maximum(grown, 1) * np.minimum(least, grown))[grows]
    return ticks
