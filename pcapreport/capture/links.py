"""Link layers other than those of the common path, and the headers that stand between Ethernet and IP.

Sources: tcpdump.org/linktypes.html and its pages for each type; IEEE 802.3, 802.2, 802.1Q, 802.1BR, 802.11;
radiotap.org; RFC 1661 (PPP), RFC 2516 (PPPoE), RFC 3032 (MPLS), RFC 1201 and RFC 1051 (ARCNET).
"""

from __future__ import annotations

from collections.abc import Mapping

from pcapreport.capture.layers import Cut, Handler, Next, Part, Space, Trail
from pcapreport.language import phrase

ETHERNET, PPP, WLAN, RAW = 1, 9, 105, 101
_IPV4, _IPV6 = 0x0800, 0x86DD
FAMILIES = {2: _IPV4, 10: _IPV6, 23: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
"""Address family -> EtherType: all systems agree on IPv4, none on IPv6 (Linux, Windows, OpenBSD, FreeBSD, macOS)."""

PPP_PROTOCOLS = {0x0021: _IPV4, 0x0057: _IPV6, 0x0281: 0x8847, 0x0283: 0x8848}
"""PPP protocol -> EtherType of the same."""


def _ethernet(trail: Trail, part: Part) -> Next | str:
    trail.path.append("ethernet")
    kind = part.number(12)
    if kind >= 0x0600:
        return Next(Space.ETHERTYPE, kind, part.skip(14))
    return _llc(trail, part.skip(14).trim(kind))


def _llc(trail: Trail, part: Part) -> Next | str:
    """IEEE 802.2; IP rides in SNAP, or under its own SAP 6."""
    sap = part.number(0)
    if sap == 0xAAAA:
        if part.number(3, 3) in (0x000000, 0x0000F8):
            return Next(Space.ETHERTYPE, part.number(6), part.skip(8))
        return "LLC SNAP"
    if sap == 0x0606:
        return Next(Space.ETHERTYPE, _IPV4, part.skip(3))
    return LLC_NAMES.get(sap, "LLC")


LLC_NAMES = {0x4242: "Spanning tree", 0xFEFE: "OSI", 0xF0F0: "NetBIOS", 0xE0E0: "IPX", 0xFFFF: "IPX"}
"""Service access points of either end -> how their frames are counted."""


def _vlan(trail: Trail, part: Part) -> Next | str:
    trail.path.append(f"vlan {part.number(0) & 0xFFF}")
    kind = part.number(2)
    return Next(Space.ETHERTYPE, kind, part.skip(4)) if kind >= 0x0600 else _llc(trail, part.skip(4).trim(kind))


def _tag(name: str, size: int) -> Handler:
    """A tag that ends with the EtherType of what it carries."""

    def handler(trail: Trail, part: Part) -> Next | str:
        trail.path.append(name)
        return Next(Space.ETHERTYPE, part.number(size - 2), part.skip(size))

    return handler


def _raw(trail: Trail, part: Part) -> Next | str:
    trail.path.append("raw")
    return by_version(part)


def by_version(part: Part) -> Next | str:
    """IP of the version that its first nibble says."""
    version = part.number(0, 1) >> 4
    if version not in (4, 6):
        return phrase("malformed IP")
    return Next(Space.ETHERTYPE, _IPV4 if version == 4 else _IPV6, part)


def _null(trail: Trail, part: Part) -> Next | str:
    trail.path.append("null")
    big = part.number(0, 4)
    little = int.from_bytes(part.data[:4], "little")
    kind = FAMILIES.get(big) or FAMILIES.get(little)
    return Next(Space.ETHERTYPE, kind, part.skip(4)) if kind else f"address family {min(big, little)}"


def _sll(trail: Trail, part: Part) -> Next | str:
    trail.path.append("sll")
    return _cooked(trail, part.number(14), part.skip(16))


def _sll2(trail: Trail, part: Part) -> Next | str:
    trail.path.append("sll2")
    return _cooked(trail, part.number(0), part.skip(20))


def _cooked(trail: Trail, kind: int, part: Part) -> Next | str:
    if kind == 4:
        return _llc(trail, part)
    return Next(Space.ETHERTYPE, kind, part) if kind >= 0x0600 else "Linux cooked without EtherType"


def _ppp(trail: Trail, part: Part) -> Next | str:
    """PPP with or without address and control, its protocol in two bytes or compressed to one."""
    trail.path.append("ppp")
    if part.number(0, 1) == 0xFF and part.number(0) == 0xFF03:
        part = part.skip(2)
    short = part.number(0, 1) & 1
    protocol = part.number(0, 1 if short else 2)
    inner = PPP_PROTOCOLS.get(protocol)
    if inner is None:
        return f"PPP protocol 0x{protocol:04x}"
    return Next(Space.ETHERTYPE, inner, part.skip(1 if short else 2))


def _pppoe(trail: Trail, part: Part) -> Next | str:
    trail.path.append("pppoe")
    if part.number(1, 1) != 0:
        return "PPPoE discovery"
    return Next(Space.LINK, PPP, part.skip(6).trim(part.number(4)))


def _cisco_hdlc(trail: Trail, part: Part) -> Next | str:
    if part.number(0) == 0xFF03:
        return Next(Space.LINK, PPP, part)
    trail.path.append("hdlc")
    kind = part.number(2)
    return Next(Space.ETHERTYPE, kind, part.skip(4)) if kind >= 0x0600 else "Cisco HDLC control"


def _fddi(trail: Trail, part: Part) -> Next | str:
    trail.path.append("fddi")
    return _llc(trail, part.skip(13)) if part.number(0, 1) & 0x70 == 0x50 else "FDDI without LLC"


def _arcnet_linux(trail: Trail, part: Part) -> Next | str:
    """Addresses, an offset, then the ARCNET protocol; RFC 1201 adds a fragmentation header, RFC 1051 none."""
    trail.path.append("arcnet")
    protocol = part.number(4, 1)
    if protocol == 240:
        return Next(Space.ETHERTYPE, _IPV4, part.skip(5))
    if protocol in (196, 212):
        if part.number(5, 1):
            return phrase("ARCNET fragment")
        return Next(Space.ETHERTYPE, _IPV4 if protocol == 212 else _IPV6, part.skip(8))
    return "ARP" if protocol in (213, 241) else phrase("ARCNET protocol {number}", number=protocol)


def _mpls(trail: Trail, part: Part) -> Next | str:
    """A label stack says nothing of what it carries: by its first nibble IP, or Ethernet (RFC 4928)."""
    trail.path.append("mpls")
    while not part.number(0, 4) & 0x100:
        part = part.skip(4)
    part = part.skip(4)
    nibble = part.number(0, 1) >> 4
    if nibble in (4, 6):
        return by_version(part)
    return Next(Space.LINK, ETHERNET, part.skip(4) if nibble == 0 and part.number(0) == 0 else part)


def _provider_backbone(trail: Trail, part: Part) -> Next | str:
    trail.path.append("pbb")
    return Next(Space.LINK, ETHERNET, part.skip(4))


def _wlan(trail: Trail, part: Part) -> Next | str:
    """Data frames in the clear and whole."""
    trail.path.append("wlan")
    control = part.number(0)
    kind, flags = control >> 8, control & 0xFF
    if kind & 0x0C != 0x08:
        return phrase("IEEE 802.11 management") if kind & 0x0C == 0 else phrase("IEEE 802.11 control")
    if kind & 0x40:
        return phrase("IEEE 802.11 null data")
    if flags & 0x40:
        return phrase("IEEE 802.11 encrypted")
    header = 24 + (6 if flags & 0x03 == 0x03 else 0)
    aggregate = bool(kind & 0x80 and part.number(header, 1) & 0x80)
    inner = part.skip(header + (2 if kind & 0x80 else 0) + (4 if kind & 0x80 and flags & 0x80 else 0))
    # Access points leave the fragment number of what they tunnel to their controller unset: the content decides.
    if flags & 0x04 or (part.number(22, 1) & 0x0F and inner.data[:3] != b"\xaa\xaa\x03"):
        return phrase("IEEE 802.11 fragment")
    return _aggregate(trail, inner) if aggregate else _llc(trail, inner)


_MAX_SUBFRAMES = 64
"""An A-MSDU is at most 11,454 bytes long (IEEE 802.11, 9.2.4.7); 64 subframes with IP and TCP headers fill it."""


def _aggregate(trail: Trail, part: Part) -> Next | str:
    """An A-MSDU: subframes of two addresses, length and LLC frame, each but the last padded to 4 bytes."""
    trail.path.append("amsdu")
    ways: list[Next | str] = []
    while part.data and len(ways) < _MAX_SUBFRAMES:
        try:
            length = part.number(12)
            ways.append(_llc(trail, part.skip(14).trim(length)))
        except Cut:
            if not ways:
                raise
            break
        part = part.skip(14 + length + (-(14 + length) & 3))
    onward = [way for way in ways if isinstance(way, Next)]
    trail.branches = onward[1:]
    if not ways:
        raise Cut
    return onward[0] if onward else ways[0]


RADIOTAP_TSFT, RADIOTAP_FLAGS, RADIOTAP_MORE = 0x1, 0x2, 0x8000_0000
RADIOTAP_FCS, RADIOTAP_DATA_PADDED = 0x10, 0x20


def _radiotap(trail: Trail, part: Part) -> Next | str:
    header = _little(part, 2, 2)
    present, at = _little(part, 4, 4), 8
    while _little(part, at - 4, 4) & RADIOTAP_MORE:
        at += 4
    at = at + 7 & ~7 if present & RADIOTAP_TSFT else at
    flags = part.number(at + (8 if present & RADIOTAP_TSFT else 0), 1) if present & RADIOTAP_FLAGS else 0
    frame = _without_fcs(part.skip(header)) if flags & RADIOTAP_FCS else part.skip(header)
    if flags & RADIOTAP_DATA_PADDED and len(frame.data) > 26 and frame.data[0] & 0x8C == 0x88:
        frame = Part(frame.data[:26] + frame.data[28:], frame.length - 2)
    return Next(Space.LINK, WLAN, frame)


def _without_fcs(part: Part) -> Part:
    return part.trim(max(0, part.length - 4))


_PPI_80211_COMMON, _PPI_FCS = 2, 0x0001


def _ppi(trail: Trail, part: Part) -> Next | str:
    """Per-Packet Information: fields of type and length, of which one says whether 802.11 frames keep their FCS."""
    size, link_type, at = _little(part, 2, 2), _little(part, 4, 4), 8
    frame = part.skip(size)
    while at + 4 <= size:
        kind, length = _little(part, at, 2), _little(part, at + 2, 2)
        if kind == _PPI_80211_COMMON and length >= 10 and _little(part, at + 12, 2) & _PPI_FCS:
            frame = _without_fcs(frame)
            break
        at += 4 + length
    return Next(Space.LINK, link_type, frame)


def _pktap(trail: Trail, part: Part) -> Next | str:
    """Apple's header says its own (little-endian) length and the link type behind it."""
    return Next(Space.LINK, _little(part, 8, 4), part.skip(_little(part, 0, 4)))


def _little(part: Part, at: int, size: int) -> int:
    if at + size > len(part.data):
        raise Cut
    return int.from_bytes(part.data[at : at + size], "little")


def _prism(trail: Trail, part: Part) -> Next | str:
    return Next(Space.LINK, WLAN, part.skip(min(_little(part, 4, 4), 144)))


def _avs(trail: Trail, part: Part) -> Next | str:
    return Next(Space.LINK, WLAN, part.skip(part.number(4, 4)))


_NFLOG_PAYLOAD = 9


def _nflog(trail: Trail, part: Part) -> Next | str:
    """Type-length-value fields in the byte order of the host that captured."""
    trail.path.append("nflog")
    if part.number(1, 1) != 0:
        return phrase("NFLOG of unknown version")
    order = "little" if _little(part, 4, 2) <= part.number(4) else "big"
    part = part.skip(4)
    while True:
        length = int.from_bytes(part.trim(2).data, "little" if order == "little" else "big")
        kind = _little(part, 2, 2) if order == "little" else part.number(2)
        if length < 4:
            return phrase("malformed NFLOG")
        if kind & 0x7FFF == _NFLOG_PAYLOAD:
            return by_version(part.trim(length).skip(4))
        part = part.skip(length + (-length & 3))


def _infiniband(trail: Trail, part: Part) -> Next | str:
    """A 40-byte pseudo header, then the EtherType and two reserved bytes (RFC 4391)."""
    trail.path.append("infiniband")
    return Next(Space.ETHERTYPE, part.number(40), part.skip(44))


def _frame_relay(trail: Trail, part: Part) -> Next | str:
    """RFC 2427: address of two bytes, control, and a network layer protocol id."""
    trail.path.append("frame relay")
    if part.number(2, 1) != 3:
        return "Frame Relay"
    identifier, rest = part.number(3, 1), part.skip(4)
    if identifier == 0 and part.number(4, 1) == 0x80:
        identifier, rest = 0x80, part.skip(5)
    if identifier == 0x80 and rest.number(0, 3) == 0:
        return Next(Space.ETHERTYPE, rest.number(3), rest.skip(5))
    kind = {0xCC: _IPV4, 0x8E: _IPV6}.get(identifier)
    return Next(Space.ETHERTYPE, kind, rest) if kind else "Frame Relay"


def _slip(trail: Trail, part: Part) -> Next | str:
    trail.path.append("slip")
    return by_version(part.skip(16))


_JUNIPER_MAGIC, _JUNIPER_NO_LINK, _JUNIPER_EXTENDED = 0x4D4743, 0x02, 0x80


def _juniper_ethernet(trail: Trail, part: Part) -> Next | str:
    """Magic number, flags, perhaps extensions with their length; then Ethernet, unless the flags deny it."""
    if part.number(0, 3) != _JUNIPER_MAGIC:
        return phrase("malformed Juniper")
    flags = part.number(3, 1)
    inner = part.skip(6 + part.number(4) if flags & _JUNIPER_EXTENDED else 4)
    return phrase("Juniper without link header") if flags & _JUNIPER_NO_LINK else Next(Space.LINK, ETHERNET, inner)


def _switch_tag(at: int, size: int) -> Handler:
    """Ethernet with the tag of a switch chip's port in front, or between the addresses and the EtherType."""

    def handler(trail: Trail, part: Part) -> Next:
        if len(part.data) < at + size:
            raise Cut
        trail.path.append("switch tag")
        return Next(Space.LINK, ETHERNET, Part(part.data[:at] + part.data[at + size :], max(0, part.length - size)))

    return handler


LINKS: Mapping[int, Handler] = {
    0: _null,
    1: _ethernet,
    8: _slip,
    9: _ppp,
    10: _fddi,
    12: _raw,
    14: _raw,
    50: _ppp,
    51: _pppoe,
    101: _raw,
    104: _cisco_hdlc,
    105: _wlan,
    107: _frame_relay,
    108: _null,
    113: _sll,
    119: _prism,
    127: _radiotap,
    129: _arcnet_linux,
    163: _avs,
    178: _juniper_ethernet,
    192: _ppi,
    228: _raw,
    229: _raw,
    239: _nflog,
    242: _infiniband,
    258: _pktap,
    276: _sll2,
    281: _switch_tag(12, 4),
    282: _switch_tag(0, 4),
    284: _switch_tag(12, 4),
    285: _switch_tag(12, 8),
}
"""Link type -> how to take it apart."""

ETHERTYPES: Mapping[int, Handler] = {
    0x6558: lambda trail, part: Next(Space.LINK, ETHERNET, part),
    0x8100: _vlan,
    0x88A8: _vlan,
    0x9100: _vlan,
    0x9200: _vlan,
    0x8847: _mpls,
    0x8848: _mpls,
    0x8864: _pppoe,
    0x880B: _ppp,
    0x88E7: _provider_backbone,
    0x893F: _tag("etag", 8),
    0x8926: _tag("vntag", 6),
}
"""EtherType -> how to take it apart, but for IP."""
