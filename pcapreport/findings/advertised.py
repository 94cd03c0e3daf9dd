"""How far each side allowed the other to send: the advertised windows in bytes, scaled as the handshake agreed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapreport.capture.packet_table import RowNote
from pcapreport.findings.columns import Ints
from pcapreport.findings.model import Evidence
from pcapreport.findings.segmented import NONE, Flows
from pcapreport.tcp.evidence import SYN

LARGEST_SCALE = 14
"""RFC 7323 section 2.3."""
CUT = RowNote.SNAPLEN_CUT | RowNote.MALFORMED_OPTIONS | RowNote.BAD_DATA_OFFSET


class Advertised(NamedTuple):
    """Per row of the connection table."""

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
    scale = scales(evidence)[passes.connection * 2 + table.side]
    known = scale >= 0
    syn = (table.flags & SYN) != 0
    unit = np.where(known, np.int64(1) << np.maximum(scale, 0), 1)
    says = known & passes.acks
    edge = np.where(says, table.ack + table.window * np.where(syn, 1, unit), NONE)
    flows = Flows(table.side, table.bounds[:-1])
    return Advertised(unit, edge, *flows.highest_before(edge, says))


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
