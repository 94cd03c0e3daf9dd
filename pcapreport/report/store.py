"""All connections of a document, already encoded: in memory, or in files on the disk where they would not fit.

A capture larger than memory is finished part by part, and only at the end is it known which number each connection
has. So the parts are kept as they come and merged when they are read: each is in order by itself.
"""

from __future__ import annotations

import io
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import IO

import numpy as np
import numpy.typing as npt

from pcapreport.report.model import Connection, encoder

_NO_NUMBER = b'{"id":0'
"""How an encoded connection begins whose number is not known yet."""


class ConnectionStore:
    """Encoded connections, in parts that are each in the order of their first frames."""

    def __init__(self, on_disk: bool) -> None:
        self._on_disk = on_disk
        self._encoder = encoder()
        self._parts: list[IO[bytes]] = []
        self._sizes, self._frames, self._part = array("q"), array("q"), array("q")

    def add(self, texts: Iterable[bytes], frames: Iterable[int]) -> int:
        """Keep more connections, encoded with 0 for their id, in the order of their first frames; returns the place of
        the first among all that were added."""
        part: IO[bytes] = tempfile.TemporaryFile() if self._on_disk else io.BytesIO()  # noqa: SIM115
        first = len(self._sizes)
        for text in texts:
            part.write(text)
            self._sizes.append(len(text))
        self._frames.extend(frames)
        self._part.extend(repeat(len(self._parts), len(self._sizes) - first))
        self._parts.append(part)
        return first

    def numbers(self) -> npt.NDArray[np.int64]:
        """Of each connection, as they were added, the number that it has in the document: 1 for the first."""
        numbers = np.empty(len(self._sizes), np.int64)
        numbers[self._order()] = np.arange(1, len(numbers) + 1)
        return numbers

    def _order(self) -> npt.NDArray[np.intp]:
        """Those with one first frame stay as the parts are, which is by the hash of their endpoints."""
        return np.argsort(np.frombuffer(self._frames, np.int64), kind="stable")

    def pieces(self, instead: Mapping[int, Connection]) -> Iterator[bytes]:
        """The elements of a JSON array, in order; `instead` has those to be written another way, by number."""
        for part in self._parts:
            part.seek(0)
        for number, at in enumerate(self._order().tolist(), 1):
            data = self._parts[self._part[at]].read(self._sizes[at])
            if number in instead:
                data = self._encoder.encode(instead[number])
            else:
                data = b'{"id":%d' % number + data[len(_NO_NUMBER) :]
            yield b"," + data if number > 1 else data
