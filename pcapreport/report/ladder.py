"""A connection's rows -> the rows of its sequence diagram: bulk folded, gaps marked, states beside each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pcapreport.findings.model import Finding, Severity
from pcapreport.report.model import LadderRow, spelled
from pcapreport.report.model import Severity as DocumentSeverity
from pcapreport.report.segments import SENDERS, Row
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory

GAP_NS = SECOND
"""Silence from which on the diagram marks a gap."""
FOLD_FROM = 4
"""Runs of plain rows at least this long become one burst."""
MOST_ROWS = 90
"""A longer ladder shows its beginning, its end and what its findings name."""
RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


class _States(NamedTuple):
    """States of client and server after a row."""

    client: str
    server: str


def build_ladder(
    rows: Sequence[Row], history: ConnectionHistory, findings: Sequence[Finding], clock: Clock, capture_end: int
) -> tuple[list[LadderRow], str]:
    """(the rows of the diagram, what they leave out in words)."""
    marks = _marks(findings)
    states = history_lanes(rows, history)
    ladder: list[LadderRow] = []
    for run in _runs(rows, marks):
        if ladder and rows[run.start].time_ns - rows[run.start - 1].time_ns >= GAP_NS:
            ladder.append(_gap(rows[run.start - 1].time_ns, rows[run.start].time_ns, ladder[-1], clock))
        ladder.append(_ladder_row(rows[run.start : run.stop], states[run.stop - 1], marks, clock))
    ladder, omitted = _shortened(ladder)
    ladder.extend(_ending(history, ladder[-1] if ladder else None, clock, capture_end))
    return ladder, omitted


def _marks(findings: Sequence[Finding]) -> Mapping[int, list[Finding]]:
    marks: dict[int, list[Finding]] = {}
    for finding in findings:
        for frame in finding.frames:
            marks.setdefault(frame, []).append(finding)
    return marks


def _runs(rows: Sequence[Row], marks: Mapping[int, list[Finding]]) -> Iterator[range]:
    """Stretches of rows that one ladder row shows: single rows, plain data one way with its ACKs, or rows of one side
    that the same findings name."""
    start = 0
    while start < len(rows):
        named = _rules(marks, rows[start])
        stop, sender = start, rows[start].side if named else None
        while stop < len(rows) and not rows[stop].is_control and _rules(marks, rows[stop]) == named:
            row = rows[stop]
            speaks = bool(row.length or named)
            if speaks and sender is not None and row.side != sender:
                break
            if stop > start and row.time_ns - rows[stop - 1].time_ns >= GAP_NS:
                break
            sender = row.side if speaks else sender
            stop += 1
        if stop - start >= FOLD_FROM and sender is not None:
            yield range(start, stop)
        else:
            stop = max(stop, start + 1)
            yield from (range(single, single + 1) for single in range(start, stop))
        start = stop


def _rules(marks: Mapping[int, list[Finding]], row: Row) -> list[str]:
    return sorted({finding.rule for finding in marks.get(row.frame, ())})


def _ladder_row(rows: Sequence[Row], states: _States, marks: Mapping[int, list[Finding]], clock: Clock) -> LadderRow:
    first = rows[0]
    named = marks.get(first.frame, [])
    if len(rows) == 1:
        return LadderRow(
            kind="segment",
            time_s=clock.seconds(first.time_ns),
            client_state=states.client,
            server_state=states.server,
            sender=SENDERS[first.side],
            frames=[first.frame],
            flags=first.words,
            seq=first.seq,
            ack=first.ack,
            length=first.length,
            window=first.window,
            rules=_rules(marks, first),
            severity=worst(named),
        )
    data = [row for row in rows if row.length] or rows
    acks = len(rows) - len(data)
    return LadderRow(
        kind="burst",
        time_s=clock.seconds(first.time_ns),
        end_s=clock.seconds(rows[-1].time_ns),
        client_state=states.client,
        server_state=states.server,
        sender=SENDERS[data[0].side],
        frames=[row.frame for row in rows],
        count=len(data),
        flags="ACK",
        seq=data[0].seq,
        ack=data[-1].ack,
        length=sum(row.length for row in data),
        window=data[-1].window,
        text=f"and {acks} ACK{'s' if acks > 1 else ''}" if acks else "",
        rules=_rules(marks, first),
        severity=worst(named),
    )


def worst(findings: Sequence[Finding]) -> DocumentSeverity | None:
    """The highest severity among findings."""
    return spelled(max((f.severity for f in findings), key=RANK.__getitem__)) if findings else None


def _gap(start: int, stop: int, before: LadderRow, clock: Clock) -> LadderRow:
    return LadderRow(
        kind="gap",
        time_s=clock.seconds(start),
        end_s=clock.seconds(stop),
        client_state=before.client_state,
        server_state=before.server_state,
    )


def history_lanes(rows: Sequence[Row], history: ConnectionHistory) -> list[_States]:
    """Both sides' states after each row: a state begins at the row of its frame, and never before the last one."""
    index = {row.frame: i for i, row in enumerate(rows)}
    client = _lane(history.client, index, len(rows))
    server = _lane(history.server, index, len(rows))
    return [_States(*pair) for pair in zip(client, server, strict=True)]


