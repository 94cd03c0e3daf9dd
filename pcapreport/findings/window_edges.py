"""Receive windows that endpoints take back, overrun or fill, judged by the edges that passed the tap."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.packet_table import Option
from pcapreport.findings.advertised import Advertised, advertised
from pcapreport.findings.columns import Bools, Ints
from pcapreport.findings.grouping import SIDES, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.segmented import NONE
from pcapreport.findings.wording import The, duration, first_of, side_name, times
from pcapreport.language import counted, phrase
from pcapreport.tcp.evidence import FIN, SYN

PROBE_BYTES = 1
"""A zero-window probe may bring one byte that the window does not allow (RFC 9293 section 3.8.6.1)."""


def windows(evidence: Evidence) -> Iterator[Finding]:
    """Windows taken back, overrun, filled to the edge, and opened by a few bytes at a time."""
    said = advertised(evidence)
    yield from _shrunk_windows(evidence, said)
    yield from _data_outside(evidence, said)
    yield from _filled_windows(evidence, said)


def _shrunk_windows(evidence: Evidence, said: Advertised) -> Iterator[Finding]:
    """A right edge that moves left (RFC 9293 section 3.8.6), in segments that were surely sent after the earlier.

    A SYN-ACK's own edge binds nobody here: one made of a SYN cookie, or by a device in the server's name, promises
    what the server does not know. Nor does a window mean anything after the other side's FIN.
    """
    table, passes = evidence.table, evidence.passes
    back = (said.edge != NONE) & (said.own_before != NONE) & (said.edge < said.own_before - said.unit)
    at = np.flatnonzero(back & ((table.flags & (SYN | FIN)) == 0) & ~passes.keep_alive)
    if not len(at):
        return
    flow = passes.connection[at] * 2 + table.side[at]
    opening, closed = np.full(2 * len(table), NONE), np.full(2 * len(table), -NONE)
    syns = np.flatnonzero(((table.flags & SYN) != 0) & passes.live)
    np.maximum.at(opening, passes.connection[syns] * 2 + table.side[syns], said.edge[syns])
    fins = np.flatnonzero(((table.flags & FIN) != 0) & passes.live)
    np.minimum.at(closed, passes.connection[fins] * 2 + table.side[fins], table.end[fins])
    sure = (said.own_before[at] > opening[flow]) & (table.ack[at] < closed[flow ^ 1]) & _sent_later(evidence, at)
    back[:] = False
    back[at[sure]] = True
    for group in groups(evidence, back):
        by = int(np.max(said.own_before[group.rows] - said.edge[group.rows]))
        broken = bool(np.any(passes.peer_sent_before[group.rows] > said.edge[group.rows]))
        other = side_name(1 - group.side)
        summary = counted(
            by,
            "{who} took back {times} ({frames}) receive window that it had already offered, by up to {n:,} byte{gone}.",
            "{who} took back {times} ({frames}) receive window that it had already offered, by up to "
            "{n:,} bytes{gone}.",
            who=The(group.side),
            times=times(len(group.rows)),
            frames=first_of(group.numbers),
            gone=phrase(", when the {side} had already sent data beyond the new edge", side=other) if broken else "",
        )
        path = Alternative(phrase("A device on the path before the tap rewrites windows."), Confidence.LOW)
        severity = Severity.WARNING if broken else None
        side = SIDES[group.side]
        rows = group.rows
        yield finding(
            evidence, "window_shrunk", group.connection, side, rows, summary, severity, Confidence.MEDIUM, (path,)
        )


def _sent_later(evidence: Evidence, at: Ints) -> Bools:
    """Rows that their sender cannot have sent before those seen earlier: a higher number, or a later timestamp."""
    table, passes = evidence.table, evidence.passes
    forward = (table.ack[at] >= passes.own_ack_before[at]) & (table.seq[at] >= passes.sent_before[at])
    last = passes.previous[at]
    now, then = table.row[at], table.row[np.maximum(last, 0)]
    stamps, options = table.packets["ts_val"], table.packets["options"]
    ticks = (stamps[now].astype(np.int64) - stamps[then]) % (1 << 32)
    ahead = (ticks > 0) & (ticks < 1 << 31) & (last >= 0) & ((options[now] & options[then] & Option.TIMESTAMP) != 0)
    newer = (table.ack[at] > passes.own_ack_before[at]) | (table.end[at] > passes.sent_before[at]) | ahead
    return np.asarray(passes.acks[at] & forward & newer)


def _data_outside(evidence: Evidence, said: Advertised) -> Iterator[Finding]:
    """Data beyond every right edge that the tap saw before: the sender can have known no other."""
    table, passes = evidence.table, evidence.passes
    data = passes.live & (table.length > 0) & ((table.flags & SYN) == 0) & ~passes.keep_alive
    last = table.seq + table.length
    beyond = data & (said.peer_before != NONE) & (last > said.peer_before + PROBE_BYTES)
    for group in groups(evidence, beyond):
        by = int(np.max(last[group.rows] - said.peer_before[group.rows]))
        summary = counted(
            len(group.rows),
            "{who} sent {n:,} segment ({frames}) beyond the window that the {side} had offered, by up to {amount}.",
            "{who} sent {n:,} segments ({frames}) beyond the window that the {side} had offered, by up to {amount}.",
            who=The(group.side),
            frames=first_of(group.numbers),
            side=side_name(1 - group.side),
            amount=counted(by, "{n:,} byte", "{n:,} bytes"),
        )
        missed = Alternative(
            phrase("The capture missed the segment that opened the window further."), Confidence.MEDIUM
        )
        side = SIDES[group.side]
        rows = group.rows
        yield finding(
            evidence, "data_outside_window", group.connection, side, rows, summary, None, Confidence.MEDIUM, (missed,)
        )


def _filled_windows(evidence: Evidence, said: Advertised) -> Iterator[Finding]:
    """Data that ends at the window's edge: the sender may send no more; silly windows (section 3.8.6.2) by name."""
    table, passes = evidence.table, evidence.passes
    at_edge = passes.live & (table.length > 0) & ~passes.keep_alive & (passes.known == 0)
    at_edge &= (said.peer_before != NONE) & (table.seq + table.length == said.peer_before)
    silly = set()
    for group in groups(evidence, at_edge):
        found = _silly_window(evidence, group)
        if found is not None:
            silly.add((group.connection, group.side))
            yield found
    held, waited = _held_up(evidence, at_edge)
    for group in groups(evidence, held, waited):
        if (group.connection, group.side) not in silly and sum(group.values[0]) >= evidence.settings.held_up_ns:
            yield _window_full(evidence, group)


