"""What Wireshark says of each segment: by hand, by chance, and as a tshark recorded it over the captures of others."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pcapreport.capture import PacketTable, read_capture
from pcapreport.findings.passes import Passes
from pcapreport.findings.wireshark import Mark, analysis, duplicate_ack_number, fields_of
from pcapreport.findings.wireshark.conversations import Conversations, conversations_of
from pcapreport.findings.wireshark.marks import FIELDS
from pcapreport.findings.wireshark.passes import plain_words
from pcapreport.findings.wireshark.silent import silent_connections
from pcapreport.findings.wireshark.walk import walk
from pcapreport.findings.wireshark.words import _segments
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.tuples import group, tuples_of

from .chance import packets_by_chance
from .scenario import parse, table
from .tshark import by_frame, needs_tshark, words_of_tshark, write

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / ".." / "shared" / "captures"
LEAST_IDENTICAL = 0.999

TRACES = {
    "a whole connection without anything to remark": """
        0.000 C > S S  0:0(0)               |
        0.020 S > C S. 0:0(0) ack 1         |
        0.020 C > S .  1:1(0) ack 1         |
        0.021 C > S P. 1:101(100) ack 1     |
        0.041 S > C .  1:1(0) ack 101       |
        0.042 S > C P. 1:1001(1000) ack 101 |
        0.062 C > S F. 101:101(0) ack 1001  |
        0.082 S > C F. 1001:1001(0) ack 102 |
        0.102 C > S .  102:102(0) ack 1002  |
    """,
    "two duplicate ACKs less than 20 ms before make a fast retransmission, and the hole shows as it opens": """
        0.000 C > S .  1:1(0) ack 1           |
        0.001 S > C P. 1:101(100) ack 1       |
        0.002 S > C P. 201:301(100) ack 1     | lost_segment
        0.010 C > S .  1:1(0) ack 101         |
        0.011 C > S .  1:1(0) ack 101         | duplicate_ack 1
        0.012 C > S .  1:1(0) ack 101         | duplicate_ack 2
        0.031 S > C P. 101:201(100) ack 1     | retransmission fast_retransmission
        0.040 C > S .  1:1(0) ack 301         |
    """,
    "20 ms after the duplicate ACKs, and 3 ms after the highest end, it is a plain one": """
        0.000 C > S .  1:1(0) ack 1           |
        0.001 S > C P. 1:101(100) ack 1       |
        0.002 S > C P. 201:301(100) ack 1     | lost_segment
        0.010 C > S .  1:1(0) ack 101         |
        0.011 C > S .  1:1(0) ack 101         | duplicate_ack 1
        0.012 C > S .  1:1(0) ack 101         | duplicate_ack 2
        0.032 S > C P. 101:201(100) ack 1     | retransmission
    """,
    "without a handshake what comes less than 3 ms after the highest end is out of order": """
        0.000 S > C P. 1:101(100) ack 1       |
        0.001 S > C P. 201:301(100) ack 1     | lost_segment
        0.003999999 S > C P. 101:201(100) ack 1 | out_of_order
        0.004 S > C P. 101:201(100) ack 1     | retransmission
    """,
    "with a handshake the limit is its round trip": """
        0.000 C > S S  0:0(0)                 |
        0.050 S > C S. 0:0(0) ack 1           |
        0.100 C > S .  1:1(0) ack 1           |
        0.200 C > S P. 101:201(100) ack 1     | lost_segment
        0.299 C > S P. 1:101(100) ack 1       | out_of_order
        0.300 C > S P. 1:101(100) ack 1       | retransmission
    """,
    "what ends at the highest end is never out of order": """
        0.000 S > C P. 1:101(100) ack 1       |
        0.001 S > C P. 1:101(100) ack 1       | retransmission
    """,
    "what was acknowledged is spurious, though it may be the first time it is seen": """
        0.000 S > C P. 1:101(100) ack 1       |
        0.001 C > S .  1:1(0) ack 201         | ack_lost_segment
        0.002 S > C P. 1:101(100) ack 1       | retransmission spurious_retransmission
        0.003 S > C P. 101:201(100) ack 1     | retransmission spurious_retransmission
    """,
    "an acknowledgment beyond all that was seen is remarked once for each number that the other side acknowledges": """
        0.000 S > C P. 1:101(100) ack 1       |
        0.001 C > S .  1:1(0) ack 201         | ack_lost_segment
        0.002 C > S .  1:1(0) ack 301         |
        0.003 S > C .  101:101(0) ack 1       | duplicate_ack 1
        0.004 C > S P. 1:11(10) ack 301       |
        0.005 S > C .  101:101(0) ack 11      |
        0.006 C > S P. 11:21(10) ack 301      | ack_lost_segment
    """,
    "a hole is closed by its acknowledgment or by the segment that begins where it does": """
        0.000 S > C P. 1:101(100) ack 1       |
        0.010 S > C P. 201:301(100) ack 1     | lost_segment
        0.020 S > C P. 401:501(100) ack 1     | lost_segment
        0.030 C > S .  1:1(0) ack 301         | ack_lost_segment
        0.040 C > S .  1:1(0) ack 501         |
        0.050 S > C P. 601:701(100) ack 1     | lost_segment
        0.060 S > C P. 501:601(100) ack 1     | retransmission
        0.070 C > S .  1:1(0) ack 701         |
    """,
    "a keep-alive, with a byte or without, and its ACK": """
        0.000 C > S P. 1:11(10) ack 1         |
        0.010 S > C .  1:1(0) ack 11          |
        75.00 C > S .  10:10(0) ack 1         | keep_alive
        75.01 S > C .  1:1(0) ack 11          | keep_alive_ack
        150.0 C > S .  10:11(1) ack 1         | keep_alive
        150.0 S > C .  1:1(0) ack 11          | keep_alive_ack
        151.0 S > C .  1:1(0) ack 11          | keep_alive_ack
        152.0 C > S .  11:11(0) ack 1         | duplicate_ack 1
        153.0 S > C .  1:1(0) ack 11          | duplicate_ack 1
    """,
    "data that begins at the byte of a keep-alive is new": """
        0.000 C > S P. 1:11(10) ack 1         |
        75.00 C > S .  10:11(1) ack 1         | keep_alive
        76.00 C > S P. 10:31(21) ack 1        |
    """,
    "a window is filled, closed, probed and opened again": """
        0.000 C > S S  0:0(0) win 1000                |
        0.020 S > C S. 0:0(0) ack 1 win 200           |
        0.020 C > S .  1:1(0) ack 1 win 1000          |
        0.021 C > S P. 1:201(200) ack 1 win 1000      | window_full
        0.041 S > C .  1:1(0) ack 201 win 0           | zero_window
        0.241 C > S P. 201:202(1) ack 1 win 1000      | zero_window_probe
        0.261 S > C .  1:1(0) ack 201 win 0           | zero_window zero_window_probe_ack
        0.661 C > S P. 201:202(1) ack 1 win 1000      | zero_window_probe
        0.681 S > C .  1:1(0) ack 201 win 100         | window_update
        0.682 C > S P. 201:301(100) ack 1 win 1000    | window_full
    """,
    "a byte that was thought a probe but was taken in is missed from then on": """
        0.000 S > C .  1:1(0) ack 201 win 200         |
        0.021 C > S P. 1:201(200) ack 1               | spurious_retransmission retransmission
        0.041 S > C .  1:1(0) ack 201 win 0           | zero_window
        0.241 C > S P. 201:202(1) ack 1               | zero_window_probe
        0.261 S > C .  1:1(0) ack 202 win 100         | ack_lost_segment
        0.262 C > S P. 202:302(100) ack 1             | lost_segment
        0.282 S > C .  1:1(0) ack 302 win 100         | ack_lost_segment
    """,
    "a SYN with another number reuses the ports, whenever; with the same one it is sent again": """
        0.000 C > S S  0:0(0)                 |
        1.000 C > S S  0:0(0)                 | retransmission
        1.020 S > C S. 0:0(0) ack 1           |
        1.500 C > S S  700:700(0)             | reused_ports
        1.520 S > C S. 900:900(0) ack 701     |
        1.530 C > S .  701:701(0) ack 901     |
    """,
    "a number one below the first captured one is the base, so that only this SYN begins nothing": """
        0.000 C > S P. 1:11(10) ack 1         |
        1.000 C > S S  0:0(0)                 | retransmission
        2.000 C > S S  5:5(0)                 | reused_ports
    """,
    "a SYN-ACK with another number reuses ports in place; the second reading compares with what the first one left": """
        0.000 C > S S  0:0(0)                 |
        0.020 S > C S. 0:0(0) ack 1           | reused_ports
        0.040 S > C S. 500:500(0) ack 1       | reused_ports lost_segment
    """,
    "a simultaneous open": """
        0.000 C > S S  0:0(0)                 |
        0.000 S > C S  0:0(0)                 |
        0.050 C > S S. 0:0(0) ack 1           | retransmission
        0.050 S > C S. 0:0(0) ack 1           | retransmission
        0.100 C > S .  1:1(0) ack 1           | duplicate_ack 1
    """,
    "a FIN sent again into TIME-WAIT": """
        0.000 C > S F. 1:1(0) ack 1           |
        0.020 S > C F. 1:1(0) ack 2           |
        0.040 C > S .  2:2(0) ack 2           |
        0.240 S > C F. 1:1(0) ack 2           | retransmission
        0.260 C > S .  2:2(0) ack 2           | duplicate_ack 1
    """,
    "resets are never missed from, and set the highest end all the same": """
        0.000 C > S P. 1:11(10) ack 1         |
        0.010 S > C R  501:501(0)             |
        0.020 S > C .  501:501(0) ack 11      |
        0.030 C > S R. 501:501(0) ack 501     |
        0.040 C > S P. 11:21(10) ack 501      | retransmission
    """,
    "a direction whose highest end is 0 is not known": """
        isn S -1
        isn C 7
        0.000 C > S S  0:0(0)                 |
        0.010 S > C R. 1:1(0) ack 1           |
        0.020 S > C P. 101:111(10) ack 1      |
        0.030 S > C P. 121:131(10) ack 1      | lost_segment
    """,
}


def scripted(text: str) -> tuple[PacketTable, list[set[str]]]:
    """(the frames, what is said of each)."""
    lines = [line.strip().partition("|")[::2] for line in text.strip().splitlines()]
    frames = parse("\n".join(" ".join(frame.split()) for frame, _ in lines), "trace").frames
    return table(frames), [set(said.split()) for frame, said in lines if ">" in frame]


def said(word: int) -> set[str]:
    names = {field.removeprefix("tcp.analysis.") for field in fields_of(word)}
    return names | ({str(duplicate_ack_number(word))} if duplicate_ack_number(word) else set())


def walked(packets: PacketTable) -> np.ndarray:
    """The words of all rows, each 4-tuple walked as a whole."""
    tuples = tuples_of(packets)
    whole = group(tuples)
    none = np.empty(0, np.int64)
    side = (~tuples.lower[whole.order]).view(np.uint8)
    conversations = Conversations(whole.order, whole.bounds, side, none, none)
    words = np.zeros(len(packets), np.uint32)
    for at in map(np.arange, whole.bounds[:-1], whole.bounds[1:]):
        words[whole.order[at]] = walk(_segments(packets, conversations, at))
    return words


@pytest.mark.parametrize("name", TRACES)
def test_says_of_each_frame_what_its_rule_says(name: str) -> None:
    packets, expected = scripted(TRACES[name])
    assert [said(word) for word in analysis(packets).tolist()] == expected


@pytest.mark.parametrize("name", TRACES)
def test_the_walk_says_the_same(name: str) -> None:
    packets, expected = scripted(TRACES[name])
    assert [said(word) for word in walked(packets).tolist()] == expected


@needs_tshark
@pytest.mark.parametrize("name", TRACES)
def test_tshark_says_the_same(name: str, tmp_path: Path) -> None:
    packets, expected = scripted(TRACES[name])
    write(packets, tmp_path / "trace.pcap")
    assert [said(word) for word in words_of_tshark(tmp_path / "trace.pcap").values()] == expected


def test_every_mark_is_shown_by_a_trace() -> None:
    shown = {name for text in TRACES.values() for names in scripted(text)[1] for name in names}
    assert shown >= {str(mark.name).lower() for mark in Mark}


@pytest.mark.parametrize("wild", [False, True], ids=["tame", "wild"])
@pytest.mark.parametrize("seed", range(4))
def test_the_array_passes_say_what_the_walk_says(seed: int, wild: bool) -> None:
    packets = packets_by_chance(seed, 500, wild)
    words = analysis(packets)
    assert np.flatnonzero(words != walked(packets)).tolist() == []


def beginnings(packets: PacketTable, most: int) -> PacketTable:
    """The first rows of each 4-tuple: less has happened by then, so that more of them are plain."""
    whole = group(tuples_of(packets))
    within = np.arange(len(packets)) - np.repeat(whole.bounds[:-1], np.diff(whole.bounds))
    return packets.some(np.sort(whole.order[within < most]))


@pytest.mark.parametrize("wild", [False, True], ids=["tame", "wild"])
def test_nothing_is_said_of_what_is_passed_over(wild: bool) -> None:
    passed_over = 0
    for seed in range(6):
        for most in (3, 4, 5, 7, 9):
            connections = find_connections(beginnings(packets_by_chance(seed, 300, wild), most))
            silent = silent_connections(connections, Passes.of(connections))
            words = analysis(connections.packets)[connections.row]
            assert np.flatnonzero((words != 0) & silent[connections.connection]).tolist() == []
            passed_over += int(silent.sum())
    assert passed_over > 100


def test_what_is_passed_over_changes_nothing() -> None:
    """Most connections of this sample are silent, and some are not."""
    capture = read_capture(ROOT / "sample_pcaps" / "many-short-connections.pcap")
    connections = find_connections(capture.table)
    silent = silent_connections(connections, Passes.of(connections))
    rows = np.sort(connections.row[~silent[connections.connection]])
    assert analysis(capture.table.some(rows)).tolist() == analysis(capture.table)[rows].tolist()


def test_tame_conversations_are_mostly_left_to_the_array_passes() -> None:
    packets = packets_by_chance(0, 500, wild=False)
    conversations = conversations_of(packets)
    _, odd = plain_words(packets, conversations)
    assert odd.mean() < 0.15 and len(conversations.undivided) < 50


@needs_tshark
@pytest.mark.parametrize("wild", [False, True], ids=["tame", "wild"])
def test_tshark_says_the_same_of_conversations_by_chance(wild: bool, tmp_path: Path) -> None:
    packets = packets_by_chance(99, 500, wild)
    write(packets, tmp_path / "chance.pcap")
    assert words_of_tshark(tmp_path / "chance.pcap") == by_frame(packets, analysis(packets))


@needs_tshark
@pytest.mark.parametrize("path", sorted((ROOT / "sample_pcaps").glob("*.pcap*")), ids=lambda path: path.name)
def test_tshark_says_the_same_of_the_samples(path: Path) -> None:
    packets = read_capture(path).table
    theirs = words_of_tshark(path)
    ours = by_frame(packets, analysis(packets))
    assert {frame: theirs[frame] for frame in ours} == ours


def test_a_capture_without_segments() -> None:
    assert analysis(PacketTable.empty()).tolist() == []


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures of others are not at {CAPTURES}")
def test_what_tshark_recorded_over_the_captures_of_others() -> None:
    """Frame by frame; what the table does not list is without a mark (frames that are no TCP segments to us)."""
    bits = {field.removeprefix("tcp.analysis."): int(mark) for mark, field in FIELDS}
    frames, differing = 0, Counter[str]()
    for record in sorted((CAPTURES / "tshark").rglob("*.tsv.gz")):
        path = str(record.relative_to(CAPTURES / "tshark")).removesuffix(".tsv.gz")
        packets = read_capture(CAPTURES / "files" / path).table
        ours = by_frame(packets, analysis(packets) & 0xFFFF)
        lines = gzip.decompress(record.read_bytes()).decode().splitlines()
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            theirs = sum(bits[name] for name in row["analysis"].split(",") if name)
            frames += 1
            differing[path] += theirs != ours.get(int(row["frame"]), 0)
    assert frames > 100_000
    assert sorted((+differing).items()) == []
