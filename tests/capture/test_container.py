"""Containers: every dialect of pcap and pcapng, every way to be cut, and what is no capture at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import threading
from io import BytesIO
from pathlib import Path

import pytest

from pcapreport.capture import Capture, read_capture
from pcapreport.errors import UnreadableCapture
from pcapreport.settings import Limits

from . import builders as make
from .builders import SEGMENT, START, read

SECOND = 1_000_000_000


def codes(capture: Capture) -> list[str]:
    return [problem.code for problem in capture.problems]


# --- classic pcap --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(make.MICROSECONDS, 1000), (make.NANOSECONDS, 1), (make.MODIFIED, 1000)])
def test_every_pcap_magic_and_byte_order_gives_integer_nanoseconds(order: str, magic: int, unit: int) -> None:
    capture = read(make.pcap([SEGMENT] * 3, order, magic))
    assert capture.complete and not capture.problems
    assert capture.container == "pcap"
    assert capture.byte_order == {"<": "little", ">": "big"}[order]
    assert capture.table["time_ns"].tolist() == [START * SECOND + number * unit for number in range(3)]
    assert capture.table["frame"].tolist() == [1, 2, 3]
    assert capture.table["payload_len"].tolist() == [5, 5, 5]
    assert (capture.first_ns, capture.last_ns) == (START * SECOND, START * SECOND + 2 * unit)


def test_a_header_without_records_is_a_sound_empty_capture() -> None:
    capture = read(make.pcap([]))
    assert (capture.packets, len(capture.table), capture.complete) == (0, 0, True)
    assert capture.first_ns is None and capture.last_ns is None


def test_frame_check_sequence_bits_are_no_part_of_the_link_type_and_no_payload() -> None:
    with_fcs = make.pcap_header(link_type=2 << 28 | 0x0400_0000 | 1)
    capture = read(with_fcs + make.pcap_record(make.ethernet(make.ipv4(make.tcp(b"hi"), length=0)) + b"FCS!"))
    assert capture.interfaces[0].link_type == 1
    assert capture.interfaces[0].fcs_len == 4
    assert capture.table["payload_len"].tolist() == [2]


def test_files_older_than_version_2_3_have_their_lengths_swapped() -> None:
    record = struct.pack("<IIII", START, 0, 100, len(SEGMENT)) + SEGMENT
    capture = read(make.pcap_header(version=(2, 1)) + record)
    assert capture.complete
    assert (capture.table["cap_len"].tolist(), capture.table["wire_len"].tolist()) == ([len(SEGMENT)], [100])


@pytest.mark.parametrize("cut", range(1, 16 + len(SEGMENT)))
def test_a_cut_last_record_is_reported_and_nothing_before_it_is_lost(cut: int) -> None:
    data = make.pcap([SEGMENT] * 3)
    capture = read(data[:-cut])
    assert capture.packets == len(capture.table) == 2
    assert not capture.complete
    (problem,) = capture.problems
    assert problem.code == ("record_cut" if cut <= len(SEGMENT) else "record_header_cut")
    assert problem.offset == 24 + 2 * (16 + len(SEGMENT))
    assert problem.frame == 3


@pytest.mark.parametrize("length", [262_145, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_record_of_absurd_captured_length_is_not_counted(length: int) -> None:
    capture = read(make.pcap([SEGMENT]) + make.pcap_record(SEGMENT, cap_len=length))
    assert capture.packets == 1
    assert codes(capture) == ["absurd_length"]
    assert not capture.complete


def test_the_files_own_snaplen_may_allow_longer_records() -> None:
    big = make.ethernet(make.ipv4(make.tcp(bytes(300_000)), length=0))
    assert read(make.pcap_header(snaplen=1 << 20) + make.pcap_record(big)).table["payload_len"].tolist() == [300_000]


def test_a_fraction_above_one_second_is_added_and_told() -> None:
    capture = read(make.pcap_header() + make.pcap_record(SEGMENT, fraction=2_500_000))
    assert capture.first_ns == START * SECOND + 2_500_000_000
    assert codes(capture) == ["time_fraction_overflow"]
    assert capture.complete


def test_more_than_one_block_of_records_keeps_numbers_and_order() -> None:
    capture = read(make.pcap([SEGMENT] * 65_536 * 2 + [SEGMENT]))
    assert capture.packets == len(capture.table) == 131_073
    assert capture.table["frame"][[0, 65_535, 65_536, 131_072]].tolist() == [1, 65_536, 65_537, 131_073]


# --- pcapng --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_all_three_kinds_of_packet_block_are_read(order: str) -> None:
    blocks = [make.enhanced(SEGMENT, order=order), make.simple(SEGMENT, order), make.obsolete(SEGMENT, order=order)]
    capture = read(make.section(order) + make.interface(order) + b"".join(blocks))
    assert capture.container == "pcapng"
    assert capture.packets == len(capture.table) == 3
    assert capture.table["time_ns"].tolist() == [START * SECOND] * 3
    assert codes(capture) == ["no_time"]
    assert capture.complete


@pytest.mark.parametrize(
    ("code", "ticks", "expected"),
    [
        (0, START, START * SECOND),
        (3, START * 1000 + 7, START * SECOND + 7_000_000),
        (6, START * 10**6 + 7, START * SECOND + 7_000),
        (9, START * 10**9 + 7, START * SECOND + 7),
        (10, START * 10**10 + 79, START * SECOND + 7),
        (0x80 | 10, (START << 10) + 512, START * SECOND + 500_000_000),
        (0x80 | 30, (START << 30) + (1 << 29), START * SECOND + 500_000_000),
        (0x80 | 33, (START << 33) + (1 << 32), START * SECOND + 500_000_000),
        (0x80 | 40, (1000 << 40) + (1 << 39), 1000 * SECOND + 500_000_000),
        (63, 12345, 0),
        (0x80 | 127, 12345, 0),
    ],
)
def test_time_resolutions_of_powers_of_ten_and_two_are_exact(code: int, ticks: int, expected: int) -> None:
    described = make.interface(options=make.option(9, bytes([code])))
    assert read(make.section() + described + make.enhanced(SEGMENT, ticks)).first_ns == expected


@pytest.mark.parametrize("offset", [3600, -3600, 0])
def test_the_time_offset_counts_in_seconds(offset: int) -> None:
    described = make.interface(options=make.option(14, struct.pack("<q", offset)))
    assert read(make.section() + described + make.enhanced(SEGMENT)).first_ns == (START + offset) * SECOND


def test_times_beyond_63_bits_are_clipped_not_wrapped() -> None:
    capture = read(make.section() + make.interface(options=make.option(9, b"\0")) + make.enhanced(SEGMENT, 2**64 - 1))
    assert capture.first_ns == 9_223_372_035 * SECOND
    assert codes(capture) == ["time_out_of_range"]


def test_malformed_interface_options_count_as_absent() -> None:
    described = make.interface(options=make.option(9, b"") + make.option(14, b"abc") + struct.pack("<HH", 2, 500))
    capture = read(make.section() + described + make.enhanced(SEGMENT))
    assert capture.first_ns == START * SECOND
    assert capture.interfaces[0].resolution == "1e-6"


def test_each_interface_keeps_its_own_clock_link_type_and_drop_count() -> None:
    nanoseconds = make.option(9, b"\x09") + make.option(2, b"eth1")
    capture = read(
        make.section()
        + make.interface()
        + make.interface(link_type=101, snaplen=96, options=nanoseconds)
        + make.enhanced(SEGMENT)
        + make.enhanced(make.ipv4(make.tcp(b"abc")), START * SECOND + 1, 1)
        + make.statistics(3, 1)
        + make.statistics(5, 1)
    )
    assert capture.table["time_ns"].tolist() == [START * SECOND, START * SECOND + 1]
    assert capture.table["interface"].tolist() == [0, 1]
    assert capture.table["payload_len"].tolist() == [5, 3]
    first, second = capture.interfaces
    assert (first.drops, second.drops) == (None, 5)
    assert (second.name, second.link_name, second.snaplen, second.resolution) == ("eth1", "raw IP", 96, "1e-9")


def test_sections_of_either_byte_order_follow_each_other_and_interfaces_run_on() -> None:
    parts = [make.section(order) + make.interface(order) + make.enhanced(SEGMENT, order=order) for order in "<><"]
    capture = read(b"".join(parts))
    assert capture.table["interface"].tolist() == [0, 1, 2]
    assert capture.table["time_ns"].tolist() == [START * SECOND] * 3
    assert len(capture.interfaces) == 3


def test_comments_are_kept_with_their_frame_whatever_their_bytes() -> None:
    remark = make.option(1, b"why \xff this?") + make.option(0, b"")
    long = make.option(1, b"x" * 60_000)
    about = make.option(1, b"lab 3") + make.option(4, b"dumpcap") + make.option(3, b"Linux") + make.option(2, b"x86")
    capture = read(
        make.section(options=about)
        + make.interface()
        + make.enhanced(SEGMENT)
        + make.enhanced(SEGMENT, options=remark)
        + make.enhanced(SEGMENT, options=long)
    )
    assert capture.comments == ((0, "lab 3"), (2, "why \N{REPLACEMENT CHARACTER} this?"), (3, "x" * 4096))
    assert (capture.application, capture.os, capture.hardware) == ("dumpcap", "Linux", "x86")


def test_blocks_without_packets_are_skipped_and_counted() -> None:
    others = make.block(4, bytes(4)) + make.block(0xBAD, bytes(8)) + make.block(0x77, b"")
    capture = read(make.section() + make.interface() + others + make.enhanced(SEGMENT))
    assert capture.packets == 1
    assert capture.other_blocks == {"name resolution": 1, "custom": 1, "type 0x00000077": 1}
    assert capture.table["frame"].tolist() == [2], "Wireshark shows a custom block as a frame"


def test_a_packet_of_an_interface_that_is_not_described_is_counted_but_not_decoded() -> None:
    capture = read(make.section() + make.interface() + make.enhanced(SEGMENT, index=9) + make.enhanced(SEGMENT))
    assert capture.packets == 2
    assert capture.table["frame"].tolist() == [2]
    assert capture.other_packets == {"unknown interface": 1}
    assert codes(capture) == ["unknown_interface"]


def test_a_simple_packet_block_holds_no_more_than_the_snaplen() -> None:
    capture = read(make.section() + make.interface(snaplen=56) + make.simple(SEGMENT[:56], wire_len=len(SEGMENT)))
    assert capture.table["cap_len"].tolist() == [56]
    assert capture.table["payload_len"].tolist() == [5]


SOUND = make.section() + make.interface() + make.enhanced(SEGMENT)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (struct.pack("<II", 6, 7) + bytes(8), "bad_block_length"),
        (struct.pack("<II", 6, 0) + bytes(8), "bad_block_length"),
        (struct.pack("<II", 6, 34) + bytes(64), "bad_block_length"),
        (struct.pack("<II", 6, 1 << 30) + bytes(64), "block_cut"),
        (make.enhanced(SEGMENT)[:-4] + bytes(4), "bad_block_trailer"),
        (struct.pack("<III", 0x0A0D0D0A, 28, 0x11111111) + bytes(16), "bad_byte_order_magic"),
        (make.section(version=(2, 0)), "unknown_version"),
        (make.section()[:-4], "block_cut"),
        (make.block(1, b""), "bad_block_length"),
        (b"\0\0\0", "block_header_cut"),
    ],
)
def test_a_broken_block_ends_the_reading_with_its_offset(broken: bytes, code: str) -> None:
    capture = read(SOUND + broken)
    assert capture.packets == len(capture.table) == 1
    assert not capture.complete
    (problem,) = capture.problems
    assert (problem.code, problem.offset, problem.frame) == (code, len(SOUND), 2)


def test_a_packet_block_that_claims_more_than_it_holds_keeps_what_it_holds() -> None:
    capture = read(SOUND + make.enhanced(SEGMENT, cap_len=5000) + make.enhanced(SEGMENT))
    assert capture.packets == len(capture.table) == 3
    assert codes(capture) == ["captured_above_block", "captured_above_wire"]
    assert not capture.complete


@pytest.mark.parametrize("kind", [2, 6])
def test_a_packet_block_too_short_for_its_fields_is_an_empty_damaged_packet(kind: int) -> None:
    capture = read(SOUND + make.block(kind, bytes(4)) + make.enhanced(SEGMENT))
    assert capture.table["frame"].tolist() == [1, 3]
    assert capture.packets == 3
    assert codes(capture) == ["captured_above_block"]
    assert not capture.complete


# --- compression and sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_compressed_captures_are_read_and_hashed_as_given(pack, name: str) -> None:
    packed = pack(make.pcap([SEGMENT] * 5))
    capture = read(packed)
    assert capture.compression == name
    assert capture.packets == 5
    assert capture.size_bytes == len(packed)


def test_a_cut_gzip_gives_what_can_be_decompressed() -> None:
    frames = [make.ethernet(make.ipv4(make.tcp(os.urandom(500)))) for _ in range(200)]
    packed = gzip.compress(make.pcap(frames))
    capture = read(packed[: len(packed) // 2])
    assert 50 < capture.packets < 150
    assert "compressed_data_damaged" in codes(capture)
    assert not capture.complete


def test_a_decompression_bomb_is_stopped_at_the_limit() -> None:
    packed = gzip.compress(make.pcap([SEGMENT] * 10_000))
    capture = read_capture(BytesIO(packed), limits=Limits(decompressed_bytes=24 + 75 * 9_000))
    assert capture.packets == 9_000
    assert codes(capture) == ["decompression_limit"]


def test_a_pipe_is_read_without_seeking() -> None:
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as sink:
            sink.write(make.pcap([SEGMENT] * 2))

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(read_end, "rb") as stream:
        capture = read_capture(stream, name="-")
    thread.join()
    assert (capture.file, capture.packets) == ("-", 2)


def test_a_path_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(make.pcap([SEGMENT]))
    assert read_capture(path).file == str(path)
    assert read_capture(str(path), name="a").file == "a"
    assert len(read_capture(path).sha256) == 64


def test_a_large_file_is_mapped_and_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcapreport.capture.source.MAP_FROM", 1)
    path = tmp_path / "a.pcap"
    path.write_bytes(make.pcap([SEGMENT] * 3))
    assert read_capture(path).packets == 3
    path.write_bytes(gzip.compress(make.pcap([SEGMENT] * 3)))
    assert read_capture(path).packets == 3


FOREIGN = {
    "nothing": (b"", "empty"),
    "23 bytes": (make.pcap_header()[:23], "only 23 bytes"),
    "4 bytes": (make.pcap_header()[:4], "only 4 bytes"),
    "3 bytes": (make.pcap_header()[:3], "cut"),
    "27 bytes of pcapng": (make.section()[:27], "only 27 bytes"),
    "pcapng without magic": (b"\x0a\x0d\x0d\x0a" + bytes(60), "byte-order magic"),
    "ELF": (b"\x7fELF\x02\x01\x01" + bytes(100), "ELF"),
    "zip": (b"PK\x03\x04" + bytes(100), "zip"),
    "HTML": (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    "text": (b"12:00:01.000 IP 10.0.0.1.80 > 10.0.0.2.4000: Flags [S]\n", "text"),
    "zeros": (bytes(1000), "no capture that is known"),
    "snoop of another version": (b"snoop\0\0\0" + bytes(100), "snoop"),
    "cut snoop": (b"snoop\0\0\0\0\0\0\x02", "only 12 bytes"),
    "gzip of no capture": (gzip.compress(bytes(10_000_000)), "no capture that is known"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "tar"),
    "gzip of nothing": (gzip.compress(b""), "empty"),
    "cut gzip": (gzip.compress(b"x")[:5], "breaks off"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_capture_is_refused_in_one_friendly_line(kind: str) -> None:
    data, reason = FOREIGN[kind]
    with pytest.raises(UnreadableCapture, match=reason) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("made.pcap: byte ")
    assert caught.value.advice


def test_a_directory_and_a_missing_file_are_refused_too(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCapture, match="directory"):
        read_capture(tmp_path)
    with pytest.raises(UnreadableCapture, match="cannot be read"):
        read_capture(tmp_path / "missing.pcap")
    with pytest.raises(UnreadableCapture, match="cannot be read"):
        read_capture("nul\0byte")
