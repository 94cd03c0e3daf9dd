"""What scores come to when they are added up."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .scoring import CaptureScore, EndScore

PLACES = ("near", "far", "mid")


@dataclass
class Tally:
    """Counts over captures; a connection counts once for each capture that holds it."""

    connections: int = 0
    right: int = 0
    """Both ends' states."""
    among: int = 0
    """Both ends' last states are those told, or among those told possible."""
    hidden: int = 0
    """The capture cannot tell both ends (see hidden.py)."""
    hidden_right: int = 0
    proven: int = 0
    false: int = 0
    """Proven, but not so."""
    moments: int = 0
    """Changes of state that are told, or could be."""
    within: int = 0
    open: int = 0
    widths: dict[str, list[int]] = field(default_factory=lambda: {place: [] for place in PLACES})
    """ns, of intervals with both bounds."""
    trips: list[float] = field(default_factory=list)
    """Widths seen from the middle, as shares of the path's round trip."""
    waits: int = 0
    """Connections with TIME-WAIT, true or told, that the capture can tell."""
    owners: int = 0
    entries: int = 0
    entered: int = 0
    expiries: int = 0
    """TIME-WAITs that the kernel's timer ended."""
    expired: int = 0
    midstream: int = 0
    invented: int = 0

    @classmethod
    def of(cls, scores: Iterable[CaptureScore]) -> Tally:
        """All captures' counts."""
        tally = cls()
        for score in scores:
            for pair in score.by_connection().values():
                tally._add_connection(pair)
                for end in pair:
                    tally._add_end(end, score.round_trip)
        return tally

    def _add_connection(self, pair: Sequence[EndScore]) -> None:
        right, hidden = all(end.right for end in pair), any(end.hidden for end in pair)
        self.connections += 1
        self.right += right
        self.hidden += hidden
        self.hidden_right += hidden and right
        self.among += all(end.among for end in pair)
        waits = [end.wait for end in pair if end.wait is not None]
        if waits and not hidden:
            self.waits += 1
            self.owners += all(wait.right for wait in waits)
        self.midstream += pair[0].midstream
        self.invented += any(end.invented for end in pair)

    def _add_end(self, end: EndScore, round_trip: int) -> None:
        self.proven += end.proven
        self.false += len(end.false_proven)
        self.moments += end.moments - (end.untold if end.hidden else 0)
        self.within += end.moments - end.untold - len(end.outside)
        self.open += end.open
        self.widths[end.near] += end.widths
        if end.near == "mid" and round_trip:
            self.trips += [width / round_trip for width in end.widths]
        if end.wait is not None and end.wait.entry_within is not None:
            self.entries += 1
            self.entered += end.wait.entry_within
        if end.wait is not None and end.wait.expiry_within is not None:
            self.expiries += 1
            self.expired += end.wait.expiry_within

    def width(self, place: str) -> float | None:
        """Median in ms of those whose end is near the tap, far from it, or seen from the middle."""
        found = self.widths[place]
        return statistics.median(found) / 1e6 if found else None

    @property
    def width_in_trips(self) -> float | None:
        """Median of those seen from the middle, in round trips."""
        return statistics.median(self.trips) if self.trips else None


def share(part: int, whole: int, digits: int = 2) -> str:
    """Percent; "-" of nothing. Never rounded up to 100 %."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    text = f"{percent:.{digits}f}"
    if part < whole and float(text) == 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return text.rstrip("0").rstrip(".") + " %"
