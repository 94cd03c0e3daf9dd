"""What a file says beside its packets: hosts, filters, losses, comments, check sequences; and frame numbers."""

from __future__ import annotations

import struct

import pytest

from . import builders as make
from .builders import SEGMENT, START, read

WITH_FCS = make.ethernet(make.ipv4(make.tcp(b"hi"), length=0)) + b"FCS!"
"""Without an IP length the frame's own end decides what is payload."""


def flags(word: int, order: str = "<") -> bytes:
    return make.option(2, struct.pack(order + "I", word), order)


def test_what_an_interface_says_about_itself_is_kept() -> None:
    options = [
        make.option(2, b"eth0"), make.option(3, b"uplink"), make.option(8, struct.pack("<Q", 10**9)),
        make.option(11, b"\0tcp port 80"), make.option(12, b"Linux 6.1"), make.option(15, b"e1000"),
    ]  # fmt: skip
    (found,) = read(make.section() + make.interface(options=b"".join(options))).interfaces
    assert (found.name, found.description, found.speed) == ("eth0", "uplink", 10**9)
    assert (found.filter, found.os, found.hardware) == ("tcp port 80", "Linux 6.1", "e1000")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("more", [b"", make.option(0, b""), make.option(1, b"remark")])
def test_a_packets_own_check_sequence_length_is_cut_off(order: str, more: bytes) -> None:
    more = make.option(1, b"remark", order) if len(more) > 4 else more
    head = make.section(order) + make.interface(order)
    packet = make.enhanced(WITH_FCS, options=flags(4 << 5 | 1, order) + more, order=order)
    capture = read(head + packet + make.enhanced(WITH_FCS, order=order))
    assert capture.table["payload_len"].tolist() == [2, 6]


def test_the_packet_knows_its_check_sequence_better_than_the_interface() -> None:
    head = make.section() + make.interface(options=make.option(13, b"\x02"))
    capture = read(head + make.enhanced(WITH_FCS) + make.enhanced(WITH_FCS, options=flags(4 << 5)))
    assert capture.table["payload_len"].tolist() == [4, 2]
    assert capture.interfaces[0].fcs_len == 2


@pytest.mark.parametrize("written", [4, 32])
def test_the_interface_may_give_its_check_sequence_in_bytes_or_bits(written: int) -> None:
    head = make.section() + make.interface(options=make.option(13, bytes([written])))
    assert read(head + make.enhanced(WITH_FCS)).table["payload_len"].tolist() == [2]


def test_drop_counts_of_packets_count_where_no_statistics_do() -> None:
    lost = make.option(4, struct.pack("<Q", 3))
    head = make.section() + make.interface() + make.interface() + make.interface()
    packets = [make.enhanced(SEGMENT, options=lost, index=index) for index in (0, 0, 1)]
    old = make.block(2, struct.pack("<HHIIII", 2, 9, 0, 0, 59, 59) + SEGMENT + b"\0")
    capture = read(head + b"".join(packets) + make.statistics(50, 1) + old)
    assert [one.drops for one in capture.interfaces] == [6, 50, 9]
    assert capture.other_blocks == {"interface statistics": 1}


def test_blocks_that_wireshark_numbers_take_a_frame_number_and_others_do_not() -> None:
    journal = make.block(9, b"MESSAGE=hello\n\n\0")
    custom = make.block(0xBAD, bytes(8)) + make.block(0x4000_0BAD, bytes(8))
    others = make.block(10, bytes(8)) + make.block(4, bytes(4)) + make.statistics(0)
    head = make.section() + make.interface()
    capture = read(head + journal + make.enhanced(SEGMENT) + others + custom + make.enhanced(SEGMENT) + journal)
    assert capture.table["frame"].tolist() == [2, 5]
    assert capture.packets == 2
    assert capture.other_blocks == {
        "systemd journal": 2, "decryption secrets": 1, "name resolution": 1, "interface statistics": 1, "custom": 2,
    }  # fmt: skip


def test_interfaces_and_packets_may_alternate_in_either_byte_order() -> None:
    parts = []
    for order in "<><":
        parts.append(make.section(order))
        for index in range(3):
            parts.append(make.interface(order, options=make.option(9, bytes([6 + index]), order)))
            ticks = START * 10 ** (6 + index)
            parts.append(make.enhanced(SEGMENT, ticks, index, order))
    capture = read(b"".join(parts))
    assert capture.table["interface"].tolist() == list(range(9))
    assert set(capture.table["time_ns"].tolist()) == {START * 10**9}


def test_interfaces_beyond_what_the_column_holds_are_unknown() -> None:
    many = make.interface() * 0x1_0000
    capture = read(make.section() + many + make.enhanced(SEGMENT, index=0xFFFE) + make.enhanced(SEGMENT, index=0xFFFF))
    assert len(capture.interfaces) == 0xFFFF
    assert capture.table["interface"].tolist() == [0xFFFE]
    assert capture.other_packets == {"unknown interface": 1}


def test_a_packet_block_larger_than_any_packet_is_damage() -> None:
    huge = make.enhanced(bytes(17 << 20))
    capture = read(make.section() + make.interface() + huge + make.enhanced(SEGMENT))
    assert [problem.code for problem in capture.problems] == ["absurd_length"]
    assert capture.packets == 1


@pytest.mark.parametrize(
    ("version", "swapped", "both"), [((2, 4), False, False), ((2, 3), False, True), ((2, 2), True, True)]
)
def test_old_files_may_have_their_lengths_swapped(version: tuple[int, int], swapped: bool, both: bool) -> None:
    straight = struct.pack("<IIII", START, 0, 59, 100) + SEGMENT
    crossed = struct.pack("<IIII", START, 0, 100, 59) + SEGMENT
    records = crossed if swapped else straight + (crossed if both else b"")
    table = read(make.pcap_header(version=version) + records * 2).table
    assert set(table["cap_len"].tolist()) == {59}
    assert set(table["wire_len"].tolist()) == {100}
    assert len(table) == (4 if both and not swapped else 2)
