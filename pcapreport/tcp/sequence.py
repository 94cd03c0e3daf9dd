"""Sequence numbers modulo 2^32 (RFC 9293 section 3.4): the only place where the wrap exists.

Everything above this module sees unwrapped 64-bit numbers relative to an initial sequence number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MODULUS = 1 << 32
HALF = 1 << 31


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
