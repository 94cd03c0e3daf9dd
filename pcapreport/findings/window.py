"""The receive window, and what is sent only to hear whether the other side is still there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.grouping import SIDES, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.wording import The, duration, first_of, side_name, times
from pcapreport.language import counted, phrase
from pcapreport.tcp.evidence import FIN, SYN


def zero_windows(evidence: Evidence) -> Iterator[Finding]:
    """A receiver that has no room left. A SYN's window does not count, and a RST's means nothing."""
    table, passes = evidence.table, evidence.passes
    closed = passes.live & (table.window == 0) & ((table.flags & (SYN | FIN)) == 0)
    for group in groups(evidence, closed):
        yield _zero_window(evidence, group)


_CLOSED = phrase(
    "{who} closed its receive window {times} ({frames}), for {time} in all: its application did not read, and the "
    "{side} had to wait."
)
_CLOSED_FOR_GOOD = phrase(
    "{who} closed its receive window {times} ({frames}), for {time} in all and, as far as the capture shows, for good: "
    "its application did not read, and the {side} had to wait."
)


def _zero_window(evidence: Evidence, group: Group) -> Finding:
    table = evidence.table
    spans = closed_spans(evidence, group)
    total = sum(stop - start for start, stop, _ in spans)
    opened = spans[-1][2]
    summary = phrase(
        _CLOSED if opened else _CLOSED_FOR_GOOD,
        who=The(group.side),
        times=times(len(spans)),
        frames=first_of(group.numbers),
        time=duration(total),
        side=side_name(1 - group.side),
    )
    severity = Severity.WARNING if opened else Severity.ERROR
    end = int(table.time_ns[table.bounds[group.connection + 1] - 1])
    if not opened and end - spans[-1][0] < evidence.settings.unanswered_ns:
        severity = Severity.WARNING
    return finding(evidence, "zero_window", group.connection, SIDES[group.side], group, summary, severity)


def closed_spans(evidence: Evidence, group: Group) -> list[tuple[int, int, bool]]:
    """(from, to, whether it opened again) of each time the window of the group's side was closed, ns."""
    table, passes = evidence.table, evidence.passes
    rows = np.arange(table.bounds[group.connection], table.bounds[group.connection + 1])
    own = rows[(table.side[rows] == group.side) & passes.live[rows]]
    shut = np.isin(own, group.rows)
    spans = []
    for first in np.flatnonzero(shut & ~np.concatenate([[False], shut[:-1]])).tolist():
        later = np.flatnonzero(~shut[first:])
        start = int(table.time_ns[own[first]])
        end = own[first + later[0]] if len(later) else rows[-1]
        spans.append((start, max(int(table.time_ns[end]), start), bool(len(later))))
    return spans


def zero_window_probes(evidence: Evidence) -> Iterator[Finding]:
    """Questions whether a closed window has opened."""
    for group in groups(evidence, evidence.passes.probe):
        numbers = group.numbers
        summary = phrase(
            "{who} asked {times} ({frames}) whether the {side}'s window was open again.",
            who=The(group.side),
            times=times(len(numbers)),
            frames=first_of(numbers),
            side=side_name(1 - group.side),
        )
        yield finding(evidence, "zero_window_probe", group.connection, SIDES[group.side], group, summary)


def keep_alives(evidence: Evidence) -> Iterator[Finding]:
    """Questions whether the other side is still there."""
    passes = evidence.passes
    for group in groups(evidence, passes.keep_alive & ~passes.probe):
        numbers = group.numbers
        silent = unanswered(evidence, group)
        outcome = phrase("each was answered")
        if silent:
            outcome = counted(silent, "the last got no answer", "the last {n:,} got no answer")
        summary = counted(
            len(numbers),
            "{who} sent {n:,} keep-alive ({frames}) to see whether the {side} was still there; {outcome}.",
            "{who} sent {n:,} keep-alives ({frames}) to see whether the {side} was still there; {outcome}.",
            who=The(group.side),
            frames=first_of(numbers),
            side=side_name(1 - group.side),
            outcome=outcome,
        )
        severity = Severity.WARNING if silent else None
        yield finding(evidence, "keep_alive", group.connection, SIDES[group.side], group, summary, severity)


def unanswered(evidence: Evidence, group: Group) -> int:
    """How many of the group's rows, from the end, no segment of the other side followed."""
    table, passes = evidence.table, evidence.passes
    rows = np.arange(group.rows[0], table.bounds[group.connection + 1])
    heard = rows[(table.side[rows] != group.side)]
    last = int(heard[-1]) if len(heard) else -1
    end = evidence.capture.last_ns or 0
    patient = table.time_ns[group.rows] + evidence.settings.unanswered_ns <= end
    return int(np.sum((group.rows > last) & patient & passes.live[group.rows]))


def silent_peers(evidence: Evidence) -> Iterator[Finding]:
    """A side that repeats itself to the end and hears nothing any more."""
    table, passes = evidence.table, evidence.passes
    if not len(table):
        return
    last_heard = np.full(2 * len(table), -1)
    flow = passes.connection * 2 + table.side
    last_heard[flow] = np.arange(len(flow))
    asking = passes.live & ((passes.known > 0) | passes.keep_alive) & ((table.flags & SYN) == 0)
    peer_last = last_heard[flow ^ 1]
    alone = asking & (np.arange(len(flow)) > peer_last) & (peer_last >= 0)
    closing = (table.flags & FIN) != 0
    for group in groups(evidence, alone & ~closing):
        if len(group.rows) < 3 or not unanswered(evidence, group):
            continue
        numbers = group.numbers
        since = int(table.time_ns[group.rows[-1]] - table.time_ns[peer_last[group.rows[0]]])
        other, last = 1 - group.side, int(table.frame[peer_last[group.rows[0]]])
        summary = counted(
            len(numbers),
            "{who} fell silent: its last segment is frame {last}, and {n:,} attempt of the {side} to reach it over "
            "{time} ({frames}) had no answer.",
            "{who} fell silent: its last segment is frame {last}, and {n:,} attempts of the {side} to reach it over "
            "{time} ({frames}) had no answer.",
            who=The(other),
            last=last,
            side=side_name(group.side),
            time=duration(since),
            frames=first_of(numbers),
        )
        path = Alternative(
            phrase("The path between the tap and that side failed, or a filter drops all."), Confidence.MEDIUM
        )
        yield finding(
            evidence,
            "peer_silent",
            group.connection,
            SIDES[other],
            group,
            summary,
            None,
            Confidence.MEDIUM,
            (path,),
        )
