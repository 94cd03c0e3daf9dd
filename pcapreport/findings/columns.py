"""Columns of the packet table in the order of the connection table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, Option
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def column(table: ConnectionTable, name: str, rows: Ints | slice = slice(None)) -> Ints:
    """One value for each of `rows` of `table`, as 64-bit integers."""
    return table.packets[name][table.row[rows]].astype(np.int64)


def stamped(table: ConnectionTable, rows: Ints | slice = slice(None)) -> Bools:
    """For each of `rows`: it carries TCP timestamps."""
    return np.asarray((table.packets["options"][table.row[rows]] & int(Option.TIMESTAMP)) != 0)


def sack_permitted(table: ConnectionTable) -> Bools:
    """(connections, 2): the SYN or SYN-ACK of each side is in the table and permits selective acknowledgments."""
    rows = np.flatnonzero((table.flags & int(Flag.SYN)) != 0)
    rows = rows[(column(table, "options", rows) & int(Option.SACK_PERMITTED)) != 0]
    found = np.zeros((len(table), 2), bool)
    found[table.connection[rows], table.side[rows]] = True
    return found
