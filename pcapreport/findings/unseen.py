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
    found = np.zeros(len(flow), bool)
    rows = np.flatnonzero(fresh & ordinary & (previous >= 0))
    before = previous[rows]
    pause = table.time_ns[rows] - table.time_ns[before]
    quiet = (pause >= settings.jitter_ns) & (pause >= round_trip[rows])
    same = (table.ack[rows] == table.ack[before]) & (table.window[rows] == table.window[before])
    rows, pause = rows[quiet & same], pause[quiet & same]
    concerned = np.zeros(2 * len(table), bool)
    concerned[flow[rows]] = True
    total, skips = _numbering(table, flow, np.flatnonzero(ordinary & (previous >= 0) & concerned[flow]), previous)
    of, step = flow[rows], _id_steps(table, rows, previous[rows])
    steady = (total[of] >= 2) & (skips[of] <= 1 + total[of] // SKIPS_SHARE)
    chosen = steady & (step >= 2) & (step <= MANY)
    if (chosen & ((total[of] < FEW) | (step > FEW))).any():
        own = systems_of_ends(table).reshape(-1)[of] == LINUX
        patient = pause >= settings.shortest_rto_ns << np.clip(step - FEW, 0, MANY)
        chosen &= (total[of] >= FEW) & (step <= FEW) | own & patient
    found[rows[chosen]] = True
    return found


def _numbering(table: ConnectionTable, flow: Ints, rows: Ints, previous: Ints) -> tuple[Ints, Ints]:
    """Per flow: (of these rows, how many have an IP ID as has the one before; how many IDs are not the next)."""
    step, size = _id_steps(table, rows, previous[rows]), 2 * len(table)
    of = flow[rows]
    return np.bincount(of[step >= 0], minlength=size), np.bincount(of[(step >= 0) & (step != 1)], minlength=size)


def _id_steps(table: ConnectionTable, rows: Ints, before: Ints) -> Ints:
    """How far the IP IDs went on from `before` to each of `rows`; -1 where one has none."""
    ids, then = column(table, "ip_id", rows), column(table, "ip_id", before)
    numbered = (column(table, "ip_version", rows) == 4) & (ids != 0) & (then != 0)
    return np.where(numbered, (ids - then) % (1 << 16), -1)


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
    found = np.zeros(len(flow), bool)
    rows = np.flatnonzero(fresh & (previous_send >= 0) & (previous_peer >= 0) & (table.length > 0))
    before, peer = previous_send[rows], previous_peer[rows]
    waited = table.time_ns[rows] - table.time_ns[np.maximum(before, peer)] >= settings.unanswered_ns // 4
    rows, before, peer = rows[waited], before[waited], peer[waited]
    if not len(rows):
        return found
    pushes = (table.flags & int(Flag.PSH)) != 0
    marks = np.bincount(flow[pushes], minlength=2 * len(table)) > 1
    largest = np.zeros(2 * len(table), np.int64)
    np.maximum.at(largest, flow, table.length)
    midway = ~pushes[before] & (table.end[before] == table.seq[rows])
    midway &= (table.length[before] == largest[flow[rows]]) & ((table.flags[before] & SYN) == 0)
    free = (acked[rows] == table.seq[rows]) & (table.window[peer] > 0)
    found[rows[marks[flow[rows]] & midway & free]] = True
    return found


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
