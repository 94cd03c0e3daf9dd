"""Rows of the packet table -> connections: one incarnation of a 4-tuple each.

A new SYN with another initial sequence number begins a new incarnation if the other end took it as one; a SYN that
the connection survived stays in it (RFC 5961 section 4). An idle pause never splits. Which side opened is read from
the SYN, else from the SYN-ACK, else guessed from the port numbers, and the guess is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.settings import Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.copies import Sent, originals
from pcapreport.tcp.incarnations import split_incarnations

Ints = npt.NDArray[np.int64]

WELL_KNOWN_PORTS = 1024
"""Ports below are system ports (RFC 6335 section 6)."""
REGISTERED_PORTS = 32768
"""Ports from here on are used as ephemeral ports by common systems (Linux: 32768-60999; IANA: from 49152)."""


class OpenerEvidence(IntEnum):
    """How we know which side opened the connection."""

    SYN = 0
    SYN_ACK = 1
    PORTS = 2
    FIRST_SEGMENT = 3


OPENER_TEXT = {
    OpenerEvidence.SYN: "it sent the SYN",
    OpenerEvidence.SYN_ACK: "the other side sent the SYN-ACK",
    OpenerEvidence.PORTS: "a guess from the port numbers; the opening was not captured",
    OpenerEvidence.FIRST_SEGMENT: "a guess: it sent the first captured segment; the opening was not captured",
}

CLIENT, SERVER = 0, 1


class Endpoint(NamedTuple):
    """Address and port of one end."""

    address: str
    port: int


@dataclass(frozen=True)
class ConnectionTable:
    """All connections of a capture; the rows of one stand together, in capture order.

    Arrays of n rows: `row` (index into the packet table), `time_ns`, `frame`, `flags`, `length` (payload bytes),
    `side` (CLIENT or SERVER: who sent it), `seq` and `end` (unwrapped, relative to the sender's ISN; `end` counts
    SYN and FIN), `ack` (relative to the other side's ISN; 0 without the ACK flag), `window` (unscaled),
    `original` (position of the row that this one is a copy of, or -1: see copies.py).
    Arrays of c connections: `bounds` (c + 1: connection i is bounds[i]:bounds[i + 1]), `opener` (OpenerEvidence),
    `successor` (the next incarnation of the same 4-tuple, or -1), `isn` (c, 2: raw base of each side's numbers),
    `isn_seen` (c, 2: that side's SYN was captured).
    """

    packets: PacketTable
    bounds: Ints
    row: Ints
    time_ns: Ints
    frame: Ints
    flags: npt.NDArray[np.uint16]
    length: Ints
    side: npt.NDArray[np.uint8]
    seq: Ints
    end: Ints
    ack: Ints
    window: Ints
    opener: npt.NDArray[np.uint8]
    successor: Ints
    isn: npt.NDArray[np.uint32]
    isn_seen: npt.NDArray[np.bool_]
    original: Ints

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def rows_of(self, connection: int) -> slice:
        """Where the rows of a connection stand."""
        return slice(int(self.bounds[connection]), int(self.bounds[connection + 1]))

    def endpoints(self, connection: int) -> tuple[Endpoint, Endpoint]:
        """(client, server)."""
        return self.all_endpoints[connection]

    @cached_property
    def all_endpoints(self) -> list[tuple[Endpoint, Endpoint]]:
        """(client, server) of each connection."""
        first = self.bounds[:-1]
        row, from_server = self.row[first], self.side[first] != CLIENT
        sent, received = (
            [self.packets[name][row] for name in (f"{way}_hi", f"{way}_lo", port)]
            for way, port in (("src", "sport"), ("dst", "dport"))
        )
        version = self.packets["ip_version"][row].tolist()
        clients = [np.where(from_server, b, a).tolist() for a, b in zip(sent, received, strict=True)]
        servers = [np.where(from_server, a, b).tolist() for a, b in zip(sent, received, strict=True)]
        return [
            (Endpoint(_address(v, c[0], c[1]), c[2]), Endpoint(_address(v, s[0], s[1]), s[2]))
            for v, c, s in zip(version, zip(*clients, strict=True), zip(*servers, strict=True), strict=True)
        ]


@lru_cache(maxsize=1 << 16)
def _address(version: int, high: int, low: int) -> str:
    return str(IPv4Address(low)) if version == 4 else str(IPv6Address(high << 64 | low))


def find_connections(packets: PacketTable, settings: Settings | None = None) -> ConnectionTable:
    """Group the rows of a packet table into connections, numbered by their first frame, then by `endpoint_hash`."""
    lower = _lower_endpoint_sent(packets)
    order, group = _group_by_tuple(packets, lower)
    part = split_incarnations(packets, order, group, lower[order])
    order, connection, group = _number_by_first_frame(packets["frame"], order, group, part)
    side_of_lower, opener = _find_openers(packets, order, connection, lower[order])
    side = np.where(lower[order], side_of_lower[connection], 1 - side_of_lower[connection]).astype(np.uint8)
    successor = _successors(group, connection)
    return _assemble(packets, order, connection, side, opener, successor, settings or Settings())


def _lower_endpoint_sent(packets: PacketTable) -> npt.NDArray[np.bool_]:
    """Per row: the numerically lower endpoint is the sender."""
    src = (packets["src_hi"], packets["src_lo"], packets["sport"])
    dst = (packets["dst_hi"], packets["dst_lo"], packets["dport"])
    lower = src[2] <= dst[2]
    for a, b in ((src[1], dst[1]), (src[0], dst[0])):
        lower = (a < b) | ((a == b) & lower)
    return lower


def _tuple_columns(packets: PacketTable, lower: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.uint64]]:
    """IP version, then lower and upper endpoint, the same for both directions."""
    columns = [packets["ip_version"].astype(np.uint64)]
    for a, b in (("src_hi", "dst_hi"), ("src_lo", "dst_lo"), ("sport", "dport")):
        columns.append(np.where(lower, packets[a], packets[b]).astype(np.uint64))
        columns.append(np.where(lower, packets[b], packets[a]).astype(np.uint64))
    return columns


def _mixed(columns: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row of `columns` (multiply and shift, as in splitmix64)."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ column) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def endpoint_hash(packets: PacketTable) -> npt.NDArray[np.uint64]:
    """Per row a hash of its 4-tuple, the same for both directions and whatever other rows are in the table.

    So rows may be parted by it, and connections found in each part are numbered as if all had been together.
    """
    return _mixed(_tuple_columns(packets, _lower_endpoint_sent(packets)))


def _group_by_tuple(packets: PacketTable, lower: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """(rows sorted by `endpoint_hash` and 4-tuple, then frame; group number of each)."""
    columns = _tuple_columns(packets, lower)
    mixed = _mixed(columns)
    order = np.argsort(mixed, kind="stable")
    differs = _changes(columns, order)
    mixed = mixed[order]
    if np.any(differs & (mixed[1:] == mixed[:-1])):  # two 4-tuples with one hash: sort by the 4-tuple itself
        order = np.lexsort([*columns, endpoint_hash(packets)])
        differs = _changes(columns, order)
    return order, np.concatenate([np.zeros(min(len(order), 1), np.int64), np.cumsum(differs)])


def _changes(columns: Sequence[npt.NDArray[np.uint64]], order: Ints) -> npt.NDArray[np.bool_]:
    """Per row of `order` but the first: it differs from the row before in any column."""
    differs = np.zeros(max(len(order) - 1, 0), bool)
    for column in columns:
        ordered = column[order]
        differs |= ordered[1:] != ordered[:-1]
    return differs


def _number_by_first_frame(frame: Ints, order: Ints, group: Ints, part: Ints) -> tuple[Ints, Ints, Ints]:
    """(rows sorted by connection, then frame; connection of each, numbered as they first appear; group of each).

    A frame can begin several connections (an 802.11 aggregate); those stay in the order of their hashes.
    """
    if not len(order):
        return order, group, group
    new = np.ones(len(order), bool)
    new[1:] = (group[1:] != group[:-1]) | (part[1:] != part[:-1])
    starts = np.flatnonzero(new)
    rank = np.empty(len(starts), np.int64)
    rank[np.argsort(frame[order[starts]], kind="stable")] = np.arange(len(starts))
    connection = rank[np.cumsum(new) - 1]
    by_connection = np.argsort(connection, kind="stable")
    return order[by_connection], connection[by_connection], group[by_connection]


def _first_where(mask: npt.NDArray[np.bool_], connection: Ints, count: int) -> Ints:
    """Per connection the position of the first row where `mask` holds, or -1."""
    first = np.full(count, -1, np.int64)
    at = np.flatnonzero(mask)
    first[connection[at][::-1]] = at[::-1]
    return first


def _find_openers(
    packets: PacketTable, order: Ints, connection: Ints, lower: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Per connection: the side of its lower endpoint, and how that is known."""
    count = int(connection[-1]) + 1 if len(connection) else 0
    flags = packets["flags"][order]
    syn, ack = (flags & Flag.SYN) != 0, (flags & Flag.ACK) != 0
    everything = np.ones(len(order), bool)
    first = _first_where(everything, connection, count)
    first_syn = _first_where(syn & ~ack, connection, count)
    first_syn_ack = _first_where(syn & ack, connection, count)
    sport, dport = packets["sport"][order][first], packets["dport"][order][first]
    by_ports = (np.minimum(sport, dport) < REGISTERED_PORTS) & (sport != dport)
    by_ports &= (np.minimum(sport, dport) < WELL_KNOWN_PORTS) | (np.maximum(sport, dport) >= REGISTERED_PORTS)
    client_is_lower = lower[first]
    opener = np.full(count, OpenerEvidence.FIRST_SEGMENT, np.uint8)
    client_is_lower = np.where(by_ports, lower[first] == (sport > dport), client_is_lower)
    opener[by_ports] = OpenerEvidence.PORTS
    seen = first_syn_ack >= 0
    client_is_lower[seen] = ~lower[first_syn_ack[seen]]
    opener[seen] = OpenerEvidence.SYN_ACK
    seen = first_syn >= 0
    client_is_lower[seen] = lower[first_syn[seen]]
    opener[seen] = OpenerEvidence.SYN
    return np.where(client_is_lower, CLIENT, SERVER).astype(np.uint8), opener


def _successors(group: Ints, connection: Ints) -> Ints:
    """Per connection the next incarnation of the same 4-tuple, or -1."""
    if not len(connection):
        return np.empty(0, np.int64)
    first = np.flatnonzero(np.diff(connection, prepend=-1))
    successor = np.full(len(first), -1, np.int64)
    by_tuple = np.argsort(group[first], kind="stable")
    same = group[first][by_tuple][1:] == group[first][by_tuple][:-1]
    successor[by_tuple[:-1][same]] = by_tuple[1:][same]
    return successor


def _assemble(
    packets: PacketTable,
    order: Ints,
    connection: Ints,
    side: npt.NDArray[np.uint8],
    opener: npt.NDArray[np.uint8],
    successor: Ints,
    settings: Settings,
) -> ConnectionTable:
    count = len(opener)
    flags = packets["flags"][order]
    flow = connection * 2 + side
    raw_seq, raw_ack = packets["seq"][order], packets["ack"][order]
    seq, isn, isn_seen = _relative_seq(raw_seq, flags, flow, count)
    ack = _relative_ack(raw_ack, flags, flow, isn)
    length = packets["payload_len"][order].astype(np.int64)
    occupied = length + ((flags & Flag.SYN) != 0) + ((flags & Flag.FIN) != 0)
    end = seq + occupied
    bounds = np.searchsorted(connection, np.arange(count + 1))
    return ConnectionTable(
        packets=packets,
        bounds=bounds,
        row=order,
        time_ns=packets["time_ns"][order],
        frame=packets["frame"][order],
        flags=flags,
        length=length,
        side=side,
        seq=seq,
        end=end,
        ack=ack,
        window=packets["window"][order].astype(np.int64),
        opener=opener,
        successor=successor,
        isn=isn.reshape(count, 2),
        isn_seen=isn_seen.reshape(count, 2),
        original=originals(Sent(packets, order, flow, seq, end, ack), settings),
    )


def _relative_seq(
    raw: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16], flow: Ints, count: int
) -> tuple[Ints, npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """(unwrapped numbers relative to each flow's ISN, raw ISN per flow, ISN seen per flow).

    Without a SYN the first number of the flow counts as 1, as Wireshark shows it.
    """
    by_flow = np.argsort(flow, kind="stable")
    starts = np.ones(len(flow), bool)
    starts[1:] = np.diff(flow[by_flow]) != 0
    unwrapped = np.empty(len(flow), np.int64)
    unwrapped[by_flow] = sequence.unwrap(raw[by_flow], starts)
    first = _first_where(np.ones(len(flow), bool), flow, 2 * count)
    first_syn = _first_where((flags & Flag.SYN) != 0, flow, 2 * count)
    seen = first_syn >= 0
    anchor = np.where(seen, first_syn, first)
    base = np.where(anchor >= 0, unwrapped[anchor], 0) - np.where(seen, 0, 1)
    isn = np.where(anchor >= 0, raw[anchor], 0).astype(np.uint32) - np.where(seen, 0, 1).astype(np.uint32)
    isn[first < 0] = 0
    return unwrapped - base[flow], isn.astype(np.uint32), seen


def _relative_ack(
    raw: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16], flow: Ints, isn: npt.NDArray[np.uint32]
) -> Ints:
    """Acknowledgment numbers relative to the other flow's ISN; its ISN is filled in from the first one if unseen."""
    out = np.zeros(len(flow), np.int64)
    valid = np.flatnonzero((flags & Flag.ACK) != 0)
    if not len(valid):
        return out
    by_flow = valid[np.argsort(flow[valid], kind="stable")]
    starts = np.ones(len(by_flow), bool)
    starts[1:] = np.diff(flow[by_flow]) != 0
    first = by_flow[np.maximum.accumulate(np.where(starts, np.arange(len(by_flow)), 0))]
    silent = np.ones(len(isn), bool)
    silent[flow] = False
    heads = by_flow[starts]
    peers = flow[heads] ^ 1
    isn[peers[silent[peers]]] = raw[heads[silent[peers]]] - np.uint32(1)
    offset = sequence.distances(raw[first], isn[flow[first] ^ 1])
    out[by_flow] = sequence.unwrap(raw[by_flow], starts) + offset
    return out
