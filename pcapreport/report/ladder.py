"""A connection's rows -> the rows of its sequence diagram: bulk folded, gaps marked, states beside each row.

Where one ladder row ends and the next begins is found by passes over the arrays of rows; ladder rows are made only of
those that are drawn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Finding, Severity
from pcapreport.findings.wording import side_name
from pcapreport.language import counted, phrase
from pcapreport.report.model import LadderRow, Segment, spelled
from pcapreport.report.model import Severity as DocumentSeverity
from pcapreport.report.segments import CONTROL, SENDERS, Rows, rows_with
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory

Ints = npt.NDArray[np.int64]

GAP_NS = SECOND
"""Silence from which on the diagram marks a gap."""
FOLD_FROM = 4
"""Runs of plain rows at least this long become one burst."""
MOST_INNER = 12
"""Segments of a burst that are told one by one."""
MOST_APART = 12
"""Lost segments that are drawn alone and not within a burst."""
MOST_ROWS = 90
"""A longer ladder shows its beginning, its end and what its findings name."""
RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


class Repeats(NamedTuple):
    """What was sent again, by frame."""

    of: dict[int, int]
    """Repetition -> the transmission before."""
    lost: set[int]
    """Transmissions that did not arrive, as the other side told."""


NO_REPEATS = Repeats({}, set())


class _Lane(NamedTuple):
    """The states of one endpoint and the rows they begin at, ascending."""

    begins: list[int]
    states: list[str]

    def after(self, row: int) -> str:
        at = bisect_right(self.begins, row)
        return self.states[at - 1] if at else ""


class Lanes(NamedTuple):
    """The states of both sides along the rows."""

    client: _Lane
    server: _Lane

    def after(self, row: int) -> tuple[str, str]:
        """The (client's, server's) state after a row."""
        return self.client.after(row), self.server.after(row)


def history_lanes(rows: Rows, history: ConnectionHistory) -> Lanes:
    """Both sides' states: one begins at the row of its frame, and never before the last one."""
    return Lanes(_lane(history.client, rows.frame), _lane(history.server, rows.frame))


def _lane(end: EndpointHistory, frames: Ints) -> _Lane:
    lane = _Lane([], [])
    position, last = 0, int(frames.max())
    named = [item.frame for item in end.transitions if item.frame is not None]
    row_of = dict(zip(named, _last_rows(frames, named), strict=True))
    for item in end.transitions:
        if item.frame is not None:
            if item.frame > last:
                break
            position = max(position, row_of[item.frame])
        elif item.certainty == "assumed" and item.earliest is not None and position:
            break
        lane.begins.append(position)
        lane.states.append(item.state)
    return lane


def _last_rows(frames: Ints, wanted: Sequence[int]) -> list[int]:
    """The last row of each of these frames; -1 where there is none."""
    if not len(wanted):
        return []
    order = np.argsort(frames, kind="stable")  # rows may have been put right: see tap_order
    at = order[np.searchsorted(frames, wanted, "right", order) - 1]
    found: list[int] = np.where(frames[at] == wanted, at, -1).tolist()
    return found


class _Marks(NamedTuple):
    """What findings name: per row the index of a set of findings, 0 being the empty one."""

    label: npt.NDArray[np.int32]
    sets: list[tuple[Finding, ...]]

    def rules(self, row: int) -> list[str]:
        return _rules(self.sets[self.label[row]])

    def severity(self, row: int) -> DocumentSeverity | None:
        return worst(self.sets[self.label[row]])

    def by_rules(self) -> npt.NDArray[np.int32]:
        """Per row a number that is the same where the same rules name it; 0: none."""
        numbers: dict[tuple[str, ...], int] = {}
        of_set = [numbers.setdefault(tuple(_rules(findings)), len(numbers)) for findings in self.sets]
        return np.array(of_set, np.int32)[self.label]


