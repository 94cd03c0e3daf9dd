"""Which RSTs do not look like the side in whose name they came: the signs, as columns over the RSTs judged.

What real stacks do sets the bar. Linux sends a RST of an open connection (an abort) with ACK, timestamps and the next
IP ID; one that answers a stray segment without ACK, options and window, with IP ID 0 (tcp_v4_send_reset), and Windows
and BSD send window 0 too. So missing options, window 0 and ID 0 are signs only of a RST with ACK, and never enough
alone. A path that changes alters the hop limit by one or two (RFC 791: each router takes one); a box elsewhere differs
by more. And no stack sends on after it has reset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapreport.findings.columns import Bools, Ints, column, stamped
from pcapreport.findings.model import Evidence
from pcapreport.findings.pass_work import UNKNOWN
from pcapreport.settings import SECOND
from pcapreport.tcp.evidence import ACK, RST, SYN

FEWEST = 2
"""Segments of the same side with which a RST is compared; a SYN-ACK alone may be that of a proxy."""
COUNTS_UP, SKIPS = 16, 1024
"""A sender that counts its IP IDs steps by few; its other connections may make it skip some more, for each second."""

REORDERED = 8
"""Segments that were under way already when the RST was sent, at most."""


class Signs(NamedTuple):
    """The RSTs of connections that their side had sent other segments of, r of them; every field (r,).

    Those whose signs are strong enough are `forged`; the rest are the side's own as far as this tap can tell.
    """

    rows: Ints
    others: Ints
    """Other segments of that side in the connection."""
    ttl: Ints
    lowest: Ints
    highest: Ints
    """Hop limit of the RST, and of the others."""
    off_route: Bools
    """It is further from theirs than another route explains."""
    off_count: Bools
    """That side counts its IP IDs up, and this one is not the next."""
    unstamped: Bools
    """It acknowledges but has no timestamps though the others have."""
    other_window: Bools
    """It acknowledges but with a window of 0, though the side had room before."""
    stray_window: Bools
    """It has no ACK but a window: what answers a stray segment has none."""
    untimely: Bools
    """It answers nothing: it has no ACK, and what it would answer came longer ago than a round trip."""
    goes_on: Ints
    """The first row of new data, FIN or acknowledgment that this side sends after it, or -1."""
    believed: Bools
    """The other side sends nothing more, or only RSTs, a round trip later."""

    @property
    def forged(self) -> Bools:
        """Strong enough: another distance, another count, or a sender that went on while its peer believed it.

        A count alone is not, nor with a window of 0: Windows counts for all connections together and resets like that.
        """
        goes_on, weak = self.goes_on >= 0, self.unstamped | self.stray_window | self.untimely
        sent_on = goes_on & (self.believed | self.unstamped | self.untimely | self.other_window)
        return np.asarray(self.off_route | sent_on | self.off_count & (weak | goes_on))

    @property
    def forged_rows(self) -> Ints:
        """Rows of the RSTs that a box in the path sent."""
        return self.rows[self.forged]

    @property
    def agreeing(self) -> Ints:
        """How many independent signs it has."""
        window = self.other_window | self.stray_window
        signs = (self.off_route, self.off_count, self.unstamped, window, self.untimely, self.goes_on >= 0)
        return np.asarray(np.sum(signs, axis=0), np.int64)


def signs_of_forgery(evidence: Evidence) -> Signs:
    """All RSTs that can be compared with other segments of their side."""
    table, passes = evidence.table, evidence.passes
    flow = passes.connection * 2 + table.side
    is_reset = (table.flags & RST) != 0
    rows = np.flatnonzero(is_reset & (passes.original < 0) & (table.seq >= 0))  # others belong to an older connection
    concerned = np.zeros(2 * len(table), bool)
    concerned[flow[rows]] = True
    own = np.flatnonzero(concerned[flow] & passes.live)
    others = np.bincount(flow[own], minlength=2 * len(table))
    rows = rows[others[flow[rows]] >= FEWEST]
    of = flow[rows]
    lowest, highest = np.full(2 * len(table), 255), np.zeros(2 * len(table), np.int64)
    ttl = column(table, "ttl", own)
    np.minimum.at(lowest, flow[own], ttl)
    np.maximum.at(highest, flow[own], ttl)
    mine, low, high = column(table, "ttl", rows), lowest[of], highest[of]
    hops = evidence.settings.forged_hops
    steady = high - low <= hops
    off_route = steady & ((mine < low - hops) | (mine > high + hops)) & (mine > 0) & (low > 0)
    last, before = passes.previous[rows], passes.previous[np.maximum(passes.previous[rows], 0)]
    known = last >= 0
    acknowledges = (table.flags[rows] & ACK) != 0
    goes_on, believed = _afterwards(evidence, rows, own, flow)
    return Signs(
        rows=rows,
        others=others[of],
        ttl=mine,
        lowest=low,
        highest=high,
        off_route=off_route,
        off_count=_off_count(evidence, rows, last, np.where(known, before, -1)),
        unstamped=known & acknowledges & stamped(table, last) & ~stamped(table, rows),
        other_window=known & acknowledges & (table.window[rows] == 0) & (table.window[last] > 0),
        stray_window=~acknowledges & (table.window[rows] > 0),
        untimely=known & ~acknowledges & _untimely(evidence, rows),
        goes_on=goes_on,
        believed=believed,
    )


def _off_count(evidence: Evidence, rows: Ints, last: Ints, before: Ints) -> Bools:
    table = evidence.table
    mine, latest, former = (column(table, "ip_id", at) for at in (rows, last, before))
    step = (latest - former) & 0xFFFF
    counts = (before >= 0) & (column(table, "ip_version", rows) == 4)
    counts &= (latest != 0) & (step >= 1) & (step <= COUNTS_UP)
    after = (mine - latest) & 0xFFFF
    idle = (table.time_ns[rows] - table.time_ns[last]) / SECOND
    stray = (mine == 0) & ((table.flags[rows] & ACK) == 0)
    return np.asarray(counts & ~((after >= 1) & (after <= SKIPS * (1 + idle))) & ~stray)


def _untimely(evidence: Evidence, rows: Ints) -> Bools:
    """What it would answer came longer ago than a round trip, or there is nothing of the kind."""
    table, passes = evidence.table, evidence.passes
    trip = passes.round_trip_ns[passes.connection[rows]]
    prompt = passes.previous_peer[rows]
    waited = table.time_ns[rows] - table.time_ns[prompt]
    return np.asarray((trip != UNKNOWN) & ((prompt < 0) | (waited > trip + evidence.settings.jitter_ns)))


def _next(candidates: Ints, flow: Ints, rows: Ints, of: Ints) -> Ints:
    """For each row the next candidate of its flow, or -1."""
    if not len(candidates):
        return np.full(len(rows), -1)
    size = len(flow) + 1
    keys = np.sort(flow[candidates] * size + candidates)
    at = np.minimum(np.searchsorted(keys, of * size + rows, side="right"), len(keys) - 1)
    found = (keys[at] // size == of) & (keys[at] % size > rows)
    return np.where(found, keys[at] % size, -1)


def _afterwards(evidence: Evidence, rows: Ints, own: Ints, flow: Ints) -> tuple[Ints, Bools]:
    """(see Signs.goes_on, Signs.believed)"""
    table, passes, settings = evidence.table, evidence.passes, evidence.settings
    news = (table.end > np.maximum(passes.sent_before, 0)) | (passes.acks & (table.ack > passes.own_ack_before))
    fresh = np.zeros(len(table.row), bool)
    fresh[own] = news[own] & ((table.flags[own] & SYN) == 0)
    of = flow[rows]
    later = _next(np.flatnonzero(fresh), flow, rows, of)
    for _ in range(REORDERED):  # those that close were under way already
        near = (later >= 0) & (table.time_ns[later] <= table.time_ns[rows] + settings.reordering_ns)
        later[near] = _next(np.flatnonzero(fresh), flow, later[near], of[near])
    near = table.time_ns[later] <= table.time_ns[rows] + settings.reordering_ns
    syn = _next(own[(table.flags[own] & SYN) != 0], flow, rows, of)
    later[near | (syn >= 0) & (syn < later)] = -1  # with a SYN it opens the next connection, having reset an older one
    end = np.full(2 * len(table), -1)
    live = np.flatnonzero(passes.live)
    end[flow[live]] = live
    trip = np.maximum(passes.round_trip_ns[passes.connection[rows]], 0) + settings.jitter_ns
    peer = end[of ^ 1]
    return later, np.asarray((peer < 0) | (table.time_ns[peer] <= table.time_ns[rows] + trip))
