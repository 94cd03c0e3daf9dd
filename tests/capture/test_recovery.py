"""Damaged captures: what stands before the damage is kept, and reading goes on behind it only where that is safe."""

from __future__ import annotations

import struct
import time

import pytest

from pcapreport.capture import Capture
from pcapreport.settings import MAX_DAMAGES

from . import builders as make
from .builders import SEGMENT, START, read

RECORD = 16 + len(SEGMENT)


def numbered(count: int, first: int = 0) -> list[bytes]:
    """Segments told apart by their sequence numbers."""
    return [make.ethernet(make.ipv4(make.tcp(b"hello", seq=first + number))) for number in range(count)]


def sequences(capture: Capture) -> list[int]:
    return [int(number) for number in capture.table["seq"]]


def records(frames: list[bytes], order: str = "<") -> list[bytes]:
    return [make.pcap_record(frame, fraction=number, order=order) for number, frame in enumerate(frames)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("broken", [0, 1, 4, 8])
def test_pcap_is_read_on_behind_a_record_of_absurd_length(order: str, broken: int) -> None:
    parts = records(numbered(9), order)
    parts[broken] = make.pcap_record(SEGMENT, cap_len=0x7FFF_FFFF, order=order)
    capture = read(make.pcap_header(order) + b"".join(parts))
    assert sequences(capture) == [number for number in range(9) if number != broken]
    assert not capture.complete
    (problem,) = capture.problems
    assert (problem.code, problem.frame) == ("absurd_length", broken + 1)
    assert (problem.offset, problem.skipped) == (24 + broken * RECORD, RECORD)
    if broken < 8:
        assert f"{RECORD} bytes are skipped and reading goes on at byte {24 + (broken + 1) * RECORD}" in problem.message
    else:
        assert f"the rest of the file, {RECORD} bytes, is not read" in problem.message


@pytest.mark.parametrize("size", [1, 3, 17, 5_000, 100_000])
def test_pcap_is_read_on_behind_bytes_that_belong_to_no_record(size: int) -> None:
    parts = records(numbered(12))
    capture = read(make.pcap_header() + b"".join(parts[:6]) + b"\xee" * size + b"".join(parts[6:]))
    assert sequences(capture) == list(range(12))
    assert [problem.skipped for problem in capture.problems] == [size]
    assert capture.table["frame"].tolist() == list(range(1, 13))


def test_a_length_that_is_wrong_but_possible_costs_the_records_it_swallows_and_no_more() -> None:
    parts = records(numbered(20))
    parts[5] = make.pcap_record(numbered(1, 5)[0], cap_len=len(SEGMENT) + 3 * RECORD + 11, wire_len=9_000)
    capture = read(make.pcap_header() + b"".join(parts))
    assert sequences(capture) == [0, 1, 2, 3, 4, 5, *range(10, 20)]
    assert not capture.complete


def test_a_length_beyond_the_end_in_the_middle_of_a_file_costs_one_record() -> None:
    parts = records(numbered(20))
    parts[5] = make.pcap_record(SEGMENT, cap_len=200_000)
    capture = read(make.pcap_header() + b"".join(parts))
    assert sequences(capture) == [*range(5), *range(6, 20)]
    assert [problem.code for problem in capture.problems] == ["record_cut"]


def test_a_capture_inside_of_a_cut_last_record_is_not_taken_for_records() -> None:
    inner = make.pcap(numbered(20, 1000))
    carried = make.ethernet(make.ipv4(make.tcp(inner + bytes(9))))
    data = make.pcap([*numbered(3), carried])
    for cut in (1, 5, 200):
        assert sequences(read(data[:-cut])) == [0, 1, 2]


def test_records_at_impossible_times_are_not_resumed_at() -> None:
    late = [make.pcap_record(frame, second=START + 30 * 86_400) for frame in numbered(9)]
    broken = make.pcap_record(SEGMENT, cap_len=0x7FFF_FFFF)
    assert sequences(read(make.pcap([SEGMENT]) + broken + b"".join(late))) == [1]


def test_zeros_behind_a_crash_are_no_records() -> None:
    capture = read(make.pcap(numbered(3)) + b"\xff" * 16 + bytes(50_000))
    assert capture.packets == 3
    assert not capture.complete


def test_reading_stops_after_very_many_damages_and_says_so() -> None:
    good, bad = b"".join(records(numbered(4))), b"\xff" * 16
    capture = read(make.pcap_header() + (good + bad) * (MAX_DAMAGES + 50))
    assert capture.packets == 4 * MAX_DAMAGES
    assert len(capture.problems) == MAX_DAMAGES
    assert f"this is the {MAX_DAMAGES}th damage, so reading stops" in capture.problems[-1].message


# --- pcapng --------------------------------------------------------------------------------------------------------


def packets(count: int, first: int = 0, order: str = "<") -> list[bytes]:
    return [make.enhanced(frame, order=order) for frame in numbered(count, first)]


HEAD = make.section() + make.interface()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "garbage", [b"\xee" * 3, b"\xee" * 40, bytes(64), b"\x06\0\0\0\x07\0\0\0" * 9, b"\xee" * 9_000]
)
def test_pcapng_is_read_on_behind_garbage_between_blocks(order: str, garbage: bytes) -> None:
    head = make.section(order) + make.interface(order)
    before, after = packets(3, 0, order), packets(3, 3, order)
    capture = read(head + b"".join(before) + garbage + b"".join(after))
    assert sequences(capture) == list(range(6))
    assert sum(problem.skipped for problem in capture.problems) == len(garbage)
    assert not capture.complete


