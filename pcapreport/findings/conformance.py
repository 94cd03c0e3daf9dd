"""What no endpoint that keeps the rules sends, judged only where the tap alone can tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.packet_table import Flag, Option
from pcapreport.findings.advertised import CUT
from pcapreport.findings.columns import Bools, Ints
from pcapreport.findings.grouping import SIDES, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.wording import The, first_of, flag_words, side_name, times
from pcapreport.language import Text, counted, joined, phrase
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN

NEGOTIATED = Option.WINDOW_SCALE | Option.SACK_PERMITTED | Option.TIMESTAMP
ECN = Flag.ECE | Flag.CWR | Flag.AE
UNCHALLENGED = (
    Alternative(
        phrase("The SYN, or the answer to it, did not pass this tap or was lost behind it."), Confidence.MEDIUM
    ),
    Alternative(phrase("The host limits how many it sends (RFC 5961 section 7)."), Confidence.LOW),
)
"""Why no challenge ACK is seen though one may have been sent."""


def impossible_flags(evidence: Evidence) -> Iterator[Finding]:
    """Flags that no state of RFC 9293 sends together."""
    table = evidence.table
    flags = table.flags & (SYN | FIN | RST | ACK)
    syn, fin, rst = ((flags & flag) != 0 for flag in (SYN, FIN, RST))
    strange = (syn & (fin | rst)) | (flags == 0) | (flags == FIN)
    for group in groups(evidence, strange & (table.original < 0)):
        words = sorted({flag_words(int(one)) for one in table.flags[group.rows]})
        summary = counted(
            len(group.rows),
            "{side} sent {n:,} segment ({where}) with flags that TCP never sends: {flags}.",
            "{side} sent {n:,} segments ({where}) with flags that TCP never sends: {flags}.",
            side=The(group.side),
            where=first_of(group.numbers),
            flags=joined(words, "; "),
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
        odd = Alternative(phrase("That side's TCP itself composes its options this way."), Confidence.LOW)
        yield finding(
            evidence,
            "options_stripped",
            group.connection,
            Side.NETWORK,
            group.rows,
            _stripped(group, not answering.isdisjoint(group.rows.tolist())),
            None,
            Confidence.MEDIUM,
            (odd,),
        )


def _stripped(group: Group, unasked: bool) -> Text:
    """`unasked`: it answers what was not offered."""
    parts = {
        "side": side_name(group.side),
        "syn": "SYN-ACK" if group.side == SERVER else "SYN",
        "where": first_of(group.numbers),
    }
    if unasked:
        return phrase(
            "The {side}'s {syn} ({where}) answers options that the SYN, as it passed the tap, did not offer: a device "
            "on the path changes TCP options.",
            **parts,
        )
    return phrase(
        "The {side}'s {syn} ({where}) has NOPs where an option would stand: a device on the path changes TCP options.",
        **parts,
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
        summary = phrase(
            "{side} set ECN flags {times} ({where}), though the handshake had not agreed on ECN.",
            side=The(group.side),
            times=times(len(group.rows)),
            where=first_of(group.numbers),
        )
        changed = phrase("A device on the path changed flags, here or in the handshake.")
        device = Alternative(changed, Confidence.MEDIUM)
        side = SIDES[group.side]
        rows = group.rows
        yield finding(evidence, "ecn_misuse", group.connection, side, rows, summary, None, Confidence.HIGH, (device,))


def missing_challenge_acks(evidence: Evidence) -> Iterator[Finding]:
    """SYNs into an open connection that got no ACK, though their receiver went on (RFC 9293 section 3.10.7.4)."""
    table, passes = evidence.table, evidence.passes
    syns = ((table.flags & (SYN | ACK | RST | FIN)) == SYN) & (passes.original < 0)
    opened, over = _open_span(evidence)
    rows = np.arange(len(syns))
    syns &= (rows > opened[passes.connection]) & (rows < over[passes.connection])
    for row in np.flatnonzero(syns).tolist():
        syns[row] = _ignored(evidence, row)
    for group in groups(evidence, syns):
        other = 1 - group.side
        summary = counted(
            len(group.rows),
            "{side} did not answer {n:,} SYN in an open connection ({where}) with an ACK, as it must, though it sent "
            "on afterwards.",
            "{side} did not answer {n:,} SYNs in an open connection ({where}) with an ACK, as it must, though it sent "
            "on afterwards.",
            side=The(other),
            where=first_of(group.numbers),
        )
        yield finding(
            evidence,
            "challenge_ack_missing",
            group.connection,
            SIDES[other],
            group,
            summary,
            None,
            Confidence.LOW,
            UNCHALLENGED,
        )


def _open_span(evidence: Evidence) -> tuple[Ints, Ints]:
    """Per connection (the row with which both sides had acknowledged something, the first FIN or RST)."""
    table, passes = evidence.table, evidence.passes
    count = len(table)
    first = np.full(2 * count, len(table.row))
    flow = passes.connection * 2 + table.side
    at = np.flatnonzero(passes.acks & ((table.flags & SYN) == 0))[::-1]
    first[flow[at]] = at
    over = passes.first_fin.reshape(-1, 2).min(axis=1, initial=len(table.row))
    resets = np.flatnonzero((table.flags & RST) != 0)[::-1]
    reset = np.full(count, len(table.row))
    reset[passes.connection[resets]] = resets
    return first.reshape(-1, 2).max(axis=1, initial=0), np.minimum(over, reset)


def _ignored(evidence: Evidence, row: int) -> bool:
    """The other side sends on later, but not within the time that an answer takes."""
    table, passes, settings = evidence.table, evidence.passes, evidence.settings
    connection = int(passes.connection[row])
    later = np.arange(row + 1, table.bounds[connection + 1])
    theirs = later[(table.side[later] != table.side[row]) & passes.live[later]]
    wait = max(int(passes.round_trip_ns[connection]), 0) + settings.shortest_rto_ns
    return bool(len(theirs)) and bool(table.time_ns[theirs[0]] - table.time_ns[row] > wait)
