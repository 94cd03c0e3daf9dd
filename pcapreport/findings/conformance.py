"""What no endpoint that keeps the rules sends, judged only where the tap alone can tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.packet_table import Flag, Option
from pcapreport.findings.advertised import CUT, Advertised, advertised
from pcapreport.findings.columns import Bools, Ints
from pcapreport.findings.grouping import SIDES, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.segmented import NONE
from pcapreport.findings.wording import The, count, first_of, flag_words, side_name, times
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN

NEGOTIATED = Option.WINDOW_SCALE | Option.SACK_PERMITTED | Option.TIMESTAMP
ECN = Flag.ECE | Flag.CWR | Flag.AE
SILLY_TIMES, SILLY_PART = 10, 4
"""So many segments below this part of the sender's largest; RFC 9293 section 3.8.6.2.2 keeps a receiver from offering
less than half its buffer or a full segment."""
PROBE_BYTES = 1
"""A zero-window probe may bring one byte that the window does not allow (RFC 9293 section 3.8.6.1)."""


def windows(evidence: Evidence) -> Iterator[Finding]:
    """Windows taken back, data that no window allowed, and windows that open by a few bytes at a time."""
    said = advertised(evidence)
    yield from _shrunk_windows(evidence, said)
    yield from _data_outside(evidence, said)
    yield from _silly_windows(evidence, said)


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
        summary = (
            f"{The(group.side)} took back {times(len(group.rows))} ({first_of(group.numbers)}) receive window "
            f"that it had already offered, by up to {count(by, 'byte')}"
            f"{f', when the {side_name(1 - group.side)} had already sent data beyond the new edge' if broken else ''}."
        )
        path = Alternative("A device on the path before the tap rewrites windows.", Confidence.LOW)
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
        summary = (
            f"{The(group.side)} sent {count(len(group.rows), 'segment')} ({first_of(group.numbers)}) beyond "
            f"the window that the {side_name(1 - group.side)} had offered, by up to {count(by, 'byte')}."
        )
        missed = Alternative("The capture missed the segment that opened the window further.", Confidence.MEDIUM)
        side = SIDES[group.side]
        rows = group.rows
        yield finding(
            evidence, "data_outside_window", group.connection, side, rows, summary, None, Confidence.MEDIUM, (missed,)
        )


def _silly_windows(evidence: Evidence, said: Advertised) -> Iterator[Finding]:
    """Small segments that each fill the window to its edge, again and again (RFC 9293 section 3.8.6.2)."""
    table, passes = evidence.table, evidence.passes
    at_edge = passes.live & (table.length > 0) & ~passes.keep_alive & (passes.known == 0)
    at_edge &= (said.peer_before != NONE) & (table.seq + table.length == said.peer_before)
    for group in groups(evidence, at_edge):
        if len(group.rows) < SILLY_TIMES:
            continue
        rows = np.arange(table.bounds[group.connection], table.bounds[group.connection + 1])
        full = int(table.length[rows[table.side[rows] == group.side]].max())
        small = group.rows[table.length[group.rows] * SILLY_PART < full]
        if len(small) < SILLY_TIMES:
            continue
        other = 1 - group.side
        summary = (
            f"{The(other)} opened its window by so little that the {side_name(group.side)} filled it "
            f"{times(len(small))} with a small segment (first: frame {int(table.frame[small].min())})."
        )
        writes = Alternative("The program wrote just as many bytes as the window took.", Confidence.LOW)
        side = SIDES[other]
        yield finding(
            evidence, "silly_window", group.connection, side, small, summary, None, Confidence.MEDIUM, (writes,)
        )


def impossible_flags(evidence: Evidence) -> Iterator[Finding]:
    """Flags that no state of RFC 9293 sends together."""
    table = evidence.table
    flags = table.flags & (SYN | FIN | RST | ACK)
    syn, fin, rst = ((flags & flag) != 0 for flag in (SYN, FIN, RST))
    strange = (syn & (fin | rst)) | (flags == 0) | (flags == FIN)
    for group in groups(evidence, strange & (table.original < 0)):
        words = sorted({flag_words(int(one)) for one in table.flags[group.rows]})
        summary = (
            f"{The(group.side)} sent {count(len(group.rows), 'segment')} ({first_of(group.numbers)}) with "
            f"flags that TCP never sends: {'; '.join(words)}."
        )
        yield finding(evidence, "impossible_flags", group.connection, SIDES[group.side], group, summary)


def stripped_options(evidence: Evidence) -> Iterator[Finding]:
    """Options of a SYN that something on the path took out: NOPs in their place, or an answer to what nobody asked."""
    table, passes = evidence.table, evidence.passes
    at = np.flatnonzero(((table.flags & SYN) != 0) & passes.live)
    at = at[(table.packets["notes"][table.row[at]] & CUT) == 0]
    if not len(at):
        return
    order = table.packets["option_order"][table.row[at]]
    blank = np.zeros(len(at), bool)
    for shift in range(0, 32, 4):
        blank |= (order >> shift) & 0xFF == 0x33  # OptionMark.TWO_NOPS twice
    offers = table.packets["options"][table.row[at]].astype(np.int64) & (
        Option.WINDOW_SCALE | Option.SACK_PERMITTED | Option.TIMESTAMP
    )
    asked = np.zeros(len(table), np.int64)
    requests = (table.side[at] == CLIENT) & ((table.flags[at] & ACK) == 0)
    np.bitwise_or.at(asked, passes.connection[at[requests]], offers[requests])
    seen = np.zeros(len(table), bool)
    seen[passes.connection[at[requests]]] = True
    answers = (table.side[at] == SERVER) & ((table.flags[at] & ACK) != 0) & seen[passes.connection[at]]
    unasked = answers & ((offers & ~asked[passes.connection[at]]) != 0)
    chosen = np.zeros(len(table.row), bool)
    chosen[at[blank | unasked]] = True
    answering = set(at[unasked].tolist())
    for group in groups(evidence, chosen):
        what = (
            "answers options that the SYN, as it passed the tap, did not offer"
            if answering.intersection(group.rows.tolist())
            else "has NOPs where an option would stand"
        )
        summary = (
            f"The {side_name(group.side)}'s SYN{'-ACK' if group.side else ''} "
            f"({first_of(group.numbers)}) {what}: a device on the path changes TCP options."
        )
        odd = Alternative("That side's TCP itself composes its options this way.", Confidence.LOW)
        rows = group.rows
        yield finding(
            evidence,
            "options_stripped",
            group.connection,
            Side.NETWORK,
            rows,
            summary,
            None,
            Confidence.MEDIUM,
            (odd,),
        )


def ecn_misuse(evidence: Evidence) -> Iterator[Finding]:
    """ECN flags on a connection whose handshake, seen from both sides, agreed on no ECN of any kind."""
    table, passes = evidence.table, evidence.passes
    used = passes.live & ((table.flags & ECN) != 0)
    if not used.any():
        return
    syn = (table.flags & SYN) != 0
    flow = passes.connection * 2 + table.side
    offered = np.zeros(2 * len(table), bool)
    offered[flow[used & syn]] = True
    agreed = offered[0::2] & offered[1::2]
    refused: Bools = table.isn_seen[:, 0] & table.isn_seen[:, 1] & ~agreed
    for group in groups(evidence, used & ~syn & refused[passes.connection]):
        summary = (
            f"{The(group.side)} set ECN flags {times(len(group.rows))} ({first_of(group.numbers)}), though "
            "the handshake had not agreed on ECN."
        )
        device = Alternative("A device on the path changed flags, here or in the handshake.", Confidence.MEDIUM)
        side = SIDES[group.side]
        rows = group.rows
        yield finding(evidence, "ecn_misuse", group.connection, side, rows, summary, None, Confidence.HIGH, (device,))
