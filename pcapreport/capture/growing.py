"""A packet table that grows block by block, in memory that is set aside once for what is likely to come."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Array, PacketTable, allocated

SPARE = 1.05
"""Times what the rows so far let expect: memory that is never written to costs nothing."""


class GrowingTable:
    """Rows of blocks that have the same columns and share one list of encapsulations."""

    def __init__(self) -> None:
        self._columns: dict[str, Array] = {}
        self._room = 0
        self._count = 0
        self._sack_blocks: list[npt.NDArray[np.uint32]] = []

    def __len__(self) -> int:
        return self._count

    def add(self, table: PacketTable, share: float) -> None:
        """Put the rows of a block to the others; `share` of the capture has been read with them."""
        start, stop = self._count, self._count + len(table)
        if stop > self._room:
            self._make_room(math.ceil(max(SPARE * stop / share, stop + start / 2)), table)
        for name, column in self._columns.items():
            column[start:stop] = table[name]
        if len(table.sack_blocks):
            sack = self._columns["sack"][start:stop]
            sack[sack >= 0] += sum(map(len, self._sack_blocks))
            self._sack_blocks.append(table.sack_blocks)
        self._count = stop

    def _make_room(self, count: int, like: PacketTable) -> None:
        columns = allocated({name: column.dtype for name, column in like.columns.items()}, count)
        for name, column in self._columns.items():
            columns[name][: self._count] = column[: self._count]
        self._columns, self._room = columns, count

    def blocks(self, count: int) -> Iterator[PacketTable]:
        """All rows so far, `count` at a time."""
        whole = self.table()
        for start in range(0, self._count, count):
            rows = {name: column[start : start + count] for name, column in whole.columns.items()}
            yield PacketTable(rows, whole.sack_blocks, ())

    def table(self, encapsulations: tuple[str, ...] = ()) -> PacketTable:
        """All rows so far."""
        empty = PacketTable.empty()
        columns = {name: column[: self._count] for name, column in self._columns.items()}
        sack_blocks = np.concatenate([empty.sack_blocks, *self._sack_blocks])
        return PacketTable(columns or empty.columns, sack_blocks, encapsulations)
