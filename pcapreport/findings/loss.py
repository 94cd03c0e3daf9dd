"""Loss and order: what is missing, what came late or twice, what was asked for again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pcapreport.findings.arrived import answers_to_missed_syns, arrived_before
from pcapreport.findings.grouping import SIDES, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.pass_work import FAR
from pcapreport.findings.segmented import NONE
from pcapreport.findings.wording import The, first_of, frames, side_name, times
from pcapreport.language import counted, phrase
from pcapreport.tcp.evidence import SYN

Ints = npt.NDArray[np.int64]

SENT_AGAIN = phrase("Sent again after a loss before the tap.")


def old_duplicates(evidence: Evidence) -> Iterator[Finding]:
    """Segments that the network delivered once more long after they were sent."""
    for group in groups(evidence, evidence.passes.wandered):
        numbers = group.numbers
        summary = counted(
            len(numbers),
            "{n:,} old segment of the {side} passed the tap once more ({where}) though sent no later than what had "
            "brought its bytes: not sent again, but long on its way, doubled by the network or forged.",
            "{n:,} old segments of the {side} passed the tap once more ({where}) though sent no later than what had "
            "brought their bytes: not sent again, but long on their way, doubled by the network or forged.",
            side=side_name(group.side),
            where=first_of(numbers),
        )
        yield finding(
            evidence, "old_duplicate", group.connection, Side.NETWORK, group, summary, None, Confidence.MEDIUM
        )


def out_of_order(evidence: Evidence) -> Iterator[Finding]:
    """Segments that the network delivered after ones sent later."""
    gaps = evidence.passes.gaps
    for group in groups(evidence, gaps.reordered):
        numbers = group.numbers
        summary = counted(
            len(numbers),
            "{n:,} segment of the {side} passed the tap after one sent later ({where}): the network changed the order.",
            "{n:,} segments of the {side} passed the tap after some sent later ({where}): the network changed the "
            "order.",
            side=side_name(group.side),
            where=first_of(numbers),
        )
        unsure = bool(gaps.by_time[group.rows].any())
        other = Alternative(SENT_AGAIN, Confidence.LOW)
        yield finding(
            evidence,
            "out_of_order",
            group.connection,
            Side.NETWORK,
            group,
            summary,
            None,
            Confidence.MEDIUM if unsure else Confidence.HIGH,
            (other,) if unsure else (),
        )


def undecided_order(evidence: Evidence) -> Iterator[Finding]:
    """Segments that fill a gap, and nothing tells whether they came late or were sent again."""
    for group in groups(evidence, evidence.passes.gaps.unknown):
        summary = counted(
            len(group.numbers),
            "{n:,} segment of the {side} ({where}) filled a gap that later ones had left: whether it was delivered "
            "late or sent again cannot be told, as neither timestamps, IP IDs nor a round trip of this connection are "
            "known.",
            "{n:,} segments of the {side} ({where}) filled gaps that later ones had left: whether they were delivered "
            "late or sent again cannot be told, as neither timestamps, IP IDs nor a round trip of this connection are "
            "known.",
            side=side_name(group.side),
            where=first_of(group.numbers),
        )
        again = Alternative(SENT_AGAIN, Confidence.MEDIUM)
        late = Alternative(phrase("The network changed the order."), Confidence.MEDIUM)
        yield finding(
            evidence,
            "order_undecided",
            group.connection,
            Side.NETWORK,
            group,
            summary,
            None,
            Confidence.LOW,
            (late, again),
        )


def duplicate_acks(evidence: Evidence) -> Iterator[Finding]:
    """The same acknowledgment once more while data is on its way: something before it is missing at the receiver."""
    table = evidence.table
    for group in groups(evidence, evidence.passes.duplicate_ack):
        numbers = group.numbers
        others = len(np.unique(table.ack[group.rows])) - 1
        parts = {
            "side": The(group.side),
            "times": times(len(numbers)),
            "where": first_of(numbers),
            "number": int(table.ack[group.rows[0]]),
        }
        if others:
            summary = counted(
                others,
                "{side} repeated its acknowledgment {times} ({where}): it lacked bytes from {number} on, later in "
                "{n:,} other place.",
                "{side} repeated its acknowledgment {times} ({where}): it lacked bytes from {number} on, later in "
                "{n:,} other places.",
                **parts,
            )
        else:
            summary = phrase(
                "{side} repeated its acknowledgment {times} ({where}): it lacked bytes from {number} on.", **parts
            )
        yield finding(evidence, "duplicate_ack", group.connection, SIDES[group.side], group, summary)


def lost_segments(evidence: Evidence) -> Iterator[Finding]:
    """Gaps in what passed the tap that late delivery does not explain."""
    table, passes = evidence.table, evidence.passes
    fillers = np.flatnonzero(passes.gaps.resent)
    fillers = fillers[~arrived_before(evidence, fillers)]
    repaired = np.zeros(len(table.row), bool)
    openers = passes.opener[fillers]
    repaired[openers[table.seq[openers] >= table.end[fillers]]] = True
    missing = (passes.missing > 0) & (passes.missing < FAR)
    arrived = missing & (passes.acked_at_end >= table.seq)
    for group in groups(evidence, arrived):
        yield _lost(evidence, group, Side.CAPTURE)
    for group in groups(evidence, (repaired | missing) & ~arrived):
        yield _lost(evidence, group, Side.NETWORK)


def _lost(evidence: Evidence, group: Group, side: Side) -> Finding:
    missing = int(evidence.passes.missing[group.rows].sum())
    parts = {"side": side_name(group.side), "frames": frames(group.numbers)}
    if side is Side.CAPTURE:
        summary = counted(
            missing,
            "{n:,} byte of the {side} before {frames} is not in the capture although the other side acknowledged it: "
            "the capture missed it, the network did not lose it.",
            "{n:,} bytes of the {side} before {frames} are not in the capture although the other side acknowledged "
            "them: the capture missed them, the network did not lose them.",
            **parts,
        )
    elif missing:
        summary = counted(
            len(group.numbers),
            "{n:,} gap in what the {side} sent, before {frames}: lost before this tap, {bytes} of it never seen.",
            "{n:,} gaps in what the {side} sent, before {frames}: lost before this tap, {bytes} of it never seen.",
            bytes=counted(missing, "{n:,} byte", "{n:,} bytes"),
            **parts,
        )
    else:
        summary = counted(
            len(group.numbers),
            "{n:,} gap in what the {side} sent, before {frames}: lost before this tap and sent again later.",
            "{n:,} gaps in what the {side} sent, before {frames}: lost before this tap and sent again later.",
            **parts,
        )
    return finding(evidence, "lost_segment", group.connection, side, group, summary)


def ack_lost_segments(evidence: Evidence) -> Iterator[Finding]:
    """Acknowledgments of bytes that never passed the tap: proof that the capture is not complete."""
    table, passes = evidence.table, evidence.passes
    beyond = passes.acks & (passes.peer_sent_before != NONE) & (table.ack > passes.peer_sent_before)
    beyond &= (table.ack > passes.own_ack_before) & (table.ack - passes.peer_sent_before < FAR)
    for row in np.flatnonzero(beyond).tolist():
        beyond[row] = not _comes_soon(evidence, row)
    for group in groups(evidence, beyond):
        numbers = group.numbers
        excess = int((table.ack[group.rows] - passes.peer_sent_before[group.rows]).sum())
        summary = counted(
            excess,
            "{side} acknowledged {n:,} byte that this capture does not hold ({where}): the capture missed segments of "
            "the {other}.",
            "{side} acknowledged {n:,} bytes that this capture does not hold ({where}): the capture missed segments of "
            "the {other}.",
            side=The(group.side),
            where=first_of(numbers),
            other=side_name(1 - group.side),
        )
        yield finding(evidence, "ack_lost_segment", group.connection, Side.CAPTURE, group, summary)


def missed_syns(evidence: Evidence) -> Iterator[Finding]:
    """Answers to a SYN, or SYN-ACK, that the capture lacks: what was answered had arrived."""
    table = evidence.table
    for group in groups(evidence, answers_to_missed_syns(evidence)):
        summary = phrase(
            "{side} answered a {flags} that this capture does not hold ({frames}): the capture missed it.",
            side=The(group.side),
            flags="SYN" if (table.flags[group.rows] & SYN).any() else "SYN, ACK",
            frames=frames(group.numbers),
        )
        yield finding(evidence, "ack_lost_segment", group.connection, Side.CAPTURE, group, summary)


def _comes_soon(evidence: Evidence, row: int) -> bool:
    """The acknowledged bytes stand a little further on in the capture: recorded late, not missed."""
    table, passes = evidence.table, evidence.passes
    stop = int(table.bounds[passes.connection[row] + 1])
    for other in range(row + 1, min(row + 16, stop)):
        if table.time_ns[other] - table.time_ns[row] > evidence.settings.jitter_ns:
            return False
        if (
            table.side[other] != table.side[row]
            and passes.live[other]
            and table.seq[other] < table.ack[row] <= table.end[other]
        ):
            return bool(passes.known[other] == 0)
    return False