def _marks(rows: Rows, findings: Sequence[Finding]) -> _Marks:
    label = np.zeros(len(rows), np.int32)
    sets: list[tuple[Finding, ...]] = [()]
    for finding in findings:
        at = rows_with(rows.frame, finding.frames)
        had, which = np.unique(label[at], return_inverse=True)
        label[at] = len(sets) + which
        sets += [(*sets[before], finding) for before in had.tolist()]
    return _Marks(label, sets)


def _rules(findings: Sequence[Finding]) -> list[str]:
    return sorted({finding.rule for finding in findings})


def worst(findings: Sequence[Finding]) -> DocumentSeverity | None:
    """The highest severity among findings."""
    return spelled(max((f.severity for f in findings), key=RANK.__getitem__)) if findings else None


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A connection's rows and all that its ladder says beside them."""

    rows: Rows
    lanes: Lanes
    marks: _Marks
    clock: Clock
    repeats: Repeats

    def time(self, row: int) -> float:
        return self.clock.seconds(int(self.rows.time_ns[row]))

    def entry(self, start: int, stop: int) -> LadderRow:
        """One ladder row of the rows from start to stop; of none: the silence before."""
        if start == stop:
            return self.gap(start)
        return self.segment(start) if stop - start == 1 else self.burst(start, stop)

    def segment(self, at: int) -> LadderRow:
        row = self.rows[at]
        client, server = self.lanes.after(at)
        return LadderRow(
            kind="segment",
            time_s=self.clock.seconds(row.time_ns),
            client_state=client,
            server_state=server,
            sender=SENDERS[row.side],
            frames=[row.frame],
            flags=row.words,
            seq=row.seq,
            ack=row.ack,
            length=row.length,
            window=row.window,
            rules=self.marks.rules(at),
            severity=self.marks.severity(at),
            again_of=self.repeats.of.get(row.frame),
            lost=row.frame in self.repeats.lost,
        )

    def burst(self, start: int, stop: int) -> LadderRow:
        """The data of one side with the ACKs among it; without any data, its bare segments."""
        rows = self.rows
        data = start + np.flatnonzero(rows.length[start:stop])
        if not len(data):
            data = np.arange(start, stop)
        acks = stop - start - len(data)
        first, last = rows[int(data[0])], rows[int(data[-1])]
        client, server = self.lanes.after(stop - 1)
        return LadderRow(
            kind="burst",
            time_s=self.time(start),
            end_s=self.time(stop - 1),
            client_state=client,
            server_state=server,
            sender=SENDERS[first.side],
            frames=rows.frame[start:stop].tolist(),
            count=len(data),
            flags="ACK",
            seq=first.seq,
            ack=last.ack,
            length=int(rows.length[start:stop].sum()),
            window=last.window,
            text=counted(acks, "and {n} ACK", "and {n} ACKs") if acks else "",
            inner=[self.inner(at) for at in range(start, min(stop, start + MOST_INNER))],
            rules=self.marks.rules(start),
            severity=self.marks.severity(start),
        )

    def inner(self, at: int) -> Segment:
        row = self.rows[at]
        return Segment(
            frame=row.frame,
            time_s=self.clock.seconds(row.time_ns),
            sender=SENDERS[row.side],
            flags=row.words,
            seq=row.seq,
            ack=row.ack,
            length=row.length,
        )

    def gap(self, before: int) -> LadderRow:
        client, server = self.lanes.after(before - 1)
        return LadderRow(
            kind="gap",
            time_s=self.time(before - 1),
            end_s=self.time(before),
            client_state=client,
            server_state=server,
        )

    def not_drawn(self, bounds: Ints) -> LadderRow:
        """In place of the entries between these bounds; silences among them, at either end as well, are in its time."""
        start, stop = int(bounds[0]), int(bounds[-1])
        if start == stop:
            return self.gap(start)
        client, server = self.lanes.after(stop - 1)
        return LadderRow(
            kind="gap",
            time_s=self.time(start - int(bounds[1] == start)),
            end_s=self.time(stop - 1 + int(bounds[-2] == stop)),
            client_state=client,
            server_state=server,
            count=stop - start,
            text=counted(stop - start, "{n:,} segment not drawn", "{n:,} segments not drawn"),
        )


