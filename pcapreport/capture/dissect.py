"""The uncommon path: one frame at a time, with dpkt's header classes, down to the innermost TCP segment.

Only headers are given to dpkt, never whole frames: its classes know where each field is, but its own descent guesses
at payloads, does not tell captured from sent length, and raises errors of many kinds. The descent is ours: each layer
takes a Part, checks it, and names the next. Whatever still goes wrong is caught per frame and counted by its kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dpkt
import numpy as np

from pcapreport.capture import checksums, links, tunnels
from pcapreport.capture.container import RecordBlock
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Buffer
from pcapreport.capture.icmp import IcmpError, read_error
from pcapreport.capture.layers import (
    JUMBO,
    MOST_WITHOUT_JUMBO,
    Cut,
    Handler,
    Network,
    Next,
    Part,
    Space,
    Trail,
    outside,
)
from pcapreport.capture.model import Interface
from pcapreport.capture.option_order import order_of
from pcapreport.capture.options import SegmentOptions, read_segment_options
from pcapreport.capture.packet_table import COLUMNS, PacketTable, RowNote
from pcapreport.capture.protocols import ethertype_label, ip_label, link_label
from pcapreport.capture.reassembly import Reassembly
from pcapreport.language import phrase
from pcapreport.settings import MAX_ICMP_ERRORS

MAX_LAYERS = 64
"""Deeper nesting is an attack, not a network."""

MAX_STEPS = 64
"""Ways that are followed down one frame; only aggregates inside of aggregates have more."""

TCP_HEADER = 20


class _Segment(NamedTuple):
    """What is read from a frame that holds a TCP segment."""

    trail: Trail
    network: Network
    header: Any
    """dpkt.tcp.TCP."""
    payload_len: int
    options: SegmentOptions
    option_order: int
    checksum: int


class Dissector:
    """Takes frames apart one by one; between them it remembers fragments, and the ICMP errors that it met."""

    def __init__(self, buffer: Buffer, paths: Encapsulations, others: Counter[str], checked: bool = False) -> None:
        """`paths` and `others` are shared with the common path and added to; `checked`: verify TCP checksums."""
        self.icmp_errors: list[IcmpError] = []
        self._buffer = buffer
        self._paths = paths
        self._others = others
        self._checked = checked
        self._fragments = Reassembly()
        self._handlers: Mapping[Space, Mapping[int, Handler]] = {
            Space.LINK: links.LINKS,
            Space.ETHERTYPE: {**links.ETHERTYPES, 0x0800: self._ipv4, 0x86DD: self._ipv6},
            Space.PROTOCOL: {**tunnels.PROTOCOLS, **_IP_IN_IP, 1: self._icmp, 17: _udp, 58: self._icmp},
            Space.PORT: tunnels.PORTS,
        }

    def dissect(self, block: RecordBlock, interfaces: Sequence[Interface]) -> PacketTable:
        """A table of the TCP segments among these records; the others are counted."""
        rows, segments = [], []
        for row in range(len(block)):
            start = int(block.offset[row])
            data = bytes(self._buffer[start : start + int(block.cap_len[row])])
            length = max(0, max(int(block.wire_len[row]), len(data)) - int(block.fcs_len[row]))
            link_type = interfaces[int(block.interface[row])].link_type
            trail = Trail(int(block.frame[row]), int(block.time_ns[row]))
            found, other = self._frame(trail, Next(Space.LINK, link_type, Part(data[:length], length)))
            if not found:
                self._others[other] += 1
            rows += [row] * len(found)
            segments += found
        return self._table(block.pick(np.array(rows, np.intp)), segments)

    def _frame(self, trail: Trail, step: Next) -> tuple[list[_Segment], str]:
        """The innermost segments (several only in an aggregate), or what the frame is instead."""
        segments, words, waiting, budget = [], "", [(trail, step)], MAX_STEPS
        while waiting and budget:
            budget -= 1
            trail, step = waiting.pop(0)
            ended = self._descend(trail, step, waiting)
            if isinstance(ended, str):
                words = words or ended
            else:
                segments.append(ended)
        return segments, words

    def _descend(self, trail: Trail, step: Next | _Segment | str, waiting: list[tuple[Trail, Next]]) -> _Segment | str:
        """One way to its end; where it branches, the other ways are put to those waiting."""
        try:
            for _ in range(MAX_LAYERS):
                if not isinstance(step, Next):
                    return step
                step = self._step(trail, step)
                while trail.branches:
                    branch = Trail(trail.frame, trail.time_ns, [*trail.path], trail.network, trail.notes)
                    waiting.append((branch, trail.branches.pop(0)))
        except Cut:
            return phrase("cut {layer} header", layer=trail.path[-1] if trail.path else "link")
        except Exception as error:  # dpkt raises IndexError, AttributeError, struct.error and more on hostile input
            return phrase("undecodable ({error})", error=type(error).__name__)
        return phrase("nested too deep")

    def _step(self, trail: Trail, step: Next) -> Next | _Segment | str:
        if step.space is Space.PROTOCOL and step.number == 6:
            return _tcp(trail, step.part, self._checked)
        handler = self._handlers[step.space].get(step.number)
        if handler:
            return handler(trail, step.part)
        label = {Space.LINK: link_label, Space.ETHERTYPE: ethertype_label, Space.PROTOCOL: ip_label}[step.space]
        return label(step.number)

    def _ipv4(self, trail: Trail, part: Part) -> Next | str:
        header = _header(dpkt.ip.IP, part)
        if header.v == 6:
            return Next(Space.ETHERTYPE, 0x86DD, part)  # some link headers say IPv4 for both
        size = header.hl * 4
        if header.v != 4 or size < 20 or 0 < header.len < size:
            return phrase("malformed IPv4")
        if len(part.data) < size:
            return phrase("cut {layer} header", layer="ipv4")
        payload = self._payload(trail, part, header.len, size)
        trail.network = Network(4, header.src, header.dst, header.ttl, header.id)
        trail.path.append("ipv4")
        if not header.mf and not header.offset:
            return Next(Space.PROTOCOL, header.p, payload)
        key = (4, header.src, header.dst, header.id, header.p)
        return self._fragment(trail, key, header.p, header.offset * 8, not header.mf, payload)

    def _ipv6(self, trail: Trail, part: Part) -> Next | str:
        header = _header(dpkt.ip6.IP6, part)
        if header.v != 6:
            return phrase("malformed IPv6")
        payload = self._payload(trail, part, header.plen + 40 if header.plen else 0, 40)
        trail.network = Network(6, header.src, header.dst, header.hlim, 0)
        trail.path.append("ipv6")
        protocol = header.nxt
        while protocol in _EXTENSIONS:
            extension = _header(_EXTENSIONS[protocol], payload)
            length = _extension_length(protocol, extension)
            inner = payload.skip(length)
            if protocol == dpkt.ip.IP_PROTO_FRAGMENT and (extension.frag_off or extension.m_flag):
                key = (6, header.src, header.dst, extension.id, extension.nxt)
                offset, last = extension.frag_off * 8, not extension.m_flag
                return self._fragment(trail, key, extension.nxt, offset, last, inner)
            jumbo = _jumbo(payload.data[:length]) if protocol == dpkt.ip.IP_PROTO_HOPOPTS and not header.plen else 0
            if jumbo:
                trail.notes &= ~int(RowNote.NO_IP_LENGTH)
                inner = payload.trim(jumbo).skip(length)
            trail.network = _covered(trail.network, protocol, payload)
            protocol, payload = extension.nxt, inner
        return Next(Space.PROTOCOL, protocol, payload)

    def _payload(self, trail: Trail, part: Part, length: int, header: int) -> Part:
        """What is behind the IP header; a length of 0 means segmentation offload, or a jumbogram (see `_jumbo`)."""
        trail.notes &= ~int(RowNote.NO_IP_LENGTH)
        if not length:
            trail.notes |= int(RowNote.NO_IP_LENGTH)
        return (part.trim(length) if length else part).skip(header)

    def _fragment(
        self, trail: Trail, key: tuple[object, ...], protocol: int, offset: int, last: bool, part: Part
    ) -> Next | str:
        """Goes on with the datagram that this fragment completes, or with a first one that cannot be completed."""
        trail.notes |= int(RowNote.FRAGMENT)
        label = phrase("IPv4 fragment") if key[0] == 4 else phrase("IPv6 fragment")
        if len(part.data) < part.length:
            return label if offset else Next(Space.PROTOCOL, protocol, part)
        whole = self._fragments.add((*key, tuple(trail.path)), trail.time_ns, offset, last, part.data)
        if whole and whole.overlapping:
            trail.notes |= int(RowNote.OVERLAPPING_FRAGMENTS)
        return Next(Space.PROTOCOL, protocol, whole.part) if whole else label

    def _icmp(self, trail: Trail, part: Part) -> str:
        """No segment, but perhaps a word about one."""
        if trail.network is None:
            return phrase("ICMP without IP")
        try:
            error = read_error(trail.frame, trail.time_ns, trail.network, part)
        except Cut:
            error = None
        if error and len(self.icmp_errors) < MAX_ICMP_ERRORS:
            self.icmp_errors.append(error)
        return ip_label(1 if trail.network.version == 4 else 58)

    def _table(self, block: RecordBlock, segments: list[_Segment]) -> PacketTable:
        blocks = [segment.options.sack for segment in segments if segment.options.sack]
        sack_blocks = np.zeros((len(blocks), 4, 2), np.uint32)
        for row, edges in enumerate(blocks):
            sack_blocks[row, : len(edges)] = edges
        has_sack = np.array([bool(segment.options.sack) for segment in segments], np.bool_)
        values = [self._values(segment) for segment in segments]
        columns = {name: np.array([value[name] for value in values], COLUMNS[name].dtype) for name in _VALUES}
        columns |= {
            name: getattr(block, name).astype(COLUMNS[name].dtype)
            for name in ("frame", "time_ns", "wire_len", "cap_len", "interface")
        }
        if self._checked:
            columns[checksums.COLUMN] = np.array([segment.checksum for segment in segments], np.uint8)
        columns["sack"] = np.where(has_sack, np.cumsum(has_sack) - 1, -1).astype(np.int32)
        ordered = [*COLUMNS, checksums.COLUMN] if self._checked else COLUMNS
        return PacketTable({name: columns[name] for name in ordered}, sack_blocks, ())

    def _values(self, segment: _Segment) -> dict[str, int]:
        header, network, options = segment.header, segment.network, segment.options
        src, dst = int.from_bytes(network.src, "big"), int.from_bytes(network.dst, "big")
        low = (1 << 64) - 1
        return {
            "encapsulation": self._paths.number(outside(segment.trail.path)),
            "ip_version": network.version,
            "src_hi": src >> 64,
            "src_lo": src & low,
            "dst_hi": dst >> 64,
            "dst_lo": dst & low,
            "ttl": network.ttl,
            "ip_id": network.ip_id,
            "sport": header.sport,
            "dport": header.dport,
            "seq": header.seq,
            "ack": header.ack,
            "flags": header._off_flags & 0x1FF,
            "window": header.win,
            "urgent": header.urp,
            "checksum": header.sum,
            "payload_len": segment.payload_len,
            "mss": options.mss,
            "window_scale": options.window_scale,
            "options": options.options,
            "ts_val": options.ts_val,
            "ts_ecr": options.ts_ecr,
            "mptcp": options.mptcp,
            "fast_open": options.fast_open,
            "option_order": segment.option_order,
            "notes": segment.trail.notes,
        }


_VALUES = tuple(COLUMNS.keys() - {"frame", "time_ns", "wire_len", "cap_len", "interface", "sack"})


def _header(kind: type[dpkt.Packet], part: Part) -> Any:
    """Only the fixed header of a dpkt class; raises Cut if it is not wholly captured.

    The constructor would go on to options and payload, each class in its own way; the base class's unpack does not.
    """
    if len(part.data) < kind.__hdr_len__:
        raise Cut
    header = object.__new__(kind)
    dpkt.Packet.unpack(header, part.data[: kind.__hdr_len__])
    return header


_EXTENSIONS = {
    dpkt.ip.IP_PROTO_HOPOPTS: dpkt.ip6.IP6HopOptsHeader,
    dpkt.ip.IP_PROTO_ROUTING: dpkt.ip6.IP6RoutingHeader,
    dpkt.ip.IP_PROTO_FRAGMENT: dpkt.ip6.IP6FragmentHeader,
    dpkt.ip.IP_PROTO_AH: dpkt.ip6.IP6AHHeader,
    dpkt.ip.IP_PROTO_DSTOPTS: dpkt.ip6.IP6DstOptsHeader,
    135: dpkt.ip6.IP6DstOptsHeader,
}
"""Extension headers by number; Mobility (135) has the shape of an options header as far as length and next go."""


_TAKEN_APART = {
    Space.ETHERTYPE: links.ETHERTYPES.keys() | {0x0800, 0x86DD},
    Space.PROTOCOL: tunnels.PROTOCOLS.keys() | _EXTENSIONS.keys() | {1, 4, 6, 17, 41, 58},
}


def stranger(space: Space, number: int) -> str:
    """How frames are counted that carry this EtherType or IP protocol; empty if it is one that is looked into here."""
    if number in _TAKEN_APART[space] or number < 0:
        return ""
    return ethertype_label(number) if space is Space.ETHERTYPE else ip_label(number)


def _extension_length(protocol: int, extension: Any) -> int:
    """RFC 8200 section 4, RFC 4302 section 2.2: in units of 8 bytes beyond the first, AH of 4 beyond two."""
    if protocol == dpkt.ip.IP_PROTO_FRAGMENT:
        return 8
    return int(extension.len + 2) * 4 if protocol == dpkt.ip.IP_PROTO_AH else int(extension.len + 1) * 8


def _covered(network: Network, protocol: int, part: Part) -> Network:
    """The addresses for checksums where this extension header changes them (RFC 8200 section 8.1, RFC 6275 11.3.1)."""
    size = 8 * (part.data[1] + 1)
    if protocol == dpkt.ip.IP_PROTO_ROUTING and len(part.data) >= size >= 24 and part.data[3]:
        last = 8 if part.data[2] == _SEGMENT_ROUTING else size - 16
        return network._replace(checked_dst=part.data[last : last + 16])
    if protocol == dpkt.ip.IP_PROTO_DSTOPTS:
        home = _option(part.data[:size], _HOME_ADDRESS, 16)
        return network._replace(checked_src=home) if home else network
    return network


def _jumbo(extension: bytes) -> int:
    """Payload length that hop-by-hop options tell, the extension headers included (RFC 2675 section 2); 0: none."""
    length = int.from_bytes(_option(extension, JUMBO, 4), "big")
    return length if length > MOST_WITHOUT_JUMBO else 0


def _option(extension: bytes, kind: int, size: int) -> bytes:
    """Value of the option of this kind and size in hop-by-hop or destination options (RFC 8200 section 4.2), if any."""
    at = 2
    while at + 2 <= len(extension):
        if extension[at] == kind and extension[at + 1] == size and at + 2 + size <= len(extension):
            return extension[at + 2 : at + 2 + size]
        at += 1 if not extension[at] else 2 + extension[at + 1]
    return b""


_SEGMENT_ROUTING, _HOME_ADDRESS = 4, 0xC9
"""Routing header whose segment list is in reverse order (RFC 8754), and the option of a mobile node's own address."""


