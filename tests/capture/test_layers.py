"""Layers that are met rarely: aggregates, radio headers, overlapping fragments, rarer options, rarer tunnels."""

from __future__ import annotations

import struct

import pytest

from pcapreport.capture import Capture, Option, RowNote

from . import builders as make
from .builders import read

SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
INNER = make.ipv4(make.tcp(b"inner"))


def capture_of(frames: list[bytes], link_type: int) -> Capture:
    return read(make.pcap(frames, link_type=link_type))


def only_path(frame: bytes, link_type: int = 1) -> str:
    capture = capture_of([frame], link_type)
    assert capture.table["payload_len"].tolist() == [5], capture.other_packets
    return capture.table.encapsulations[int(capture.table["encapsulation"][0])]


# --- address families of BSD loopback ------------------------------------------------------------------------------


@pytest.mark.parametrize("link_type", [0, 108])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("family", [2, 10, 23, 24, 28, 30])
def test_loopback_knows_every_systems_number_for_ipv6_in_both_byte_orders(
    link_type: int, order: str, family: int
) -> None:
    inner = INNER if family == 2 else make.ipv6(make.tcp(b"inner"))
    assert only_path(struct.pack(order + "I", family) + inner, link_type) == "null"


def test_another_address_family_is_named() -> None:
    assert capture_of([b"\x1f\0\0\0" + INNER], 0).other_packets == {"address family 31": 1}


# --- IEEE 802.11 ---------------------------------------------------------------------------------------------------


def subframe(seq: int, last: bool = False, ethertype: bytes = b"\x08\0") -> bytes:
    inner = SNAP[:-2] + ethertype + make.ipv4(make.tcp(b"inner", seq=seq))
    frame = bytes(12) + struct.pack(">H", len(inner)) + inner
    return frame if last else frame + bytes(-len(frame) % 4)


AGGREGATE = b"\x88\x01" + bytes(22) + b"\x80\0"


def test_each_segment_of_an_aggregate_has_a_row_of_the_same_frame() -> None:
    frame = AGGREGATE + subframe(1) + subframe(2, ethertype=b"\x08\x06") + subframe(3) + subframe(4, last=True)
    capture = capture_of([frame, frame], 105)
    assert capture.table["seq"].tolist() == [1, 3, 4] * 2
    assert capture.table["frame"].tolist() == [1, 1, 1, 2, 2, 2]
    assert set(capture.table.encapsulations) == {"wlan/amsdu"}
    assert capture.packets == 2 and not capture.other_packets


def test_an_aggregate_cut_by_the_snaplen_gives_what_it_holds() -> None:
    frame = AGGREGATE + subframe(1) + subframe(2, last=True)
    held = make.pcap_record(frame[:-60], wire_len=len(frame))
    assert read(make.pcap_header(link_type=105) + held).table["seq"].tolist() == [1]


def test_an_aggregate_without_segments_is_counted_once() -> None:
    frame = AGGREGATE + subframe(1, ethertype=b"\x08\x06") * 2
    assert capture_of([frame], 105).other_packets == {"ARP": 1}


@pytest.mark.parametrize(
    ("start", "label"),
    [
        (b"\x08\x41", "IEEE 802.11 encrypted"),
        (b"\x08\x05", "IEEE 802.11 fragment"),
        (b"\x48\x01", "IEEE 802.11 null data"),
        (b"\x80\x00", "IEEE 802.11 management"),
        (b"\xb4\x00", "IEEE 802.11 control"),
    ],
)
def test_frames_that_hold_no_readable_segment_are_told_apart(start: bytes, label: str) -> None:
    assert capture_of([start + bytes(22) + SNAP + INNER], 105).other_packets == {label: 1}


WITHOUT_LENGTH = make.ipv4(make.tcp(b"inner"), length=0)
"""Its payload ends where the frame ends, so that a check sequence would be taken for payload."""


