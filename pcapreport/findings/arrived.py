"""Whether the network lost what did not pass this tap, or only the capture missed it.

Bytes that were sent again although their first transmission never passed the tap: had the other side acknowledged them
before, or reports it the repetition as a duplicate (D-SACK, RFC 2883), then the first one arrived and the capture
missed it. Did it acknowledge them only then, the network lost the first one. Of a SYN, an answer to it is proof enough.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Evidence
from pcapreport.findings.segmented import NONE
from pcapreport.tcp import sequence
from pcapreport.tcp.evidence import RST, SYN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def arrived_before(evidence: Evidence, rows: Ints) -> Bools:
    """Per row that was sent again: the other side shows that it had these bytes already."""
    table, passes = evidence.table, evidence.passes
    return np.asarray((passes.acked_before[rows] >= table.end[rows]) | evidence.reported_twice[rows])


def arrived_only_then(evidence: Evidence, rows: Ints) -> Bools:
    """Per row that was sent again: the other side acknowledged these bytes, and not before."""
    in_the_end: Bools = evidence.passes.acked_at_end[rows] >= evidence.table.end[rows]
    return np.asarray(in_the_end & ~arrived_before(evidence, rows))


def reported_twice(evidence: Evidence) -> Bools:
    """Per row that was sent again: a D-SACK behind it is about its bytes, and can mean no other repetition."""
    table, passes = evidence.table, evidence.passes
    found = np.zeros(len(table.row), bool)
    rows = np.flatnonzero(evidence.sent_again | passes.gaps.resent)
    reports, low, high = _duplicates_reported(evidence)
    first = np.searchsorted(reports, rows)
    last = np.searchsorted(reports, table.bounds[passes.connection[rows] + 1])
    for at in np.flatnonzero(first < last).tolist():
        row, behind = int(rows[at]), slice(first[at], last[at])
        mine = (table.side[reports[behind]] != table.side[row]) & (low[behind] < table.end[row])
        mine &= high[behind] > table.seq[row]
        if mine.any():
            between = slice(row + 1, int(reports[behind][mine][0]))
            again = passes.live[between] & (table.side[between] == table.side[row])
            again &= table.end[between] > table.seq[row]
            found[row] = not np.any(again & (table.seq[between] < table.end[row]))
    return found


def _duplicates_reported(evidence: Evidence) -> tuple[Ints, Ints, Ints]:
    """D-SACKs of bytes acknowledged before: (rows, and the edges of what each reports)."""
    table = evidence.table
    reports = np.flatnonzero(table.packets["sack"][table.row] >= 0)
    low, high = _first_block(evidence, reports)
    duplicate = (high <= table.ack[reports]) & (high > low)
    return reports[duplicate], low[duplicate], high[duplicate]


def _first_block(evidence: Evidence, reports: Ints) -> tuple[Ints, Ints]:
    """The edges of the first SACK block of each row, relative as `ack` is."""
    table = evidence.table
    rows = table.row[reports]
    blocks = table.packets.sack_blocks[table.packets["sack"][rows]][:, 0]
    low, high = (sequence.distances(blocks[:, edge], table.packets["ack"][rows]) for edge in (0, 1))
    return table.ack[reports] + low, table.ack[reports] + high


def answers_to_missed_syns(evidence: Evidence) -> Bools:
    """Rows that are the first to acknowledge a SYN of the other side which the capture lacks, though it ran by then.

    It did where their sender's own SYN was captured, or where it had begun long before. Where nothing of the other
    side was captured at all, it is the capture of one direction.
    """
    table, passes = evidence.table, evidence.passes
    asked = passes.acks & (passes.own_ack_before == NONE) & (passes.peer_sent_before == NONE) & (table.ack >= 1)
    asked &= (table.flags & RST) == 0
    rows = np.flatnonzero(asked)
    peer = 1 - table.side[rows]
    sent = np.bincount(passes.connection * 2 + table.side, minlength=2 * len(table))
    lacks = ~table.isn_seen[passes.connection[rows], peer] & (sent[passes.connection[rows] * 2 + peer] > 0)
    third = table.isn_seen[passes.connection[rows], table.side[rows]] & (table.flags[rows] & SYN == 0)
    third &= passes.sent_before[rows] != NONE
    begun = table.time_ns[rows] - (evidence.capture.first_ns or 0) >= evidence.settings.unanswered_ns
    chosen = np.zeros(len(table.row), bool)
    chosen[rows[lacks & (third | begun & (table.flags[rows] & SYN != 0))]] = True
    return chosen
