"""Frames inside of IP: GRE, EtherIP, IPComp and the tunnels over UDP.

Sources: RFC 2784, 2890, 2637 (GRE), RFC 3378 (EtherIP), RFC 7348 (VXLAN), RFC 8926 (Geneve), 3GPP TS 29.281 (GTP-U),
RFC 2661 (L2TP), RFC 4380 (Teredo), RFC 5415 and 5416 (CAPWAP), RFC 7510 (MPLS in UDP), draft-massar-v6ops-ayiya,
draft-foschiano-erspan, RFC 3173 and RFC 2394 (IPComp), RFC 3948 (ESP in UDP), sflow.org (sFlow version 5).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from pcapreport.capture.layers import Handler, Next, Part, Space, Trail
from pcapreport.capture.links import ETHERNET, PPP, WLAN, by_version
from pcapreport.language import phrase

_GRE_CHECKSUM, _GRE_ROUTING, _GRE_KEY, _GRE_SEQUENCE, _GRE_ACK = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
ERSPAN_2, ERSPAN_3, WCCP = 0x88BE, 0x22EB, 0x883E
ARUBA = range(0x8200, 0x8400)
"""Protocol types under which Aruba access points send 802.11 frames (no EtherTypes)."""


def _gre(trail: Trail, part: Part) -> Next | str:
    trail.path.append("gre")
    flags, kind = part.number(0), part.number(2)
    if flags & _GRE_ROUTING:
        return phrase("GRE with source routes")
    size = 4 + sum(4 for bit in (_GRE_CHECKSUM, _GRE_KEY, _GRE_SEQUENCE) if flags & bit)
    size += 4 if flags & 7 == 1 and flags & _GRE_ACK else 0
    inner = part.skip(size)
    if kind == ERSPAN_2:
        trail.path.append("erspan")
        return Next(Space.LINK, ETHERNET, inner.skip(8 if flags & _GRE_SEQUENCE else 0))
    if kind == ERSPAN_3:
        trail.path.append("erspan")
        return Next(Space.LINK, ETHERNET, inner.skip(20 if inner.number(11, 1) & 1 else 12))
    if kind in ARUBA:
        return Next(Space.LINK, WLAN, inner)
    if kind == WCCP:
        return by_version(inner if inner.number(0, 1) >> 4 == 4 else inner.skip(4))
    return Next(Space.ETHERTYPE, kind, inner)


def _ether_ip(trail: Trail, part: Part) -> Next | str:
    trail.path.append("etherip")
    return Next(Space.LINK, ETHERNET, part.skip(2))


def _vxlan(trail: Trail, part: Part) -> Next | str:
    if not part.number(0, 1) & 0x08:
        return "UDP"
    trail.path.append(f"vxlan {part.number(4, 3)}")
    return Next(Space.LINK, ETHERNET, part.skip(8))


def _geneve(trail: Trail, part: Part) -> Next | str:
    first = part.number(0, 1)
    if first >> 6:
        return "UDP"
    trail.path.append(f"geneve {part.number(4, 3)}")
    return Next(Space.ETHERTYPE, part.number(2), part.skip(8 + 4 * (first & 0x3F)))


GTP_USER_DATA = 0xFF


def _gtp(trail: Trail, part: Part) -> Next | str:
    """Version 1 user data; the tunnel id differs by direction, so the path does not name it."""
    flags = part.number(0, 1)
    if flags >> 4 != 3 or part.number(1, 1) != GTP_USER_DATA:
        return "GTP"
    trail.path.append("gtp")
    inner = part.skip(8)
    if flags & 7:
        extension = inner.number(3, 1) if flags & 4 else 0
        inner = inner.skip(4)
        while extension:
            size = 4 * inner.number(0, 1)
            if not size:
                return phrase("malformed GTP")
            extension, inner = inner.number(size - 1, 1), inner.skip(size)
    return by_version(inner)


def _l2tp(trail: Trail, part: Part) -> Next | str:
    """Version 2 data messages; lengths, sequence numbers and an offset may be there or not."""
    flags = part.number(0)
    if flags & 0xF == 3 or flags & 0x8000:
        return phrase("L2TP control")
    trail.path.append("l2tp")
    size = 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        size += 2 + part.number(size)
    return Next(Space.LINK, PPP, part.skip(size))


def _teredo(trail: Trail, part: Part) -> Next | str:
    if part.number(0) == 1:
        part = part.skip(13 + part.number(2, 1) + part.number(3, 1))
    if part.number(0) == 0:
        part = part.skip(8)
    if part.number(0, 1) >> 4 != 6:
        return "UDP"
    trail.path.append("teredo")
    return by_version(part)


def _capwap_data(trail: Trail, part: Part) -> Next | str:
    """Plain CAPWAP data; what Cisco sends has the two bytes of the 802.11 frame control swapped."""
    if part.number(0, 1):
        return phrase("CAPWAP encrypted")
    trail.path.append("capwap")
    flags = part.number(1, 3)
    if flags & 0x80:
        return phrase("CAPWAP fragment")
    inner = part.skip(4 * (flags >> 19))
    if not flags & 0x100:
        return Next(Space.LINK, ETHERNET, inner)
    if inner.number(0, 1) & 0x03 or inner.number(0, 1) & 0x0C != 0x08:
        inner = Part(inner.data[1::-1] + inner.data[2:], inner.length)
    return Next(Space.LINK, WLAN, inner)


def _ayiya(trail: Trail, part: Part) -> Next | str:
    """Identity and signature lengths, in words, stand in the first two bytes."""
    identity, signature, kind = part.number(0, 1), part.number(1, 1), part.number(3, 1)
    trail.path.append("ayiya")
    inner = part.skip(8 + (1 << (identity >> 4)) + 4 * (signature >> 4))
    return Next(Space.PROTOCOL, kind, inner) if kind in (4, 41) else "AYIYA"


ESP_IN_UDP = phrase("ESP in UDP (encrypted)")


def _ipsec(trail: Trail, part: Part) -> Next | str:
    """ESP behind an address translator; key exchange has four zeros first, a keep-alive is shorter (RFC 3948)."""
    return ESP_IN_UDP if part.length >= 4 and part.number(0, 4) else "UDP"


_SFLOW_VERSIONS = (2, 4, 5)


def _sflow(trail: Trail, part: Part) -> Next | str:
    """Samples of other frames' headers: copies, many in a datagram, that are no segments of this capture."""
    return phrase("sFlow samples") if part.length >= 4 and part.number(0, 4) in _SFLOW_VERSIONS else "UDP"


def _mpls(trail: Trail, part: Part) -> Next | str:
    return Next(Space.ETHERTYPE, 0x8847, part)


_INFLATED_BYTES = 65_535
"""No datagram is longer, so more is no datagram."""


def _ipcomp(trail: Trail, part: Part) -> Next | str:
    """A payload compressed with raw deflate, which is the only transform in use."""
    trail.path.append("ipcomp")
    protocol = part.number(0, 1)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(part.data[4:], _INFLATED_BYTES)
    except zlib.error:
        return "IPComp"
    return Next(Space.PROTOCOL, protocol, Part(data, len(data))) if inflater.eof else "IPComp"


PROTOCOLS: Mapping[int, Handler] = {47: _gre, 97: _ether_ip, 108: _ipcomp, 137: _mpls}
"""IP protocol -> how to take it apart."""

PORTS: Mapping[int, Handler] = {
    1701: _l2tp,
    2152: _gtp,
    3544: _teredo,
    4500: _ipsec,
    4789: _vxlan,
    5072: _ayiya,
    5247: _capwap_data,
    6081: _geneve,
    6343: _sflow,
    6635: _mpls,
    8472: _vxlan,
}
"""UDP port (of either end) -> how to take apart what it carries."""
