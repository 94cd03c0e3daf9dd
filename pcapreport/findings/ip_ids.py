"""IP IDs as a count of what a host sends: many senders number the packets of a connection with them (IPv4 only)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ORDERLY_SHARE = 0.9
"""A flow whose IP IDs differ by little this often counts its packets with them."""
SMALL_STEP, FAR_STEP = 256, 1 << 13
"""From the second on a step may be one forward as well as one back."""


def id_step(table: ConnectionTable, later: Ints, earlier: Ints) -> Ints:
    """Difference of two IP IDs on their circle of 2^16."""
    ids = table.packets["ip_id"]
    step = ids[table.row[later]].astype(np.int64) - ids[table.row[earlier]].astype(np.int64)
    return (step + (1 << 15)) % (1 << 16) - (1 << 15)


def counting_flows(table: ConnectionTable, flow: Ints, wanted: Ints) -> Bools:
    """Whether each of the flows `wanted` counts its packets; `flow`: that of each row."""
    different, place = np.unique(wanted, return_inverse=True)
    orderly = np.array([_counts_packets(table, flow, int(one)) for one in different], bool)
    return orderly[place]


def several_ids(table: ConnectionTable, flow: Ints, wanted: Ints) -> Bools:
    """Whether each of the flows `wanted` has more than one IP ID: some programs write the same one into all packets."""
    lowest, highest = np.full(2 * len(table), 1 << 16), np.zeros(2 * len(table), np.int64)
    ids = table.packets["ip_id"][table.row].astype(np.int64)
    np.minimum.at(lowest, flow, ids)
    np.maximum.at(highest, flow, ids)
    return np.asarray(lowest[wanted] < highest[wanted])


def _counts_packets(table: ConnectionTable, flow: Ints, one: int) -> bool:
    """Steps back count as well: the network changes the order of packets."""
    rows = np.arange(table.bounds[one // 2], table.bounds[one // 2 + 1])
    rows = rows[(flow[rows] == one) & (table.original[rows] < 0)]
    packets = table.packets
    rows = rows[packets["ip_id"][table.row[rows]] != 0]  # Linux answers for no socket, or one in TIME-WAIT, with 0
    if len(rows) < 4 or (packets["ip_version"][table.row[rows]] != 4).any():
        return False
    steps = id_step(table, rows[1:], rows[:-1])
    return bool(np.mean((steps != 0) & (np.abs(steps) < SMALL_STEP)) >= ORDERLY_SHARE * (1 - 2 / len(rows)))
