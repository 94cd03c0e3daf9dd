"""Running values over arrays that hold many connections one after the other: no value crosses from one to the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NONE = -(1 << 60)
"""No value yet."""


def highest_before(values: Ints, wanted: Bools, starts: Ints, group: Ints) -> Ints:
    """Per row the highest of `values` where `wanted` among the earlier rows of its group; NONE if there is none.

    `starts`: first row of each group; `group`: the number of each row's group, ascending.
    """
    if not wanted.any():
        return np.full(len(values), NONE)
    chosen = values[wanted]
    low = int(chosen.min()) - 1
    span = int(chosen.max()) - low + 1
    if len(starts) * span >= 1 << 62:  # lifting each group above the one before would overflow: compare ranks
        distinct, ranks = np.unique(chosen, return_inverse=True)
        lifted = np.zeros(len(values), np.int64)
        lifted[wanted] = np.arange(len(distinct))[ranks]
        best = highest_before(lifted, wanted, starts, group)
        return np.where(best == NONE, NONE, distinct[np.maximum(best, 0)])
    lifted = np.where(wanted, values - low, 0) + group * span
    running = np.maximum.accumulate(lifted) - group * span
    before = np.zeros(len(values), np.int64)
    before[1:] = running[:-1]
    before[starts] = 0
    return np.where(before == 0, NONE, before + low)


def latest_before(wanted: Bools, starts: Ints, group: Ints) -> Ints:
    """Per row the position of the nearest earlier row of its group where `wanted`, or -1."""
    positions = np.where(wanted, np.arange(len(wanted)), -1)
    before: Ints = np.full(len(wanted), -1)
    before[1:] = np.maximum.accumulate(positions)[:-1]
    before[before < starts[group]] = -1
    return before


def count_since(counted: Bools, reset: Bools, starts: Ints) -> Ints:
    """Per row how many earlier rows `counted` since the last `reset` or the start of its group."""
    total = np.cumsum(counted)
    before: Ints = total - counted
    zero = reset.copy()
    zero[starts] = True
    base = np.maximum.accumulate(np.where(reset, total, np.where(zero, before, 0)))
    out = np.zeros(len(counted), np.int64)
    out[1:] = (total - base)[:-1]
    out[starts] = 0
    return out
