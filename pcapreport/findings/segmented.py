"""Running values over arrays that hold many connections one after the other: no value crosses from one to the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NONE = -(1 << 60)
"""No value yet."""


def latest_before(wanted: Bools, starts: Ints, group: Ints) -> Ints:
    """Per row the position of the nearest earlier row of its group where `wanted`, or -1."""
    positions = np.where(wanted, np.arange(len(wanted)), -1)
    before: Ints = np.full(len(wanted), -1)
    before[1:] = np.maximum.accumulate(positions)[:-1]
    before[before < starts[group]] = -1
    return before


class Flows:
    """Rows of two sides, laid out flow by flow: what a side showed before a row runs along that side's own rows.

    n rows in groups of consecutive ones; a place is a position in the layout by group and side.
    """

    def __init__(self, side: npt.NDArray[np.uint8], group: Ints, starts: Ints) -> None:
        """`side`: 0 or 1; `group`: the number of each row's group, ascending; `starts`: first row of each group."""
        count = len(side)
        start = starts[group]
        ones = np.cumsum(side, dtype=np.int64)
        ones -= (ones[starts] - side[starts])[group]  # of its group, up to and with this row
        zeros = np.arange(1, count + 1) - start - ones
        of_zeros = zeros[np.append(starts[1:], count) - 1] if count else zeros
        last_zero, last_one = start + zeros - 1, (starts + of_zeros - 1)[group] + ones
        self.own = np.where(side, last_one, last_zero)
        """Row -> its place."""
        self.peer = np.where(side, np.where(zeros > 0, last_zero, -1), np.where(ones > 0, last_one, -1))
        """Row -> the place of the other side's last row before it, or -1."""
        self.order = np.empty(count, np.int64)
        """Place -> row."""
        self.order[self.own] = np.arange(count)
        self.number = (group * 2 + side).take(self.order)
        """Place -> its flow's number."""
        self.first = np.flatnonzero(np.diff(self.number, prepend=-1))
        """The first place of each flow."""
        self.before = self.own - 1
        """Row -> the place of its side's row before, or -1."""
        self.before[self.order[self.first]] = -1

    def highest_before(self, values: Ints, wanted: Bools) -> tuple[Ints, Ints]:
        """Per row the highest of `values` where `wanted` before it: (of its own side, of the other); NONE without."""
        chosen = values[wanted]
        if not len(chosen):
            return np.full(len(values), NONE), np.full(len(values), NONE)
        low = int(chosen.min()) - 1
        span = int(chosen.max()) - low + 1
        flows = int(self.number[-1]) + 1
        if flows * span >= 1 << 62:  # lifting each flow above the one before would overflow: compare ranks
            distinct, ranks = np.unique(chosen, return_inverse=True)
            compared = np.zeros(len(values), np.int64)
            compared[wanted] = np.arange(len(distinct))[ranks]
            of_ranks = self.highest_before(compared, wanted)
            own, peer = (np.where(best == NONE, NONE, distinct[np.maximum(best, 0)]) for best in of_ranks)
            return own, peer
        lift = self.number * span
        running = np.where(wanted, values - low, 0).take(self.order)
        running += lift
        np.maximum.accumulate(running, out=running)
        running -= lift
        running += np.where(running == 0, NONE, low)
        return self._before(running, NONE)

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
