"""Sound captures to start from: the samples, and small files made of bytes for every container, link and tunnel.

python -m fuzz.seeds DIR        (in tests/) writes them into a directory, one file a seed
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from capture import builders as make

from pcapreport.capture.links import ETHERTYPES, LINKS
from pcapreport.capture.tunnels import PORTS, PROTOCOLS

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
LARGEST_SAMPLE = 4_096
"""Bytes: a mutation of a small file is more likely to hit something, and is tried sooner."""

TIMESTAMPS = b"\x01\x01\x08\x0a" + bytes(8)
SACK = b"\x01\x01\x05\x12" + struct.pack(">4I", 10, 20, 30, 40)
SYN_OPTIONS = b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + bytes(8) + b"\x01\x03\x03\x07\x22\x0a" + bytes(8)
MPTCP = b"\x1e\x0c\x01\x81" + bytes(8)

INNER = make.ipv4(make.tcp(b"inner", options=TIMESTAMPS))
_SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
_UNREACHABLE = b"\x03\x04" + bytes(4) + b"\x05\xdc" + INNER[:28]

FRAMES = [
    make.SEGMENT,
    make.ethernet(make.ipv4(make.tcp(flags=2, options=SYN_OPTIONS))),
    make.ethernet(make.ipv4(make.tcp(b"abcd", options=SACK + MPTCP), options=b"\x01" * 4)),
    make.ethernet(make.ipv6(make.tcp(b"abc", options=TIMESTAMPS)), 0x86DD, vlans=[5, 6]),
    make.ethernet(make.ipv6(struct.pack(">BBHI", 6, 0, 1, 9) + make.tcp(b"abcd"), 44), 0x86DD),
    make.ethernet(make.ipv6(struct.pack(">BBHI", 6, 0, 0, 9) + make.tcp(b"abcd")[8:], 44), 0x86DD),
    make.ethernet(make.ipv6(bytes([43, 0]) + bytes(6) + bytes([6, 2, 4, 1]) + bytes(20) + make.tcp(), 0), 0x86DD),
    make.ethernet(make.ipv4(make.tcp(b"x" * 8)[:16], fragment=0x2000)),
    make.ethernet(make.ipv4(make.tcp(b"x" * 8)[16:], fragment=2)),
    make.ethernet(make.ipv4(b"\x20\0\x08\0" + bytes(4) + INNER, 47)),
    make.ethernet(make.ipv4(b"\x10\0\x88\xbe" + bytes(12) + make.SEGMENT, 47)),
    make.ethernet(make.ipv4(make.udp(b"\x08\0\0\0\0\0\x05\0" + make.SEGMENT, dport=4789), 17)),
    make.ethernet(make.ipv4(make.udp(b"\x30\xff\0\0\0\0\0\1" + INNER, dport=2152), 17)),
    make.ethernet(b"\0\x01\x01\x40" + INNER, 0x8847),
    make.ethernet(b"\x11\0\0\1" + struct.pack(">H", len(INNER) + 2) + b"\0\x21" + INNER, 0x8864),
    make.ethernet(make.ipv4(make.ipv6(make.tcp(b"6in4")), 41)),
    make.ethernet(make.ipv4(_UNREACHABLE, 1)),
]


def seeds() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every seed; the same ones in the same order each time."""
    yield from _containers()
    yield from _links()
    yield from _tunnels()
    for path in sorted(SAMPLES.glob("*.pcap*")):
        if path.stat().st_size <= LARGEST_SAMPLE:
            yield path.name, path.read_bytes()


