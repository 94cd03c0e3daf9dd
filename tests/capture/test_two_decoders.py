"""The vectorised path and the dpkt path agree field by field, and both agree with dpkt itself; nothing breaks them."""

from __future__ import annotations

import gzip
import struct
from collections import Counter
from typing import Any

import dpkt
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.capture import PacketTable, RowNote, checksums, pcap
from pcapreport.capture.container import Findings, RecordBlock
from pcapreport.capture.decode import Decoder
from pcapreport.capture.dissect import Dissector
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Gather
from pcapreport.capture.limits import Limits
from pcapreport.capture.links import LINKS
from pcapreport.capture.options import read_options, read_segment_options
from pcapreport.capture.packet_table import COLUMNS
from pcapreport.errors import UnreadableCapture

from . import builders as make

LINK_HEADERS: dict[int, dict[int, bytes]] = {
    1: {4: bytes(12) + b"\x08\x00", 6: bytes(12) + b"\x86\xdd"},
    101: {4: b"", 6: b""},
    12: {4: b"", 6: b""},
    228: {4: b"", 6: b""},
    0: {4: b"\x02\0\0\0", 6: b"\x1e\0\0\0"},
    108: {4: b"\0\0\0\x02", 6: b"\0\0\0\x18"},
    113: {4: bytes(14) + b"\x08\x00", 6: bytes(14) + b"\x86\xdd"},
    276: {4: b"\x08\x00" + bytes(18), 6: b"\x86\xdd" + bytes(18)},
}

options = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    st.lists(
        st.sampled_from(
            [
                b"\x01",
                b"\x00",
                b"\x02\x04\x05\xb4",
                b"\x03\x03\x07",
                b"\x03\x03\xff",
                b"\x04\x02",
                b"\x08\x0a\x00\x00\x00\x09\x00\x00\x00\x08",
                b"\x01\x01\x08\x0a\x11\x22\x33\x44\x55\x66\x77\x88",
                b"\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02",
                b"\x05\x12" + bytes(range(16)),
                b"\x02\x03\x05",
                b"\x22\x02",
                b"\x1e\x03\x20",
                b"\x1e\x04\x70\x00",
                b"\x22\x06abcd",
                b"\xfe\x04\x12\x34",
                b"\xfe\x06\xf9\x89ab",
                b"\x08",
                b"\x63\x00",
            ]
        ),
        max_size=6,
    ).map(lambda parts: b"".join(parts)[:40]),
)


@st.composite
def segments(draw: st.DrawFn) -> bytes:
    carried = draw(options)
    return make.tcp(
        draw(st.binary(max_size=12)),
        sport=draw(st.integers(0, 65_535)),
        seq=draw(st.integers(0, 2**32 - 1)),
        ack=draw(st.integers(0, 2**32 - 1)),
        flags=draw(st.integers(0, 0xFFF)),
        window=draw(st.integers(0, 65_535)),
        urgent=draw(st.integers(0, 65_535)),
        options=carried,
        offset=draw(st.one_of(st.none(), st.none(), st.integers(0, 15))),
    )


@st.composite
def datagrams(draw: st.DrawFn, version: int) -> bytes:
    payload = draw(segments())
    protocol = draw(st.sampled_from([6, 6, 6, 6, 1, 17, 47, 58, 0, 44, 4]))
    length = draw(st.sampled_from([None, None, None, 0, 20, 30, 44, 2000]))
    if version == 6:
        return make.ipv6(payload, protocol, length=length)
    fragment = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x0003]))
    return make.ipv4(payload, protocol, fragment=fragment, options=bytes(4 * draw(st.integers(0, 10))), length=length)


@st.composite
def records(draw: st.DrawFn, link_type: int) -> bytes:
    """A record: a frame, perhaps padded, cut or with some bytes changed."""
    version = draw(st.sampled_from([4, 4, 6]))
    head = LINK_HEADERS[link_type][version]
    if link_type in (1, 113):
        for tag in draw(st.lists(st.integers(0, 0xFFFF), max_size=3)):
            head = head[:-2] + b"\x81\x00" + struct.pack(">H", tag) + head[-2:]
    frame = bytearray(head + draw(datagrams(version)) + bytes(draw(st.sampled_from([0, 0, 6]))))
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=3)):
        frame[at] = value
    held = frame[: draw(st.one_of(st.just(len(frame)), st.integers(0, len(frame))))]
    return make.pcap_record(bytes(held), wire_len=len(frame) + draw(st.sampled_from([0, 0, 4])))


