"""Captures whose frames stand in an order that no network could have made: put right, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from findings.scenario import parse

from pcapreport.capture import read_capture
from pcapreport.capture.packet_table import PacketTable
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable, find_connections
from pcapreport.tcp.histories import reconstruct_all

from .captures import COLLECTIONS, captures

US = 1_000
OPENING = """
0.000000 C > S S 0:0(0)
0.000200 S > C S. 0:0(0) ack 1
0.000240 C > S . 1:1(0) ack 1
"""

Told = tuple[str, str, tuple[tuple[str, ...], ...]]


def found(text: str) -> ConnectionTable:
    return find_connections(parse(text, "made").capture().table)


def told(table: ConnectionTable, frames: dict[int, int] | None = None) -> list[Told]:
    """Every state with its rule, certainty and frame, without times; `frames`: what to call which frame."""
    end = int(table.time_ns.max(initial=0))
    return sorted(
        (
            history.opening,
            history.closing,
            tuple(
                (str(t.state), t.rule, str(t.certainty), str(frames[t.frame] if frames and t.frame else t.frame))
                for side in (history.client, history.server)
                for t in side.transitions
            ),
        )
        for history in reconstruct_all(table, end, Settings())
    )


def merged(packets: PacketTable, late: np.ndarray, by_ns: int, stamped: bool) -> tuple[PacketTable, dict[int, int]]:
    """The capture with the `late` rows written that much later, and stamped so where their clock is ahead.

    With it, what the frames were called before.
    """
    written = packets["time_ns"] + np.where(late, by_ns, 0)
    order = np.argsort(written, kind="stable")
    columns = {name: column[order] for name, column in packets.columns.items()}
    columns["frame"] = np.arange(1, len(order) + 1)
    if stamped:
        columns["time_ns"] = written[order]
    names = dict(zip(range(1, len(order) + 1), packets["frame"][order].tolist(), strict=True))
    return PacketTable(columns, packets.sack_blocks, packets.encapsulations), names


def from_lower(packets: PacketTable) -> np.ndarray:
    """Which rows one of the two hosts sent."""
    source = packets["src_lo"] + packets["sport"] * (packets["src_lo"] == packets["dst_lo"])
    return source < packets["dst_lo"] + packets["dport"] * (packets["src_lo"] == packets["dst_lo"])


# -- what is put right ---------------------------------------------------------------------------------------------


def test_an_ack_before_its_data_goes_behind_it() -> None:
    table = found(
        OPENING
        + """
        0.010000 C > S . 1:1(0) ack 301
        0.010150 S > C P. 1:301(300) ack 1
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 5, 4]
    assert table.moved.tolist() == [4]


def test_what_a_side_sent_after_its_answer_stays_behind_it() -> None:
    table = found(
        OPENING
        + """
        0.010000 C > S . 1:1(0) ack 301
        0.010010 C > S P. 1:51(50) ack 301
        0.010150 S > C P. 1:301(300) ack 1
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 6, 4, 5]


@pytest.mark.parametrize("answer", ["S. 0:0(0) ack 1", "R. 0:0(0) ack 1"])
def test_an_answer_to_a_syn_before_it_goes_behind_it_into_one_connection(answer: str) -> None:
    table = found(f"0.000000 S > C {answer}\n0.000120 C > S S 0:0(0)")
    assert len(table) == 1
    assert table.frame.tolist() == [2, 1]
    assert table.moved.tolist() == [1]


def test_what_a_server_says_first_goes_behind_the_third_segment() -> None:
    text = """
        0.000000 C > S S 0:0(0)
        0.000040 S > C S. 0:0(0) ack 1
        0.020000 S > C P. 1:51(50) ack 1
        0.020300 C > S . 1:1(0) ack 1
        0.040000 C > S . 1:1(0) ack 51
        """
    assert found(text).frame.tolist() == [1, 2, 4, 3, 5]
    assert found(text.replace("0.020300", "0.025000")).frame.tolist() == [1, 2, 3, 4, 5]


def test_data_behind_a_syn_with_data_needs_no_third_segment() -> None:
    table = found(
        """
        0.000000 C > S S 0:100(100)
        0.000040 S > C S. 0:0(0) ack 101
        0.000090 S > C P. 1:51(50) ack 101
        0.000300 C > S . 101:101(0) ack 1
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 4]


