"""The vectorised path and the dpkt path agree field by field, and both agree with dpkt itself."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.capture import PacketTable, RowNote, checksums, pcap, pcapng, read_capture
from pcapreport.capture.container import Findings, RecordBlock
from pcapreport.capture.decode import Decoder
from pcapreport.capture.dissect import Dissector
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Gather
from pcapreport.capture.option_order import order_of, orders
from pcapreport.capture.options import read_options, read_segment_options
from pcapreport.capture.packet_table import COLUMNS
from pcapreport.errors import UnreadableCapture
from pcapreport.settings import Limits

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
    9: {4: b"\xff\x03\x00\x21", 6: b"\x00\x57"},
    10: {
        4: b"\x50" + bytes(12) + b"\xaa\xaa\x03\0\0\0\x08\x00",
        6: b"\x50" + bytes(12) + b"\xaa\xaa\x03\0\0\0\x86\xdd",
    },
    51: {4: b"\x11\0\0\x07\xff\xff\x00\x21", 6: b"\x11\0\0\x07\xff\xff\x00\x57"},
    104: {4: b"\x0f\0\x08\x00", 6: b"\x0f\0\x86\xdd"},
    127: {
        4: b"\0\0\x09\0\x02\0\0\0\x10\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\x00",
        6: b"\0\0\x11\0\x03\0\0\0" + bytes(9) + b"\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x86\xdd",
    },
    105: {
        4: b"\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\x00",
        6: b"\x88\x03" + bytes(30) + b"\xaa\xaa\x03\0\0\0\x86\xdd",
    },
}
TAGGED = (1, 10, 104, 113)
"""Link types whose header ends with an EtherType, so that tags may follow."""

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
                b"\x01\x01\x01",
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


TUNNELS: list[tuple[int, bytes, int]] = [
    (4, b"", 0x0800),
    (41, b"", 0x86DD),
    (47, b"\0\0\x08\0", 0x0800),
    (47, b"\xb0\0\x86\xdd" + bytes(12), 0x86DD),
    (47, b"\x10\0\x88\xbe" + bytes(12) + bytes(12) + b"\x08\0", 0x0800),
    (47, b"\x20\0\x65\x58" + bytes(4) + bytes(12) + b"\x81\0\0\x09\x08\0", 0x0800),
    (47, b"\0\0\x82\x10\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\0", 0x0800),
    (47, b"\0\0\x82\x10\x88\x03" + bytes(30) + b"\xaa\xaa\x03\0\0\0\x86\xdd", 0x86DD),
    (47, b"\0\0\x88\x47\0\x01\x00\x40\0\x02\x01\x40", 0x0800),
    (17, struct.pack(">HHHH", 9, 4789, 0, 0) + b"\x08\0\0\0\0\0\x05\0" + bytes(12) + b"\x08\0", 0x0800),
    (17, struct.pack(">HHHH", 6081, 9, 0, 0) + b"\x01\0\x86\xdd\0\0\x07\0" + bytes(4), 0x86DD),
    (17, struct.pack(">HHHH", 9, 2152, 0, 0) + b"\x30\xff\0\0\0\0\0\x01", 0x0800),
    (17, struct.pack(">HHHH", 9, 2152, 0, 0) + b"\x32\xff\0\0\0\0\0\x01\0\0\0\0", 0x86DD),
    (0, b"\x06\0\x01\x04\0\0\0\0", 0),
    (0, b"\x06\0\xc2\x04\0\x01\0\0", 0),
    (0, b"\x06\0\xc2\x04\0\0\0\x1e", 0),
    (0, b"\x06\x01\x05\x02\0\0\xc2\x04\0\x01\0\0\x01\x02\0\0", 0),
]
"""Protocol under which a tunnel rides, its headers, and the EtherType of what it carries (0: a segment)."""


@st.composite
def tunnelled(draw: st.DrawFn, version: int, depth: int = 3) -> bytes:
    """A datagram that carries a segment, or another datagram in a tunnel."""
    if not depth or draw(st.booleans()):
        return draw(datagrams(version))
    protocol, head, inside = draw(st.sampled_from(TUNNELS))
    inner = draw(tunnelled(4 if inside == 0x0800 else 6, depth - 1)) if inside else draw(segments())
    length = draw(st.sampled_from([None, None, 0]))
    return (make.ipv4 if version == 4 else make.ipv6)(head + inner, protocol, length=length)


@st.composite
def records(draw: st.DrawFn, link_type: int) -> bytes:
    """A record: a frame, perhaps padded, cut or with some bytes changed."""
    version = draw(st.sampled_from([4, 4, 6]))
    head = LINK_HEADERS[link_type][version]
    if link_type in TAGGED:
        for tag in draw(st.lists(st.integers(0, 0xFFFF), max_size=3)):
            head = head[:-2] + b"\x81\x00" + struct.pack(">H", tag) + head[-2:]
    frame = bytearray(
        head + draw(st.one_of(datagrams(version), tunnelled(version))) + bytes(draw(st.sampled_from([0, 0, 6])))
    )
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=3)):
        frame[at] = value
    held = frame[: draw(st.one_of(st.just(len(frame)), st.integers(0, len(frame))))]
    return make.pcap_record(bytes(held), wire_len=len(frame) + draw(st.sampled_from([0, 0, 4])))


def only_block(data: bytes) -> tuple[RecordBlock, Findings]:
    found = Findings()
    (block,) = pcap.walk(data, found, Limits())
    return block, found


Rows = dict[int, dict[str, Any]]
"""Frame -> its row by name of column."""


def by_frame(tables: list[PacketTable], paths: Encapsulations) -> Rows:
    """Frame -> its row, with the path and the SACK blocks themselves in place of their numbers."""
    rows: Rows = {}
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


def decode_block(data: bytes, block: RecordBlock, found: Findings) -> tuple[Rows, Rows, set[int]]:
    """Rows by the common path, rows by dpkt alone, and the frames that the common path left."""
    paths, slow_paths, others = Encapsulations(), Encapsulations(), Counter[str]()
    tables, left = Decoder(Gather(data), paths, others, True).decode(block, found.interfaces[0].link_type)
    slow = Dissector(data, slow_paths, Counter(), True).dissect(block, found.interfaces)
    return by_frame(tables, paths), by_frame([slow], slow_paths), set(block.frame[left].tolist())


def decode_both(data: bytes) -> tuple[Rows, Rows, set[int]]:
    block, found = only_block(data)
    return decode_block(data, block, found)


def some_records(link_type: int) -> st.SearchStrategy[tuple[int, list[bytes]]]:
    return st.tuples(st.just(link_type), st.lists(records(link_type), min_size=1, max_size=8))


@given(st.sampled_from(sorted(LINK_HEADERS)).flatmap(some_records))
@settings(max_examples=300, deadline=None)
def test_both_paths_give_the_same_row_wherever_the_common_path_gives_one(case: tuple[int, list[bytes]]) -> None:
    link_type, made = case
    fast, slow, left = decode_both(make.pcap_header(link_type=link_type) + b"".join(made))
    for frame, row in fast.items():
        assert row == slow[frame]
    decided = set(range(1, len(made) + 1)) - left
    assert decided & slow.keys() == fast.keys()


def test_the_usual_layouts_never_need_the_slow_path() -> None:
    usual = make.tcp(b"data", options=b"\x01\x01\x08\x0a" + bytes(8))
    for link_type, heads in LINK_HEADERS.items():
        for version, head in heads.items():
            frame = head + (make.ipv4(usual) if version == 4 else make.ipv6(usual))
            _, _, left = decode_both(make.pcap([frame], link_type=link_type))
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
    assert orders(Gather(raw), start, stop, held)[0] == order_of(raw[:captured], len(raw))
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


# --- captures that others made -------------------------------------------------------------------------------------

CAPTURES = Path(__file__).parents[2] / ".." / "shared" / "captures" / "files"


def files() -> list[Path]:
    return sorted(path for path in CAPTURES.rglob("*") if path.is_file()) if CAPTURES.is_dir() else []


def mutated(data: bytes) -> bytes:
    """Some bytes changed, always the same ones."""
    changed = bytearray(data)
    chance = random.Random(len(data))
    for _ in range(len(changed) // 150):
        changed[chance.randrange(24, len(changed))] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures of others are not at {CAPTURES}")
@pytest.mark.parametrize("change", [bytes, mutated])
def test_both_paths_agree_on_every_frame_of_recorded_captures_also_when_mutated(
    change: Callable[[bytes], bytes],
) -> None:
    compared = segments_seen = 0
    for path in files():
        data = path.read_bytes()
        walk = pcap.walk if pcap.byte_order(data[:4]) else pcapng.walk if pcapng.byte_order(data[:12]) else None
        if walk is None or not 28 < len(data) < 2_000_000:
            continue
        found, data = Findings(), change(data)
        for whole in walk(data, found, Limits()):
            block = whole.pick(whole.interface == 0)
            fast, slow, left = decode_block(data, block, found)
            for frame, row in fast.items():
                assert row == slow[frame], (path, frame)
            assert (set(block.frame.tolist()) - left) & slow.keys() == fast.keys(), path
            compared, segments_seen = compared + len(fast), segments_seen + len(slow)
    assert compared > (18_000 if change is bytes else 8_000)
    assert compared > (0.99 if change is bytes else 0.9) * segments_seen


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures of others are not at {CAPTURES}")
def test_the_common_path_decodes_at_least_99_percent_of_recorded_segments() -> None:
    total = dissected = 0
    for path in files():
        try:
            notes = read_capture(path).table["notes"]
        except UnreadableCapture:
            continue
        total += len(notes)
        dissected += int(np.count_nonzero(notes & RowNote.DISSECTED))
    assert total > 100_000
    assert dissected < 0.01 * total
