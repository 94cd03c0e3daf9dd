"""The same bytes sent again and again: how the sender backed off, what came of it, and whether size was the cause."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.columns import Ints
from pcapreport.findings.grouping import finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.retransmissions import transmission_before
from pcapreport.findings.wording import The, duration, listed, side_name, times
from pcapreport.language import Text, counted, phrase
from pcapreport.tcp.evidence import RST, SYN

FULL_SIZE_TRIES = 2
"""Retransmissions of a full-sized segment that must fail before its size is blamed."""
DUE_TIMES = 3
"""A sender whose next timeout is twice the last one has given up after so many times the last one."""
_OVERLOADED = Alternative(phrase("The other side's host was too busy to take or acknowledge them."), Confidence.LOW)
_BROKEN = Alternative(phrase("The path failed for a while, whatever the size."), Confidence.MEDIUM)


def chains(evidence: Evidence, least: int) -> list[Ints]:
    """Rows that sent one number again at least so many times, SYNs left out; by connection, side and number."""
    table, passes = evidence.table, evidence.passes
    rows = np.flatnonzero(evidence.sent_again & passes.live & ((table.flags & SYN) == 0))
    if len(rows) < least:
        return []
    flow = passes.connection[rows] * 2 + table.side[rows]
    order = np.lexsort((rows, table.seq[rows], flow))
    rows, flow = rows[order], flow[order]
    starts = np.flatnonzero((np.diff(flow, prepend=-1) != 0) | (np.diff(table.seq[rows], prepend=-1) != 0))
    sizes = np.diff(np.append(starts, len(rows)))
    return [rows[start : start + size] for start, size in zip(starts, sizes, strict=True) if size >= least]


def excessive_retransmissions(evidence: Evidence) -> Iterator[Finding]:
    """Segments sent again three times or more (R1 of RFC 9293 section 3.8.3, SHLD-10), the longest chain of each side.

    Where the other side is never heard again it is that side's silence that is told (see window.silent_peers).
    """
    table, passes = evidence.table, evidence.passes
    longest: dict[tuple[int, int], Ints] = {}
    for chain in chains(evidence, evidence.settings.excessive_retransmissions):
        key = int(passes.connection[chain[0]]), int(table.side[chain[0]])
        if len(chain) > len(longest.get(key, ())):
            longest[key] = chain
    for (connection, side), chain in longest.items():
        later = np.arange(chain[0] + 1, table.bounds[connection + 1])
        theirs = later[(table.side[later] != side) & passes.live[later]]
        if not len(theirs):
            continue
        outcome, severity = _outcome(evidence, side, chain, theirs)
        yield finding(
            evidence,
            "excessive_retransmission",
            connection,
            Side.NETWORK,
            chain,
            _again_and_again(evidence, side, chain, outcome),
            severity,
            Confidence.MEDIUM,
            (_OVERLOADED,),
        )


def _again_and_again(evidence: Evidence, side: int, chain: Ints, outcome: Text) -> Text:
    table = evidence.table
    parts = {
        "side": The(side),
        "times": times(len(chain)),
        "frame": int(table.frame[chain[0]]),
        "waits": _waits(evidence, chain),
        "outcome": outcome,
    }
    if table.length[chain[0]]:
        return phrase("{side} sent the same segment again {times} (first: frame {frame}), {waits}; {outcome}.", **parts)
    return phrase("{side} sent the same FIN again {times} (first: frame {frame}), {waits}; {outcome}.", **parts)


def _waits(evidence: Evidence, chain: Ints) -> Text:
    """The time before each transmission but the first, and whether it grows as RFC 6298 section 5.5 asks."""
    table = evidence.table
    before = transmission_before(evidence, chain)
    known = before >= 0
    waits = np.maximum(table.time_ns[chain[known]] - table.time_ns[before[known]], 0).tolist()
    if not waits:
        return phrase("its first transmission not captured")
    told = listed([duration(wait) for wait in waits], 6)
    grows = len(waits) > 1 and all(late >= 1.5 * early for early, late in zip(waits[-3:], waits[-2:], strict=False))
    if grows:
        return phrase("after {waits}, each wait about twice the one before", waits=told)
    return phrase("after {waits}", waits=told)


def _outcome(evidence: Evidence, side: int, chain: Ints, theirs: Ints) -> tuple[Text, Severity]:
    """What became of it, and how much that matters; `theirs`: live rows of the other side behind the first of it."""
    table, passes = evidence.table, evidence.passes
    answers = theirs[passes.acks[theirs] & (table.ack[theirs] > table.seq[chain[0]])]
    if len(answers) and answers[0] < chain[-1]:
        acknowledged = phrase(
            "frame {frame} had acknowledged it, but behind this tap that was lost or came too late",
            frame=int(table.frame[answers[0]]),
        )
        return acknowledged, Severity.NOTE
    if len(answers):
        frame = int(table.frame[answers[0]])
        return phrase("frame {frame} acknowledged it at last", frame=frame), Severity.WARNING
    last, connection = int(chain[-1]), int(passes.connection[chain[-1]])
    later = np.arange(last + 1, table.bounds[connection + 1])
    resets = later[(table.side[later] == side) & ((table.flags[later] & RST) != 0)]
    if len(resets):
        gave_up = phrase(
            "it was never acknowledged, and the {side} gave up with a RST (frame {frame})",
            side=side_name(side),
            frame=int(table.frame[resets[0]]),
        )
        return gave_up, Severity.ERROR
    wait = int(table.time_ns[chain[-1]] - table.time_ns[chain[-2]])
    rest = (evidence.capture.last_ns or 0) - int(table.time_ns[last])
    if rest > DUE_TIMES * wait and not (table.side[later] == side).any():
        gave_up = phrase(
            "it was never acknowledged, and the {side} gave up: nothing more in {time}",
            side=side_name(side),
            time=duration(rest),
        )
        return gave_up, Severity.ERROR
    return phrase("the capture shows no acknowledgment of it"), Severity.ERROR


def path_mtu_black_holes(evidence: Evidence) -> Iterator[Finding]:
    """Full-sized segments that never arrive where smaller ones do (RFC 2923 section 2.1, RFC 8899)."""
    table, passes = evidence.table, evidence.passes
    told: set[tuple[int, int]] = set()
    for chain in chains(evidence, FULL_SIZE_TRIES):
        connection, side = int(passes.connection[chain[0]]), int(table.side[chain[0]])
        if (connection, side) in told or evidence.vantages.oversize[connection]:
            continue
        proof = _size_decides(evidence, connection, side, chain)
        if proof:
            told.add((connection, side))
            tried, words, confidence = proof
            summary = counted(
                int(table.length[chain[0]]),
                "Segments of {n:,} byte of the {side} do not arrive (first sent again in frame {frame}), {proof}: the "
                "path loses large packets and no ICMP error says so, or it was filtered.",
                "Segments of {n:,} bytes of the {side} do not arrive (first sent again in frame {frame}), {proof}: the "
                "path loses large packets and no ICMP error says so, or it was filtered.",
                side=side_name(side),
                frame=int(table.frame[chain[0]]),
                proof=words,
            )
            yield finding(
                evidence,
                "pmtu_black_hole",
                connection,
                Side.NETWORK,
                tried,
                summary,
                None,
                confidence,
                (_BROKEN,),
            )


def _size_decides(evidence: Evidence, connection: int, side: int, chain: Ints) -> tuple[Ints, Text, Confidence] | None:
    """(rows, words, how sure) where size tells what arrives from what does not."""
    table, passes = evidence.table, evidence.passes
    rows = np.arange(table.bounds[connection], table.bounds[connection + 1])
    mine = rows[(table.side[rows] == side) & passes.live[rows] & (table.length[rows] > 0) & ~passes.keep_alive[rows]]
    large = int(table.length[chain[0]])
    if large < max(int(table.length[mine].max(initial=0)), evidence.settings.smallest_mss):
        return None
    smaller = chain[table.length[chain] < large]
    full = chain[table.length[chain] == large]
    theirs = rows[(table.side[rows] != side) & passes.acks[rows] & (rows > chain[0])]
    if len(smaller) and len(full) >= FULL_SIZE_TRIES:
        first = int(smaller[0])
        answers = theirs[table.ack[theirs] > table.seq[first]]
        if len(answers) and int(answers[0]) > first and table.ack[answers[0]] == table.end[first]:
            words = counted(
                int(table.length[first]),
                "but {n:,} byte of the same did at once (frame {frame})",
                "but {n:,} bytes of the same did at once (frame {frame})",
                frame=int(table.frame[first]),
            )
            return np.append(full, first), words, Confidence.HIGH
        return None
    acked = int(table.ack[theirs].max(initial=0))
    delivered = mine[(table.end[mine] <= max(acked, int(passes.acked_at_end[chain[0]]))) & (table.length[mine] < large)]
    never = passes.acked_at_end[chain[0]] <= table.seq[chain[0]]
    none_arrived = not (table.end[mine[table.length[mine] == large]] <= passes.acked_at_end[chain[0]]).any()
    if never and none_arrived and len(theirs) and len(delivered) and len(chain) > FULL_SIZE_TRIES:
        words = phrase("while smaller ones were acknowledged and the other side was still there")
        return chain, words, Confidence.MEDIUM
    return None
