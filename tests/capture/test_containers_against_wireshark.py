"""Containers made byte by byte, of every kind that is read here, as Wireshark reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pcapreport.capture import read_capture

from . import builders as make
from .builders import SEGMENT, START
from .test_decode import INNER
from .test_layers import SNAP
from .test_snoop import snoop, snoop_record
from .wireshark import (
    SEGMENT_FIELDS,
    Wireshark,
    needs_wireshark,
    our_segments,
    their_segments,
    time_ns,
    times_of_all_records,
)

pytestmark = needs_wireshark

WITHOUT_LENGTH = make.ethernet(make.ipv4(make.tcp(b"hi"), length=0)) + b"FCS!"
"""Its payload ends where the frame ends, so that a check sequence would be taken for payload."""


def clock(order: str, resolution: int | None, ticks: int, offset: int = 0) -> bytes:
    options = b"" if resolution is None else make.option(9, bytes([resolution]), order)
    options += make.option(14, struct.pack(order + "q", offset), order) if offset else b""
    return make.interface(order, options=options) + make.enhanced(SEGMENT, ticks, order=order)


def blocks_between(order: str) -> bytes:
    """Packets with a block of every other kind among them."""
    packet = make.enhanced(SEGMENT, order=order, options=make.option(1, b"remark", order) + make.option(0, b"", order))
    about = make.option(2, b"host", order) + make.option(3, b"Linux", order) + make.option(4, b"dumpcap", order)
    entry = struct.pack(order + "HH", 1, 9) + b"\x0a\0\0\x01host\0" + bytes(3)
    names = make.block(4, entry + bytes(4), order)
    secrets = make.block(10, struct.pack(order + "II", 0x544C534B, 4) + b"KEY\n", order)
    journal = make.block(9, b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=hello\n" + bytes(4), order)
    custom = make.block(0xBAD, struct.pack(order + "I", 32473) + b"data", order)
    between = (names, secrets, journal, custom, make.statistics(3, order=order))
    return make.section(order, about) + make.interface(order) + packet + b"".join(one + packet for one in between)


TICKS = {
    "seconds": (0, START),
    "milliseconds": (3, START * 10**3 + 7),
    "nanoseconds": (9, START * 10**9 + 7),
    "picoseconds": (12, 3_000_000 * 10**12 + 7_654),
    "2^-10 s": (0x80 | 10, (START << 10) + 333),
    "2^-20 s": (0x80 | 20, (START << 20) + 333_333),
    "2^-30 s": (0x80 | 30, (START << 30) + 333_333_333),
    "2^-32 s": (0x80 | 32, (START << 32) + 3_333_333_333),
}
CONTAINERS = {
    **{
        f"pcap of magic {magic:x}, order {order}": make.pcap([SEGMENT, SEGMENT[:30], SEGMENT], order, magic)
        for magic in (make.MICROSECONDS, make.NANOSECONDS, make.MODIFIED)
        for order in "<>"
    },
    "pcap after 2038": make.pcap_header() + make.pcap_record(SEGMENT, 0xFFFF_FFFE, 999_999),
    "pcap with a check sequence": make.pcap_header(link_type=0x2400_0001) + make.pcap_record(WITHOUT_LENGTH),
    "pcap, cut by its snaplen": make.pcap_header(snaplen=60)
    + b"".join(make.pcap_record(SEGMENT[:size], wire_len=1_000) for size in (54, 56, 59)),
    "pcap, large packets cut": make.pcap_header(snaplen=68)
    + make.pcap_record(make.ethernet(make.ipv4(make.tcp(bytes(1_400))))[:68], wire_len=1_454),
    **{
        f"pcapng in {name}, order {order}": make.section(order) + clock(order, resolution, ticks)
        for name, (resolution, ticks) in TICKS.items()
        for order in "<>"
    },
    **{
        f"pcapng with an offset of {offset} s": make.section() + clock("<", None, 1_500_000, offset)
        for offset in (START, -1, -START, -3_000_000_000)
    },
    "pcapng of sections in either order": b"".join(
        make.section(order) + clock(order, 9, START * 10**9) for order in "<><"
    ),
    "pcapng, a check sequence by interface": make.section()
    + make.interface(options=make.option(13, b"\x04"))
    + make.enhanced(WITHOUT_LENGTH),
    "pcapng, a check sequence by packet": make.section()
    + make.interface()
    + make.enhanced(WITHOUT_LENGTH, options=make.option(2, struct.pack("<I", 4 << 5)) + make.option(0, b"")),
    "pcapng, cut by its snaplen": make.section()
    + make.interface(snaplen=56)
    + make.enhanced(SEGMENT[:56], wire_len=59),
    **{f"pcapng with other blocks, order {order}": blocks_between(order) for order in "<>"},
    "snoop": snoop([snoop_record(SEGMENT, 5), snoop_record(SEGMENT[:56], 7, 0, len(SEGMENT))]),
    "snoop of FDDI": snoop([snoop_record(b"\x50" + bytes(12) + SNAP + INNER, 5)], 8),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_made_containers_have_wiresharks_frames_times_and_segments(
    name: str, wireshark: Wireshark, tmp_path: Path
) -> None:
    path = tmp_path / "made"
    path.write_bytes(CONTAINERS[name])
    capture, theirs = read_capture(path), wireshark.frames(path, SEGMENT_FIELDS)
    ours = our_segments(capture.table)
    times = times_of_all_records(path)
    numbered = sum(capture.other_blocks.get(kind, 0) for kind in ("custom", "systemd journal"))
    assert capture.packets == len(times) == len(theirs) - numbered
    for frame, at in times.items():
        assert at == time_ns(theirs[frame]["frame.time_epoch"])
        assert ours.get(frame) == their_segments(theirs[frame])
    assert set(times) >= set(ours)
    assert capture.complete
