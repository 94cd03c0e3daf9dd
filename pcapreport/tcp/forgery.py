"""What passed in an endpoint's name that it did not send then: forged RSTs, and FINs that came once more.

Firewalls and attackers forge RSTs (RFC 5961 section 1). A stack that counts its IP IDs up gives its own RST the next
one; Linux answers a stray segment (RST without ACK, RFC 9293 section 3.10.7.1) with ID 0. And what comes from elsewhere
has come another number of hops. A FIN that is sent again carries a newer timestamp than the first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Option
from pcapreport.settings import SECOND
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import ACK, FIN, RST

Ints = npt.NDArray[np.int64]

LOOKS_BACK = 12
"""Rows before a RST among which its sender's last two segments are looked for."""
COUNTS_UP, SKIPS = 16, 1024
"""A sender that counts per connection steps by few; other connections, or losses, may make it skip some more."""
SLOWEST_TICK_NS, MISSED_TICKS = SECOND, 20
"""Timestamps tick at least once a second (RFC 7323 section 5.4); or as they did before in the connection, to within so
many ticks."""


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


def stale_fins(table: ConnectionTable) -> Ints:
    """Rows of FINs with the timestamp of an earlier one, though the sender's clock must have ticked since."""
    fins = np.flatnonzero((table.flags & FIN != 0) & (table.original < 0))
    flow = table.connection[fins] * 2 + table.side[fins]
    several = np.bincount(flow)[flow] > 1
    fins, flow = fins[several], flow[several]
    fins, flow = fins[np.argsort(flow, kind="stable")], np.sort(flow)
    again = np.flatnonzero(flow[1:] == flow[:-1]) + 1
    one, two = fins[again - 1], fins[again]
    stamp, options = table.packets["ts_val"], table.packets["options"] & int(Option.TIMESTAMP)
    alike = (table.end[one] == table.end[two]) & (options[table.row[one]] & options[table.row[two]] != 0)
    alike &= stamp[table.row[one]] == stamp[table.row[two]]
    one, two = one[alike], two[alike]
    pause = table.time_ns[two] - table.time_ns[one]
    first = _first_of_sender(table, one)
    ticks = sequence.distances(stamp[table.row[one]], stamp[table.row[first]])
    missed = ticks * (pause / np.maximum(table.time_ns[one] - table.time_ns[first], 1))
    known = options[table.row[first]] != 0
    stale: Ints = two[(pause > SLOWEST_TICK_NS) | known & (missed > MISSED_TICKS) & (ticks > MISSED_TICKS)]
    return stale


def _first_of_sender(table: ConnectionTable, rows: Ints) -> Ints:
    """The first row of each row's connection that the same side sent."""
    return np.array(
        [
            start + int(np.argmax(table.side[start : row + 1] == table.side[row]))
            for row, start in zip(rows.tolist(), table.bounds[table.connection[rows]].tolist(), strict=True)
        ],
        np.int64,
    )


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
