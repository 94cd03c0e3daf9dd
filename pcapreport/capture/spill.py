"""Packet tables larger than memory: their rows in files on the disk, by a hash of what must be finished together.

All rows of one hash come to the same file, in file order. Where the hash is that of the two endpoints, each file is a
packet table of whole connections and can be finished before the next one is looked at, or by another process. The files
have no names and vanish with the process, however it ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable, allocated
from pcapreport.settings import BYTES_PER_CONNECTION, BYTES_PER_ROW

MOST_MET = 1 << 22
"""Connections told apart for an estimate."""
MOST_PARTS = 400
"""Files open at once: well below the usual limit of 1,024 a process."""

Hash = Callable[[PacketTable], npt.NDArray[np.uint64]]
"""64 bits for each row."""


class Budget(NamedTuple):
    """What may be held in memory, and what must be finished together."""

    memory: int | None
    """Bytes that the analysis of the rows may take; None: any number."""
    together: Hash
    sharers: int = 1
    """Processes that are to have parts of their own, if there are rows enough."""


class Meter:
    """Estimates what the rows read so far will cost."""

    def __init__(self, memory: int, together: Hash) -> None:
        self._memory, self._together = memory, together
        self._rows = 0
        self._met = np.zeros(MOST_MET, np.bool_)
        """By the lower bits of its hash, which connections there were: two are taken for one now and then."""

    def add(self, table: PacketTable) -> None:
        """Take note of more rows."""
        self._rows += len(table)
        self._met[self._together(table) % np.uint64(MOST_MET)] = True

    def shares(self, progress: float = 1.0) -> float:
        """How often the memory allowed is needed by all rows, if those so far are this part of them."""
        connections = np.count_nonzero(self._met)
        cost = self._rows * BYTES_PER_ROW + int(connections) * BYTES_PER_CONNECTION
        return cost / self._memory / max(progress, 1e-6)


@dataclass
class Part:
    """Rows in a file, block by block, and in each block column by column.

    It can be sent to another process, which reads the file through /proc as long as it is open here (Linux only).
    """

    file: IO[bytes] | None
    path: str
    kinds: dict[str, np.dtype[Any]] = field(default_factory=dict)
    """The type of each column."""
    blocks: list[int] = field(default_factory=list)
    """Rows of each block."""
    sack_blocks: int = 0
    encapsulations: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "file": None}

    def take(self) -> PacketTable:
        """Read the rows; the file is gone then. Each block ends with its SACK blocks."""
        columns = allocated(self.kinds, sum(self.blocks))
        sack_blocks = np.empty((self.sack_blocks, 4, 2), np.uint32)
        start = sacks = 0
        with self.file or open(self.path, "rb", buffering=0) as file:
            file.seek(0)
            for rows in self.blocks:
                for column in columns.values():
                    _fill(file, column[start : start + rows])
                more = int(np.count_nonzero(columns["sack"][start : start + rows] >= 0))
                _fill(file, sack_blocks[sacks : sacks + more])
                start, sacks = start + rows, sacks + more
        return PacketTable(columns, sack_blocks, self.encapsulations)


def _fill(file: IO[bytes], values: npt.NDArray[Any]) -> None:
    left = values.reshape(-1).view(np.uint8).data
    while left:
        got = file.readinto(left)  # type: ignore[attr-defined]
        if not got:
            raise OSError("a temporary file is shorter than what was written to it")
        left = left[got:]


class Parts:
    """The rows of a capture in `count` files; added to while the capture is read, then gone through once."""

    def __init__(self, count: int, together: Hash) -> None:
        count = max(1, min(count, MOST_PARTS))
        self._together = together
        self._parts = [_empty_part() for _ in range(count)]
        self.rows = 0
        self.encapsulations: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, table: PacketTable) -> None:
        """The next rows in file order; raises OSError where the disk has no room for them."""
        self.rows += len(table)
        part = self._part_of(table)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(len(self) + 1)).tolist()
        for number, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
            if start < stop:
                self._write(number, table, order[start:stop])

    def _part_of(self, table: PacketTable) -> npt.NDArray[np.intp]:
        """By the upper bits of the hash, so that the hashes of one file are all below those of the next."""
        upper = self._together(table) >> np.uint64(32)
        return (upper * np.uint64(len(self)) >> np.uint64(32)).astype(np.intp)

    def _write(self, number: int, table: PacketTable, chosen: npt.NDArray[np.intp]) -> None:
        part = self._parts[number]
        assert part.file
        blocks = np.empty((0, 4, 2), np.uint32)
        for name, column in table.columns.items():
            values = column[chosen]
            if name == "sack":
                has = values >= 0
                blocks = table.sack_blocks[values[has]]
                values[has] = part.sack_blocks + np.arange(len(blocks))
                part.sack_blocks += len(blocks)
            part.kinds[name] = column.dtype
            part.file.write(values.data)
        part.file.write(blocks.tobytes())
        part.blocks.append(len(chosen))

    def each(self) -> Iterator[Part]:
        """The parts that have rows."""
        for part in self._parts:
            assert part.file
            part.file.flush()
            part.encapsulations = self.encapsulations
            if part.blocks:
                yield part


def _empty_part() -> Part:
    file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the part)
    return Part(file, path_of(file))


def path_of(file: IO[bytes]) -> str:
    """By which another process reaches a file that this one has open, even one without a name (Linux only)."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"
