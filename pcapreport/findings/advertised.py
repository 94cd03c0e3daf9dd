"""How far each side allowed the other to send: the advertised windows in bytes, scaled as the handshake agreed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapreport.capture.packet_table import RowNote
from pcapreport.findings.columns import Bools, Ints
from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.findings.segmented import NONE, Flows
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import SYN

LARGEST_SCALE = 14
"""RFC 7323 section 2.3."""
CUT = RowNote.SNAPLEN_CUT | RowNote.MALFORMED_OPTIONS | RowNote.BAD_DATA_OFFSET


class Advertised(NamedTuple):
    """Per row of the connection table; NONE throughout connections in which no window shrinks or is reached."""

    unit: Ints
    """The scale's rounding, bytes."""
    edge: Ints
    """The right edge that this row advertises: acknowledgment number plus window; NONE where it says nothing."""
    own_before: Ints
    """The highest edge that its sender had advertised before."""
    peer_before: Ints
    """The highest edge that the other side had advertised before: how far this row's sender may send."""


def advertised(evidence: Evidence) -> Advertised:
    """The windows of all rows."""
    table, passes = evidence.table, evidence.passes
    scale = scales(evidence)
    flow = passes.connection * 2 + table.side
    unit = np.where(scale >= 0, np.int64(1) << np.maximum(scale, 0), 1)[flow]
    says = passes.acks & (scale >= 0)[flow]
    room = table.window * unit
    syns = np.flatnonzero((table.flags & SYN) != 0)
    room[syns] = table.window[syns]
    edge = np.where(says, table.ack + room, NONE)
    own_before, peer_before = np.full(len(edge), NONE), np.full(len(edge), NONE)
    concerned = np.zeros(len(table), bool)
    concerned[passes.connection[_touching(table, passes, says, edge)]] = True
    rows = np.flatnonzero(concerned[passes.connection])
    if len(rows):
        sizes = np.diff(table.bounds)[concerned]
        flows = Flows(table.side[rows], np.cumsum(sizes) - sizes)
        own_before[rows], peer_before[rows] = flows.highest_before(edge[rows], says[rows])
    return Advertised(unit, edge, own_before, peer_before)


def _touching(table: ConnectionTable, passes: Passes, says: Bools, edge: Ints) -> Ints:
    """Rows that advertise less than the row before of their sender, or bring data up to what the last row of the other
    side allows or beyond, or come behind one that tells nothing but the first: without such no window shrinks or is
    reached."""
    own, peer = passes.previous, passes.previous_peer
    mute = ~says & (own >= 0)
    less = says & (own >= 0) & ((edge < edge[own]) & says[own] | mute[own])
    data = np.flatnonzero((table.length > 0) & (peer >= 0))
    before = peer[data]
    reach = says[before] & (table.seq[data] + table.length[data] >= edge[before]) | mute[before]
    return np.concatenate([np.flatnonzero(less), data[reach]])


def scales(evidence: Evidence) -> Ints:
    """(2c,) shift count of the windows that each side sends, -1 where the capture does not tell it.

    MPTCP's windows are not of the subflow (RFC 8684 section 3.3.1).
    A window is scaled only if both SYNs offered it (RFC 7323 section 2.2); a side that offered differently when it
    repeated its SYN leaves open which offer was taken.
    """
    table, passes = evidence.table, evidence.passes
    at = np.flatnonzero(((table.flags & SYN) != 0) & passes.live)
    flow = passes.connection[at] * 2 + table.side[at]
    offer = table.packets["window_scale"][table.row[at]].astype(np.int64)
    cut = (table.packets["notes"][table.row[at]] & CUT) != 0
    least, most = np.full(2 * len(table), 99), np.full(2 * len(table), -99)
    np.minimum.at(least, flow, np.where(cut, -98, offer))
    np.maximum.at(most, flow, offer)
    clear = (least == most).reshape(-1, 2).all(axis=1)
    mptcp = np.zeros(len(table), bool)
    mptcp[passes.connection[table.packets["mptcp"][table.row] != 0]] = True
    both = (least >= 0).reshape(-1, 2).all(axis=1)
    agreed = np.where(np.repeat(both, 2), np.minimum(most, LARGEST_SCALE), 0)
    return np.where(np.repeat(clear & ~mptcp, 2), agreed, -1)
