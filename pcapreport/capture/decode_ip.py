"""IP and what may stand between it and a segment, for many frames at once: the counterpart of tunnels.py.

IPv4 without fragments, IPv6 with no extension header but hop-by-hop options, IP in IP, GRE, and the usual tunnels over
UDP.
"""

from __future__ import annotations

import numpy as np

from pcapreport.capture.decode_links import IPV4_TYPE, IPV6_TYPE, by_version
from pcapreport.capture.gather import Ints
from pcapreport.capture.icmp import ERRORS_4, ERRORS_6
from pcapreport.capture.lanes import NO_LENGTH, VERSION_6, Descent, Handler, Handlers, Lanes
from pcapreport.capture.layers import JUMBO, MOST_WITHOUT_JUMBO, Space
from pcapreport.capture.links import ETHERNET, WLAN
from pcapreport.capture.protocols import ip_label
from pcapreport.capture.tunnels import ARUBA, ERSPAN_2, ERSPAN_3, ESP_IN_UDP, GTP_USER_DATA, PORTS, WCCP

TCP, UDP = 6, 17

IPV4 = np.dtype(
    [("version", "u1"), ("tos", "u1"), ("length", ">u2"), ("id", ">u2"), ("fragment", ">u2"), ("ttl", "u1"),
     ("protocol", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4")]
)  # fmt: skip
IPV6 = np.dtype(
    [("version", ">u4"), ("length", ">u2"), ("next", "u1"), ("ttl", "u1"),
     ("src_hi", ">u8"), ("src_lo", ">u8"), ("dst_hi", ">u8"), ("dst_lo", ">u8")]
)  # fmt: skip

_MORE_OR_OFFSET = 0x3FFF
"""More-fragments flag and fragment offset."""

_HOP_BY_HOP = 0
_JUMBO_ALONE = 0x00 << 16 | JUMBO << 8 | 4
"""Options of 8 bytes, the first of which is Jumbo Payload."""
_QUOTED_EXTENSIONS = (0, 43, 44, 51, 60)


def _ipv4(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(20))
    header = descent.gather.headers(IPV4, lanes.at)
    version = header["version"]
    size = (version & 15).astype(np.int64) * 4
    length = header["length"].astype(np.int64)
    sound = (version >> 4 == 4) & (size >= 20) & ((length >= size) | (length == 0)) & lanes.holds(size)
    sound &= (header["fragment"] & _MORE_OR_OFFSET) == 0
    protocol = header["protocol"].astype(np.int64)
    if not sound.all():
        lanes, size, length, protocol = lanes.pick(sound), size[sound], length[sound], protocol[sound]
    lanes = lanes.named(descent.paths.add(lanes.path, "ipv4")).inside(
        (length == 0).astype(np.uint8) * np.uint8(NO_LENGTH)
    )
    inner = lanes.trim(length) if length.all() else lanes.trim(np.where(length == 0, 1 << 32, length))
    descent.go_each(Space.PROTOCOL, protocol, inner.skip(size))


def _ipv6(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(40))
    lanes = lanes.pick(descent.gather.numbers("u1", lanes.at) >> 4 == 6)
    header = descent.gather.headers(IPV6, lanes.at)
    length, protocol = header["length"].astype(np.int64), header["next"].astype(np.int64)
    optioned = (protocol == _HOP_BY_HOP) & lanes.holds(48)
    endless = optioned & (length == 0)
    if endless.any():
        length[endless] = _jumbo(descent, lanes.at[endless] + 40)
        known = ~endless | (length > 0)
        lanes, length, protocol, optioned = lanes.pick(known), length[known], protocol[known], optioned[known]
    notes = np.where(length == 0, np.uint8(NO_LENGTH | VERSION_6), np.uint8(VERSION_6))
    lanes = lanes.named(descent.paths.add(lanes.path, "ipv6")).inside(notes)
    inner = lanes.trim(np.where(length == 0, 1 << 32, length + 40)).skip(40)
    optioned &= inner.holds(8)
    if optioned.any():
        word = descent.gather.numbers(">u2", inner.at)
        inner = inner.skip(np.where(optioned, ((word & 0xFF) + 1) * 8, 0))
        protocol = np.where(optioned, word >> 8, protocol)
    descent.go_each(Space.PROTOCOL, protocol, inner)


def _jumbo(descent: Descent, options_at: Ints) -> Ints:
    """Payload lengths where hop-by-hop options are one Jumbo Payload option, as BIG TCP writes it; 0 elsewhere."""
    option, length = (descent.gather.numbers(">u4", options_at + at) for at in (0, 4))
    alone = (option & 0x00FF_FFFF == _JUMBO_ALONE) & (length > MOST_WITHOUT_JUMBO)
    return np.where(alone, length, 0)


def _in_ip(ethertype: int) -> Handler:
    return lambda descent, lanes: descent.go(Space.ETHERTYPE, ethertype, lanes)


def _icmp(protocol: int, errors: frozenset[int], next_at: int) -> Handler:
    """Errors about TCP are evidence and left for dissect.py, the rest is counted."""
    maybe_tcp = (TCP,) if protocol == 1 else (TCP, *_QUOTED_EXTENSIONS)

    def handler(descent: Descent, lanes: Lanes) -> None:
        kind, quoted = (descent.gather.numbers("u1", lanes.at + at) for at in (0, 8 + next_at))
        evidence = np.isin(kind, list(errors)) & np.isin(quoted, maybe_tcp)
        descent.count(ip_label(protocol), lanes.pick(~evidence))

    return handler


def _udp(descent: Descent, lanes: Lanes) -> None:
    """Counted, but for datagrams that may hold another frame."""
    lanes = lanes.pick(lanes.holds(8))
    ports = descent.gather.numbers(">u4", lanes.at)
    to, of = ports & 0xFFFF, ports >> 16
    tunnels = list(PORTS)
    by_destination = np.isin(to, tunnels)
    port = np.where(by_destination, to, np.where(np.isin(of, tunnels), of, -1))
    descent.count("UDP", lanes.pick(port < 0))
    if (port >= 0).any():
        inner = lanes.named(descent.paths.add(lanes.path, "udp")).skip(8)
        descent.go_each(Space.PORT, port[port >= 0], inner.pick(port >= 0))


def _gre(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.named(descent.paths.add(lanes.path, "gre")).pick(lanes.holds(4))
    word = descent.gather.numbers(">u4", lanes.at)
    flags, kind = word >> 16, word & 0xFFFF
    sequenced = (flags & 0x1000) >> 12
    size = 4 + 4 * ((flags >> 15) + (flags >> 13 & 1) + sequenced + ((flags & 7 == 1) & (flags & 0x80 != 0)))
    inner = lanes.skip(size)
    plain = (flags & 0x4000 == 0) & ~np.isin(kind, (WCCP, ERSPAN_3))
    wlan = plain & (kind >= ARUBA.start) & (kind < ARUBA.stop)
    mirrored = plain & (kind == ERSPAN_2)
    plain &= ~wlan & ~mirrored
    descent.go(Space.LINK, WLAN, inner.pick(wlan))
    copied = inner.skip(8 * sequenced).pick(mirrored)
    descent.go(Space.LINK, ETHERNET, copied.named(descent.paths.add(copied.path, "erspan")))
    descent.go_each(Space.ETHERTYPE, kind[plain], inner.pick(plain))


def _vxlan(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(8))
    lanes = lanes.pick(descent.gather.numbers("u1", lanes.at) & 0x08 != 0)
    network = descent.gather.numbers(">u4", lanes.at + 4) >> 8
    descent.go(Space.LINK, ETHERNET, lanes.named(descent.paths.add_each(lanes.path, "vxlan", network)).skip(8))


def _geneve(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(8))
    lanes = lanes.pick(descent.gather.numbers("u1", lanes.at) >> 6 == 0)
    words = descent.gather.numbers(">u4", lanes.at)
    network = descent.gather.numbers(">u4", lanes.at + 4) >> 8
    inner = lanes.named(descent.paths.add_each(lanes.path, "geneve", network)).skip(8 + 4 * (words >> 24 & 0x3F))
    descent.go_each(Space.ETHERTYPE, words & 0xFFFF, inner)


def _gtp(descent: Descent, lanes: Lanes) -> None:
    """User data without extension headers."""
    lanes = lanes.pick(lanes.holds(12))
    word = descent.gather.numbers(">u2", lanes.at)
    user_data = (word >> 12 == 3) & (word & 0xFF == GTP_USER_DATA)
    optional = word >> 8 & 7 != 0
    user_data &= (word >> 8 & 4 == 0) | (descent.gather.numbers("u1", lanes.at + 11) == 0)
    size: Ints = np.where(optional, 12, 8)
    lanes = lanes.skip(size).pick(user_data)
    by_version(descent, lanes.named(descent.paths.add(lanes.path, "gtp")))


def _ipsec(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(4))
    descent.count(ESP_IN_UDP, lanes.pick(descent.gather.numbers(">u4", lanes.at) != 0))


HANDLERS: Handlers = {
    (Space.ETHERTYPE, IPV4_TYPE): _ipv4,
    (Space.ETHERTYPE, IPV6_TYPE): _ipv6,
    (Space.PROTOCOL, 1): _icmp(1, ERRORS_4, 9),
    (Space.PROTOCOL, 4): _in_ip(IPV4_TYPE),
    (Space.PROTOCOL, UDP): _udp,
    (Space.PROTOCOL, 41): _in_ip(IPV6_TYPE),
    (Space.PROTOCOL, 47): _gre,
    (Space.PROTOCOL, 58): _icmp(58, ERRORS_6, 6),
    **{(Space.PORT, port): _vxlan for port in (4789, 8472)},
    (Space.PORT, 4500): _ipsec,
    (Space.PORT, 6081): _geneve,
    (Space.PORT, 2152): _gtp,
}
"""Layer -> how to take it apart for many frames; that of TCP itself is in decode.py."""