def only_block(data: bytes) -> tuple[RecordBlock, Findings]:
    found = Findings()
    (block,) = pcap.walk(data, found, Limits())
    return block, found


def by_frame(tables: list[PacketTable], paths: Encapsulations) -> dict[int, dict[str, Any]]:
    """Frame -> its row, with the path and the SACK blocks themselves in place of their numbers."""
    rows: dict[int, dict[str, Any]] = {}
    for table in tables:
        assert {name: column.dtype for name, column in table.columns.items()} == {
            **{name: np.dtype(column.dtype) for name, column in COLUMNS.items()},
            checksums.COLUMN: np.dtype(np.uint8),
        }
        for row in range(len(table)):
            values: dict[str, Any] = {name: int(column[row]) for name, column in table.columns.items()}
            values["notes"] &= ~int(RowNote.DISSECTED)
            values["encapsulation"] = paths.paths()[values["encapsulation"]]
            values["sack"] = table.sack_blocks[values["sack"]].tolist() if values["sack"] >= 0 else None
            rows[values["frame"]] = values
    return rows


def decode_both(data: bytes) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]], set[int], set[str]]:
    """Rows by the common path, rows by dpkt alone, the frames the common path left, and what it counted."""
    block, found = only_block(data)
    paths, slow_paths, others = Encapsulations(), Encapsulations(), Counter[str]()
    tables, left = Decoder(Gather(data), paths, others, True).decode(block, found.interfaces[0].link_type)
    slow = Dissector(data, slow_paths, Counter(), True).dissect(block, found.interfaces)
    return by_frame(tables, paths), by_frame([slow], slow_paths), set(block.frame[left].tolist()), set(others)


def some_records(link_type: int) -> st.SearchStrategy[tuple[int, list[bytes]]]:
    return st.tuples(st.just(link_type), st.lists(records(link_type), min_size=1, max_size=8))


@given(st.sampled_from(sorted(LINK_HEADERS)).flatmap(some_records))
@settings(max_examples=500, deadline=None)
def test_both_paths_give_the_same_row_wherever_the_common_path_gives_one(case: tuple[int, list[bytes]]) -> None:
    link_type, made = case
    fast, slow, left, _ = decode_both(make.pcap_header(link_type=link_type) + b"".join(made))
    for frame, row in fast.items():
        assert row == slow[frame]
    decided = set(range(1, len(made) + 1)) - left
    assert decided & slow.keys() == fast.keys()


def test_the_usual_layouts_never_need_the_slow_path() -> None:
    usual = make.tcp(b"data", options=b"\x01\x01\x08\x0a" + bytes(8))
    for link_type, heads in LINK_HEADERS.items():
        for version, head in heads.items():
            frame = head + (make.ipv4(usual) if version == 4 else make.ipv6(usual))
            _, _, left, _ = decode_both(make.pcap([frame], link_type=link_type))
            assert not left, (link_type, version)


@given(options, st.integers(0, 40))
@settings(max_examples=500, deadline=None)
def test_both_option_readers_agree_however_the_options_are_cut(raw: bytes, captured: int) -> None:
    raw += bytes(-len(raw) % 4)
    start, stop, held = (np.array([at], np.int64) for at in (0, len(raw), min(captured, len(raw))))
    many = read_options(Gather(raw), start, stop, held) if raw else None
    one = read_segment_options(raw[:captured], len(raw))
    if many is None:
        return
    for name in ("mss", "window_scale", "options", "ts_val", "ts_ecr", "mptcp", "fast_open", "malformed"):
        assert getattr(many, name)[0] == getattr(one, name), name
    edges = many.sack_blocks[many.sack[0]].tolist() if many.sack[0] >= 0 else [[0, 0]] * 4
    assert edges == [*map(list, one.sack), *([[0, 0]] * (4 - len(one.sack)))]


