"""The receive window, and what is sent only to hear whether the other side is still there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.grouping import SIDES, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.wording import The, duration, first_of, side_name, times
from pcapreport.language import counted
from pcapreport.tcp.evidence import FIN, SYN


def zero_windows(evidence: Evidence) -> Iterator[Finding]:
    """A receiver that has no room left. A SYN's window does not count, and a RST's means nothing."""
    table, passes = evidence.table, evidence.passes
    closed = passes.live & (table.window == 0) & ((table.flags & (SYN | FIN)) == 0)
    for group in groups(evidence, closed):
        yield _zero_window(evidence, group)


def _zero_window(evidence: Evidence, group: Group) -> Finding:
    table = evidence.table
    spans = closed_spans(evidence, group)
    total = sum(stop - start for start, stop, _ in spans)
    opened = spans[-1][2]
    numbers = group.numbers
    phases = f"{times(len(spans))}" if len(spans) > 1 else "once"
    summary = (
        f"{The(group.side)} closed its receive window {phases} ({first_of(numbers)}), "
        f"for {duration(total)} in all{'' if opened else ' and, as far as the capture shows, for good'}: "
        f"its application did not read, and the {side_name(1 - group.side)} had to wait."
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
        summary = (
            f"{The(group.side)} asked {times(len(numbers))} ({first_of(numbers)}) whether the "
            f"{side_name(1 - group.side)}'s window was open again."
        )
        yield finding(evidence, "zero_window_probe", group.connection, SIDES[group.side], group, summary)


def keep_alives(evidence: Evidence) -> Iterator[Finding]:
    """Questions whether the other side is still there."""
    passes = evidence.passes
    for group in groups(evidence, passes.keep_alive & ~passes.probe):
        numbers = group.numbers
        silent = unanswered(evidence, group)
        other = side_name(1 - group.side)
        outcome = (
            "the last got no answer"
            if silent == 1
            else f"the last {silent:,} got no answer"
            if silent
            else "each was answered"
        )
        summary = (
            f"{The(group.side)} sent {counted(len(numbers), '{n:,} keep-alive', '{n:,} keep-alives')} ({first_of(numbers)}) to see whether the "
            f"{other} was still there; {outcome}."
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
        summary = (
            f"{The(other)} fell silent: its last segment is frame {last}, "
            f"and {counted(len(numbers), '{n:,} attempt', '{n:,} attempts')} of the {side_name(group.side)} to reach it over {duration(since)} "
            f"({first_of(numbers)}) had no answer."
        )
        path = Alternative("The path between the tap and that side failed, or a filter drops all.", Confidence.MEDIUM)
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
