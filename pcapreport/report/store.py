"""All connections of a document, already encoded: in memory, or in files on the disk where they would not fit.

A capture larger than memory is finished part by part, and only at the end is it known which number each connection
has. So the parts are kept as they come and merged when they are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pcapreport.report.selection import NO_NUMBER
from pcapreport.report.stencil import batched

_TOGETHER = 400
"""Connections that are given at a time, about a megabyte."""


Told = tuple[npt.NDArray[np.int64], Iterable[bytes]]
"""Connections of a part, and each of them encoded with 0 for its id."""
Open = Callable[[int], IO[bytes]]
"""Gives the file that the connections of one part, so many, are kept in."""


class _Part:
    """Encoded connections, in whichever order they came."""

    def __init__(self, open_file: Open, told: Iterable[Told], frames: npt.NDArray[np.int64]) -> None:
        """`frames`: of each connection the first one."""
        self.frames = frames
        self.starts, self.sizes = np.zeros((2, len(frames)), np.int64)
        """Of each connection, where it stands in the file, and how many bytes it takes."""
        self.file: IO[bytes] | None = open_file(len(frames))
        end = 0
        for connections, texts in told:
            sizes: list[int] = []
            for some in batched(texts, _TOGETHER):
                self.file.write(b"".join(some))
                sizes.extend(map(len, some))
            ends = end + np.cumsum(sizes)
            self.starts[connections], self.sizes[connections] = ends - sizes, sizes
            end = int(ends[-1])
        self.file.flush()

    def __getstate__(self) -> dict[str, Any]:
        """A file does not go along to another process; see `ConnectionStore.adopt`."""
        return {**self.__dict__, "file": None}

    def reader(self) -> Callable[[int, int], bytes | memoryview]:
        """Function of where a connection stands and of its size."""
        assert self.file
        if isinstance(self.file, BytesIO):
            held = self.file.getbuffer()
            return lambda start, size: held[start : start + size]
        if hasattr(os, "pread"):
            handle = self.file.fileno()
            return lambda start, size: os.pread(handle, size, start)
        raw = self.file.raw  # type: ignore[attr-defined]  # to have more read ready is of no use: another one comes next

        def read(start: int, size: int) -> bytes:
            raw.seek(start)
            data: bytes = raw.read(size)
            return data

        return read


class ConnectionStore:
    """Encoded connections, part by part."""

    def __init__(self, open_part: Open) -> None:
        self._open_part: Open | None = open_part
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return sum(len(part.frames) for part in self._parts)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_part": None}

    def add(self, told: Iterable[Told], frames: npt.NDArray[np.int64]) -> int:
        """Keep the connections of one more part, which stand in the order of their first frames, those with one frame
        too; returns the place of the first among all that were added."""
        assert self._open_part
        first = len(self)
        self._parts.append(_Part(self._open_part, told, frames))
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
        return np.argsort(_joined([part.frames for part in self._parts]), kind="stable")

    def pieces(self, instead: Mapping[int, bytes]) -> Iterator[bytes]:
        """The elements of a JSON array, in order; `instead` has those to be written another way, by number."""
        readers = [part.reader() for part in self._parts]
        whose = np.repeat(np.arange(len(self._parts)), [len(part.frames) for part in self._parts])
        starts, sizes = (_joined([getattr(part, name) for part in self._parts]) for name in ("starts", "sizes"))
        order = self._order()
        waiting: list[bytes | memoryview] = []
        columns = (column[order].tolist() for column in (whose, starts, sizes))
        for number, (part, start, size) in enumerate(zip(*columns, strict=True), 1):
            waiting.append(b"," if number > 1 else b"")
            if number in instead:
                waiting.append(instead[number])
            else:
                waiting += b'{"id":%d' % number, readers[part](start + len(NO_NUMBER), size - len(NO_NUMBER))
            if number % _TOGETHER == 0:
                yield b"".join(waiting)
                waiting.clear()
        yield b"".join(waiting)


def _joined(columns: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *columns])
