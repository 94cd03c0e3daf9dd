"""Columns of the packet table in the order of the connection table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, Option
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def column(table: ConnectionTable, name: str) -> Ints:
    """One value per row of `table`, as 64-bit integers."""
    return table.packets[name][table.row].astype(np.int64)


def stamped(table: ConnectionTable) -> Bools:
    """Per row: it carries TCP timestamps."""
    return np.asarray((column(table, "options") & Option.TIMESTAMP) != 0)


def sack_permitted(table: ConnectionTable) -> Bools:
    """(connections, 2): the SYN or SYN-ACK of each side is in the table and permits selective acknowledgments."""
    permits = (column(table, "options") & Option.SACK_PERMITTED) != 0
    rows = np.flatnonzero(permits & ((table.flags & Flag.SYN) != 0))
    found = np.zeros((len(table), 2), bool)
    found[table.connection[rows], table.side[rows]] = True
    return found