def test_radiotap_tells_of_a_check_sequence_and_of_padding() -> None:
    frame = b"\x88\x01" + bytes(24) + b"\0\0" + SNAP + WITHOUT_LENGTH + b"FCS!"
    radiotap = struct.pack("<BBHIB", 0, 0, 9, 0x2, 0x30)
    assert only_path(radiotap + frame, 127) == "wlan"


def test_ppi_tells_of_a_check_sequence() -> None:
    frame = b"\x08\x01" + bytes(22) + SNAP + WITHOUT_LENGTH + b"FCS!"
    common = struct.pack("<HHQH", 2, 20, 0, 1) + bytes(10)
    other = struct.pack("<HH", 30002, 4) + bytes(4)
    header = struct.pack("<BBHI", 0, 0, 8 + len(other) + len(common), 105)
    assert only_path(header + other + common + frame, 192) == "wlan"


# --- tunnels and oddities ------------------------------------------------------------------------------------------

ETHERNET = make.ethernet(INNER)
RARE = [
    (make.ethernet(make.ipv4(b"\x20\0\x65\x58\0\0\x2a\0" + ETHERNET, 47)), 1, "ethernet/ipv4/gre/ethernet"),
    (make.ethernet(make.ipv4(b"\x10\0\x22\xeb" + bytes(16) + ETHERNET, 47)), 1, "ethernet/ipv4/gre/erspan/ethernet"),
    (make.ethernet(make.ipv4(b"\0\0\x88\xbe" + ETHERNET, 47)), 1, "ethernet/ipv4/gre/erspan/ethernet"),
    (struct.pack("<III", 108, 1, 1) + bytes(96) + ETHERNET, 258, "ethernet"),
    (struct.pack("<BBH", 2, 0, 0) + struct.pack("<HH", 4 + len(INNER), 9) + INNER, 239, "nflog"),
    (b"\x11\0\0\x01" + struct.pack(">H", 2 + len(INNER)) + b"\0\x21" + INNER, 51, "pppoe/ppp"),
    (b"\x21" + INNER, 9, "ppp"),
    (make.ethernet(b"\0\0\x14\x00" * 20 + b"\0\0\x11\x40" + INNER, 0x8847), 1, "ethernet/mpls"),
    (make.ethernet(INNER, vlans=[1, 2, 3, 4, 5]), 1, "ethernet/vlan 1/vlan 2/vlan 3/vlan 4/vlan 5"),
    (make.ethernet(make.ipv6(make.ipv6(b"\x06\0" + bytes(6) + make.tcp(b"inner"), 0), 41), 0x86DD), 1, "ethernet/ipv6"),
]  # fmt: skip


SWITCHES = [
    (ETHERNET[:12] + b"tag!" + ETHERNET[12:], 281),
    (b"tag!" + ETHERNET, 282),
    (ETHERNET[:12] + b"tag!" + ETHERNET[12:], 284),
    (ETHERNET[:12] + b"\xda\xda\0\0tag!" + ETHERNET[12:], 285),
]


@pytest.mark.parametrize(("frame", "link_type"), SWITCHES)
def test_tags_of_switch_chips_are_stepped_over(frame: bytes, link_type: int) -> None:
    assert only_path(frame, link_type) == "switch tag/ethernet"
    assert capture_of([frame[:12]], link_type).other_packets.keys() <= {"cut link header", "cut ethernet header"}


@pytest.mark.parametrize(("frame", "link_type", "path"), RARE)
def test_rarer_ways_to_a_segment(frame: bytes, link_type: int, path: str) -> None:
    assert only_path(frame, link_type) == path