@given(st.lists(st.tuples(segments(), st.sampled_from([4, 6])), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_whole_plain_frames_read_as_dpkt_reads_them(made: list[tuple[bytes, int]]) -> None:
    frames = [
        make.ethernet(make.ipv4(raw)) if version == 4 else make.ethernet(make.ipv6(raw), 0x86DD)
        for raw, version in made
    ]
    table = make.read(make.pcap(frames)).table
    rows = {int(frame): row for row, frame in enumerate(table["frame"])}
    for number, frame in enumerate(frames, 1):
        theirs = dpkt.ethernet.Ethernet(frame).data.data
        if type(theirs) is not dpkt.tcp.TCP:
            assert number not in rows
            continue
        row = rows[number]
        ours = [int(table[name][row]) for name in ("sport", "dport", "seq", "ack", "window", "urgent", "checksum")]
        assert ours == [theirs.sport, theirs.dport, theirs.seq, theirs.ack, theirs.win, theirs.urp, theirs.sum]
        assert int(table["flags"][row]) == theirs.flags
        assert int(table["payload_len"][row]) == len(theirs.data)


# --- robustness ----------------------------------------------------------------------------------------------------

_TS = b"\x01\x01\x08\x0a" + bytes(8)
_FRAMES = [
    make.SEGMENT,
    make.ethernet(make.ipv6(make.tcp(b"abc", options=_TS)), 0x86DD, vlans=[5]),
    make.ethernet(make.ipv6(struct.pack(">BBHI", 6, 0, 1, 9) + make.tcp(b"abcd"), 44), 0x86DD),
    make.ethernet(make.ipv4(make.tcp(b"x" * 8)[:16], fragment=0x2000)),
    make.ethernet(make.ipv4(b"\0\0\x08\0" + make.ipv4(make.tcp(b"in gre")), 47)),
    make.ethernet(make.ipv4(make.udp(b"\x08\0\0\0\0\0\x05\0" + make.SEGMENT, dport=4789), 17)),
    make.ethernet(b"\0\x01\x01\x40" + make.ipv4(make.tcp()), 0x8847),
    make.ethernet(make.ipv4(make.ipv6(make.tcp(b"6in4")), 41)),
]
_SOUND = [
    make.pcap(_FRAMES),
    make.pcap(_FRAMES, ">", make.MODIFIED),
    make.section(options=make.option(1, b"note"))
    + make.interface(options=make.option(9, b"\x09"))
    + b"".join(make.enhanced(frame, options=make.option(1, b"remark")) for frame in _FRAMES)
    + make.simple(make.SEGMENT)
    + make.statistics(1)
    + make.section(">")
    + make.interface(">", 101)
    + make.obsolete(make.ipv4(make.tcp()), order=">"),
]
_SOUND.append(gzip.compress(_SOUND[0]))


@given(
    st.sampled_from(_SOUND),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.one_of(st.just(1.0), st.floats(0, 1)),
)
@settings(max_examples=1500, deadline=None)
def test_flipped_and_cut_captures_are_read_or_refused_but_never_crash(
    sound: bytes, flips: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(sound)
    for place, value in flips:
        data[int(place * len(data))] = value
    try:
        capture = make.read(bytes(data[: int(kept * len(data))]))
    except UnreadableCapture as refusal:
        assert "\n" not in str(refusal)
        return
    assert len(capture.table) + sum(capture.other_packets.values()) == capture.packets
    assert (np.diff(capture.table["frame"].astype(np.int64)) > 0).all()
    assert (capture.first_ns is None) == (capture.packets == 0)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_behind_a_sound_header_never_crash(tail: bytes) -> None:
    for head in (make.pcap_header(), make.section() + make.interface()):
        capture = make.read(head + tail)
        assert len(capture.table) + sum(capture.other_packets.values()) == capture.packets


@given(st.binary(max_size=120), st.sampled_from(sorted(LINKS)))
@settings(max_examples=1500, deadline=None)
def test_a_random_frame_of_any_link_type_is_a_row_or_is_counted(frame: bytes, link_type: int) -> None:
    capture = make.read(make.pcap([frame], link_type=link_type))
    assert len(capture.table) + sum(capture.other_packets.values()) == 1
    assert not any(label.startswith("undecodable") for label in capture.other_packets)
