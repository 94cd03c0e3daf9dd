"""The curves of one connection's plots: sequence numbers over time, and what set the pace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.report.model import Series
from pcapreport.report.segments import SENDERS, Rows
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Kind = Literal["data", "retransmission", "ack", "window"]
Trips = tuple[list[tuple[int, int]], list[tuple[int, int]]]
SPANS = 60
"""Equal spans that a connection's time is divided into for its rate."""


def series(rows: Rows, resent: Bools, clock: Clock, trips: Trips, most: int = 1_000) -> list[Series]:
    """The curves of each direction, `sender` being whose data it is; at most `most` points a curve.

    `trips`: of client and server what `measures.round_trips` says of the other's segments.
    """
    curves: list[Series] = _pace(rows, resent, clock, trips, most)
    for side in (CLIENT, SERVER):
        carrying = (rows.side == side) & (rows.length > 0)
        if not carrying.any():
            continue
        answers = (rows.side != side) & ((rows.flags & (Flag.ACK | Flag.RST)) == Flag.ACK)
        edges = answers & ((rows.flags & Flag.SYN) == 0)
        kinds: tuple[tuple[Kind, Bools, Ints, int], ...] = (
            ("data", carrying & ~resent, rows.end, 0),
            ("retransmission", carrying & resent, rows.end, 0),
            ("ack", answers, rows.ack, 0),
            ("window", edges, rows.ack, rows.shift(1 - side, 0)),
        )
        for kind, those, column, shift in kinds:
            at = thinned(np.flatnonzero(those), most)
            if len(at):
                value = column[at] + (rows.window[at] << shift if kind == "window" else 0)
                times = [clock.seconds(time) for time in rows.time_ns[at].tolist()]
                curves.append(Series(sender=SENDERS[side], kind=kind, time_s=times, value=value.tolist()))
    return curves


def thinned(points: Ints, most: int) -> Ints:
    """Every n-th point, first and last kept, so that at most `most` remain."""
    if len(points) <= most:
        return points
    step = -(-len(points) // (most - 1))
    return np.append(points[::step], points[-1])


def _pace(rows: Rows, resent: Bools, clock: Clock, trips: Trips, most: int) -> list[Series]:
    """What limited the transfer: bytes in flight against the window, round trips, and the rate."""
    curves: list[Series] = []
    for side in (CLIENT, SERVER):
        carrying = (rows.side == side) & (rows.length > 0)
        if not carrying.any():
            continue
        curves += _flight(rows, side, clock, most)
        samples = trips[1 - side]
        at = thinned(np.arange(len(samples)), most).tolist()
        if at:
            times = [clock.seconds(samples[one][0]) for one in at]
            taken = [samples[one][1] // 1_000 for one in at]
            curves.append(Series(sender=SENDERS[side], kind="rtt", time_s=times, value=taken))
        curves.append(_rate(rows, carrying & ~resent, side, clock))
    return curves


def _flight(rows: Rows, side: int, clock: Clock, most: int) -> Iterator[Series]:
    """Bytes in flight of one side, and the window that the other offers."""
    mine, theirs = rows.side == side, rows.side != side
    answers = theirs & ((rows.flags & (Flag.ACK | Flag.RST)) == Flag.ACK)
    sent = np.maximum.accumulate(np.where(mine & ((rows.flags & Flag.RST) == 0), rows.end, 0))
    acked = np.maximum.accumulate(np.where(answers, rows.ack, 0))
    known = np.maximum.accumulate(answers)
    at = thinned(np.flatnonzero(known), most)
    if len(at):
        times = [clock.seconds(time) for time in rows.time_ns[at].tolist()]
        flying = np.maximum(sent - acked, 0)[at].tolist()
        yield Series(sender=SENDERS[side], kind="flight", time_s=times, value=flying)
    at = thinned(np.flatnonzero(answers & ((rows.flags & Flag.SYN) == 0)), most)
    if len(at):
        times = [clock.seconds(time) for time in rows.time_ns[at].tolist()]
        offered = (rows.window[at] << rows.shift(1 - side, 0)).tolist()
        yield Series(sender=SENDERS[side], kind="offered", time_s=times, value=offered)


def _rate(rows: Rows, fresh: Bools, side: int, clock: Clock) -> Series:
    """New bytes a second in equal spans of the connection's time."""
    first, last = int(rows.time_ns.min()), int(rows.time_ns.max())
    length = max(last - first, 1)
    share = (rows.time_ns[fresh] - first) / length  # times may be centuries apart: no product fits 64 bits
    span = np.clip(share * SPANS, 0, SPANS - 1).astype(np.int64)
    total = np.bincount(span, rows.length[fresh], SPANS)
    times = [clock.seconds(first + number * length // SPANS) for number in range(SPANS)]
    most = float(1 << 62)  # what is said to come within a nanosecond may be more a second than 64 bits tell
    rate = np.minimum(total * SPANS * SECOND / length, most).astype(np.int64).tolist()
    return Series(sender=SENDERS[side], kind="rate", time_s=times, value=rate)
