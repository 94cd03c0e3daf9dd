"""Repetitions whose first transmission never passed this tap and left no gap; old duplicates that no one sent again.

A lost tail leaves no gap behind. But a sender that counts its packets in the IP ID has skipped one; a sender that
marks the end of each write with PSH does not pause before it when nothing holds it up; and a SYN-ACK that echoes the
timestamp of an earlier SYN than the last answers one that was taken up long before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.columns import column, stamped
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEW = 3
SKIPS_SHARE = 50
"""A sender that numbers its packets skips an ID seldom: once, and once more in so many packets."""


def skipped_ids(
    table: ConnectionTable,
    flow: Ints,
    ordinary: Bools,
    fresh: Bools,
    previous: Ints,
    round_trip: Ints,
    settings: Settings,
) -> Bools:
    """New, contiguous data or FIN before which the sender sent a packet that we lack, after a pause.

    What lacks did not acknowledge anything new (this row does not either), so it carried the same numbers.
    `ordinary`: rows that continue where their sender was; `round_trip`: per row.
    """
    ids = column(table, "ip_id")
    step = np.where(previous >= 0, (ids - ids[previous]) % (1 << 16), 0)
    valid = ordinary & (previous >= 0) & (column(table, "ip_version") == 4) & (ids != 0) & (ids[previous] != 0)
    total = np.bincount(flow[valid], minlength=2 * len(table))
    skips = np.bincount(flow[valid & (step != 1)], minlength=2 * len(table))
    steady = (total >= FEW) & (skips <= 1 + total // SKIPS_SHARE)
    pause = table.time_ns - table.time_ns[previous]
    quiet = (pause >= settings.jitter_ns) & (pause >= round_trip)
    same = (table.ack == table.ack[previous]) & (table.window == table.window[previous])
    return np.asarray(fresh & valid & steady[flow] & (step >= 2) & (step <= FEW) & quiet & same)


def stalled_writes(
    table: ConnectionTable,
    flow: Ints,
    fresh: Bools,
    previous_send: Ints,
    previous_peer: Ints,
    acked: Ints,
    settings: Settings,
) -> Bools:
    """New data after a long pause in mid-write, although all was acknowledged and the window open."""
    pushes = (table.flags & Flag.PSH) != 0
    marks = np.bincount(flow[pushes], minlength=2 * len(table)) > 1
    largest = np.zeros(2 * len(table), np.int64)
    np.maximum.at(largest, flow, table.length)
    before = previous_send
    midway = (before >= 0) & ~pushes[before] & (table.end[before] == table.seq)
    midway &= (table.length[before] == largest[flow]) & ((table.flags[before] & Flag.SYN) == 0)
    waited = table.time_ns - table.time_ns[np.maximum(before, previous_peer)]
    free = (acked == table.seq) & (table.window[previous_peer] > 0) & (previous_peer >= 0)
    return np.asarray(
        fresh & marks[flow] & midway & free & (table.length > 0) & (waited >= settings.unanswered_ns // 4)
    )


def late_syn_acks(table: ConnectionTable, connection: Ints, first_syn_ack: Bools, settings: Settings) -> Bools:
    """First SYN-ACKs seen that echo a SYN which was repeated since (and which they would have followed at once)."""
    chosen = np.zeros(len(table.row), bool)
    values, echoes = column(table, "ts_val"), column(table, "ts_ecr")
    for at in np.flatnonzero(first_syn_ack & stamped(table)).tolist():
        start = int(table.bounds[connection[at]])
        if at - start < 2:
            continue
        earlier = np.arange(start, at)
        syns = earlier[(table.side[earlier] != table.side[at]) & ((table.flags[earlier] & Flag.SYN) != 0)]
        stamps = values[syns]
        echoed = np.flatnonzero(stamps == echoes[at])
        if len(echoed) and len(syns) > 1 and stamps[-1] != stamps[echoed[0]]:
            chosen[at] = table.time_ns[at] - table.time_ns[syns[echoed[0]]] >= SECOND - settings.jitter_ns
    return chosen


def old_duplicates(table: ConnectionTable, repeated: Bools, previous: Ints) -> Bools:
    """Old numbers with a timestamp no newer than one of a second ago: wandered, not sent again (RFC 7323 5.4)."""
    values = column(table, "ts_val").astype(np.uint32)
    both = stamped(table)
    both &= both[previous]
    stale = sequence.distances(values, values[previous]) <= 0
    pause = table.time_ns - table.time_ns[previous]
    return np.asarray(repeated & (previous >= 0) & both & stale & (pause >= SECOND))
