"""The common path: most frames of most captures, decoded a block at a time without a Python loop over frames.

Ethernet with up to two VLAN tags, raw IP, BSD loopback and Linux cooked frames; IPv4 without fragments, IPv6 without
extension headers; TCP with any options. A frame outside of that is not guessed at but handed back for dissect.py.
Every layer is one gather of its header at the position the layer before said, and a mask of the rows where it is sound.

Lengths follow the headers, never the bytes captured: an IP datagram ends where its length field says, or with the
frame's wire length if that comes first, and Ethernet padding or a frame check sequence behind it is no payload.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pcapreport.capture.container import RecordBlock
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Bools, Gather, Ints
from pcapreport.capture.model import Interface
from pcapreport.capture.options import OptionColumns, read_options
from pcapreport.capture.packet_table import COLUMNS, Array, PacketTable, RowNote
from pcapreport.capture.protocols import ethertype_label, ip_label

Rows = npt.NDArray[np.intp]

VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
IPV4_TYPE, IPV6_TYPE, ARP_TYPE = 0x0800, 0x86DD, 0x0806
TCP, UDP = 6, 17
_COUNTED_ETHERTYPES = (ARP_TYPE, 0x88CC)
_COUNTED_PROTOCOLS = (1, 2, 58, 89, 112, 132)
"""IP protocols that can hold no TCP segment of their own (one inside an ICMP error is a quotation)."""

TUNNEL_PORTS = (500, 1701, 2152, 3544, 4500, 4754, 4755, 4789, 5072, 5246, 5247, 6081, 6635, 8472)
"""UDP ports under which another frame may travel: dissect.py looks there."""

LINK_PATHS = {0: "null", 1: "ethernet", 12: "raw", 14: "raw", 101: "raw", 108: "null", 113: "sll", 228: "raw",
              229: "raw", 276: "sll2"}  # fmt: skip
"""Link types of the common path, as an encapsulation path begins with them."""

_AF_INET = (2,)
_AF_INET6 = (10, 23, 24, 28, 30)
"""Address families of IPv6: Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS (libpcap, gencode.c)."""


@dataclass(slots=True)
class _Frames:
    """Frames of one link type during decoding; arrays (n,)."""

    block: RecordBlock
    end: Ints
    """Position behind the captured bytes, without frame check sequence."""
    wire_end: Ints
    """Position where the frame would end had all of it been captured."""
    at: Ints
    """Position of the next header."""
    ethertype: Ints
    """Of the next header; -1: not recognised."""
    encapsulation: Ints


def decode(
    gather: Gather, block: RecordBlock, interface: Interface, paths: Encapsulations, others: Counter[str]
) -> tuple[list[PacketTable], Rows]:
    """Tables of the segments recognised (each in file order), and the rows of `block` left for dissect.py.

    All records of the block belong to interfaces of this link type and frame check sequence. Frames that are
    certainly no TCP are counted in `others`.
    """
    if interface.link_type not in LINK_PATHS:
        return [], np.arange(len(block))
    frames = _link_layer(gather, block, interface, paths)
    left = np.ones(len(block), np.bool_)
    for ethertype in _COUNTED_ETHERTYPES:
        chosen = (frames.ethertype == ethertype) & left
        _count(others, ethertype_label(ethertype), chosen, left)
    tables = []
    for wanted, network_layer in ((IPV4_TYPE, _ipv4), (IPV6_TYPE, _ipv6)):
        rows = np.flatnonzero(frames.ethertype == wanted)
        if not len(rows):
            continue
        network = network_layer(gather, frames, rows)
        _count_other_protocols(gather, network, left, others)
        table, taken = _tcp(gather, frames, network)
        left[taken] = False
        tables.append(table)
    return tables, np.flatnonzero(left)


def _count(others: Counter[str], label: str, chosen: Bools, left: Bools) -> None:
    number = int(np.count_nonzero(chosen))
    if number:
        others[label] += number
        left[chosen] = False


# --- link layers ---------------------------------------------------------------------------------------------------


def _link_layer(gather: Gather, block: RecordBlock, interface: Interface, paths: Encapsulations) -> _Frames:
    start = block.offset
    wire_end = start + np.maximum(block.wire_len, block.cap_len) - interface.fcs_len
    end = np.minimum(start + block.cap_len, wire_end)
    link = interface.link_type
    if link == 1:
        header, ethertype = 14, gather.numbers(">u2", start + 12)
    elif link == 113:
        header, ethertype = 16, gather.numbers(">u2", start + 14)
    elif link == 276:
        header, ethertype = 20, gather.numbers(">u2", start)
    elif link in (0, 108):
        header, ethertype = 4, _address_family(gather, start)
    else:
        header, ethertype = 0, _version_type(gather, start)
    ethertype[(start + header > end) | (ethertype < 0x0600)] = -1
    frames = _Frames(block, end, wire_end, start + header, ethertype, np.zeros(len(block), np.int64))
    _strip_vlans(gather, frames, LINK_PATHS[link], paths)
    return frames


def _version_type(gather: Gather, at: Ints) -> Ints:
    """EtherType of what looks like an IP header."""
    version = gather.numbers("u1", at) >> 4
    return np.where(version == 4, IPV4_TYPE, np.where(version == 6, IPV6_TYPE, -1))


def _address_family(gather: Gather, start: Ints) -> Ints:
    """EtherType for the address family, written in the byte order of whatever host captured."""
    little, big = gather.numbers("<u4", start), gather.numbers(">u4", start)
    ethertype = np.full(len(start), -1, np.int64)
    ethertype[np.isin(little, _AF_INET) | np.isin(big, _AF_INET)] = IPV4_TYPE
    ethertype[np.isin(little, _AF_INET6) | np.isin(big, _AF_INET6)] = IPV6_TYPE
    return ethertype


def _strip_vlans(gather: Gather, frames: _Frames, link_path: str, paths: Encapsulations) -> None:
    """Step over up to two tags and number the path; a third tag stays for dissect.py."""
    identifiers = np.zeros(len(frames.at), np.int64)
    for _ in range(2):
        tagged = np.zeros(len(frames.at), np.bool_)
        for vlan_type in VLAN_TYPES:
            tagged |= frames.ethertype == vlan_type
        rows = np.flatnonzero(tagged & (frames.at + 4 <= frames.end))
        if not len(rows):
            break
        tag = gather.numbers(">u4", frames.at[rows])
        identifiers[rows] = identifiers[rows] << 16 | 1 << 12 | tag >> 16 & 0xFFF
        frames.ethertype[rows] = tag & 0xFFFF
        frames.at[rows] += 4
    if not identifiers.any():
        frames.encapsulation[:] = paths.number(link_path)
        return
    for value in np.unique(identifiers):
        tags = [int(part) & 0xFFF for part in (value >> 16, value) if part]
        path = link_path + "".join(f"/vlan {tag}" for tag in tags)
        frames.encapsulation[identifiers == value] = paths.number(path)


# --- IP ------------------------------------------------------------------------------------------------------------

_IPV4 = np.dtype(
    [("version", "u1"), ("tos", "u1"), ("length", ">u2"), ("id", ">u2"), ("fragment", ">u2"), ("ttl", "u1"),
     ("protocol", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4")]
)  # fmt: skip
_IPV6 = np.dtype(
    [("version", ">u4"), ("length", ">u2"), ("next", "u1"), ("ttl", "u1"),
     ("src_hi", ">u8"), ("src_lo", ">u8"), ("dst_hi", ">u8"), ("dst_lo", ">u8")]
)  # fmt: skip

_MORE_OR_OFFSET = 0x3FFF
"""More-fragments flag and fragment offset."""


@dataclass(slots=True)
class _Network:
    """Datagrams of one IP version; arrays (n,)."""

    version: int
    rows: Rows
    """Which frames of the block."""
    sound: Bools
    """A whole header, of this version, and no fragment."""
    protocol: Ints
    payload_at: Ints
    payload_end: Ints
    """Where the datagram ends, whether or not the file holds that much."""
    no_length: Bools
    columns: dict[str, Array]


def _ipv4(gather: Gather, frames: _Frames, rows: Rows) -> _Network:
    at = frames.at[rows]
    header = gather.headers(_IPV4, at)
    version = header["version"]
    header_len = (version & 15).astype(np.int64) * 4
    length = header["length"].astype(np.int64)
    wire_end = frames.wire_end[rows]
    sound = (version >> 4 == 4) & (header_len >= 20) & ((length >= header_len) | (length == 0))
    sound &= (header["fragment"] & _MORE_OR_OFFSET) == 0
    sound &= at + header_len <= frames.end[rows]
    zeros = np.zeros(len(rows), np.uint64)
    columns = {
        "src_hi": zeros,
        "src_lo": header["src"],
        "dst_hi": zeros,
        "dst_lo": header["dst"],
        "ttl": header["ttl"],
        "ip_id": header["id"],
    }
    payload_end = np.where(length == 0, wire_end, np.minimum(at + length, wire_end))
    protocol = header["protocol"].astype(np.int64)
    return _Network(4, rows, sound, protocol, at + header_len, payload_end, length == 0, columns)


def _ipv6(gather: Gather, frames: _Frames, rows: Rows) -> _Network:
    at = frames.at[rows]
    header = gather.headers(_IPV6, at)
    length = header["length"].astype(np.int64)
    wire_end = frames.wire_end[rows]
    sound = (header["version"] >> 28 == 6) & (at + 40 <= frames.end[rows])
    columns = {name: header[name] for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "ttl")}
    columns["ip_id"] = np.zeros(len(rows), np.uint16)
    payload_end = np.where(length == 0, wire_end, np.minimum(at + 40 + length, wire_end))
    protocol = header["next"].astype(np.int64)
    return _Network(6, rows, sound, protocol, at + 40, payload_end, length == 0, columns)


def _count_other_protocols(gather: Gather, network: _Network, left: Bools, others: Counter[str]) -> None:
    if ((network.protocol == TCP) & network.sound).all():
        return
    for protocol in (*_COUNTED_PROTOCOLS, UDP):
        chosen = network.sound & (network.protocol == protocol)
        if protocol == UDP and chosen.any():
            ports = gather.numbers(">u4", network.payload_at)
            chosen &= ~np.isin(ports >> 16, TUNNEL_PORTS) & ~np.isin(ports & 0xFFFF, TUNNEL_PORTS)
        number = int(np.count_nonzero(chosen))
        if number:
            others[ip_label(protocol)] += number
            left[network.rows[chosen]] = False


# --- TCP -----------------------------------------------------------------------------------------------------------

_TCP = np.dtype(
    [("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("flags", ">u2"), ("window", ">u2"),
     ("checksum", ">u2"), ("urgent", ">u2")]
)  # fmt: skip
TCP_HEADER = 20


def _tcp(gather: Gather, frames: _Frames, network: _Network) -> tuple[PacketTable, Rows]:
    """Segments with a whole fixed header and a sensible data offset, and which frames they are."""
    at = network.payload_at
    chosen = network.sound & (network.protocol == TCP) & (at + TCP_HEADER <= frames.end[network.rows])
    header = gather.headers(_TCP, at)
    header_len = (header["flags"] >> 12).astype(np.int64) * 4
    chosen &= (header_len >= TCP_HEADER) & (at + header_len <= network.payload_end)
    keep: Rows | slice = slice(None) if chosen.all() else np.flatnonzero(chosen)
    rows, header, at = network.rows[keep], header[keep], at[keep]
    payload_at, payload_end = at + header_len[keep], network.payload_end[keep]
    captured = frames.end[rows]
    options = _options(gather, at + TCP_HEADER, payload_at, captured)
    notes = np.where(captured < payload_end, np.uint8(RowNote.SNAPLEN_CUT), np.uint8(0))
    notes |= np.where(network.no_length[keep], np.uint8(RowNote.NO_IP_LENGTH), np.uint8(0))
    notes |= np.where(options.malformed, np.uint8(RowNote.MALFORMED_OPTIONS), np.uint8(0))
    notes |= np.where(header["flags"] & 0x0E00, np.uint8(RowNote.RESERVED_FLAGS), np.uint8(0))
    whole = len(rows) == len(frames.block)
    block = frames.block if whole else frames.block.pick(rows)
    columns: dict[str, Array] = {name: column[keep] for name, column in network.columns.items()}
    columns |= {name: header[name] for name in ("sport", "dport", "seq", "ack", "window", "urgent", "checksum")}
    columns |= {name: getattr(block, name) for name in ("frame", "time_ns", "wire_len", "cap_len", "interface")}
    columns |= {name: getattr(options, name) for name in _OPTION_COLUMNS}
    columns |= {
        "encapsulation": frames.encapsulation[rows],
        "ip_version": np.full(len(rows), network.version, np.uint8),
        "flags": header["flags"] & 0x1FF,
        "payload_len": payload_end - payload_at,
        "notes": notes,
    }
    typed = {name: columns[name].astype(column.dtype, copy=False) for name, column in COLUMNS.items()}
    return PacketTable(typed, options.sack_blocks, ()), rows


_OPTION_COLUMNS = ("mss", "window_scale", "options", "ts_val", "ts_ecr", "sack")


def _options(gather: Gather, start: Ints, stop: Ints, captured: Ints) -> OptionColumns:
    """Options of all segments; only those that have some are looked at."""
    some = np.flatnonzero(stop > start)
    if len(some) == len(start):
        return read_options(gather, start, stop, captured)
    columns = OptionColumns.absent(len(start))
    if not len(some):
        return columns
    found = read_options(gather, start[some], stop[some], captured[some])
    for name in (*_OPTION_COLUMNS, "malformed"):
        getattr(columns, name)[some] = getattr(found, name)
    return replace(columns, sack_blocks=found.sack_blocks)