def _held_up(evidence: Evidence, at_edge: Bools) -> tuple[Bools, Ints]:
    """(rows at the edge behind which new data came only after the other side spoke; how long after, ns)."""
    table, passes = evidence.table, evidence.passes
    after = np.flatnonzero(passes.live & (table.length > 0) & (passes.known == 0) & (passes.previous_send >= 0))
    after = after[at_edge[passes.previous_send[after]]]
    before = passes.previous_send[after]
    after, before = after[passes.previous_peer[after] > before], before[passes.previous_peer[after] > before]
    held, waited = np.zeros(len(at_edge), bool), np.zeros(len(at_edge), np.int64)
    held[before] = True
    waited[before] = np.maximum(table.time_ns[after] - table.time_ns[before], 0)
    return held, waited


def _silly_window(evidence: Evidence, group: Group) -> Finding | None:
    """Small segments that each fill the window to its edge, again and again."""
    table, settings = evidence.table, evidence.settings
    if len(group.rows) < settings.silly_segments:
        return None
    rows = np.arange(table.bounds[group.connection], table.bounds[group.connection + 1])
    full = int(table.length[rows[table.side[rows] == group.side]].max())
    small = group.rows[table.length[group.rows] * settings.silly_part < full]
    if len(small) < settings.silly_segments:
        return None
    other = 1 - group.side
    summary = phrase(
        "{who} opened its window by so little that the {side} filled it {times} with a small segment (first: frame "
        "{frame}).",
        who=The(other),
        side=side_name(group.side),
        times=times(len(small)),
        frame=int(table.frame[small].min()),
    )
    writes = Alternative(phrase("The program wrote just as many bytes as the window took."), Confidence.LOW)
    side = SIDES[other]
    return finding(evidence, "silly_window", group.connection, side, small, summary, None, Confidence.MEDIUM, (writes,))


def _window_full(evidence: Evidence, group: Group) -> Finding:
    """The window held the sender up."""
    other = 1 - group.side
    summary = phrase(
        "{who} filled the {side}'s window {times} ({frames}) and had to wait {time} in all for more room: the "
        "receiver, or the size of its window, set the pace.",
        who=The(group.side),
        side=side_name(other),
        times=times(len(group.rows)),
        frames=first_of(group.numbers),
        time=duration(sum(group.values[0])),
    )
    return finding(evidence, "window_full", group.connection, SIDES[other], group, summary)
