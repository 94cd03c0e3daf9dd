"""Whatever the bytes: a Capture and a page about it, or a refusal in one line. See `budget.py` to try 100,000."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from capture import builders as make
from hypothesis import given
from hypothesis import strategies as st

from pcapreport.capture.links import ETHERTYPES, LINKS
from pcapreport.capture.tunnels import PORTS, PROTOCOLS

from .budget import share
from .mutations import mutate
from .promise import Depth, keep_for
from .seeds import seeds

SEEDS = [data for _, data in seeds()]
U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
DEPTHS = (Depth.PAGE, Depth.TABLE, *[Depth.DOCUMENT] * 6)
ADDRESSES = {4: ("10.0.0.1", "10.0.0.2", "255.255.255.255"), 6: ("2001:db8::1", "2001:db8::2", "::")}

# --- seeds, mutated ------------------------------------------------------------------------------------------------


@given(st.sampled_from(SEEDS), st.integers(0, (1 << 64) - 1))
@share(25)
def test_mutated_captures_give_a_page_or_are_refused(seed: bytes, number: int) -> None:
    keep_for(mutate(seed, Random(number)), DEPTHS[number % 8])


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.one_of(st.just(1.0), st.floats(0, 1)),
)
@share(15)
def test_flipped_and_cut_captures_are_read_or_refused(
    sound: bytes, flips: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(sound)
    for place, value in flips:
        data[int(place * len(data))] = value
    keep_for(bytes(data[: int(kept * len(data))]), Depth.TABLE)


# --- packets, built with any field wrong ---------------------------------------------------------------------------


def odd(usual: st.SearchStrategy[Any], every: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is usual, sometimes anything."""
    return st.one_of(usual, usual, usual, every)


@st.composite
def tcp_options(draw: st.DrawFn) -> bytes:
    """Options with a true length, or a false one; up to what the header holds, or cut there."""
    made = b""
    for kind in draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 19, 28, 30, 34, 253, 254, 255]), max_size=5)):
        value = draw(st.binary(max_size=18))
        length = draw(odd(st.just(2 + len(value)), U8))
        made += bytes([kind]) if kind < 2 else bytes([kind, length]) + value
    return made[:40]


@st.composite
def segments(draw: st.DrawFn) -> tuple[int, bytes]:
    """A side and its segment; sequence numbers near each other, so that segments belong to one connection."""
    side = draw(st.integers(0, 1))
    sport, dport = ((40_000, 80), (80, 40_000))[side]
    near = st.sampled_from([0, 1, 2, 3, 11, 12, 0x7FFF_FFFF, 0x8000_0001, 0xFFFF_FFFF])
    return side, make.tcp(
        draw(st.binary(max_size=12)),
        sport=draw(odd(st.just(sport), U16)),
        dport=draw(odd(st.just(dport), U16)),
        seq=draw(odd(near, U32)),
        ack=draw(odd(near, U32)),
        flags=draw(odd(st.sampled_from([0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14]), st.integers(0, 0xFFF))),
        window=draw(odd(st.sampled_from([0, 512, 65_535]), U16)),
        options=draw(tcp_options()),
        offset=draw(odd(st.none(), st.integers(0, 15))),
        urgent=draw(odd(st.just(0), U16)),
    )


@st.composite
def packets(draw: st.DrawFn) -> tuple[int, bytes]:
    """(IP version, packet): a segment, perhaps a fragment of it, perhaps in tunnels, any field of which may lie."""
    side, inner = draw(segments())
    protocol, version = 6, 4
    for depth in range(draw(odd(st.just(1), st.integers(1, 4)))):
        if depth:
            protocol, inner = draw(tunnelled(version, inner))
        version = draw(st.sampled_from([4, 4, 6]))
        protocol = draw(odd(st.just(protocol), st.sampled_from([*PROTOCOLS, 0, 4, 6, 17, 41, 43, 44, 51, 58, 60])))
        addresses = [ADDRESSES[version][index] for index in (side, 1 - side)]
        inner = draw((in_ipv4 if version == 4 else in_ipv6)(protocol, inner, *addresses))
    return version, inner


@st.composite
def in_ipv4(draw: st.DrawFn, protocol: int, inner: bytes, src: str, dst: str) -> bytes:
    """Behind an IPv4 header, perhaps with options, perhaps as a fragment."""
    return make.ipv4(
        inner[: draw(odd(st.none(), st.integers(0, len(inner))))],
        protocol,
        src,
        dst,
        ident=draw(odd(st.just(7), U16)),
        fragment=draw(odd(st.just(0), st.one_of(st.sampled_from([0x2000, 0x2001, 1, 2, 0x1FFF]), U16))),
        options=draw(odd(st.just(b""), st.sampled_from([b"\x01" * 4, b"\x44\x08\x05\0" + bytes(4)]))),
        length=draw(odd(st.none(), U16)),
    )


