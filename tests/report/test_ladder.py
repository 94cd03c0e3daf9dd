"""Ladders are found by passes over arrays; here they are told once more row by row, and both must agree."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from connections_by_hand import CLIENT, SERVER, START, Segment, finding, history, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.model import Finding, Severity
from pcapreport.report.ladder import FOLD_FROM, GAP_NS, MOST_INNER, MOST_ROWS, build_ladder, history_lanes, worst
from pcapreport.report.model import LadderRow
from pcapreport.report.segments import CONTROL, SENDERS, Row, Rows
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND
from pcapreport.tcp.history import Certainty, ConnectionHistory, EndpointHistory, Transition
from pcapreport.tcp.states import State

CLOCK = Clock(START)
SILENT = history([], [])
DATA, ANSWER = Segment(CLIENT, 100), Segment(SERVER)


def ladder_of(
    rows: Rows, found: Sequence[Finding] = (), states: ConnectionHistory = SILENT
) -> tuple[list[LadderRow], str]:
    """What the diagram shows of these rows."""
    return build_ladder(rows, history_lanes(rows, states), states, found, CLOCK, int(rows.time_ns[-1]))


class Simply:
    """The same ladder told the simple way: all rows at once, and all the states after each."""

    def __init__(self, rows: Rows, found: Sequence[Finding], states: ConnectionHistory) -> None:
        self.rows = [rows[i] for i in range(len(rows))]
        self.found = found
        self.lanes = [self._lane(states.client), self._lane(states.server)]

    def _lane(self, end: EndpointHistory) -> list[str]:
        index = {row.frame: i for i, row in enumerate(self.rows)}
        lane, position = [""] * len(self.rows), 0
        for item in end.transitions:
            if item.frame is not None and item.frame not in index and item.frame > max(index):
                break
            position = max(position, position if item.frame is None else index.get(item.frame, position))
            if item.frame is None and item.certainty == "assumed" and item.earliest is not None and position:
                break
            lane[position:] = [item.state] * (len(lane) - position)
        return lane

    def named(self, row: Row) -> list[Finding]:
        return [finding for finding in self.found if row.frame in finding.frames]

    def rules(self, row: Row) -> list[str]:
        return sorted({finding.rule for finding in self.named(row)})

    def runs(self) -> Iterator[range]:
        rows, start = self.rows, 0
        while start < len(rows):
            named = self.rules(rows[start])
            stop, sender = start, None
            while stop < len(rows) and not rows[stop].flags & CONTROL and self.rules(rows[stop]) == named:
                row = rows[stop]
                speaks = bool(row.length or named)
                if speaks and sender not in (None, row.side):
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

    def whole(self) -> list[LadderRow]:
        ladder: list[LadderRow] = []
        for run in self.runs():
            rows = self.rows[run.start : run.stop]
            client, server = (lane[run.stop - 1] for lane in self.lanes)
            before = self.rows[run.start - 1]
            if ladder and rows[0].time_ns - before.time_ns >= GAP_NS:
                last = ladder[-1]
                ladder.append(
                    LadderRow(
                        kind="gap",
                        time_s=CLOCK.seconds(before.time_ns),
                        end_s=CLOCK.seconds(rows[0].time_ns),
                        client_state=last.client_state,
                        server_state=last.server_state,
                    )
                )
            data = [row for row in rows if row.length] or rows
            acks = len(rows) - len(data)
            single = len(rows) == 1
            ladder.append(
                LadderRow(
                    kind="segment" if single else "burst",
                    time_s=CLOCK.seconds(rows[0].time_ns),
                    end_s=None if single else CLOCK.seconds(rows[-1].time_ns),
                    client_state=client,
                    server_state=server,
                    sender=SENDERS[data[0].side],
                    frames=[row.frame for row in rows],
                    count=len(data),
                    flags=rows[0].words if single else "ACK",
                    seq=data[0].seq,
                    ack=data[-1].ack,
                    length=sum(row.length for row in data),
                    window=data[-1].window,
                    text=f"and {acks} ACK{'s' if acks > 1 else ''}" if acks else "",
                    rules=self.rules(rows[0]),
                    severity=worst(self.named(rows[0])),
                )
            )
        return ladder

    def shown(self) -> list[LadderRow]:
        ladder = self.whole()
        if len(ladder) <= MOST_ROWS:
            return ladder
        third = MOST_ROWS // 3
        ends = {*range(third), *range(len(ladder) - third, len(ladder))}
        keep = ends | set([i for i, row in enumerate(ladder) if row.rules and i not in ends][:third])
        shown: list[LadderRow] = []
        left_out: list[LadderRow] = []
        for i, row in enumerate(ladder):
            if i not in keep:
                left_out.append(row)
                continue
            if left_out:
                shown.append(self._in_place_of(left_out))
            left_out = []
            shown.append(row)
        return shown

    @staticmethod
    def _in_place_of(rows: list[LadderRow]) -> LadderRow:
        count, last = sum(len(row.frames) for row in rows), rows[-1]
        return LadderRow(
            kind="gap",
            time_s=rows[0].time_s,
            end_s=last.time_s if last.end_s is None else last.end_s,
            client_state=last.client_state,
            server_state=last.server_state,
            count=count or 1,
            text=f"{count} segment{'s' if count > 1 else ''} not drawn" if count else "",
        )


PAUSES = (0, 1_000, 1_000, -5_000, GAP_NS - 1, GAP_NS, 60 * SECOND)
FLAGS = (Flag.ACK,) * 12 + (Flag.PSH | Flag.ACK, Flag.SYN, Flag.SYN | Flag.ACK, Flag.FIN | Flag.ACK, Flag.RST)


@st.composite
def connections(draw: st.DrawFn) -> tuple[Rows, list[Finding], ConnectionHistory]:
    """Rows of all kinds, findings that name some of them, and states entered at some of them."""
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    count = draw(st.one_of(st.integers(1, 40), st.integers(100, 900)))
    likely = draw(st.sampled_from((0.02, 0.3)))  # that a row differs from the plain data before it
    segments = []
    for _ in range(count):
        odd = random.random(4) < likely
        segments.append(
            Segment(
                side=int(odd[0]),
                length=0 if odd[1] else 100,
                flags=int(random.choice(FLAGS)) if odd[2] else Flag.ACK,
                pause=int(random.choice(PAUSES)) if odd[3] else 1_000,
                seq=int(random.integers(0, 10_000)),
                ack=int(random.integers(0, 10_000)),
                window=int(random.integers(0, 65_536)),
            )
        )
    frames = np.sort(random.choice(3 * count, count, replace=draw(st.booleans()))) + 1

    def some(most: int) -> list[int]:
        return np.unique(random.integers(1, 3 * count + 5, random.integers(0, most + 1))).tolist()

    found = [
        finding(some(count), rule, severity)
        for rule in draw(st.lists(st.sampled_from("abc"), max_size=4))
        for severity in [draw(st.sampled_from(list(Severity)))]
    ]
    ends = [
        EndpointHistory(
            tuple(
                Transition(
                    draw(st.sampled_from(list(State))),
                    draw(st.sampled_from((None, START))),
                    None,
                    frame if draw(st.integers(0, 5)) else None,
                    "R1",
                    draw(st.sampled_from(list(Certainty))),
                )
                for frame in some(6)
            ),
            frozenset(),
            None,
            (),
        )
        for _ in SENDERS
    ]
    return rows_of(segments, frames.tolist()), found, ConnectionHistory(ends[CLIENT], ends[SERVER], "", "")


@settings(max_examples=150, deadline=None)
@given(connections())
def test_a_ladder_equals_that_of_the_same_connection_told_row_by_row(
    connection: tuple[Rows, list[Finding], ConnectionHistory],
) -> None:
    rows, found, states = connection
    ladder = ladder_of(rows, found, states)[0]
    assert [replace(row, inner=[]) for row in ladder] == Simply(rows, found, states).shown()
    for row in ladder:
        told = [segment.frame for segment in row.inner]
        assert told == (row.frames[:MOST_INNER] if row.kind == "burst" else [])


@settings(max_examples=60, deadline=None)
@given(connections())
def test_segments_drawn_and_not_drawn_are_all_segments(
    connection: tuple[Rows, list[Finding], ConnectionHistory],
) -> None:
    rows, found, states = connection
    ladder, omitted = ladder_of(rows, found, states)
    left_out = sum(row.count for row in ladder if row.kind == "gap" and row.text)
    assert sum(len(row.frames) for row in ladder) + left_out == len(rows)
    assert omitted.startswith(f"{left_out:,} segment") if left_out else omitted == ""


@pytest.mark.parametrize("every", [2, 10])
def test_a_burst_counts_its_data_and_its_acks_and_keeps_all_frames(every: int) -> None:
    segments = [ANSWER if i % every == every - 1 else DATA for i in range(1_000)]
    rows = rows_of(segments)
    ladder, omitted = ladder_of(rows)
    acks = 1_000 // every
    assert [row.kind for row in ladder] == ["burst"] and omitted == ""
    assert (ladder[0].count, ladder[0].text) == (1_000 - acks, f"and {acks} ACKs")
    assert ladder[0].length == 100 * (1_000 - acks) and ladder[0].frames == rows.frame.tolist()


def test_a_run_ends_at_control_at_other_rules_at_a_silence_and_where_the_other_side_speaks() -> None:
    fin = DATA._replace(flags=Flag.FIN | Flag.ACK)
    late, other = DATA._replace(pause=GAP_NS), DATA._replace(side=SERVER)
    rows = rows_of([DATA] * 4 + [fin] + [DATA] * 4 + [late] + [DATA] * 3 + [other] * 4 + [DATA] * 4)
    named = finding(rows.frame[-4:].tolist(), "rule", Severity.ERROR)
    ladder, _ = ladder_of(rows, [named])
    assert [(row.kind, len(row.frames), row.rules) for row in ladder] == [
        ("burst", 4, []),
        ("segment", 1, []),
        ("burst", 4, []),
        ("gap", 0, []),
        ("burst", 4, []),
        ("burst", 4, []),
        ("burst", 4, ["rule"]),
    ]


def test_the_states_beside_a_row_are_the_last_entered_by_then() -> None:
    rows = rows_of([Segment(i % 2, 10) for i in range(6)])  # frames 1, 3, 5, 7, 9, 11
    states = history(
        [
            (State.LISTEN, None),
            (State.ESTABLISHED, 3),
            (State.FIN_WAIT_1, 7),
            (State.FIN_WAIT_2, 7),
            (State.CLOSED, 99),
        ],
        [(State.ESTABLISHED, 5), (State.CLOSE_WAIT, 4)],
    )
    lanes = history_lanes(rows, states)
    client = ["LISTEN", "ESTABLISHED", "ESTABLISHED", "FIN-WAIT-2", "FIN-WAIT-2", "FIN-WAIT-2"]
    server = ["", "", "CLOSE-WAIT", "CLOSE-WAIT", "CLOSE-WAIT", "CLOSE-WAIT"]
    assert [lanes.after(row) for row in range(6)] == list(zip(client, server, strict=True))


def test_a_long_ladder_is_drawn_without_a_record_for_each_row() -> None:
    """Both sides in turn, so that nothing folds, and findings that name every second row."""
    count = 200_000
    rows = rows_of([Segment(i % 2, 10) for i in range(count)])
    found = [finding(rows.frame[::2].tolist(), "one"), finding(rows.frame[::4].tolist(), "two", Severity.ERROR)]
    tracemalloc.start()
    ladder, omitted = ladder_of(rows, found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(ladder) <= MOST_ROWS * 4 // 3 + 1
    assert omitted.startswith(f"{count - MOST_ROWS:,} segments")
    assert peak < 120 * count, f"{peak / count:.0f} bytes a row"
