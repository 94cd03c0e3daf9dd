"""Connections of which Wireshark says nothing: most of a capture, so that its analysis need not look at them.

They open as the book says; each segment begins where its sender had come to, acknowledges no more than was sent, and
tells something new; no window is closed or filled; and none of the numbers is near the ends of its circle, where
Wireshark takes a 0 for "not known yet". For such a connection none of the rules in `walk.py` marks a segment.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, RowNote
from pcapreport.findings.passes import Passes
from pcapreport.findings.segmented import NONE
from pcapreport.findings.wireshark.walk import LARGEST_SCALE
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.sequence import MODULUS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEAR = 1 << 29
"""Numbers stay so close to the initial ones."""
_SYN, _ACK = np.uint16(Flag.SYN), np.uint16(Flag.ACK)
_BOTH = np.uint16(Flag.SYN | Flag.ACK)
_CONTROL = np.uint16(Flag.SYN | Flag.FIN | Flag.RST)


def silent_connections(table: ConnectionTable, passes: Passes) -> Bools:
    """(connections,): certainly none of its segments is marked."""
    if len(table.packets.encapsulations) > 1:  # Wireshark knows no paths: several connections may be one to it
        return np.zeros(len(table), bool)
    silent = _opened_plainly(table) & (table.successor < 0) & _far_from_the_ends(table)
    silent[table.successor[table.successor >= 0]] = False
    silent[table.connection[table.moved]] = False
    loud = _out_of_line(table, passes) | _strange(table)
    silent[table.connection[loud]] = False
    silent[table.connection[_filling(table, passes)]] = False
    return silent


def _opened_plainly(table: ConnectionTable) -> Bools:
    """SYN, SYN-ACK, and whatever follows them later than the SYN."""
    start, sizes = table.bounds[:-1], np.diff(table.bounds)
    second, third = start + (sizes > 1), start + np.minimum(sizes - 1, 2)
    plain = (table.flags[start] & (_CONTROL | _ACK)) == _SYN
    plain &= (table.side[start] == CLIENT) & (table.packets["ack"][table.row[start]] == 0)
    plain &= ((table.flags[second] & (_CONTROL | _ACK)) == _BOTH) & (table.side[second] == SERVER)
    return np.asarray(
        plain & (table.time_ns[start] != 0) & ((sizes < 3) | (table.time_ns[third] > table.time_ns[start]))
    )


def _far_from_the_ends(table: ConnectionTable) -> Bools:
    top = np.zeros(2 * len(table), np.int64)
    np.maximum.at(top, table.connection * 2 + table.side, table.end)
    first = table.isn.reshape(-1).astype(np.int64)
    far = (first > 0) & (top < NEAR) & (first + top < MODULUS)
    return np.asarray(far.reshape(-1, 2).all(axis=1))


def _out_of_line(table: ConnectionTable, passes: Passes) -> Bools:
    """Rows that do not go on where their sender was, acknowledge what was not sent, or bring nothing and say nothing
    new."""
    acks = (table.flags & _ACK) != 0
    found = ~passes.live | ((passes.sent_before != NONE) & (table.seq != passes.sent_before))
    found |= acks & (table.ack > passes.peer_sent_before)
    found |= (table.length == 0) & ((table.flags & _CONTROL) == 0) & (table.ack <= passes.own_ack_before)
    return np.asarray(found)


def _strange(table: ConnectionTable) -> Bools:
    """Rows that close a window, belong to Multipath TCP, have a header longer than they are, or speak of opening where
    they should not."""
    packets, row = table.packets, table.row
    found = table.window == 0
    opening = np.zeros(len(row), bool)
    opening[table.bounds[:-1]] = True
    found |= ((table.flags & _ACK) == 0) & ~opening
    opening[1:][opening[:-1]] = True
    found |= ((table.flags & _SYN) != 0) & ~opening
    found |= (packets["window_scale"][row] >= 0) & ((table.flags & _SYN) == 0)
    odd = (packets["mptcp"] != 0) | ((packets["notes"] & np.uint8(RowNote.BAD_DATA_OFFSET)) != 0)
    return np.asarray(found | odd[row] if odd.any() else found)


def _filling(table: ConnectionTable, passes: Passes) -> Ints:
    """Rows whose data ends where the other side's window does, be that scaled or not."""
    syns = np.flatnonzero((table.flags & _SYN) != 0)
    scale = np.zeros(2 * len(table), np.int64)
    said = table.packets["window_scale"][table.row[syns]]
    scale[table.connection[syns] * 2 + table.side[syns]] = np.clip(said, 0, LARGEST_SCALE)
    data = np.flatnonzero((table.length > 0) & (passes.previous_peer >= 0))
    peer = passes.previous_peer[data]
    room = table.end[data] - table.ack[peer]
    window = table.window[peer]
    scaled = window << scale[table.connection[peer] * 2 + table.side[peer]]
    filling: Ints = data[(room == window) | (room == scaled)]
    return filling
