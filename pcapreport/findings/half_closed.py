"""Connections of which one side closed: the other goes on, closes late, or never does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.grouping import SIDES, Group, Shown, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding
from pcapreport.findings.wording import The, duration, side_name
from pcapreport.language import counted, phrase
from pcapreport.tcp.evidence import FIN


def half_closed(evidence: Evidence) -> Iterator[Finding]:
    """One side closed and the other went on sending, or never closed."""
    table, passes = evidence.table, evidence.passes
    fin = passes.live & ((table.flags & FIN) != 0) & (passes.known == 0)
    first = np.full(len(table), -1)
    at = np.flatnonzero(fin)[::-1]
    first[passes.connection[at]] = at
    has = first >= 0
    ends = np.where(has, table.end[first], 0)
    closer = table.side[first] if len(first) else np.zeros(0, np.uint8)
    late = passes.live & (table.length > 0) & (table.side != closer[passes.connection]) & has[passes.connection]
    late &= passes.acks & (table.ack >= ends[passes.connection]) & (passes.known < table.end - table.seq)
    answered = set()
    going_on = []
    for group in groups(evidence, late, table.length, table.time_ns):
        answered.add(group.connection)
        if evidence.histories.like(group.connection).closing in ("client-first", "server-first", "half-closed"):
            going_on.append(group)
    fins = first[[group.connection for group in going_on]]
    told = zip(going_on, table.frame[fins].tolist(), table.time_ns[fins].tolist(), strict=True)
    for group, frame, time in told:
        yield _went_on(evidence, group, frame, time)
    for connection in evidence.histories.closed("half-closed"):
        if has[connection] and connection not in answered:
            yield from _never_closed(evidence, connection, int(first[connection]))


def _went_on(evidence: Evidence, group: Group, fin: int, time: int) -> Finding:
    """`fin`: the frame of the FIN, which passed at `time`."""
    lengths, times = group.values
    data, segments = sum(lengths), len(lengths)
    summary = phrase(
        "{side} closed its direction in frame {frame}; the {other} knew it and sent {bytes} more in {segments} over "
        "the next {time}.",
        side=The(1 - group.side),
        frame=fin,
        other=side_name(group.side),
        bytes=counted(data, "{n:,} byte", "{n:,} bytes"),
        segments=counted(segments, "{n:,} segment", "{n:,} segments"),
        time=duration(max(times[-1] - time, 0)),
    )
    rows = Shown.of([fin, *group.numbers], [time, *times])
    return finding(evidence, "half_closed", group.connection, SIDES[1 - group.side], rows, summary)


def _never_closed(evidence: Evidence, connection: int, fin: int) -> Iterator[Finding]:
    table, passes = evidence.table, evidence.passes
    closer = int(table.side[fin])
    waited = (evidence.capture.last_ns or 0) - int(table.time_ns[fin])
    if waited < evidence.settings.unanswered_ns or passes.acked_at_end[fin] < table.end[fin]:
        return
    summary = phrase(
        "{side} closed in frame {frame}; the {other} acknowledged that but had not closed its own side {time} later, "
        "when the capture ends: it stays in CLOSE-WAIT.",
        side=The(closer),
        frame=int(table.frame[fin]),
        other=side_name(1 - closer),
        time=duration(waited),
    )
    others = (Alternative(phrase("Its FIN was not captured, or it still had something to send."), Confidence.LOW),)
    if waited < evidence.settings.close_wait_lingers_ns:
        yield finding(
            evidence, "half_closed", connection, SIDES[1 - closer], [fin], summary, None, Confidence.HIGH, others
        )
        return
    yield finding(
        evidence, "close_wait_lingering", connection, SIDES[1 - closer], [fin], summary, None, Confidence.HIGH, others
    )