def _lane(end: EndpointHistory, index: Mapping[int, int], length: int) -> list[str]:
    lane = [""] * length
    position = 0
    for item in end.transitions:
        position = max(position, index.get(item.frame, position) if item.frame is not None else position)
        if item.frame is not None and item.frame not in index and index and item.frame > max(index):
            break
        if item.certainty == "assumed" and item.earliest is not None and item.frame is None and position:
            break
        lane[position:] = [item.state] * (length - position)
    return lane


def _shortened(ladder: list[LadderRow]) -> tuple[list[LadderRow], str]:
    """At most MOST_ROWS rows: both ends and, evenly, what findings name; the rest is counted in words."""
    if len(ladder) <= MOST_ROWS:
        return ladder, ""
    third = MOST_ROWS // 3
    keep = set(range(third)) | set(range(len(ladder) - third, len(ladder)))
    keep |= set([i for i, row in enumerate(ladder) if row.rules and i not in keep][:third])
    shown: list[LadderRow] = []
    left_out = 0
    for i, row in enumerate(ladder):
        if i in keep:
            shown.append(row)
            continue
        left_out += len(row.frames)
        if i - 1 in keep:
            shown.append(
                LadderRow(
                    kind="gap",
                    time_s=row.time_s,
                    end_s=row.end_s or row.time_s,
                    client_state=row.client_state,
                    server_state=row.server_state,
                    text="not shown",
                )
            )
        else:
            shown[-1] = _stretched(shown[-1], row)
    return shown, f"{left_out:,} segments in the middle are not drawn; the packet list of any analyser shows them."


def _stretched(gap: LadderRow, row: LadderRow) -> LadderRow:
    return LadderRow(
        kind="gap",
        time_s=gap.time_s,
        end_s=row.end_s or row.time_s,
        client_state=row.client_state,
        server_state=row.server_state,
        count=gap.count + len(row.frames),
        text=f"{gap.count + len(row.frames):,} segments not drawn",
    )


def _ending(history: ConnectionHistory, last: LadderRow | None, clock: Clock, capture_end: int) -> Iterator[LadderRow]:
    """Where a side is in TIME-WAIT: the capture's end and the expiry of 2MSL, in order of time."""
    if last is None:
        return
    client, server = last.client_state, last.server_state
    waits = []
    for side, end in ((CLIENT, history.client), (SERVER, history.server)):
        ledger = end.time_wait
        if ledger is not None and ledger.ended_by in ("capture-end", "expiry") and ledger.expires[0] is not None:
            waits.append((ledger.expires[0], side, ledger))
    if waits and min(waits)[0] > capture_end:
        yield LadderRow(
            kind="event",
            time_s=clock.seconds(capture_end),
            client_state=client,
            server_state=server,
            text="the capture ends",
        )
    for expires, side, ledger in sorted(waits, key=lambda wait: wait[:2]):
        client, server = ("CLOSED", server) if side == CLIENT else (client, "CLOSED")
        latest = ledger.expires[1]
        yield LadderRow(
            kind="event",
            time_s=clock.seconds(expires),
            end_s=None if latest is None else clock.seconds(latest),
            client_state=client,
            server_state=server,
            sender=SENDERS[side],
            text=f"{SENDERS[side]}'s TIME-WAIT ends (assumed, 2MSL {ledger.two_msl / SECOND:g} s)",
        )
