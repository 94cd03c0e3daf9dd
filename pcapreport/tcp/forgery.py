"""Resets in an endpoint's name that it cannot have sent: firewalls and attackers forge them (RFC 5961 section 1).

A stack that counts its IP IDs up gives its own RST the next one; Linux answers a stray segment (RST without ACK, RFC
9293 section 3.10.7.1) with ID 0. And what comes from elsewhere has come another number of hops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Option
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import ACK, RST

Ints = npt.NDArray[np.int64]

LOOKS_BACK = 12
"""Rows before a RST among which its sender's last two segments are looked for."""
COUNTS_UP, SKIPS = 16, 1024
"""A sender that counts per connection steps by few; other connections, or losses, may make it skip some more."""


class Resets(NamedTuple):
    """Rows of the table with a RST: those that do not look like their supposed sender's segments, and those that do."""

    forged: Ints
    genuine: Ints


def judged_resets(table: ConnectionTable) -> Resets:
    """What can be told of the RSTs from the two segments before each of their supposed senders; of most, nothing."""
    rows = np.flatnonzero(table.flags & RST != 0)
    if not len(rows):
        return Resets(rows, rows)
    last, before = _two_before(table, rows)
    known = np.flatnonzero(before >= 0)
    rows, last, before = rows[known], last[known], before[known]
    packets, at, one, two = table.packets, table.row[rows], table.row[last], table.row[before]
    ids, ttl, stamp = packets["ip_id"], packets["ttl"], packets["ts_val"]
    counts = (packets["ip_version"][at] == 4) & (ids[one] != 0) & _between(ids[one] - ids[two], COUNTS_UP)
    answers = (ids[at] == 0) & (table.flags[rows] & ACK == 0)
    in_turn = _between(ids[at] - ids[one], SKIPS)
    same_place = packets["interface"][at] == packets["interface"][one]
    from_elsewhere = same_place & (ttl[one] == ttl[two]) & (ttl[at] != ttl[one])
    forged = counts & ~in_turn & ~answers | from_elsewhere
    stamped = (packets["options"][at] & packets["options"][one] & int(Option.TIMESTAMP)) != 0
    goes_on = stamped & (stamp[at] - stamp[one] < np.uint32(sequence.HALF))
    return Resets(rows[forged], rows[~forged & (counts | goes_on)])


def _between(step: npt.NDArray[np.uint16], most: int) -> npt.NDArray[np.bool_]:
    return (step >= 1) & (step <= most)


def _two_before(table: ConnectionTable, rows: Ints) -> tuple[Ints, Ints]:
    """The sender's last segment before each of these rows that is neither RST nor copy, and the one before; or -1."""
    start = table.bounds[table.connection[rows]]
    last, before = np.full(len(rows), -1), np.full(len(rows), -1)
    for back in range(1, LOOKS_BACK + 1):
        at = np.maximum(rows - back, 0)
        alike = (rows - back >= start) & (table.side[at] == table.side[rows]) & (table.original[at] < 0)
        alike &= table.flags[at] & RST == 0
        before = np.where(alike & (last >= 0) & (before < 0), at, before)
        last = np.where(alike & (last < 0), at, last)
    return last, before