def test_frames_written_by_two_queues_are_taken_in_the_order_of_their_stamps() -> None:
    table = found(
        OPENING
        + """
        0.010300 S > C P. 301:601(300) ack 1
        0.010100 S > C P. 1:301(300) ack 1
        0.010350 C > S . 1:1(0) ack 601
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 5, 4, 6]


# -- what is left --------------------------------------------------------------------------------------------------


def test_data_sent_again_after_the_capture_missed_it_is_not_what_was_acknowledged() -> None:
    table = found(
        OPENING
        + """
        0.010000 C > S . 1:1(0) ack 301 ts 100 500
        0.030000 S > C P. 1:301(300) ack 1 ts 520 90
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 4, 5]
    assert not len(table.moved)


def test_later_than_a_moment_the_answer_must_have_echoed_its_stamp() -> None:
    text = OPENING + "0.010000 C > S . 1:1(0) ack 301 ts 100 520\n0.030000 S > C P. 1:301(300) ack 1 ts 520 90"
    assert found(text).frame.tolist() == [1, 2, 3, 5, 4]


def test_the_order_that_the_network_made_within_a_direction_stays() -> None:
    table = found(
        OPENING
        + """
        0.010000 S > C P. 301:601(300) ack 1 id 12
        0.010050 S > C P. 1:301(300) ack 1 id 11
        0.010100 C > S . 1:1(0) ack 601
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_clock_that_was_set_back_changes_no_order() -> None:
    table = found(
        OPENING
        + """
        5.000000 C > S P. 1:101(100) ack 1
        2.000000 S > C . 1:1(0) ack 101
        2.500000 S > C P. 1:51(50) ack 101
        """
    )
    assert table.frame.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_syn_that_the_network_doubled_stays_behind_its_answer() -> None:
    table = found(
        """
        0.000000 C > S S 0:0(0)
        0.000040 S > C S. 0:0(0) ack 1
        0.000500 C > S S 0:0(0)
        """
    )
    assert table.frame.tolist() == [1, 2, 3]


@pytest.mark.parametrize("collection", ["samples", "kernels"])
def test_captures_in_good_order_are_left_as_they_are(collection: str) -> None:
    if not COLLECTIONS[collection].is_dir():
        pytest.skip(f"no captures at {COLLECTIONS[collection]}")
    for name, capture in captures(collection):
        assert not len(find_connections(capture.table).moved), name


# -- real connections, merged wrongly ------------------------------------------------------------------------------


def whole_captures(tap: str) -> list[PacketTable]:
    runs: Path = COLLECTIONS["kernels"]
    if not runs.is_dir():
        pytest.skip(f"the kernels' own records are not at {runs}")
    tables = [read_capture(path).table for path in sorted(runs.glob(f"*/{tap}.pcap"))]
    return [table for table in tables if len(table)]


@pytest.mark.parametrize("tap", ["client", "server"])
@pytest.mark.parametrize("by_us", [50, 200, 500])
@pytest.mark.parametrize("stamped", [False, True], ids=["two queues", "two clocks"])
def test_merged_wrongly_a_capture_tells_the_same(tap: str, by_us: int, stamped: bool) -> None:
    """All but a few: a RST tells by no number what it answers, so the order around one stays as it was written."""
    same, changed, mended = 0, 0, 0
    for packets in whole_captures(tap):
        expected = told(find_connections(packets))
        for late in (from_lower(packets), ~from_lower(packets)):
            shuffled, names = merged(packets, late, by_us * US, stamped)
            if list(names) != list(names.values()):
                table = find_connections(shuffled)
                changed += 1
                mended += len(table.moved) > 0
                same += told(table, names) == expected
    assert changed > 40
    assert mended > 0.5 * changed
    assert same == changed if not stamped else same >= 0.9 * changed
