"""Rows with equal numbers brought together: 64-bit hashes, and rows sorted by them in one plain sort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]

_FACTOR, _SHIFT = np.uint64(0xBF58476D1CE4E5B9), np.uint64(29)
"""Multiply and shift, as in splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014)."""


def mixed(columns: Sequence[Numbers]) -> Numbers:
    """A hash of each row of the columns, at least one, each (n,)."""
    total = np.zeros_like(columns[0])
    for column in columns:
        total ^= column
        total *= _FACTOR
        total ^= total >> _SHIFT
    return total


def sorted_by(hashes: Numbers) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """(rows sorted by their hash, rows of one hash in ascending order; each but the first has another than before).

    The row's number takes the place of the lowest bits of its hash (20 of 64 for a million rows): sorting such numbers
    themselves is many times faster than a stable sort of positions. So "another" is told by the upper bits alone, and
    rows that seem to have one hash need not even have that: whoever must know compares what was hashed.
    """
    count = len(hashes)
    rows = np.uint64((1 << count.bit_length()) - 1)
    keys = hashes & ~rows
    keys |= np.arange(count, dtype=np.uint64)
    keys.sort()
    differs = (keys[1:] ^ keys[:-1]) > rows
    keys &= rows
    return keys.view(np.int64), differs