def build_ladder(
    rows: Rows,
    lanes: Lanes,
    history: ConnectionHistory,
    findings: Sequence[Finding],
    clock: Clock,
    capture_end: int,
    repeats: Repeats = NO_REPEATS,
) -> tuple[list[LadderRow], str]:
    """(the rows of the diagram, what they leave out in words)."""
    marks = _marks(rows, findings)
    drawing = _Drawing(rows, lanes, marks, clock, repeats)
    bounds = _bounds(rows, marks, rows_with(rows.frame, sorted(repeats.lost)[:MOST_APART]))
    ladder: list[LadderRow] = []
    left_out = after = 0
    for entry in _drawn(bounds, marks):
        if entry > after:
            ladder.append(drawing.not_drawn(bounds[after : entry + 1]))
            left_out += int(bounds[entry] - bounds[after])
        after = entry + 1
        ladder.append(drawing.entry(int(bounds[entry]), int(bounds[after])))
    ladder.extend(_ending(history, ladder[-1] if ladder else None, clock, capture_end))
    return ladder, phrase(_NOT_DRAWN, number=left_out) if left_out else ""


_NOT_DRAWN = phrase("{number:,} segments in the middle are not drawn; the packet list of any analyser shows them.")


def _bounds(rows: Rows, marks: _Marks, apart: Ints) -> Ints:
    """First row of each entry of the whole ladder, and the number of rows at the end; an empty entry is a silence.

    An entry is a single row, plain data one way with its ACKs, or rows of one side that the same rules name; the rows
    `apart` are entries of their own.
    """
    starts = _runs(rows, marks, apart)
    lengths = np.diff(starts, append=len(rows))
    speaks = (rows.length > 0) | (marks.label != 0)
    folded = (lengths >= FOLD_FROM) & np.logical_or.reduceat(speaks, starts)
    begins = ~np.repeat(folded, lengths)
    begins[starts] = True
    firsts = np.flatnonzero(begins)
    silent = np.zeros(len(firsts), np.int64)
    silent[1:] = rows.time_ns[firsts[1:]] - rows.time_ns[firsts[1:] - 1] >= GAP_NS
    return np.append(np.repeat(firsts, 1 + silent), len(rows))


def _runs(rows: Rows, marks: _Marks, apart: Ints) -> Ints:
    """First row of each stretch that could be one ladder row.

    A stretch ends at SYN, FIN and RST, at a silence, where other rules name the rows, and where the other side speaks:
    sends data or something that a finding names. Bare ACKs go with either side.
    """
    control = (rows.flags & CONTROL) != 0
    rules = marks.by_rules()
    breaks = np.ones(len(rows), np.bool_)
    breaks[1:] = control[1:] | control[:-1] | (rules[1:] != rules[:-1]) | (np.diff(rows.time_ns) >= GAP_NS)
    breaks[apart] = True
    breaks[np.minimum(apart + 1, len(rows) - 1)] = True
    stretch = np.cumsum(breaks)
    speakers = np.flatnonzero((rows.length > 0) | (rules != 0))
    side, within = rows.side[speakers], stretch[speakers]
    breaks[speakers[1:][(side[1:] != side[:-1]) & (within[1:] == within[:-1])]] = True
    return np.flatnonzero(breaks)


def _drawn(bounds: Ints, marks: _Marks) -> list[int]:
    """Which entries are drawn, at most MOST_ROWS: the first, the last, and the first that findings name."""
    entries = len(bounds) - 1
    if entries <= MOST_ROWS:
        return list(range(entries))
    third = MOST_ROWS // 3
    middle = np.arange(third, entries - third)
    named = (marks.label[bounds[middle]] != 0) & (bounds[middle] < bounds[middle + 1])
    return [*range(third), *middle[named][:third].tolist(), *range(entries - third, entries)]


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
            text=phrase("the capture ends"),
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
            text=phrase(
                "{side}'s TIME-WAIT ends (assumed, 2MSL {seconds:g} s)",
                side=side_name(side),
                seconds=ledger.two_msl / SECOND,
            ),
        )