def test_frames_that_come_to_a_layer_on_different_ways_stay_in_file_order() -> None:
    """Two ways to the same depth: each frame must keep its own number, path and time."""
    segments = [make.tcp(b"inner", seq=number) for number in range(3)]
    frames = [
        make.ethernet(make.ipv4(make.ipv6(make.ipv4(segments[0]), 4), 41)),
        make.ethernet(make.ipv4(make.ipv4(make.ipv4(segments[1]), 4), 4)),
        make.ethernet(make.ipv4(make.ipv6(make.ipv4(segments[2]), 4), 41)),
    ]
    table = capture_of(frames * 2, 1).table
    assert table["frame"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["seq"].tolist() == [0, 1, 2] * 2
    paths = [table.encapsulations[number] for number in table["encapsulation"].tolist()]
    assert paths == ["ethernet/ipv4/ipv6", "ethernet/ipv4/ipv4", "ethernet/ipv4/ipv6"] * 2


def test_extension_headers_stand_in_any_order() -> None:
    routing, options, auth = struct.pack(">BBBBI", 60, 0, 0, 0, 0), b"\x33\0" + bytes(6), b"\x06\x01" + bytes(10)
    packet = make.ipv6(b"\x2b\0\x01\x04" + bytes(4) + routing + options + auth + make.tcp(b"inner"), 0)
    assert only_path(make.ethernet(packet, 0x86DD)) == "ethernet"


def fragments(pieces: list[tuple[int, bytes]], total: int, version: int = 4) -> list[bytes]:
    frames = []
    for offset, data in pieces:
        more = offset + len(data) < total
        if version == 4:
            frames.append(make.ethernet(make.ipv4(data, fragment=offset // 8 | (0x2000 if more else 0))))
        else:
            head = struct.pack(">BBHI", 6, 0, offset | more, 9)
            frames.append(make.ethernet(make.ipv6(head + data, 44), 0x86DD))
    return frames


WHOLE = make.tcp(bytes(range(44)))


@pytest.mark.parametrize("version", [4, 6])
def test_overlapping_fragments_are_noted_and_copies_are_not(version: int) -> None:
    copies = fragments([(0, WHOLE[:32]), (0, WHOLE[:32]), (32, WHOLE[32:])], 64, version)
    overlap = fragments([(0, WHOLE[:32]), (16, bytes(16)), (32, WHOLE[32:])], 64, version)
    for frames, noted in ((copies, False), (overlap, True)):
        capture = capture_of(frames, 1)
        assert capture.table["frame"].tolist() == [3]
        assert capture.table["payload_len"].tolist() == [44]
        notes = int(capture.table["notes"][0])
        assert notes & RowNote.FRAGMENT
        assert bool(notes & RowNote.OVERLAPPING_FRAGMENTS) is noted
        assert capture.other_packets == {f"IPv{version} fragment": 2}


def test_multipath_subtypes_and_fast_open_cookies_are_kept() -> None:
    options = [
        b"\x1e\x04\x00\x81" + b"\x1e\x04\x70\x00",
        b"\x22\x02\x01\x01",
        b"\x22\x0a" + bytes(8) + b"\x01\x01",
        b"\xfe\x04\xf9\x89",
        b"\xfe\x0c\xf9\x89" + bytes(8),
        b"\xfe\x04\x00\x01",
    ]
    table = capture_of([make.ethernet(make.ipv4(make.tcp(options=raw))) for raw in options], 1).table
    assert table["mptcp"].tolist() == [1 << 0 | 1 << 7, 0, 0, 0, 0, 0]
    assert table["fast_open"].tolist() == [0, 0, 8, 0, 8, 0]
    has_fast_open = [bool(bits & Option.FAST_OPEN) for bits in table["options"].tolist()]
    assert has_fast_open == [False, True, True, True, True, False]


def test_paths_beyond_what_the_column_holds_share_the_last_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcapreport.capture.encapsulation.MOST_PATHS", 3)
    table = capture_of([make.ethernet(INNER, vlans=[tag]) for tag in range(6)], 1).table
    assert table["encapsulation"].tolist() == [0, 1, 2, 3, 3, 3]
    assert table.encapsulations[3] == "others"
