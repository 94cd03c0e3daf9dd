"""What the capture as a whole looks like over time: traffic, and the round trips of its connections."""

from __future__ import annotations

import numpy as np

from pcapreport.capture.model import Capture
from pcapreport.findings.model import Evidence
from pcapreport.report.model import Activity, RoundTrips
from pcapreport.settings import MILLISECOND, SECOND

SPANS = 120
"""Equal spans of time that the capture is divided into."""
LIMITS_NS = tuple(step * 10**power for power in range(4, 11) for step in (1, 2, 5))
"""Upper limits of the round trips counted together: 10 us to 50 s, three a decade."""


class CaptureActivity:
    """Adds up the parts of a capture."""

    def __init__(self, capture: Capture) -> None:
        self._first = capture.first_ns or 0
        self._length = max((capture.last_ns or 0) - self._first, 0)
        self._packets = np.zeros(SPANS, np.int64)
        self._bytes = np.zeros(SPANS, np.int64)
        self._trips = np.zeros(len(LIMITS_NS) + 1, np.int64)

    def add(self, evidence: Evidence) -> None:
        """Take note of whole connections."""
        table = evidence.table
        if self._length:
            since = np.clip(table.time_ns - self._first, 0, self._length)
            span = np.minimum((since / self._length * SPANS).astype(np.int64), SPANS - 1)
            self._packets += np.bincount(span, minlength=SPANS)
            sizes = table.packets["wire_len"][table.row].astype(np.float64)
            self._bytes += np.bincount(span, sizes, SPANS).astype(np.int64)
        trips = evidence.passes.round_trip_ns
        self._trips += np.bincount(
            np.searchsorted(np.array(LIMITS_NS), trips[trips >= 0]), minlength=len(LIMITS_NS) + 1
        )

    def join(self, other: CaptureActivity) -> None:
        """And that of later parts."""
        self._packets += other._packets
        self._bytes += other._bytes
        self._trips += other._trips

    def traffic(self) -> Activity | None:
        """None where the capture takes no time."""
        if not self._length:
            return None
        packets, sizes = self._packets.tolist(), self._bytes.tolist()
        return Activity(span_s=self._length / SECOND / SPANS, packets=packets, bytes=sizes)

    def round_trips(self) -> RoundTrips | None:
        """None without a handshake that tells one."""
        at = np.flatnonzero(self._trips)
        if not len(at):
            return None
        limits = [*(limit / MILLISECOND for limit in LIMITS_NS), None]
        chosen = slice(int(at[0]), int(at[-1]) + 1)
        return RoundTrips(up_to_ms=limits[chosen], connections=self._trips[chosen].tolist())
