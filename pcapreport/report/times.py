"""Capture time in ns -> what the document says: seconds since the first packet, and UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pcapreport.report.model import Interval
from pcapreport.settings import SECOND


@dataclass(frozen=True, slots=True)
class Clock:
    """`zero_ns` is the time of the capture's first packet."""

    zero_ns: int

    def seconds(self, time_ns: int) -> float:
        """Seconds since the first packet, exact to the nanosecond for 100 days."""
        return (time_ns - self.zero_ns) / SECOND

    def maybe(self, time_ns: int | None) -> float | None:
        """`seconds`, or None for an open end."""
        return None if time_ns is None else self.seconds(time_ns)

    def interval(self, ends: tuple[int | None, int | None]) -> Interval:
        """Both ends."""
        return self.maybe(ends[0]), self.maybe(ends[1])

    def frame(self, frame: int | None) -> int | None:
        """A frame is told by its number."""
        return frame


def iso_utc(time_ns: int) -> str | None:
    """ISO 8601 in UTC with nine decimals; None outside the calendar (a damaged capture can hold any number)."""
    seconds, rest = divmod(time_ns, SECOND)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (OverflowError, OSError, ValueError):
        return None
