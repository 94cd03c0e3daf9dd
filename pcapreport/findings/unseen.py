"""Repetitions whose first transmission never passed this tap and left no gap.

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
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import SYN
from pcapreport.tcp.host_profile import LINUX, systems_of_ends

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEW, MANY = 3, 6
SYN_ACK_TIMEOUTS = (1, 3, 7, 15)
"""Seconds after the first one."""
TIMEOUT_SPREAD_NS = SECOND // 4
"""Timers are late and the path takes its time; a server that answers a SYN after seconds for another reason is rare."""
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

    Linux numbers the packets of each socket for themselves (inet_id in net/ipv4/ip_output.c), so that two of them
    tell its habit, and several may lack if the pause has room for its timeouts, each twice as long as the one before.
    What lacks did not acknowledge anything new (this row does not either), so it carried the same numbers.
    `ordinary`: rows that continue where their sender was; `round_trip`: per row.
    """
    ids = column(table, "ip_id")
    step = np.where(previous >= 0, (ids - ids[previous]) % (1 << 16), 0)
    valid = ordinary & (previous >= 0) & (column(table, "ip_version") == 4) & (ids != 0) & (ids[previous] != 0)
    total = np.bincount(flow[valid], minlength=2 * len(table))
    skips = np.bincount(flow[valid & (step != 1)], minlength=2 * len(table))
    steady = (total >= 2) & (skips <= 1 + total // SKIPS_SHARE)
    pause = table.time_ns - table.time_ns[previous]
    quiet = (pause >= settings.jitter_ns) & (pause >= round_trip)
    same = (table.ack == table.ack[previous]) & (table.window == table.window[previous])
    found = fresh & valid & steady[flow] & (step >= 2) & (step <= MANY) & quiet & same
    if (found & ((total[flow] < FEW) | (step > FEW))).any():
        own = systems_of_ends(table).reshape(-1)[flow] == LINUX
        patient = pause >= settings.shortest_rto_ns << np.clip(step - FEW, 0, MANY)
        found &= (total[flow] >= FEW) & (step <= FEW) | own & patient
    return np.asarray(found)


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
    midway &= (table.length[before] == largest[flow]) & ((table.flags[before] & SYN) == 0)
    waited = table.time_ns - table.time_ns[np.maximum(before, previous_peer)]
    free = (acked == table.seq) & (table.window[previous_peer] > 0) & (previous_peer >= 0)
    return np.asarray(
        fresh & marks[flow] & midway & free & (table.length > 0) & (waited >= settings.unanswered_ns // 4)
    )


def late_syn_acks(table: ConnectionTable, connection: Ints, first_syn_ack: Bools, settings: Settings) -> Bools:
    """First SYN-ACKs seen that echo a SYN which was repeated since (and which they would have followed at once), or
    that follow the only one by the time after which a SYN-ACK is sent again (RFC 6298 sections 2.1 and 5.5)."""
    chosen = np.zeros(len(table.row), bool)
    begun = table.time_ns[table.bounds[:-1]]
    candidates = np.flatnonzero(first_syn_ack)
    late = table.time_ns[candidates] - begun[connection[candidates]] >= SECOND - settings.jitter_ns
    if not late.any():
        return chosen
    candidates = candidates[late]
    candidates = candidates[stamped(table, candidates)]
    for at, echo in zip(candidates.tolist(), column(table, "ts_ecr", candidates).tolist(), strict=True):
        start = int(table.bounds[connection[at]])
        earlier = np.arange(start, at)
        syns = earlier[(table.side[earlier] != table.side[at]) & ((table.flags[earlier] & SYN) != 0)]
        stamps = column(table, "ts_val", syns)
        echoed = np.flatnonzero(stamps == echo)
        if len(echoed):
            waited = int(table.time_ns[at] - table.time_ns[syns[echoed[0]]]) + settings.jitter_ns
            after_timeout = any(0 <= waited - timeout * SECOND <= TIMEOUT_SPREAD_NS for timeout in SYN_ACK_TIMEOUTS)
            chosen[at] = waited >= SECOND if stamps[-1] != stamps[echoed[0]] else after_timeout
    return chosen
