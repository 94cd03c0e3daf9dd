"""Packet tables larger than memory: their rows in files on the disk, by a hash of what must be finished together.

All rows of one hash come to the same file, in file order. Where the hash is that of the two endpoints, each file is a
packet table of whole connections and can be finished before the next one is looked at. The files have no names and
vanish with the process, however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable
from pcapreport.settings import BYTES_PER_CONNECTION, BYTES_PER_ROW

MOST_MET = 1 << 22
"""Connections told apart for an estimate."""
MOST_PARTS = 400
"""Files open at once: well below the usual limit of 1,024 a process."""

Hash = Callable[[PacketTable], npt.NDArray[np.uint64]]
"""64 bits for each row."""


class Budget(NamedTuple):
    """What may be held in memory, and what must be finished together."""

    memory: int
    """Bytes that the analysis of the rows may take."""
    together: Hash


class Meter:
    """Estimates what the rows read so far will cost."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._rows = 0
        self._met = np.zeros(MOST_MET, np.bool_)
        """By the lower bits of its hash, which connections there were: two are taken for one now and then."""

    def add(self, table: PacketTable) -> None:
        """Take note of more rows."""
        self._rows += len(table)
        self._met[self._budget.together(table) % np.uint64(MOST_MET)] = True

    def shares(self, progress: float = 1.0) -> float:
        """How often the memory allowed is needed by all rows, if those so far are this part of them."""
        connections = np.count_nonzero(self._met)
        cost = self._rows * BYTES_PER_ROW + int(connections) * BYTES_PER_CONNECTION
        return cost / self._budget.memory / max(progress, 1e-6)


class Parts:
    """The rows of a capture in `count` files; added to while the capture is read, then gone through once."""

    def __init__(self, count: int, together: Hash) -> None:
        count = max(1, min(count, MOST_PARTS))
        self._together = together
        self._rows, self._sack_blocks = ([_nameless() for _ in range(count)] for _ in range(2))
        self._sacks = np.zeros(count, np.int64)
        self._dtype: np.dtype[np.void] = np.dtype([("frame", np.int64)])
        self.rows = 0
        self.encapsulations: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, table: PacketTable) -> None:
        """The next rows in file order; raises OSError where the disk has no room for them."""
        self.rows += len(table)
        part = self._part_of(table)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(len(self) + 1)).tolist()
        self._dtype = np.dtype([(name, column.dtype) for name, column in table.columns.items()])
        rows = np.empty(len(table), self._dtype)
        for name, column in table.columns.items():
            rows[name] = column[order]
        for number, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
            if start < stop:
                self._write(number, rows[start:stop], table.sack_blocks)

    def _part_of(self, table: PacketTable) -> npt.NDArray[np.intp]:
        """By the upper bits of the hash, so that the hashes of one file are all below those of the next."""
        upper = self._together(table) >> np.uint64(32)
        return (upper * np.uint64(len(self)) >> np.uint64(32)).astype(np.intp)

    def _write(self, number: int, rows: npt.NDArray[np.void], sack_blocks: npt.NDArray[np.uint32]) -> None:
        has = rows["sack"] >= 0
        blocks = sack_blocks[rows["sack"][has]]
        rows["sack"][has] = self._sacks[number] + np.arange(len(blocks))
        self._sacks[number] += len(blocks)
        self._rows[number].write(rows.tobytes())
        self._sack_blocks[number].write(blocks.tobytes())

    def __iter__(self) -> Iterator[PacketTable]:
        """The packet table of each file that has rows; each file is gone when its table is taken."""
        for rows_file, sack_file in zip(self._rows, self._sack_blocks, strict=True):
            rows, sack_blocks = _content(rows_file, self._dtype), _content(sack_file, np.dtype(np.uint32))
            columns = {name: rows[name].copy() for name in (self._dtype.names or ())}
            del rows
            if len(columns["frame"]):
                yield PacketTable(columns, sack_blocks.reshape(-1, 4, 2), self.encapsulations)


def _nameless() -> IO[bytes]:
    return tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the object that holds it)


def _content(file: IO[bytes], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    with file:
        file.seek(0)
        return np.frombuffer(file.read(), dtype)