def _containers() -> Iterator[tuple[str, bytes]]:
    plain = make.pcap(FRAMES)
    yield "plain.pcap", plain
    yield "modified.pcap", make.pcap(FRAMES[:4], ">", make.MODIFIED)
    yield "nanoseconds.pcap", make.pcap(FRAMES[:4], "<", make.NANOSECONDS)
    swapped = b"".join(make.pcap_record(frame, wire_len=len(frame)) for frame in FRAMES[:4])
    yield "version-2.3.pcap", make.pcap_header(version=(2, 3)) + swapped
    yield "blocks.pcapng", _pcapng()
    yield "plain.snoop", b"snoop\0\0\0" + struct.pack(">II", 2, 4) + b"".join(map(_snoop_record, FRAMES[:6]))
    for suffix, pack in (("gz", _gzip), ("bz2", bz2.compress), ("xz", lzma.compress)):
        yield f"plain.pcap.{suffix}", pack(plain)
    yield "no-packets.pcap", make.pcap([])


def _gzip(data: bytes) -> bytes:
    """Without the time of day, so that a seed is the same every time."""
    return gzip.compress(data, mtime=0)


def _snoop_record(frame: bytes) -> bytes:
    padding = bytes(-len(frame) % 4)
    return (
        struct.pack(">6I", len(frame), len(frame), 24 + len(frame) + len(padding), 1, make.START, 9) + frame + padding
    )


def _pcapng() -> bytes:
    """Every kind of block, in two sections of either byte order."""
    option = make.option
    described = (
        option(2, b"eth0") + option(9, b"\x89") + option(14, bytes(8)) + option(11, b"\0tcp") + option(13, b"\4")
    )
    remarks = option(1, b"remark") + option(2, bytes(4)) + option(4, bytes(8)) + option(0, b"")
    return b"".join(
        [
            make.section(options=option(1, b"note") + option(3, b"Linux") + option(4, b"tool")),
            make.interface(options=described),
            make.interface(link_type=101, snaplen=96, options=option(9, b"\x06")),
            *(make.enhanced(frame, options=remarks) for frame in FRAMES[:6]),
            make.enhanced(INNER, index=1),
            make.simple(make.SEGMENT),
            make.block(4, struct.pack("<HH", 1, 7) + bytes([10, 0, 0, 1]) + b"us\0\0" + bytes(4)),
            make.statistics(3),
            make.block(0xBAD, b"\0\0\x12\x34custom.."),
            make.block(9, b"JOURNAL=1\n.."),
            make.section(">"),
            make.interface(">", 113),
            make.obsolete(bytes(14) + b"\x08\0" + INNER, order=">"),
        ]
    )


def _links() -> Iterator[tuple[str, bytes]]:
    """A packet behind headers of zeros, for each link type; mutations find what the headers must say."""
    for link_type in sorted(LINKS):
        frames = [INNER, bytes(4) + INNER, bytes(8) + _SNAP + INNER, bytes(24) + _SNAP + INNER, bytes(2) + INNER]
        yield f"link-{link_type}.pcap", make.pcap(frames, link_type=link_type)


def _tunnels() -> Iterator[tuple[str, bytes]]:
    """Packets behind every EtherType, IP protocol and UDP port that is taken apart."""
    shapes = [INNER, bytes(4) + INNER, bytes(8) + make.SEGMENT]
    for kind in sorted(ETHERTYPES):
        yield f"ethertype-{kind:x}.pcap", make.pcap(make.ethernet(shape, kind) for shape in shapes)
    for protocol in sorted({*PROTOCOLS, 0, 4, 41, 43, 44, 51, 60, 135}):
        whole = [make.ethernet(make.ipv4(shape, protocol)) for shape in shapes]
        whole += [make.ethernet(make.ipv6(shape, protocol), 0x86DD) for shape in shapes]
        yield f"protocol-{protocol}.pcap", make.pcap(whole)
    for port in sorted(PORTS):
        carried = (make.udp(shape, dport=port) for shape in shapes)
        yield f"port-{port}.pcap", make.pcap(make.ethernet(make.ipv4(datagram, 17)) for datagram in carried)


def write_seeds(folder: Path) -> int:
    """Write every seed into the folder, which is made where need be; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, data in seeds():
        (folder / name).write_bytes(data)
        count += 1
    return count


if __name__ == "__main__":
    print(write_seeds(Path(sys.argv[1])), "seeds")
