"""What must not change the histories of real connections: which end is which, initial numbers, time of day, the end.

Over the laboratory's recorded runs, complete captures and spoiled ones, with the columns of the packet table changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pcapreport.capture import read_capture
from pcapreport.capture.packet_table import Array, Flag, PacketTable
from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.history import Certainty, ConnectionHistory, EndpointHistory, Transition
from pcapreport.tcp.states import State

from .test_properties import moved

RUNS = Path(__file__).parents[1] / "kernel_lab" / "runs"
CAPTURES = sorted(RUNS.glob("*/*.pcap*"))[::11]
SHIFTS = ((1, 2**31), (2**32 - 700, 2**32 - 1), (3_000_000_000, 12_345))
Key = tuple[frozenset[tuple[str, int]], int]
Ends = Mapping[tuple[str, int], EndpointHistory]


@cache
def table_of(path: Path) -> PacketTable:
    return read_capture(path).table


def changed(table: PacketTable, **columns: Array) -> PacketTable:
    return replace(table, columns=dict(table.columns) | columns)


def histories(table: PacketTable) -> dict[Key, tuple[Ends, ConnectionHistory]]:
    """By the connection's endpoints and first frame: what is said of each endpoint, and the whole."""
    connections = find_connections(table)
    end = int(table["time_ns"].max(initial=0))
    found = {}
    for i, history in enumerate(reconstruct_all(connections, end, Settings())):
        client, server = ((end.address, end.port) for end in connections.endpoints(i))
        first = int(connections.frame[connections.rows_of(i)].min())
        found[frozenset((client, server)), first] = {client: history.client, server: history.server}, history
    return found


@cache
def as_captured(path: Path) -> dict[Key, tuple[Ends, ConnectionHistory]]:
    return histories(table_of(path))


def without_raw_numbers(history: ConnectionHistory) -> ConnectionHistory:
    """The numbers of SYNs that met TIME-WAIT as distances from those before."""

    def of_end(end: EndpointHistory) -> EndpointHistory:
        if end.time_wait is None:
            return end
        syns = (syn._replace(seq=(syn.seq - syn.next_seq) % 2**32, next_seq=0) for syn in end.time_wait.later_syns)
        return end._replace(time_wait=end.time_wait._replace(later_syns=tuple(syns)))

    return history._replace(client=of_end(history.client), server=of_end(history.server))


def other(pair: frozenset[tuple[str, int]], end: tuple[str, int]) -> tuple[str, int]:
    return next(iter(pair - {end}))


def named(path: Path) -> str:
    """Run and capture."""
    return f"{path.parent.name} {path.name.partition('.pcap')[0]}"


TOLD_OFF_LATER = {
    ("injected-0 client.late", 0.3): "a forged SYN at the start of a capture looks like any until it is told off"
}
"""By run and capture, and the share of it that is read: the one that ends between the two."""


