"""Link layers of the common path: the counterpart of links.py for many frames at once."""

from __future__ import annotations

import numpy as np

from pcapreport.capture.gather import Ints
from pcapreport.capture.lanes import Descent, Handler, Handlers, Lanes
from pcapreport.capture.layers import Space
from pcapreport.capture.links import (
    ETHERNET,
    FAMILIES,
    LLC_NAMES,
    PPP,
    PPP_PROTOCOLS,
    RADIOTAP_DATA_PADDED,
    RADIOTAP_FCS,
    RADIOTAP_FLAGS,
    RADIOTAP_MORE,
    RADIOTAP_TSFT,
    WLAN,
)
from pcapreport.language import phrase

IPV4_TYPE, IPV6_TYPE = 0x0800, 0x86DD
_SNAP, _IP_SAP = 0xAAAA, 0x0606


_MOST_LABELS = 8
"""MPLS labels that are stepped over together."""


def _ethernet(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.named(descent.paths.add(lanes.path, "ethernet"))
    kind = np.where(lanes.holds(14), descent.gather.numbers(">u2", lanes.at + 12), 0)
    cut = kind < 2  # not even an LLC header
    descent.count(phrase("cut {layer} header", layer="ethernet"), lanes.pick(cut))
    _type_or_length(descent, kind[~cut], lanes.pick(~cut).skip(14))


def _type_or_length(descent: Descent, kind: Ints, lanes: Lanes) -> None:
    """From 0x600 on the number is an EtherType, below it the length of an LLC frame."""
    typed = kind >= 0x0600
    descent.go_each(Space.ETHERTYPE, kind[typed], lanes.pick(typed))
    if not typed.all():
        _llc(descent, lanes.pick(~typed).trim(kind[~typed]))


def _llc(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(2))
    sap = descent.gather.numbers(">u2", lanes.at)
    for number, name in LLC_NAMES.items():
        descent.count(name, lanes.pick(sap == number))
    descent.count("LLC", lanes.pick(~np.isin(sap, [*LLC_NAMES, _SNAP, _IP_SAP])))
    lanes = lanes.pick((sap == _SNAP) & lanes.holds(8))
    snap = np.isin(descent.gather.numbers(">u4", lanes.at + 2) & 0x00FF_FFFF, (0x000000, 0x0000F8))
    lanes = lanes.pick(snap)
    descent.go_each(Space.ETHERTYPE, descent.gather.numbers(">u2", lanes.at + 6), lanes.skip(8))


def _vlan(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.pick(lanes.holds(4))
    tag = descent.gather.numbers(">u4", lanes.at)
    path = descent.paths.add_each(lanes.path, "vlan", tag >> 16 & 0xFFF)
    _type_or_length(descent, tag & 0xFFFF, lanes.named(path).skip(4))


def _fddi(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.named(descent.paths.add(lanes.path, "fddi")).pick(lanes.holds(13))
    _llc(descent, lanes.pick(descent.gather.numbers("u1", lanes.at) & 0x70 == 0x50).skip(13))


def _cisco_hdlc(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.named(descent.paths.add(lanes.path, "hdlc")).pick(lanes.holds(4))
    lanes = lanes.pick(descent.gather.numbers(">u2", lanes.at) != 0xFF03)
    descent.go_each(Space.ETHERTYPE, descent.gather.numbers(">u2", lanes.at + 2), lanes.skip(4))


def _ppp(descent: Descent, lanes: Lanes) -> None:
    """With the protocol in two bytes, and address and control or not."""
    lanes = lanes.named(descent.paths.add(lanes.path, "ppp")).pick(lanes.holds(4))
    lanes = lanes.skip(np.where(descent.gather.numbers(">u2", lanes.at) == 0xFF03, 2, 0))
    protocol = descent.gather.numbers(">u2", lanes.at)
    for number, ethertype in PPP_PROTOCOLS.items():
        descent.go(Space.ETHERTYPE, ethertype, lanes.pick(protocol == number).skip(2))


def _pppoe(descent: Descent, lanes: Lanes) -> None:
    lanes = lanes.named(descent.paths.add(lanes.path, "pppoe")).pick(lanes.holds(6))
    lanes = lanes.pick(descent.gather.numbers("u1", lanes.at + 1) == 0)
    length = descent.gather.numbers(">u2", lanes.at + 4)
    descent.go(Space.LINK, PPP, lanes.skip(6).trim(length))


def _mpls(descent: Descent, lanes: Lanes) -> None:
    """Down to the label that ends the stack; then IP by its version, or what is left to others."""
    lanes = lanes.named(descent.paths.add(lanes.path, "mpls"))
    for _ in range(_MOST_LABELS):
        lanes = lanes.pick(lanes.holds(5))
        bottom = descent.gather.numbers(">u4", lanes.at) & 0x100 != 0
        by_version(descent, lanes.pick(bottom).skip(4))
        lanes = lanes.pick(~bottom).skip(4)


def by_version(descent: Descent, lanes: Lanes) -> None:
    """IP of the version that its first nibble says."""
    lanes = lanes.pick(lanes.holds(1))
    version = descent.gather.numbers("u1", lanes.at) >> 4
    descent.go(Space.ETHERTYPE, IPV4_TYPE, lanes.pick(version == 4))
    descent.go(Space.ETHERTYPE, IPV6_TYPE, lanes.pick(version == 6))


def _raw(descent: Descent, lanes: Lanes) -> None:
    by_version(descent, lanes.named(descent.paths.add(lanes.path, "raw")))


def _null(descent: Descent, lanes: Lanes) -> None:
    """The address family, in the byte order of whatever host captured."""
    lanes = lanes.named(descent.paths.add(lanes.path, "null")).pick(lanes.holds(4))
    little, big = (descent.gather.numbers(order + "u4", lanes.at) for order in "<>")
    for wanted in (IPV4_TYPE, IPV6_TYPE):
        numbers = [number for number, ethertype in FAMILIES.items() if ethertype == wanted]
        descent.go(Space.ETHERTYPE, wanted, lanes.pick(np.isin(little, numbers) | np.isin(big, numbers)).skip(4))


def _cooked(name: str, kind_at: int, size: int) -> Handler:
    def handler(descent: Descent, lanes: Lanes) -> None:
        named = lanes.named(descent.paths.add(lanes.path, name)).pick(lanes.holds(size))
        kind = descent.gather.numbers(">u2", named.at + kind_at)
        descent.go_each(Space.ETHERTYPE, np.where(kind >= 0x0600, kind, -1), named.skip(size))

    return handler


def _wlan_data(descent: Descent, lanes: Lanes) -> Lanes:
    """Data frames that are not encrypted; the others, which are most of a radio's, are counted."""
    kind, flags = (descent.gather.numbers("u1", lanes.at + at) for at in (0, 1))
    data, null, encrypted = kind & 0x0C == 0x08, kind & 0x40 != 0, flags & 0x40 != 0
    descent.count(phrase("IEEE 802.11 management"), lanes.pick(kind & 0x0C == 0))
    descent.count(phrase("IEEE 802.11 control"), lanes.pick(~data & (kind & 0x0C != 0)))
    descent.count(phrase("IEEE 802.11 null data"), lanes.pick(data & null))
    descent.count(phrase("IEEE 802.11 encrypted"), lanes.pick(data & ~null & encrypted))
    return lanes.pick(data & ~null & ~encrypted)


def _radiotap(descent: Descent, lanes: Lanes) -> None:
    """Headers of one presence word, which say where the 802.11 frame begins and whether it keeps its FCS."""
    lanes = lanes.pick(lanes.holds(17))
    size, present = descent.gather.numbers("<u2", lanes.at + 2), descent.gather.numbers("<u4", lanes.at + 4)
    flags_at = lanes.at + np.where(present & RADIOTAP_TSFT != 0, 16, 8)
    flags = np.where(present & RADIOTAP_FLAGS != 0, descent.gather.numbers("u1", flags_at), 0)
    frame = lanes.skip(size)
    kept = np.where(flags & RADIOTAP_FCS != 0, 4, 0)
    whole = frame.trim(np.maximum(frame.wire_end - frame.at - kept, 0))
    plain = (present & RADIOTAP_MORE == 0) & (flags & RADIOTAP_DATA_PADDED == 0)
    descent.go(Space.LINK, WLAN, whole.pick(plain))


def _wlan(descent: Descent, lanes: Lanes) -> None:
    """Whole data frames in the clear, each with one packet."""
    lanes = _wlan_data(descent, lanes.named(descent.paths.add(lanes.path, "wlan")).pick(lanes.holds(2)))
    lanes = lanes.pick(lanes.holds(26))
    kind, flags = (descent.gather.numbers("u1", lanes.at + at) for at in (0, 1))
    qos, first = kind & 0x80 != 0, descent.gather.numbers("<u2", lanes.at + 22) & 0x000F == 0
    plain = (flags & 0x04 == 0) & first
    header = 24 + np.where(flags & 0x03 == 0x03, 6, 0)
    plain &= ~qos | (descent.gather.numbers("u1", lanes.at + header) & 0x80 == 0)
    header = header + np.where(qos, 2, 0) + np.where(qos & (flags & 0x80 != 0), 4, 0)
    _llc(descent, lanes.pick(plain).skip(header[plain]))


HANDLERS: Handlers = {
    **{(Space.LINK, number): _raw for number in (12, 14, 101, 228, 229)},
    **{(Space.LINK, number): _null for number in (0, 108)},
    (Space.LINK, ETHERNET): _ethernet,
    (Space.LINK, 9): _ppp,
    (Space.LINK, 50): _ppp,
    (Space.LINK, 10): _fddi,
    (Space.LINK, 51): _pppoe,
    (Space.LINK, 104): _cisco_hdlc,
    (Space.LINK, WLAN): _wlan,
    (Space.LINK, 127): _radiotap,
    (Space.LINK, 113): _cooked("sll", 14, 16),
    (Space.LINK, 276): _cooked("sll2", 0, 20),
    **{(Space.ETHERTYPE, number): _vlan for number in (0x8100, 0x88A8, 0x9100, 0x9200)},
    **{(Space.ETHERTYPE, number): _mpls for number in (0x8847, 0x8848)},
    (Space.ETHERTYPE, 0x8864): _pppoe,
    (Space.ETHERTYPE, 0x880B): _ppp,
    (Space.ETHERTYPE, 0x6558): _ethernet,
}
"""Layer -> how to take it apart for many frames."""