@st.composite
def in_ipv6(draw: st.DrawFn, protocol: int, inner: bytes, src: str, dst: str) -> bytes:
    """Behind an IPv6 header, perhaps with an extension header."""
    extension = draw(odd(st.none(), st.sampled_from([0, 43, 44, 51, 60, 135])))
    if extension is not None:
        head = bytes([protocol, draw(odd(st.just(0), U8))]) + draw(st.binary(min_size=6, max_size=6))
        protocol, inner = extension, head + inner
    return make.ipv6(inner, protocol, src, dst, length=draw(odd(st.none(), U16)))


@st.composite
def tunnelled(draw: st.DrawFn, version: int, inner: bytes) -> tuple[int, bytes]:
    """(IP protocol, payload) that carries an IP packet."""
    ethertype = {4: 0x0800, 6: 0x86DD}[version]
    way = draw(st.integers(0, 3))
    if way == 0:
        return {4: 4, 6: 41}[version], inner
    if way == 1:
        flags = draw(odd(st.sampled_from([0, 0x2000, 0x1000, 0xB000]), U16))
        return 47, struct.pack(">HH", flags, draw(odd(st.just(ethertype), U16))) + inner
    frame = make.ethernet(inner, draw(odd(st.just(ethertype), st.sampled_from(sorted(ETHERTYPES)))))
    head = draw(st.sampled_from([b"\x08" + bytes(7), b"", bytes(2), bytes(8), b"\x30\xff" + bytes(6)]))
    return 17, make.udp(head + (frame if way == 2 else inner), dport=draw(st.sampled_from(sorted(PORTS))))


@st.composite
def captures(draw: st.DrawFn) -> bytes:
    """A pcap or pcapng file of such packets on Ethernet or raw IP, with lengths and times that may lie as well."""
    raw, blocks = draw(st.booleans()), draw(st.booleans())
    link_type = draw(odd(st.just(101 if raw else 1), st.sampled_from(sorted(LINKS))))
    made = make.section() + make.interface(link_type=link_type) if blocks else make.pcap_header(link_type=link_type)
    fraction = 0
    for version, packet in draw(st.lists(packets(), max_size=9)):
        ethertype = draw(odd(st.just({4: 0x0800, 6: 0x86DD}[version]), U16))
        frame = packet if raw else make.ethernet(packet, ethertype, draw(odd(st.just(()), st.just((5, 6)))))
        frame = frame[: draw(odd(st.none(), st.integers(0, 90)))]
        fraction += draw(odd(st.sampled_from([0, 10, 40_000, 200_000, 1_000_000, 61_000_000]), U32))
        wire_len = draw(odd(st.none(), U16))
        cap_len = draw(odd(odd(st.none(), st.none()), st.integers(0, 100)))
        seconds, micros = divmod(fraction, 10**6)
        if blocks:
            ticks = make.START * 10**6 + fraction
            made += make.enhanced(frame, ticks, options=draw(block_options()), wire_len=wire_len, cap_len=cap_len)
        else:
            made += make.pcap_record(frame, make.START + seconds & 0xFFFF_FFFF, micros, wire_len, cap_len=cap_len)
    return made


@st.composite
def block_options(draw: st.DrawFn) -> bytes:
    """Options of a packet block, with lengths that may lie."""
    made = b""
    for code in draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 2988, 32_768]), max_size=3)):
        value = draw(st.binary(max_size=12))
        made += struct.pack("<HH", code, draw(odd(st.just(len(value)), U16))) + value + bytes(-len(value) % 4)
    return made


@given(captures())
@share(25)
def test_packets_with_any_field_wrong_give_a_page(data: bytes) -> None:
    assert keep_for(data, DEPTHS[len(data) % 8]) is not None


# --- raw bytes -----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
@share(10)
def test_random_bytes_behind_a_sound_header_are_a_capture(tail: bytes) -> None:
    for head in (make.pcap_header(), make.section() + make.interface()):
        assert keep_for(head + tail, Depth.TABLE) is not None


@given(st.binary(max_size=120), st.sampled_from(sorted(LINKS)))
@share(15)
def test_a_random_frame_of_any_link_type_is_a_row_or_is_counted(frame: bytes, link_type: int) -> None:
    capture = keep_for(make.pcap([frame], link_type=link_type), Depth.TABLE)
    assert capture is not None and capture.packets == 1
    assert not any(label.startswith("undecodable") for label in capture.other_packets)


@given(st.binary(max_size=400))
@share(10)
def test_any_bytes_behind_any_magic_number_are_a_capture_or_a_refusal(tail: bytes) -> None:
    for magic in (
        b"",
        b"\xd4\xc3\xb2\xa1",
        b"snoop\0\0\0\0\0\0\x02",
        make.section()[:12],
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\0",
    ):
        keep_for(magic + tail, Depth.DOCUMENT)
