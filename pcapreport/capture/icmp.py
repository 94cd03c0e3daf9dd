"""ICMP errors about a TCP connection: what a router or host says of a segment, with the segment that it quotes.

They are no segments and give no row, but evidence of why a connection stands still or fails. Anyone can forge them:
only one that quotes a sequence number in flight is to be believed (RFC 5927 section 4). Sources: RFC 792, RFC 1122
section 3.2.2, RFC 1191, RFC 1812, RFC 4443, RFC 4884.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from pcapreport.capture.layers import Network, Part
from pcapreport.language import phrase

_UNREACHABLE_4 = (
    phrase("network unreachable"), phrase("host unreachable"), phrase("protocol unreachable"),
    phrase("port unreachable"), phrase("fragmentation needed"), phrase("source route failed"),
    phrase("network unknown"), phrase("host unknown"), phrase("source host isolated"), phrase("network prohibited"),
    phrase("host prohibited"), phrase("network unreachable for this service"),
    phrase("host unreachable for this service"), phrase("communication prohibited"),
    phrase("host precedence violation"), phrase("precedence cutoff"),
)  # fmt: skip
_UNREACHABLE_6 = (
    phrase("no route to destination"), phrase("communication prohibited"), phrase("beyond scope of source address"),
    phrase("address unreachable"), phrase("port unreachable"), phrase("source address failed policy"),
    phrase("route rejected"), phrase("source routing failed"),
)  # fmt: skip
_EXCEEDED = (phrase("time exceeded (hop limit)"), phrase("time exceeded (reassembly)"))
_KINDS_4: Mapping[int, tuple[str, tuple[str, ...]]] = {
    3: (phrase("destination unreachable"), _UNREACHABLE_4),
    4: (phrase("source quench"), ()),
    5: (phrase("redirect"), ()),
    11: (phrase("time exceeded"), _EXCEEDED),
    12: (phrase("parameter problem"), ()),
}
_KINDS_6: Mapping[int, tuple[str, tuple[str, ...]]] = {
    1: (phrase("destination unreachable"), _UNREACHABLE_6),
    2: (phrase("packet too big"), ()),
    3: (phrase("time exceeded"), _EXCEEDED),
    4: (phrase("parameter problem"), ()),
}
"""Type -> its name, and more exactly by code."""

ERRORS_4, ERRORS_6 = frozenset(_KINDS_4), frozenset(_KINDS_6)
_FRAGMENTATION_NEEDED, _PACKET_TOO_BIG = (3, 4), 2
_TCP = 6
_EXTENSIONS_6 = (0, 43, 44, 60)


@dataclass(frozen=True, slots=True)
class IcmpError:
    """One ICMP or ICMPv6 error that quotes a TCP segment."""

    frame: int
    time_ns: int
    sender: str
    """Address of the router or host that complains."""
    kind: str
    """In words: "port unreachable", "fragmentation needed", "packet too big", "time exceeded (hop limit)"."""
    type: int
    code: int
    mtu: int
    """Largest packet that would pass, where the kind is about size; 0: not said."""
    length: int
    """Bytes of the quoted packet, by its own IP header."""
    src: str
    """Sender of the quoted segment, who is to receive the error."""
    dst: str
    sport: int
    dport: int
    seq: int


def read_error(frame: int, time_ns: int, network: Network, part: Part) -> IcmpError | None:
    """The error in this ICMP message, if it is one and quotes the start of a TCP segment; raises Cut if it is cut."""
    number, code = part.number(0, 1), part.number(1, 1)
    name, codes = (_KINDS_4 if network.version == 4 else _KINDS_6).get(number, ("", ()))
    if not name:
        return None
    quoted = part.skip(8)
    tcp = _tcp_of_ipv4(quoted) if network.version == 4 else _tcp_of_ipv6(quoted)
    if tcp is None:
        return None
    src, dst = (
        (quoted.data[12:16], quoted.data[16:20]) if network.version == 4 else (quoted.data[8:24], quoted.data[24:40])
    )
    mtu = 0
    if network.version == 4 and (number, code) == _FRAGMENTATION_NEEDED:
        mtu = part.number(6)
    elif network.version == 6 and number == _PACKET_TOO_BIG:
        mtu = part.number(4, 4)
    return IcmpError(
        frame=frame,
        time_ns=time_ns,
        sender=str(ip_address(network.src)),
        kind=codes[code] if code < len(codes) else name,
        type=number,
        code=code,
        mtu=mtu,
        length=quoted.number(2) if network.version == 4 else quoted.number(4) + 40,
        src=str(ip_address(src)),
        dst=str(ip_address(dst)),
        sport=tcp.number(0),
        dport=tcp.number(2),
        seq=tcp.number(4, 4),
    )


def _tcp_of_ipv4(quoted: Part) -> Part | None:
    version, fragment = quoted.number(0, 1), quoted.number(6)
    if version >> 4 != 4 or version & 15 < 5 or quoted.number(9, 1) != _TCP or fragment & 0x1FFF:
        return None
    return quoted.skip((version & 15) * 4)


def _tcp_of_ipv6(quoted: Part) -> Part | None:
    if quoted.number(0, 1) >> 4 != 6:
        return None
    following, inner = quoted.number(6, 1), quoted.skip(40)
    while following in _EXTENSIONS_6:
        if following == 44 and inner.number(2) & 0xFFF8:
            return None
        size = 8 if following == 44 else (inner.number(1, 1) + 1) * 8
        following, inner = inner.number(0, 1), inner.skip(size)
    return inner if following == _TCP else None