@pytest.mark.parametrize("path", CAPTURES, ids=named)
class TestRealConnections:
    def test_with_the_ends_of_every_packet_swapped_the_histories_are_swapped(self, path: Path) -> None:
        table = table_of(path)
        names = {"src_hi": "dst_hi", "src_lo": "dst_lo", "sport": "dport"}
        names |= {there: here for here, there in names.items()}
        plain, swapped = as_captured(path), histories(changed(table, **{a: table[b] for a, b in names.items()}))
        assert plain.keys() == swapped.keys()
        for key, (ends, _) in plain.items():
            for end, history in ends.items():
                assert swapped[key][0][other(key[0], end)] == history

    @pytest.mark.parametrize("shifts", SHIFTS)
    def test_initial_sequence_numbers_do_not_matter(self, path: Path, shifts: tuple[int, int]) -> None:
        table = table_of(path)
        here, there = (
            list(zip(table[f"{end}_hi"], table[f"{end}_lo"], table[port], strict=True))
            for end, port in (("src", "sport"), ("dst", "dport"))
        )
        lower = np.array([a < b for a, b in zip(here, there, strict=True)])
        mine, theirs = (np.where(lower, *pair).astype(np.uint32) for pair in (shifts, shifts[::-1]))
        mine[(table["flags"] & Flag.RST != 0) & (table["seq"] == 0)] = 0  # of no connection (RFC 9293 section 3.5.2)
        has_ack = table["flags"] & Flag.ACK != 0
        blocks = table.sack_blocks.copy()
        for row in np.flatnonzero(table["sack"] >= 0):
            block = blocks[table["sack"][row]]
            block[block.any(axis=1)] += theirs[row]
        shifted = changed(table, seq=table["seq"] + mine, ack=np.where(has_ack, table["ack"] + theirs, table["ack"]))
        plain, moved_on = as_captured(path), histories(replace(shifted, sack_blocks=blocks))
        assert {key: without_raw_numbers(history) for key, (_, history) in plain.items()} == {
            key: without_raw_numbers(history) for key, (_, history) in moved_on.items()
        }

    def test_the_time_of_day_does_not_matter(self, path: Path) -> None:
        table, by = table_of(path), -123_456_789_012_345
        plain, later = as_captured(path), histories(changed(table, time_ns=table["time_ns"] + by))
        assert {key: moved(history, by) for key, (_, history) in plain.items()} == {
            key: history for key, (_, history) in later.items()
        }

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_what_the_begin_of_a_capture_proves_the_whole_says_too(
        self, path: Path, share: float, request: pytest.FixtureRequest
    ) -> None:
        if reason := TOLD_OFF_LATER.get((named(path), share)):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
        table = table_of(path)
        rows = slice(0, round(len(table) * share))
        plain, early = as_captured(path), histories(changed(table, **{n: c[rows] for n, c in table.columns.items()}))
        for key, (ends, _) in early.items():
            for end, history in ends.items():
                proven = sure(history)
                assert [item.state for item in plain[key][0][end].transitions][: len(proven)] == [
                    item.state for item in proven
                ]


COMPLETE = [path for path in CAPTURES if path.name.partition(".")[2] == "pcap.gz"]
RETHOUGHT = {("simul_close-10 middle", 0.9): "of FINs sent again, what comes later tells which of them crossed"}
"""By run and capture, and the share of it that is read: the one of these where a mistake goes further back."""


@pytest.mark.parametrize("path", COMPLETE, ids=named)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_the_begin_of_a_complete_capture_mistakes_the_last_state_at_most(
    path: Path, share: float, request: pytest.FixtureRequest
) -> None:
    """And that one is no more than supposed."""
    if reason := RETHOUGHT.get((named(path), share)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    table = table_of(path)
    rows = slice(0, round(len(table) * share))
    plain, early = as_captured(path), histories(changed(table, **{n: c[rows] for n, c in table.columns.items()}))
    for key, (ends, _) in early.items():
        for end, history in ends.items():
            told = [item.state for item in history.transitions]
            later = [item.state for item in plain[key][0][end].transitions]
            mistaken = told and told[-1:] != later[len(told) - 1 : len(told)]
            assert told[:-1] == later[: len(told) - 1 if told else 0]
            assert not mistaken or history.transitions[-1].certainty is not Certainty.PROVEN


def sure(end: EndpointHistory) -> list[Transition]:
    """The transitions up to the last proven one."""
    last = max((i for i, item in enumerate(end.transitions) if item.certainty is Certainty.PROVEN), default=-1)
    return list(end.transitions[: last + 1])


def test_the_selection_holds_every_state_and_every_kind_of_capture() -> None:
    told = {item.state for path in CAPTURES for ends, _ in as_captured(path).values() for end in ends.values()
            for item in end.transitions}  # fmt: skip
    assert told == set(State)
    assert {path.name.split(".")[1] for path in CAPTURES} >= {"pcap", "caploss", "late", "early", "oneway"}
