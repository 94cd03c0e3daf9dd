"""Headers at arbitrary byte positions, fetched all at once.

An array of every possible header (one starting at each byte: stride 1) costs nothing, since it is only a view;
indexing it with the wanted positions copies each header in one move. That is several times faster than slicing
in Python, and memory stays bounded by the number of positions asked for.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview | mmap.mmap
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MARGIN = 128
"""Bytes of zeros that may be read behind the end; no header asked for is longer."""


class Gather:
    """Reads headers out of one buffer; beyond its end it reads zeros, so a caller need not look at the edge."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self._bytes = np.frombuffer(buffer, np.uint8)
        self.size = len(self._bytes)
        self._tail_start = max(0, self.size - MARGIN)
        self._tail = np.concatenate([self._bytes[self._tail_start :], np.zeros(2 * MARGIN, np.uint8)])

    def headers(self, dtype: np.dtype[np.void], positions: Ints) -> npt.NDArray[np.void]:
        """Headers of a packed structured type at positions (n,) -> (n,)."""
        return self._fetch(dtype.itemsize, positions).view(dtype)

    def numbers(self, dtype: str, positions: Ints) -> Ints:
        """Single numbers, such as ">u2", at positions (n,) -> int64 (n,)."""
        kind = np.dtype(dtype)
        return self._fetch(kind.itemsize, positions).view(kind).astype(np.int64)

    def span(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """The bytes between two positions."""
        return self._bytes[start:stop]

    def _fetch(self, width: int, positions: Ints) -> npt.NDArray[np.void]:
        last = self.size - width
        if not len(positions) or int(positions.max()) <= last:
            return _every(self._bytes, width)[positions]
        fetched = np.empty(len(positions), f"V{width}")
        late = positions > last
        fetched[~late] = _every(self._bytes, width)[positions[~late]]
        behind = np.minimum(positions[late] - self._tail_start, len(self._tail) - width)
        fetched[late] = _every(self._tail, width)[behind]
        return fetched


def _every(source: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.void]:
    """View: the `width` bytes that start at each byte of the source."""
    count = max(0, len(source) - width + 1)
    return np.ndarray((count,), f"V{width}", source, 0, (1,))


def forget(buffer: Buffer, start: int, stop: int) -> None:
    """What stands between these positions was read and need not stay in memory; of a mapped file it can come back."""
    if isinstance(buffer, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        length = min(stop, len(buffer)) // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length > 0:
            buffer.madvise(mmap.MADV_DONTNEED, first, length)


def groups(keys: Ints) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """(key, its rows in ascending order), by ascending key; in one sort, so many keys cost no more than few."""
    if not len(keys):
        return
    if keys[0] == keys[-1] and (keys == keys[0]).all():
        yield int(keys[0]), np.arange(len(keys))
        return
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[0]] - 1))
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(keys)], strict=True):
        yield int(keys[order[start]]), order[start:stop]
