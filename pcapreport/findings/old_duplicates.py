"""Segments with numbers that passed before, yet not sent again: copies and originals that were long on their way.

The transmission that brought the numbers before is the witness. Who sends again stamps the time anew, and counts on in
the IP ID: what carries an earlier timestamp or a lower ID than the witness was sent before it, and what carries the
same after the sender's clock must have ticked is the witness once more, delayed or forged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.columns import column, stamped
from pcapreport.findings.ip_ids import SMALL_STEP, counting_flows, id_step, several_ids
from pcapreport.findings.sender_clock import stamp_steps, ticked
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import ACK, SYN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class OldDuplicates(NamedTuple):
    """Per row of the connection table."""

    wandered: Bools
    """Has numbers that passed before and was not sent again."""
    overtook: Bools
    """Sent again, but passed before the transmission that it repeats."""


def old_duplicates(table: ConnectionTable, flow: Ints, live: Bools, repeated: Bools, previous: Ints) -> OldDuplicates:
    """Judge the rows `repeated`, which have numbers that passed before.

    `previous`: the last live row of the same side before, or -1: the witness where no one segment is.
    """
    found = OldDuplicates(np.zeros(len(table.row), bool), np.zeros(len(table.row), bool))
    rows = np.flatnonzero(repeated)
    if not len(rows):
        return found
    concerned = np.zeros(2 * len(table), bool)
    concerned[flow[rows]] = True
    witness = last_with_these_numbers(table, flow, live & concerned[flow])[rows]
    direct = witness >= 0
    witness = np.where(direct, witness, previous[rows])
    step, both = stamp_steps(table, rows, witness), stamped(table, rows) & stamped(table, witness)
    still = both & (step == 0) & ticked(table, flow, live, rows, witness)
    still |= both & (step <= 0) & (table.time_ns[rows] - table.time_ns[witness] >= SECOND)  # the slowest clock's tick
    earlier = direct & (step < 0)
    earlier[direct] |= _numbered_before(table, flow, rows[direct], witness[direct])
    still |= direct & _same_packet(table, flow, rows, witness)
    found.wandered[rows] = (witness >= 0) & (still | earlier)
    found.overtook[witness[earlier]] = True
    return found


def last_with_these_numbers(table: ConnectionTable, flow: Ints, wanted: Bools) -> Ints:
    """Per row the last row before, of those `wanted`, in the same flow from the same number on; or -1."""
    taking = np.flatnonzero(wanted & (table.end > table.seq))
    order = taking[np.lexsort((taking, table.seq[taking], flow[taking]))]
    same = (flow[order[1:]] == flow[order[:-1]]) & (table.seq[order[1:]] == table.seq[order[:-1]])
    same &= ((table.flags[order[1:]] ^ table.flags[order[:-1]]) & (SYN | ACK)) == 0
    last = np.full(len(table.row), -1)
    last[order[1:][same]] = order[:-1][same]
    return last


def _same_packet(table: ConnectionTable, flow: Ints, rows: Ints, witness: Ints) -> Bools:
    """The IP ID and timestamp of the witness once more (IPv4 only), of a sender that has others."""
    ids = column(table, "ip_id", rows)
    same = (ids != 0) & (column(table, "ip_version", rows) == 4) & (ids == column(table, "ip_id", witness))
    same &= column(table, "ts_val", rows) == column(table, "ts_val", witness)
    same &= table.end[rows] == table.end[witness]
    same[same] = several_ids(table, flow, flow[rows[same]])
    return np.asarray(same)


def _numbered_before(table: ConnectionTable, flow: Ints, rows: Ints, witness: Ints) -> Bools:
    """A lower IP ID than the witness's, of a sender that counts its packets and stamps no time."""
    step = id_step(table, rows, witness)
    lower = (step < 0) & (step > -SMALL_STEP) & ~stamped(table, rows)
    lower &= (column(table, "ip_id", rows) != 0) & (column(table, "ip_id", witness) != 0)
    lower[lower] = counting_flows(table, flow, flow[rows[lower]])
    return np.asarray(lower)
