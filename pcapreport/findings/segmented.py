"""Running values over arrays that hold many connections one after the other: no value crosses from one to the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NONE = -(1 << 60)
"""No value yet."""


def latest_before(wanted: Bools, first: Ints) -> Ints:
    """Per row the position of the nearest earlier row of its group where `wanted`, or -1; `first`: of each its group's
    first row."""
    kind = np.int32 if len(wanted) < 1 << 31 else np.int64  # half as much to go through
    latest = np.where(wanted, np.arange(len(wanted), dtype=kind), kind(-1))
    np.maximum.accumulate(latest, out=latest)
    before: Ints = np.empty(len(wanted), np.int64)
    before[:1], before[1:] = -1, latest[:-1]
    np.putmask(before, before < first, -1)
    return before


class Flows:
    """Rows of two sides, laid out flow by flow: what a side showed before a row runs along that side's own rows.

    n rows in groups of consecutive ones; a place is a position in the layout by group and side.
    """

    def __init__(self, side: npt.NDArray[np.uint8], starts: Ints) -> None:
        """`side`: 0 or 1; `starts`: first row of each group, none of which is empty."""
        count = len(side)
        sizes = np.diff(np.append(starts, count))
        ones = np.cumsum(side, dtype=np.int64)
        ones -= np.repeat(ones[starts] - side[starts], sizes)  # of its group, up to and with this row
        of_ones = ones[starts + sizes - 1]
        last_zero = np.arange(count) - ones
        last_one = ones + np.repeat(starts + sizes - of_ones - 1, sizes)
        is_one = side.view(bool)
        self.own = np.where(is_one, last_one, last_zero)
        """Row -> its place."""
        self.peer = np.where(is_one, last_zero, last_one)
        """Row -> the place of the other side's last row before it, or -1."""
        first_ones = np.repeat(starts + sizes - of_ones, sizes)
        self.peer[self.peer < np.where(is_one, np.repeat(starts, sizes), first_ones)] = -1
        self.order = np.empty(count, np.int64)
        """Place -> row."""
        self.order[self.own] = np.arange(count)
        of_flows = np.stack([sizes - of_ones, of_ones], axis=1).reshape(-1)
        self.number = np.repeat(np.arange(len(of_flows)), of_flows)
        """Place -> its flow's number."""
        self.first = (np.cumsum(of_flows) - of_flows)[of_flows > 0]
        """The first place of each flow."""
        self.before = self.own - 1
        """Row -> the place of its side's row before, or -1."""
        self.before[self.order[self.first]] = -1

    def highest_before(self, values: Ints, wanted: Bools) -> tuple[Ints, Ints]:
        """Per row the highest of `values` where `wanted` before it: (of its own side, of the other); NONE without."""
        return self._before(self._running(values, wanted), NONE)

    def highest_before_and_last(self, values: Ints, wanted: Bools) -> tuple[Ints, Ints, Ints]:
        """The same; and per flow that has rows (see `first`) the highest of all."""
        running = self._running(values, wanted)
        return *self._before(running, NONE), running[np.append(self.first, len(running))[1:] - 1]

    def _running(self, values: Ints, wanted: Bools) -> Ints:
        """Per place the highest of `values` where `wanted` in its flow, up to and with its row; NONE without."""
        chosen = values[wanted]
        if not len(chosen):
            return np.full(len(values), NONE)
        low = int(chosen.min()) - 1
        span = int(chosen.max()) - low + 1
        flows = int(self.number[-1]) + 1
        if flows * span >= 1 << 62:  # lifting each flow above the one before would overflow: compare ranks
            distinct, ranks = np.unique(chosen, return_inverse=True)
            compared = np.zeros(len(values), np.int64)
            compared[wanted] = np.arange(len(distinct))[ranks]
            best = self._running(compared, wanted)
            return np.where(best == NONE, NONE, distinct[np.maximum(best, 0)])
        lift = self.number * span
        running = np.where(wanted, values - low, 0).take(self.order)
        running += lift
        np.maximum.accumulate(running, out=running)
        running -= lift
        running += np.where(running == 0, NONE, low)
        return np.asarray(running)

    def count_since(self, counted: Bools, reset: Bools) -> Ints:
        """Per row how many rows `counted` the other side sent before it, since its last `reset`."""
        if not counted.any():
            return np.zeros(len(counted), np.int64)
        counted, reset = counted.take(self.order), reset.take(self.order)
        total = np.cumsum(counted)
        base = np.where(reset, total, 0)
        base[self.first] = np.where(reset[self.first], total[self.first], total[self.first] - counted[self.first])
        return self._before(total - np.maximum.accumulate(base), 0)[1]

    def _before(self, running: Ints, nothing: int) -> tuple[Ints, Ints]:
        """Per row what had run up before it: (on its own side, on the other)."""
        and_none = np.append(running, nothing)  # place -1
        return and_none.take(self.before), and_none.take(self.peer)
