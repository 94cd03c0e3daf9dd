"""How the bytes in flight grew, round trip by round trip: inferred, since no segment tells the congestion window."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.transfer import sending_side
from pcapreport.report.measures import round_trips

FEWEST = 4
"""Round trips with data below which nothing can be said."""
INITIAL_WINDOW = 10 * 1_460
"""Bytes that may be sent at once (RFC 6928): less data never meets the congestion window."""
GROWING = 1.4
"""A round trip whose peak is at least so many times the one before counts as slow start (RFC 5681 section 3.1 doubles
the window where every segment is acknowledged, and multiplies it by 1.5 with delayed acknowledgments)."""


class Rounds(NamedTuple):
    """Peaks of the bytes in flight in successive round trips."""

    rtt_ns: int
    peaks: list[int]
    first_frame: int
    """Of the data."""
    doubled: int
    """Round trips until growth slowed."""
    ended: int | None
    """When growth slowed, ns; None: never while data was sent."""


def rounds(lesson: Lesson) -> Rounds | None:
    """Of the side that sent more; None where its data takes too few round trips."""
    side = sending_side(lesson)
    if side is None:
        return None
    samples = round_trips(lesson.evidence.table, lesson.connection, 1 - side)
    rtt = int(median(took for _, took in samples)) if samples else 0
    rows, data = lesson.rows, lesson.carrying(side)
    start, stop = int(rows.time_ns[data[0]]), int(rows.time_ns[data].max())
    if rtt <= 0 or (stop - start) // rtt < FEWEST or int(rows.length[data].sum()) <= INITIAL_WINDOW:
        return None
    flying = _flying(lesson, side)
    place = np.clip((rows.time_ns - start) // rtt, -1, 10_000).astype(np.int64)
    last = int(min((stop - start) // rtt, 10_000))
    peaks = np.zeros(last + 1, np.int64)
    inside = (place >= 0) & (place <= last)
    np.maximum.at(peaks, place[inside], flying[inside])
    told = peaks.tolist()
    if not all(told[:FEWEST]):  # its application paused
        return None
    doubled = next((n for n in range(1, len(told)) if told[n] < GROWING * told[n - 1]), None)
    ended = None if doubled is None else start + doubled * rtt
    return Rounds(rtt, told, int(rows.frame[data[0]]), len(told) if doubled is None else doubled, ended)


def _flying(lesson: Lesson, side: int) -> np.ndarray:
    """Per row the bytes that the side has sent and that no acknowledgment covers."""
    rows = lesson.rows
    mine = (rows.side == side) & ((rows.flags & Flag.RST) == 0)
    answers = (rows.side != side) & ((rows.flags & (Flag.ACK | Flag.RST)) == Flag.ACK)
    sent = np.maximum.accumulate(np.where(mine, rows.end, 0))
    acked = np.maximum.accumulate(np.where(answers, rows.ack, 0))
    flying: np.ndarray = np.maximum(sent - acked, 0)
    return flying
