"""Frames made byte by byte, of every layer that is read here, as Wireshark reads them.

All stand in one pcapng file with an interface for each link type, so that Wireshark reads them in one go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from pcapreport.capture import Capture, read_capture

from . import builders as make
from .builders import START
from .test_decode import INNER, LABEL_STACK, NESTED, WLAN
from .test_layers import AGGREGATE, RARE, SNAP, fragments, subframe
from .wireshark import SEGMENT_FIELDS, Wireshark, needs_wireshark, our_segments, their_segments

pytestmark = needs_wireshark


def inner(version: int) -> bytes:
    return INNER if version == 4 else make.ipv6(make.tcp(b"inner"))


def over(protocol: int, payload: bytes, outer: int = 4) -> bytes:
    if outer == 4:
        return make.ethernet(make.ipv4(payload, protocol, src="192.0.2.1", dst="192.0.2.2"))
    return make.ethernet(make.ipv6(payload, protocol, src="2001:db8:1::1", dst="2001:db8:1::2"), 0x86DD)


def over_udp(port: int, payload: bytes, outer: int = 4) -> bytes:
    return over(17, make.udp(payload, dport=port), outer)


def extended(*headers: bytes, payload: bytes = make.tcp(b"inner")) -> bytes:
    """IPv6 with extension headers: each without its first byte, which says what comes next."""
    numbers = [header[0] for header in headers] + [6]
    chain = b"".join(bytes([after]) + header[1:] for header, after in zip(headers, numbers[1:], strict=True))
    return make.ethernet(make.ipv6(chain + payload, numbers[0]), 0x86DD)


def radiotap(fields: bytes, present: int, frame: bytes) -> bytes:
    return struct.pack("<BBHI", 0, 0, 8 + len(fields), present) + fields + frame


HOP_BY_HOP, DESTINATION = b"\x00\0\x01\x04\0\0\0\0", b"\x3c\0\x01\x04\0\0\0\0"
ROUTING, AUTHENTICATION = b"\x2b\0\0\0\0\0\0\0", b"\x33\x04" + bytes(22)
ATOMIC, MOBILITY = b"\x2c\0\0\0\0\0\0\x09", b"\x87\0\0\0\0\0\0\0"
IN_ETHERNET = make.ethernet(INNER)
QOS = b"\x88\x01" + bytes(22)

TAGS = {
    f"{len(stack)} VLAN tags under {ethertype:#06x}, IPv{version}": make.ethernet(
        struct.pack(">H", stack[0])
        + b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in stack[1:])
        + (b"\x08\0" if version == 4 else b"\x86\xdd")
        + inner(version),
        ethertype,
    )
    for stack in ([7], [7, 8], [7, 8, 9])
    for ethertype in (0x8100, 0x88A8, 0x9100)
    for version in (4, 6)
}
LOOPBACK = {
    f"link type {link_type}, family {family} as {order}": (
        link_type,
        struct.pack(order + "I", family) + inner(4 if family == 2 else 6),
    )
    for link_type in (0, 108)
    for order in "<>"
    for family in (2, 24, 28, 30)
}
GRE = {
    f"GRE with flags {flags:#06x} in IPv{outer}": over(
        47, struct.pack(">HH", flags, 0x0800) + bytes(size) + INNER, outer
    )
    for flags, size in ((0, 0), (0x8000, 4), (0x2000, 4), (0x1000, 4), (0xB000, 12))
    for outer in (4, 6)
}
ON_ETHERNET = {
    "Ethernet": IN_ETHERNET,
    "Ethernet with a trailer": make.ethernet(make.ipv4(make.tcp())) + bytes(6),
    **TAGS,
    "MPLS, IPv4": make.ethernet(LABEL_STACK + INNER, 0x8847),
    "MPLS, IPv6": make.ethernet(LABEL_STACK + inner(6), 0x8847),
    "VLAN and MPLS": make.ethernet(LABEL_STACK + INNER, 0x8847, vlans=[5]),
    "PPPoE, IPv6": make.ethernet(b"\x11\0\0\x07" + struct.pack(">H", 2 + 65) + b"\0\x57" + inner(6), 0x8864),
    **GRE,
    "PPTP": over(47, b"\x30\x81\x88\x0b" + struct.pack(">HHII", 4 + len(INNER), 1, 2, 3) + b"\xff\x03\0\x21" + INNER),
    "NVGRE": over(47, b"\x20\0\x65\x58\0\0\x2a\0" + IN_ETHERNET),
    "ERSPAN type I": over(47, b"\0\0\x88\xbe" + IN_ETHERNET),
    "ERSPAN type II": over(47, b"\x10\0\x88\xbe" + bytes(4) + b"\x10\0\0\0\0\0\0\0" + IN_ETHERNET),
    "ERSPAN type III": over(47, b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(11) + IN_ETHERNET),
    "IPIP": over(4, INNER),
    "6in4": over(41, inner(6)),
    "4in6": over(4, INNER, 6),
    "6in6": over(41, inner(6), 6),
    "6in4 in GRE": over(47, b"\0\0\x08\0" + make.ipv4(inner(6), 41)),
    "VXLAN": over_udp(4789, b"\x08\0\0\0\0\0\x2a\0" + IN_ETHERNET),
    "VXLAN in IPv6": over_udp(4789, b"\x08\0\0\0\0\0\x2a\0" + make.ethernet(inner(6), 0x86DD), 6),
    "VXLAN with a VLAN inside": over_udp(4789, b"\x08\0\0\0\0\0\x2a\0" + make.ethernet(INNER, vlans=[3])),
    "Geneve with IPv6": over_udp(6081, b"\0\0\x86\xdd\0\0\x07\0" + inner(6)),
    "Geneve with Ethernet and options": over_udp(
        6081, b"\x02\0\x65\x58\0\0\x07\0" + bytes(3) + b"\x01" + bytes(4) + IN_ETHERNET
    ),
    "GTP-U": over_udp(2152, b"\x30\xff" + struct.pack(">HI", len(INNER), 1) + INNER),
    "GTP-U with a sequence number": over_udp(
        2152, b"\x32\xff" + struct.pack(">HI", 4 + len(INNER), 1) + b"\0\x01\0\0" + INNER
    ),
    "GTP-U with IPv6": over_udp(2152, b"\x30\xff" + struct.pack(">HI", 65, 1) + inner(6)),
    "GTP-U with an extension": over_udp(
        2152, b"\x34\xff" + struct.pack(">HI", 8 + len(INNER), 1) + b"\0\0\0\x85\x01\0\0\0" + INNER
    ),
    "IPv4 options": make.ethernet(make.ipv4(make.tcp(b"inner"), options=b"\x94\x04\0\0" + b"\x01" * 4)),
    "jumbo frame": make.ethernet(make.ipv4(make.tcp(bytes(8_900)))),
    "hop-by-hop options": extended(HOP_BY_HOP),
    "all extension headers": extended(HOP_BY_HOP, DESTINATION, ROUTING, ATOMIC, AUTHENTICATION, DESTINATION),
    "extension headers in another order": extended(DESTINATION, AUTHENTICATION, ROUTING, DESTINATION, ATOMIC),
    "segmentation offload without IP length": make.ethernet(make.ipv4(make.tcp(bytes(3_000)), length=0)),
    "IPv6 without length": make.ethernet(make.ipv6(make.tcp(bytes(3_000)), length=0), 0x86DD),
    "BIG TCP": make.ethernet(
        make.ipv6(b"\x06\0\xc2\x04" + struct.pack(">I", 70_028) + make.tcp(bytes(70_000)), 0, length=0), 0x86DD
    ),
}  # fmt: skip
OPTION_LISTS = {
    "a usual SYN": b"\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\x05\0\0\0\0\x01\x03\x03\x07",
    "timestamps": b"\x01\x01\x08\x0a\x12\x34\x56\x78\x9a\xbc\xde\xf0",
    "one SACK block": b"\x01\x01\x05\x0a" + struct.pack(">II", 4_294_967_000, 100),
    "four SACK blocks": b"\x01\x01\x05\x22" + struct.pack(">8I", *range(10, 90, 10)),
    "SACK and timestamps": b"\x01\x01\x08\x0a"
    + bytes(8)
    + b"\x01\x01\x05\x1a"
    + struct.pack(">6I", *range(10, 70, 10)),
    "Fast Open asks": b"\x22\x02\x01\x01",
    "Fast Open cookie": b"\x22\x0a" + bytes(8) + b"\x01\x01",
    "MP_CAPABLE": b"\x1e\x0c\x00\x81" + bytes(8),
    "MP_JOIN": b"\x1e\x0c\x10\x01" + bytes(8),
    "DSS": b"\x1e\x08\x20\x01" + bytes(4),
    "MP_FASTCLOSE": b"\x1e\x0c\x70\x00" + bytes(8),
    "MD5": b"\x13\x12" + bytes(16) + b"\x01\x01",
    "authentication": b"\x1d\x10\x01\x02" + bytes(12),
    "user timeout": b"\x1c\x04\x80\x05",
    "experiment": b"\xfd\x04\x12\x34",
    "unknown kind": b"\x4d\x04\0\0",
    "window scale above 14": b"\x03\x03\x20\x01",
    "end before more": b"\x03\x03\x02\x00\x02\x04\x05\xb4",
}
MALFORMED = {
    "length 0": b"\x03\x03\x04\x01" + b"\x08\0\0\0",
    "length 1": b"\x03\x03\x04\x01" + b"\x08\x01\0\0",
    "beyond the header": b"\x03\x03\x04\x01" + b"\x08\x20\0\0",
}
OTHER_LINKS = {
    **LOOPBACK,
    **{f"raw IPv{version} as link type {number}": (number, inner(version)) for number in (101,) for version in (4, 6)},
    "link type IPv4": (228, INNER),
    "link type IPv6": (229, inner(6)),
    "Linux cooked": (113, b"\0\0\0\x01\0\x06" + bytes(8) + b"\x08\0" + INNER),
    "Linux cooked, IPv6": (113, b"\0\0\0\x01\0\x06" + bytes(8) + b"\x86\xdd" + inner(6)),
    "Linux cooked with MPLS": (113, b"\0\0\0\x01\0\x06" + bytes(8) + b"\x88\x47" + LABEL_STACK + INNER),
    "Linux cooked v2": (276, b"\x08\0\0\0\0\0\0\x01\0\x01\0\x06" + bytes(8) + INNER),
    "Linux cooked v2 with a VLAN": (276, b"\x81\0\0\0\0\0\0\x01\0\x01\0\x06" + bytes(8) + b"\0\x05\x08\0" + INNER),
    "PPP": (9, b"\xff\x03\0\x21" + INNER),
    "PPP, IPv6": (9, b"\xff\x03\0\x57" + inner(6)),
    "PPP without address": (9, b"\0\x21" + INNER),
    "PPP, one byte": (9, b"\x21" + INNER),
    "PPP with MPLS": (9, b"\xff\x03\x02\x81" + LABEL_STACK + INNER),
    "PPP serial": (50, b"\xff\x03\0\x21" + INNER),
    "Cisco HDLC": (104, b"\x0f\0\x08\0" + INNER),
    "Cisco HDLC broadcast, IPv6": (104, b"\x8f\0\x86\xdd" + inner(6)),
    "802.11": (105, b"\x08\x01" + bytes(22) + SNAP + INNER),
    "802.11 from the access point": (105, b"\x08\x02" + bytes(22) + SNAP + INNER),
    "802.11 with four addresses": (105, b"\x08\x03" + bytes(28) + SNAP + INNER),
    "802.11 QoS": (105, QOS + bytes(2) + SNAP + INNER),
    "802.11 QoS with HT control": (105, b"\x88\x81" + bytes(22) + bytes(2) + bytes(4) + SNAP + INNER),
    "802.11 aggregate": (105, AGGREGATE + subframe(1) + subframe(2) + subframe(3, last=True)),
    "radiotap": (127, radiotap(b"", 0, WLAN)),
    "radiotap with time and check sequence": (127, radiotap(bytes(8) + b"\x10", 0x3, WLAN + b"FCS!")),
    "radiotap with padding": (127, radiotap(b"\x20", 0x2, QOS + bytes(2) + b"\0\0" + SNAP + INNER)),
    "radiotap of two presence words": (127, radiotap(struct.pack("<I", 0) + b"\0", 0x8000_0002, WLAN)),
    "PPI": (192, struct.pack("<BBHI", 0, 0, 8, 105) + WLAN),
    "Prism": (119, struct.pack("<II", 0x44, 144) + bytes(136) + WLAN),
    "AVS": (163, struct.pack(">II", 0x80211001, 64) + bytes(56) + WLAN),
    "nflog": (239, struct.pack("<BBH", 2, 0, 0) + struct.pack("<HH", 4 + len(INNER), 9) + INNER),
    "pktap": (258, struct.pack("<III", 108, 1, 1) + bytes(96) + IN_ETHERNET),
    "IP over InfiniBand": (242, bytes(40) + b"\x08\0\0\0" + INNER),
    "Frame Relay": (107, b"\x18\x41\x03\xcc" + INNER),
    "FDDI": (10, b"\x50" + bytes(12) + SNAP + INNER),
}
FRAGMENTED = {
    f"fragments of IPv{version}, {order}": (version, pieces)
    for version in (4, 6)
    for order, pieces in {
        "in order": [(0, 16), (16, 40), (40, 64)],
        "the last first": [(40, 64), (16, 40), (0, 16)],
        "with a copy": [(0, 16), (0, 16), (16, 40), (40, 64)],
        "one missing": [(0, 16), (40, 64)],
    }.items()
}


def made_frames() -> Iterator[tuple[str, int, bytes]]:
    """Name, link type and bytes; a name with several frames is one datagram in fragments."""
    for number, (frame, link_type, path) in enumerate([*NESTED, *RARE]):
        yield f"{path} ({number})", link_type, frame
    for name, frame in ON_ETHERNET.items():
        yield name, 1, frame
    for name, options in {**OPTION_LISTS, **MALFORMED}.items():
        yield f"option: {name}", 1, make.ethernet(make.ipv4(make.tcp(b"inner", options=options)))
    for name, (link_type, frame) in OTHER_LINKS.items():
        yield name, link_type, frame
    whole = make.tcp(bytes(range(44)))
    for number, (name, (version, pieces)) in enumerate(FRAGMENTED.items()):
        for frame in fragments([(start, whole[start:stop]) for start, stop in pieces], 64, version):
            at, size = (18, 2) if version == 4 else (58, 4)
            yield name, 1, frame[:at] + (1_000 + number).to_bytes(size, "big") + frame[at + size :]


def one_capture(frames: list[tuple[str, int, bytes]]) -> bytes:
    links = sorted({link_type for _, link_type, _ in frames})
    described = b"".join(make.interface(link_type=link_type) for link_type in links)
    packets = [
        make.enhanced(frame, START * 10**6 + number, links.index(link_type))
        for number, (_, link_type, frame) in enumerate(frames)
    ]
    return make.section() + described + b"".join(packets)


@pytest.fixture(scope="module")
def read_by_both(
    wireshark: Wireshark, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Capture, dict[int, dict[str, list[str]]]]:
    path = tmp_path_factory.mktemp("made") / "made.pcapng"
    path.write_bytes(one_capture(list(made_frames())))
    return read_capture(path), wireshark.frames(path, SEGMENT_FIELDS)


KNOWN = {
    "ethernet/mpls/ethernet (5)": "a guess of both at what follows the labels; Wireshark misses the control word",
    "ethernet/ipv4/gre/erspan/ethernet (13)": "a version of ERSPAN that Wireshark does not know",
    "ethernet/ipv4/gre/erspan/ethernet (31)": "a version of ERSPAN that Wireshark does not know",
    "ethernet/ipv4/udp/gtp (18)": "a GTP length of 0",
    "ethernet/ipv4/udp/gtp (19)": "a GTP length of 0",
    "IPv6 without length": "Wireshark sees no TCP header in a datagram of length 0 without a jumbo option",
    **{
        f"link type 108, family {family} as <": "network byte order by definition, but some hosts wrote their own"
        for family in (2, 24, 28, 30)
    },
}
"""Frames that Wireshark 4.0 gives up on, and why; we read them."""


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _, _ in made_frames()))
def test_made_frames_are_read_as_wireshark_reads_them(
    name: str, read_by_both: tuple[Capture, dict[int, dict[str, list[str]]]]
) -> None:
    capture, theirs = read_by_both
    ours = our_segments(capture.table)
    frames = [number for number, (named, _, _) in enumerate(made_frames(), 1) if named == name]
    if name in KNOWN:
        assert [their_segments(theirs[frame]) for frame in frames] == [None]
        assert len(ours[frames[0]]["sport"]) == 1
    else:
        for frame in frames:
            assert ours.get(frame) == their_segments(theirs[frame])
