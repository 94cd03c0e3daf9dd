"""Timers that run longer or shorter than the standards allow: delayed acknowledgments and keep-alives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.columns import Bools, Ints
from pcapreport.findings.grouping import SIDES, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding
from pcapreport.findings.wording import The, duration, first_of, side_name, times
from pcapreport.language import phrase
from pcapreport.settings import SECOND
from pcapreport.tcp.evidence import FIN, SYN

LEAST_TIMEOUT_NS = SECOND
"""RFC 6298 section 2.4."""
_LOST = Alternative(phrase("An earlier acknowledgment was lost before this tap, or not captured."), Confidence.MEDIUM)


def delayed_acks(evidence: Evidence) -> Iterator[Finding]:
    """Acknowledgments of data in order that took longer than a receiver may delay them (RFC 9293 MUST-40: 0.5 s)."""
    table = evidence.table
    late, since = _late_acks(evidence)
    for group in groups(evidence, late):
        rows = group.rows.tolist()
        worst = max(rows, key=lambda row: int(table.time_ns[row] - table.time_ns[since[row]]))
        summary = phrase(
            "{who} took more than half a second to acknowledge data, {times}: frame {frame} came {time} behind the "
            "data in frame {data}.",
            who=The(group.side),
            times=times(len(rows)),
            frame=int(table.frame[worst]),
            time=duration(int(table.time_ns[worst] - table.time_ns[since[worst]])),
            data=int(table.frame[since[worst]]),
        )
        yield finding(
            evidence,
            "delayed_ack_slow",
            group.connection,
            SIDES[group.side],
            [*rows, *(since[row] for row in rows)],
            summary,
            None,
            Confidence.MEDIUM,
            (_LOST,),
        )


def _late_acks(evidence: Evidence) -> tuple[Bools, dict[int, int]]:
    """(rows that acknowledge too late; of each the row with the first data that it acknowledges).

    Only where the way between the tap and the receiver is known to take less, and only data in order, sent once, into
    an open window. A sender that heard nothing for longer than a timeout would have repeated itself: as it did not, the
    capture missed an acknowledgment.
    """
    table, passes, settings = evidence.table, evidence.passes, evidence.settings
    late, since = np.zeros(len(table.row), bool), {}
    own = passes.previous
    quiet = passes.acks & (own >= 0) & (table.ack > passes.own_ack_before) & ((table.flags & SYN) == 0)
    rows = np.flatnonzero(quiet)
    rows = rows[table.time_ns[rows] - table.time_ns[own[rows]] > settings.longest_ack_delay_ns]
    trip = evidence.vantages.round_trip[passes.connection[rows], table.side[rows]]
    for row, way in zip(rows[trip >= 0].tolist(), trip[trip >= 0].tolist(), strict=True):
        data = _first_data(evidence, row)
        waited = 0 if data is None else int(table.time_ns[row] - table.time_ns[data]) - 2 * way
        if data is not None and settings.longest_ack_delay_ns < waited <= LEAST_TIMEOUT_NS:
            late[row], since[row] = True, data
    return late, since


def _first_data(evidence: Evidence, row: int) -> int | None:
    """The first data that this row acknowledges: in order, sent once, and not into a closed window."""
    table, passes = evidence.table, evidence.passes
    between: Ints = np.arange(passes.previous[row] + 1, row)
    theirs = between[(table.side[between] != table.side[row]) & passes.live[between]]
    fits = table.seq[theirs] == passes.own_ack_before[row]
    first = theirs[fits & (table.length[theirs] > 0) & ~passes.keep_alive[theirs]]
    if not len(first) or evidence.sent_again[theirs].any() or passes.keep_alive[theirs].any():
        return None
    if passes.peer_window_zero[first[0]] or (table.flags[passes.previous[row]] & FIN) != 0:
        return None
    return int(first[0])


def early_keep_alives(evidence: Evidence) -> Iterator[Finding]:
    """Keep-alives after less than two hours of silence, the least that may be the default (RFC 9293 MUST-28)."""
    table, passes, settings = evidence.table, evidence.passes, evidence.settings
    asks = passes.keep_alive & ~passes.probe
    if not asks.any():
        return
    alone = asks.copy()
    alone[1:] &= ~asks[:-1] | (passes.connection[1:] != passes.connection[:-1])
    for group in groups(evidence, alone & (passes.previous >= 0)):
        pauses = table.time_ns[group.rows] - table.time_ns[group.rows - 1]
        first = int(pauses[0])
        if first >= settings.keep_alive_ns:
            continue
        summary = phrase(
            "The {side}'s keep-alives begin after {time} of silence ({frames}); the default must be two hours or more, "
            "so that its program or system was set to ask earlier.",
            side=side_name(group.side),
            time=duration(max(first, 0)),
            frames=first_of(group.numbers),
        )
        yield finding(evidence, "keep_alive_early", group.connection, SIDES[group.side], group.rows[:1], summary)