def test_a_packet_block_with_a_bad_trailer_is_skipped_alone() -> None:
    blocks = packets(6)
    blocks[2] = blocks[2][:-4] + b"\0\0\0\0"
    capture = read(HEAD + b"".join(blocks))
    assert sequences(capture) == [0, 1, 3, 4, 5]
    (problem,) = capture.problems
    assert (problem.code, problem.skipped) == ("bad_block_trailer", len(blocks[2]))


def test_behind_a_damaged_interface_only_the_next_section_can_be_understood() -> None:
    bad = make.interface()[:-4] + bytes(4)
    capture = read(HEAD + packets(1)[0] + bad + b"".join(packets(3, 10)) + HEAD + b"".join(packets(2, 20)))
    assert sequences(capture) == [0, 20, 21]
    assert capture.table["interface"].tolist() == [0, 1, 1]


def test_behind_a_section_of_unknown_version_the_next_one_is_read_whatever_its_byte_order() -> None:
    unknown = make.section(version=(7, 0)) + make.interface() + b"".join(packets(2, 10))
    last = make.section(">") + make.interface(">") + b"".join(packets(2, 20, ">"))
    capture = read(HEAD + b"".join(packets(2)) + unknown + last)
    assert sequences(capture) == [0, 1, 20, 21]
    assert [problem.code for problem in capture.problems] == ["unknown_version"]


def test_garbage_before_a_section_of_the_other_byte_order_is_stepped_over() -> None:
    last = make.section(">") + make.interface(">") + b"".join(packets(2, 20, ">"))
    assert sequences(read(HEAD + b"".join(packets(2)) + b"\xee" * 50 + last)) == [0, 1, 20, 21]


def test_blocks_inside_of_a_cut_last_block_are_not_taken_for_packets() -> None:
    inner = HEAD + b"".join(packets(5, 1000))
    carried = make.enhanced(make.ethernet(make.ipv4(make.tcp(inner + bytes(8)))))
    data = HEAD + b"".join(packets(3)) + carried
    for cut in (1, 4, 30):
        capture = read(data[:-cut])
        assert sequences(capture) == [0, 1, 2]
        assert [problem.code for problem in capture.problems] == ["block_cut"]


def test_a_length_beyond_the_end_in_the_middle_of_a_pcapng_file_costs_one_block() -> None:
    blocks = packets(6)
    blocks[2] = struct.pack("<II", 6, 1 << 28) + blocks[2][8:]
    assert sequences(read(HEAD + b"".join(blocks))) == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("size", [64, 5_000, 3_000_000])
def test_zeros_where_a_file_was_not_written_are_no_packets(size: int) -> None:
    parts = records(numbered(12))
    capture = read(make.pcap_header() + b"".join(parts[:6]) + bytes(size) + b"".join(parts[6:]))
    assert sequences(capture) == list(range(12))
    assert [(problem.code, problem.skipped) for problem in capture.problems] == [("zeros", size)]
    assert not capture.complete
    at_the_end = read(make.pcap_header() + b"".join(parts) + bytes(size))
    assert at_the_end.packets == 12
    assert "zeros stand where a record should" in at_the_end.problems[0].message


def test_a_packet_of_no_bytes_is_a_packet() -> None:
    empty = make.pcap_record(b"", wire_len=60)
    capture = read(make.pcap_header() + empty * 2 + make.pcap_record(SEGMENT) + empty)
    assert (capture.packets, capture.complete, len(capture.table)) == (4, True, 1)


def test_a_file_of_unwritten_records_is_searched_quickly() -> None:
    data = make.pcap_header() + bytes(200 << 20)
    start = time.process_time()
    assert read(data).packets == 0
    assert time.process_time() - start < 3, "usually 0.2 s"


def test_the_payload_of_a_first_packet_that_is_cut_is_no_record_of_another_time() -> None:
    looks_like_one = struct.pack("<IIII", 0x0606_0801, 66_049, 18, 0x2B_0033) + bytes(18)
    frame = make.ethernet(make.ipv4(make.tcp(looks_like_one)))
    cut = read(make.pcap_header() + make.pcap_record(frame, cap_len=900, wire_len=900))
    assert cut.packets == 0
    assert [problem.code for problem in cut.problems] == ["record_cut"]
