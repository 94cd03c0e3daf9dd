"""The same bytes sent again and again: how the sender backed off, what came of it, and whether size was the cause."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.columns import Ints
from pcapreport.findings.grouping import finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.retransmissions import transmission_before
from pcapreport.findings.wording import The, duration, listed, side_name, times
from pcapreport.language import counted
from pcapreport.tcp.evidence import RST, SYN

FULL_SIZE_TRIES = 2
"""Retransmissions of a full-sized segment that must fail before its size is blamed."""
DUE_TIMES = 3
"""A sender whose next timeout is twice the last one has given up after so many times the last one."""
_OVERLOADED = Alternative("The other side's host was too busy to take or acknowledge them.", Confidence.LOW)
_BROKEN = Alternative("The path failed for a while, whatever the size.", Confidence.MEDIUM)


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
        what = "segment" if table.length[chain[0]] else "FIN"
        summary = (
            f"{The(side)} sent the same {what} again {times(len(chain))} (first: frame {int(table.frame[chain[0]])}), "
            f"{_waits(evidence, chain)}; {outcome}."
        )
        yield finding(
            evidence,
            "excessive_retransmission",
            connection,
            Side.NETWORK,
            chain,
            summary,
            severity,
            Confidence.MEDIUM,
            (_OVERLOADED,),
        )


def _waits(evidence: Evidence, chain: Ints) -> str:
    """The time before each transmission but the first, and whether it grows as RFC 6298 section 5.5 asks."""
    table = evidence.table
    before = transmission_before(evidence, chain)
    known = before >= 0
    waits = np.maximum(table.time_ns[chain[known]] - table.time_ns[before[known]], 0).tolist()
    if not waits:
        return "its first transmission not captured"
    told = f"after {listed([duration(wait) for wait in waits], 6)}"
    grows = len(waits) > 1 and all(late >= 1.5 * early for early, late in zip(waits[-3:], waits[-2:], strict=False))
    return f"{told}, each wait about twice the one before" if grows else told


def _outcome(evidence: Evidence, side: int, chain: Ints, theirs: Ints) -> tuple[str, Severity]:
    """What became of it, and how much that matters; `theirs`: live rows of the other side behind the first of it."""
    table, passes = evidence.table, evidence.passes
    answers = theirs[passes.acks[theirs] & (table.ack[theirs] > table.seq[chain[0]])]
    if len(answers) and answers[0] < chain[-1]:
        first = int(table.frame[answers[0]])
        return f"frame {first} had acknowledged it, but behind this tap that was lost or came too late", Severity.NOTE
    if len(answers):
        return f"frame {int(table.frame[answers[0]])} acknowledged it at last", Severity.WARNING
    last, connection = int(chain[-1]), int(passes.connection[chain[-1]])
    later = np.arange(last + 1, table.bounds[connection + 1])
    resets = later[(table.side[later] == side) & ((table.flags[later] & RST) != 0)]
    if len(resets):
        gave_up = f"the {side_name(side)} gave up with a RST (frame {int(table.frame[resets[0]])})"
        return f"it was never acknowledged, and {gave_up}", Severity.ERROR
    wait = int(table.time_ns[chain[-1]] - table.time_ns[chain[-2]])
    rest = (evidence.capture.last_ns or 0) - int(table.time_ns[last])
    if rest > DUE_TIMES * wait and not (table.side[later] == side).any():
        gave_up = f"the {side_name(side)} gave up: nothing more in {duration(rest)}"
        return f"it was never acknowledged, and {gave_up}", Severity.ERROR
    return "the capture shows no acknowledgment of it", Severity.ERROR


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
            summary = (
                f"Segments of {counted(int(table.length[chain[0]]), '{n:,} byte', '{n:,} bytes')} of the {side_name(side)} do not arrive "
                f"(first sent again in frame {int(table.frame[chain[0]])}), {words}: the path loses large packets "
                "and no ICMP error says so, or it was filtered."
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


def _size_decides(evidence: Evidence, connection: int, side: int, chain: Ints) -> tuple[Ints, str, Confidence] | None:
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
            fitting = counted(int(table.length[first]), "{n:,} byte", "{n:,} bytes")
            words = f"but {fitting} of the same did at once (frame {int(table.frame[first])})"
            return np.append(full, first), words, Confidence.HIGH
        return None
    acked = int(table.ack[theirs].max(initial=0))
    delivered = mine[(table.end[mine] <= max(acked, int(passes.acked_at_end[chain[0]]))) & (table.length[mine] < large)]
    never = passes.acked_at_end[chain[0]] <= table.seq[chain[0]]
    none_arrived = not (table.end[mine[table.length[mine] == large]] <= passes.acked_at_end[chain[0]]).any()
    if never and none_arrived and len(theirs) and len(delivered) and len(chain) > FULL_SIZE_TRIES:
        return chain, "while smaller ones were acknowledged and the other side was still there", Confidence.MEDIUM
    return None
