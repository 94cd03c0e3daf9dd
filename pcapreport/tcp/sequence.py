"""Sequence numbers modulo 2^32 (RFC 9293 section 3.4): the only place where the wrap exists.

Everything above this module sees unwrapped 64-bit numbers relative to an initial sequence number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MODULUS = 1 << 32
HALF = 1 << 31
QUARTER = 1 << 30


def distance(later: int, earlier: int) -> int:
    """`later - earlier` on the circle, in [-2^31, 2^31)."""
    return (later - earlier + HALF) % MODULUS - HALF


def distances(later: npt.NDArray[np.uint32], earlier: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """`distance`, element by element."""
    return (later - earlier).astype(np.uint32).view(np.int32).astype(np.int64)


def centred(number: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The representative of each number in [-2^31, 2^31)."""
    return (number + HALF) % MODULUS - HALF


def unwrap(raw: npt.NDArray[np.uint32], starts: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Sequence numbers of several flows, one after the other, as distances from the first of each flow.

    `raw`: (n,) numbers in the order sent; `starts`: (n,) True where a flow begins. A step of half the circle or
    more is read as a step back, so a flow may wrap any number of times.
    """
    if not len(raw):
        return np.empty(0, np.int64)
    steps = np.zeros(len(raw), np.int64)
    steps[1:] = distances(raw[1:], raw[:-1])
    steps[starts] = 0
    total = np.cumsum(steps)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(raw)), 0))
    return total - total[first]


def relative(
    raw: npt.NDArray[np.uint32],
    base: npt.NDArray[np.uint32],
    flow: npt.NDArray[np.int64],
    anchor: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Unwrapped distances of several flows' numbers, each from the base of its flow.

    `raw`, `flow`: (n,) numbers and their flows, those of one flow in the order sent; `base`, `anchor`: (f,) per flow,
    `anchor` the place in `raw` of the number whose distance to the base is less than half the circle.
    """
    found = distances(raw, base[flow])
    far = flow[(found >= QUARTER) | (found < -QUARTER)]
    if len(far):  # the others stay within one half of the circle, so each step of theirs is the shorter way round
        chosen = np.zeros(len(base), bool)
        chosen[far] = True
        rows = np.flatnonzero(chosen[flow])
        rows = rows[np.argsort(flow[rows], kind="stable")]
        known = found[anchor]
        found[rows] = unwrap(raw[rows], np.diff(flow[rows], prepend=-1) != 0)
        of_row = anchor[flow[rows]]
        found[rows] += known[flow[rows]] - found[of_row]
    return found