def _udp(trail: Trail, part: Part) -> Next | str:
    trail.path.append("udp")
    header = _header(dpkt.udp.UDP, part)
    for port in (header.dport, header.sport):
        if port in tunnels.PORTS:
            return Next(Space.PORT, port, part.skip(8))
    return "UDP"


def _ah(trail: Trail, part: Part) -> Next | str:
    trail.path.append("ah")
    header = _header(dpkt.ip6.IP6AHHeader, part)
    return Next(Space.PROTOCOL, header.nxt, part.skip(_extension_length(dpkt.ip.IP_PROTO_AH, header)))


_IP_IN_IP: Mapping[int, Handler] = {
    4: lambda trail, part: Next(Space.ETHERTYPE, 0x0800, part),
    41: lambda trail, part: Next(Space.ETHERTYPE, 0x86DD, part),
    51: _ah,
}


def _tcp(trail: Trail, part: Part, checked: bool) -> _Segment | str:
    if len(part.data) < TCP_HEADER:
        return phrase("cut {layer} header", layer="TCP") if part.length > len(part.data) else phrase("malformed TCP")
    if trail.network is None:
        return phrase("TCP without IP")
    header = _header(dpkt.tcp.TCP, part)
    size = header.off * 4
    if size < TCP_HEADER:
        return phrase("malformed TCP")
    trail.notes |= int(RowNote.DISSECTED)
    if size > part.length:
        trail.notes |= int(RowNote.BAD_DATA_OFFSET)
    if len(part.data) < part.length:
        trail.notes |= int(RowNote.SNAPLEN_CUT)
    if header._off_flags & 0x0E00:
        trail.notes |= int(RowNote.RESERVED_FLAGS)
    held = part.data[TCP_HEADER:size]
    options = read_segment_options(held, size - TCP_HEADER)
    order = order_of(held, size - TCP_HEADER) if header.flags & dpkt.tcp.TH_SYN else 0
    if options.malformed:
        trail.notes |= int(RowNote.MALFORMED_OPTIONS)
    checksum = checksums.check_one(trail.network, part) if checked else 0
    return _Segment(trail, trail.network, header, max(0, part.length - size), options, order, checksum)
