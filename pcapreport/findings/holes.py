"""Which sequence numbers had passed the tap before, where segments did not come in order.

Nearly every flow is in order and is answered by array arithmetic. The holes of the others are kept in a list that only
the rows that open or fill one look at.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapreport.findings.segmented import NONE

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BEGINNING = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Per row: how much of it had been seen."""

    known: Ints
    """Sequence numbers of the row that had passed the tap before."""
    filled: Ints
    """Those below the highest sent before that had not."""
    opener: Ints
    """The row that opened the hole which this one fills (the flow's first, if that lies before all seen), or -1."""
    missing: Ints
    """At the row that opened a hole: how many of its numbers never passed; 0 elsewhere."""


def coverage(seq: Ints, end: Ints, sent_before: Ints, flow: Ints, live: Bools) -> Coverage:
    """Coverage of each row; only `live` rows count as sent (no copies, resets or foreign numbers)."""
    begun = live & (sent_before != NONE)
    old = begun & (seq < sent_before) & (end > seq)
    opens = begun & (seq > sent_before)
    known = np.where(old, np.minimum(end, sent_before) - seq, 0)
    result = Coverage(known, np.zeros_like(known), np.full_like(known, -1), np.zeros_like(known))
    first = live & (sent_before == NONE)
    head = np.zeros(int(flow.max(initial=0)) + 1, np.int64)
    head[flow[first]] = np.flatnonzero(first)
    broken = np.zeros(len(head), bool)
    broken[flow[opens]] = True
    again = np.flatnonzero(old)
    broken[flow[again[seq[again] < seq[head[flow[again]]]]]] = True
    rows = np.flatnonzero((opens | old) & broken[flow])
    _fill(rows[np.argsort(flow[rows], kind="stable")], seq, end, sent_before, flow, head, result)
    return result


def _fill(rows: Ints, seq: Ints, end: Ints, sent_before: Ints, flow: Ints, head: Ints, result: Coverage) -> None:
    """Walk the rows that open or fill holes, flow by flow."""
    columns = (rows, seq[rows], end[rows], sent_before[rows], flow[rows])
    walker, current = _Holes(0, 0, result), -1
    for row, low, high, top, where in zip(*(column.tolist() for column in columns), strict=True):
        if where != current:
            walker.finish()
            first = int(head[where])
            walker, current = _Holes(first, int(seq[first]), result), where
        if low > top:
            walker.open(top, low, row)
        else:
            walker.fill(low, min(high, top), row)
    walker.finish()


class _Holes:
    """The holes of one flow, ascending."""

    def __init__(self, first: int, floor: int, result: Coverage) -> None:
        """`first`: the flow's first row, `floor`: its number; all below may have been sent before the capture."""
        self.lows, self.highs, self.openers = [BEGINNING], [floor], [first]
        self.floor = floor
        self.result = result

    def open(self, low: int, high: int, row: int) -> None:
        """Numbers were skipped."""
        self.lows.append(low)
        self.highs.append(high)
        self.openers.append(row)

    def fill(self, low: int, high: int, row: int) -> None:
        """A row brought [low, high), some of which may lie in holes."""
        at = max(bisect_right(self.lows, low) - 1, 0)
        filled, opener = 0, -1
        while at < len(self.lows) and self.lows[at] < high:
            start, stop, source = self.lows[at], self.highs[at], self.openers[at]
            left, right = max(start, low), min(stop, high)
            if left >= right:
                at += 1
                continue
            if not filled:
                opener = source
            filled += right - left
            rest = [(a, b) for a, b in ((start, left), (right, stop)) if a < b]
            self.lows[at : at + 1] = [a for a, _ in rest]
            self.highs[at : at + 1] = [b for _, b in rest]
            self.openers[at : at + 1] = [source] * len(rest)
            at += len(rest)
        if filled:
            self.result.known[row] -= filled
            self.result.filled[row] = filled
            self.result.opener[row] = opener

    def finish(self) -> None:
        """What is left open was never seen."""
        for low, high, opener in zip(self.lows, self.highs, self.openers, strict=True):
            if low >= self.floor:
                self.result.missing[opener] += high - low
