"""All connections of a document, already encoded: in memory, or in files on the disk where they would not fit.

A capture larger than memory is finished part by part, and only at the end is it known which number each connection
has. So the parts are kept as they come and merged when they are read: each is in order by itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pcapreport.report.selection import NO_NUMBER

T = TypeVar("T")
_TOGETHER = 400
"""Connections that are given at a time, about a megabyte."""


def batched(items: Iterable[T], count: int) -> Iterator[tuple[T, ...]]:
    """So many at a time; as `itertools.batched`, which is there from Python 3.12 on."""
    rest = iter(items)
    while some := tuple(islice(rest, count)):
        yield some


class _Part:
    """Encoded connections one behind the other, in the order of their first frames."""

    def __init__(self, file: IO[bytes], texts: Iterable[bytes], frames: Iterable[int]) -> None:
        self.file: IO[bytes] | None = file
        self.sizes, self.frames = array("q"), array("q", frames)
        for some in batched(texts, _TOGETHER):
            file.write(b"".join(some))
            self.sizes.extend(map(len, some))
        file.flush()

    def __getstate__(self) -> dict[str, Any]:
        """A file does not go along to another process; see `ConnectionStore.adopt`."""
        return {**self.__dict__, "file": None}


class ConnectionStore:
    """Encoded connections, part by part."""

    def __init__(self, open_part: Callable[[], IO[bytes]]) -> None:
        """`open_part` gives the file that the connections of one part are kept in."""
        self._open_part: Callable[[], IO[bytes]] | None = open_part
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return sum(len(part.sizes) for part in self._parts)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_part": None}

    def add(self, texts: Iterable[bytes], frames: Iterable[int]) -> int:
        """Keep the connections of one more part, encoded with 0 for their id, in the order of their first frames;
        returns the place of the first among all that were added."""
        assert self._open_part
        first = len(self)
        self._parts.append(_Part(self._open_part(), texts, frames))
        return first

    def adopt(self, file: IO[bytes]) -> None:
        """The file that another process wrote the only part to."""
        (part,) = self._parts
        part.file = file

    def join(self, other: ConnectionStore) -> None:
        """And those of later parts: their places follow on those here."""
        self._parts += other._parts

    def numbers(self) -> npt.NDArray[np.int64]:
        """Of each connection, as they were added, the number that it has in the document: 1 for the first."""
        numbers = np.empty(len(self), np.int64)
        numbers[self._order()] = np.arange(1, len(numbers) + 1)
        return numbers

    def _order(self) -> npt.NDArray[np.intp]:
        """Those with one first frame stay as the parts are, which is by the hash of their endpoints."""
        frames = [np.array(part.frames, np.int64) for part in self._parts]
        return np.argsort(np.concatenate([np.empty(0, np.int64), *frames]), kind="stable")

    def pieces(self, instead: Mapping[int, bytes]) -> Iterator[bytes]:
        """The elements of a JSON array, in order; `instead` has those to be written another way, by number."""
        reads = []
        for part in self._parts:
            assert part.file
            part.file.seek(0)
            reads.append(part.file.read)
        sizes = [size for part in self._parts for size in part.sizes]
        whose = np.repeat(np.arange(len(self._parts)), [len(part.sizes) for part in self._parts]).tolist()
        waiting: list[bytes | memoryview] = []
        for number, at in enumerate(self._order().tolist(), 1):
            data = reads[whose[at]](sizes[at])
            waiting.append(b"," if number > 1 else b"")
            if number in instead:
                waiting.append(instead[number])
            else:
                waiting += b'{"id":%d' % number, memoryview(data)[len(NO_NUMBER) :]
            if number % _TOGETHER == 0:
                yield b"".join(waiting)
                waiting.clear()
        yield b"".join(waiting)
