"""Rows of the packet table -> connections: one incarnation of a 4-tuple each.

Rows belong together that share their 4-tuple, and their encapsulation path or evidence that links two (paths.py).
A new SYN with another initial sequence number begins a new incarnation if the other end took it as one; a SYN that
the connection survived stays in it (RFC 5961 section 4). An idle pause never splits. Which side opened is read from
the SYN, else from the SYN-ACK, else guessed from the port numbers, and the guess is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable
from pcapreport.language import joined, phrase
from pcapreport.settings import Settings
from pcapreport.tcp import addresses, sequence
from pcapreport.tcp.copies import Sent, originals
from pcapreport.tcp.evidence import ACK, FIN, FOREIGN, RST, SYN
from pcapreport.tcp.incarnations import split_incarnations
from pcapreport.tcp.paths import part_by_path
from pcapreport.tcp.tap_order import Rows, behind_later, openers_first, put_right
from pcapreport.tcp.tuples import Grouping, group, tuples_of

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)

WELL_KNOWN_PORTS = 1024
"""Ports below are system ports (RFC 6335 section 6)."""
REGISTERED_PORTS = 32768
"""Ports from here on are used as ephemeral ports by common systems (Linux: 32768-60999; IANA: from 49152)."""


NEAR_ISN = 1 << 20
"""A flow's segments captured before its SYN, in the wrong order, are within its first window."""


class OpenerEvidence(IntEnum):
    """How we know which side opened the connection."""

    SYN = 0
    SYN_ACK = 1
    PORTS = 2
    FIRST_SEGMENT = 3


OPENER_TEXT = {
    OpenerEvidence.SYN: phrase("it sent the SYN"),
    OpenerEvidence.SYN_ACK: phrase("the other side sent the SYN-ACK"),
    OpenerEvidence.PORTS: phrase("a guess from the port numbers; the opening was not captured"),
    OpenerEvidence.FIRST_SEGMENT: phrase("a guess: it sent the first captured segment; the opening was not captured"),
}

CLIENT, SERVER = 0, 1


class Endpoint(NamedTuple):
    """Address and port of one end."""

    address: str
    port: int


_OF_ROWS = ("row", "time_ns", "frame", "flags", "length", "side", "seq", "end", "ack", "window")


@dataclass(frozen=True)
class ConnectionTable:
    """All connections of a capture; the rows of one stand together, in capture order but for those `moved`.

    Arrays of n rows: `row` (index into the packet table), `time_ns`, `frame`, `flags`, `length` (payload bytes),
    `side` (CLIENT or SERVER: who sent it), `seq` and `end` (unwrapped, relative to the sender's ISN; `end` counts
    SYN and FIN), `ack` (relative to the other side's ISN; 0 without the ACK flag), `window` (unscaled),
    `original` (position of the row that this one is a copy of, or -1: see copies.py).
    `moved`: positions of the rows that stand behind ones which the capture has after them (see tap_order.py).
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
    moved: Ints

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @cached_property
    def connection(self) -> Ints:
        """(n,) whose each row is."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    def rows_of(self, connection: int) -> slice:
        """Where the rows of a connection stand."""
        return slice(int(self.bounds[connection]), int(self.bounds[connection + 1]))

    def between(self, start: int, stop: int) -> ConnectionTable:
        """The connections from `start` up to `stop` alone, over the same packets."""
        first, last = int(self.bounds[start]), int(self.bounds[stop])
        rows = {name: getattr(self, name)[first:last] for name in _OF_ROWS}
        connections = {name: getattr(self, name)[start:stop] for name in ("opener", "isn", "isn_seen")}
        original, next_one = self.original[first:last], self.successor[start:stop]
        moved = self.moved[(self.moved >= first) & (self.moved < last)]
        return ConnectionTable(
            packets=self.packets,
            bounds=self.bounds[start : stop + 1] - first,
            original=np.where(original >= 0, original - first, -1),
            successor=np.where((next_one >= start) & (next_one < stop), next_one - start, -1),
            moved=moved - first,
            **rows,
            **connections,
        )

    def position_of(self, connection: int, frame: int) -> int | None:
        """Where a frame's first row stands in a connection; None if it is not of it."""
        at = self.rows_of(connection)
        position = at.start + int(np.searchsorted(self.frame[at], frame))
        if len(self.moved) and not (position < at.stop and self.frame[position] == frame):
            position = at.start + int(np.argmax(self.frame[at] == frame))
        return position if position < at.stop and int(self.frame[position]) == frame else None

    def endpoints(self, connection: int) -> tuple[Endpoint, Endpoint]:
        """(client, server)."""
        return self.all_endpoints[connection]

    @cached_property
    def ends(self) -> npt.NDArray[np.uint64]:
        """(c, 2, 4): of client and server the IP version, the upper and lower half of the address, and the port."""
        first = self.bounds[:-1]
        row, from_server = self.row[first], (self.side[first] != CLIENT)[:, np.newaxis]
        sent, received = (
            np.stack([self.packets[name][row].astype(np.uint64) for name in ("ip_version", *names)], axis=1)
            for names in (("src_hi", "src_lo", "sport"), ("dst_hi", "dst_lo", "dport"))
        )
        return np.stack([np.where(from_server, received, sent), np.where(from_server, sent, received)], axis=1)

    @cached_property
    def all_endpoints(self) -> list[tuple[Endpoint, Endpoint]]:
        """(client, server) of each connection."""
        version, high, low, port = (column.tolist() for column in self.ends.transpose(2, 1, 0))
        both = (
            map(Endpoint, map(addresses.text_of, *address), ports)  # called from C, with no step in between
            for *address, ports in zip(version, high, low, port, strict=True)
        )
        return list(zip(*both, strict=True))

    @cached_property
    def paths(self) -> list[str]:
        """The encapsulation of each connection; of one that has several, all in order of appearance."""
        names = self.packets.encapsulations
        if not names:
            return [""] * len(self)
        path = self.packets["encapsulation"][self.row]
        found = [names[number] for number in path[self.bounds[:-1]].tolist()]
        changes = np.flatnonzero(path[1:] != path[:-1]) + 1
        of = np.searchsorted(self.bounds, changes, side="right") - 1
        for connection in np.unique(of[self.bounds[of] != changes]).tolist():
            several = dict.fromkeys(path[self.rows_of(connection)].tolist())
            found[connection] = joined((names[n] for n in several), " and ")
        return found


def find_connections(packets: PacketTable, settings: Settings | None = None) -> ConnectionTable:
    """Group the rows of a packet table into connections, numbered by their first frame, then by `endpoint_hash`."""
    tuples = tuples_of(packets)
    lower, groups = tuples.lower, group(tuples)
    del tuples
    groups = part_by_path(packets, groups, lower)
    groups = openers_first(packets, groups, lower)
    begun = split_incarnations(packets, groups, lower)
    groups, successor = _in_order_of_frames(packets, *_parted(groups, begun))
    return _assemble(packets, groups, lower[groups.order], successor, settings or Settings())


def _parted(groups: Grouping, begun: Ints) -> tuple[Grouping, Bools]:
    """(groups that begin there too; which of them do)."""
    bounds = np.sort(np.concatenate([groups.bounds, begun]))
    begin_there = np.zeros(len(bounds) - 1, bool)
    begin_there[np.searchsorted(bounds, begun)] = True
    return Grouping(groups.order, bounds), begin_there


def _in_order_of_frames(packets: PacketTable, groups: Grouping, goes_on: Bools) -> tuple[Grouping, Ints]:
    """(the groups in order of their first frame; per group the one that goes on with its 4-tuple, or -1).

    A frame can begin several connections (an 802.11 aggregate); those stay in the order of their hashes.
    """
    in_order = np.argsort(packets["frame"][groups.order[groups.bounds[:-1]]], kind="stable")
    rank = np.empty(len(in_order), np.int64)
    rank[in_order] = np.arange(len(in_order))
    successor = np.full(len(in_order), -1, np.int64)
    again = np.flatnonzero(goes_on)
    successor[rank[again - 1]] = rank[again]
    return groups.rearranged(in_order), successor


def _first_of(key: Ints, count: int, rows: Ints | None = None) -> Ints:
    """Per key below `count` its first row (`rows` where given, else 0, 1, 2...), or -1."""
    first = np.full(count, -1, np.int64)
    first[key[::-1]] = (np.arange(len(key)) if rows is None else rows)[::-1]
    return first


class _Raw(NamedTuple):
    """The rows of all connections, n each, numbers as on the wire."""

    connection: Ints
    lower: Bools
    """Sent by the lower endpoint."""
    flags: npt.NDArray[np.uint16]
    seq: npt.NDArray[np.uint32]
    ack: npt.NDArray[np.uint32]

    def at(self, rows: Ints) -> _Raw:
        """Some of them."""
        return _Raw(self.connection[rows], self.lower[rows], self.flags[rows], self.seq[rows], self.ack[rows])


def _stray_syns(every: _Raw, opening: Ints, successor: Ints) -> Ints:
    """The rows of SYNs in connections captured from their middle that did not open them: behind other segments of the
    sender whose numbers do not follow on it, or before such, where the other side acknowledged them instead.

    `opening`: (connections,) their first rows.
    """
    syns = np.flatnonzero((every.flags & SYN) != 0)
    of, answers = every.connection[syns], (every.flags[syns] & ACK) != 0
    sure = np.zeros(len(opening), bool)  # answered, or found to begin another
    sure[of[answers]] = sure[successor[successor >= 0]] = True
    late, first = every.flags[opening[of]] & SYN == 0, (opening[of] == syns) & ~answers & ~sure[of]
    concerned = np.zeros(len(opening), bool)
    concerned[of[late | first]] = True
    rows = np.flatnonzero(concerned[every.connection])
    if not len(rows):
        return rows
    late, first = np.searchsorted(rows, syns[late]), np.searchsorted(rows, syns[first])
    some = every.at(rows)
    flow, seq = some.connection * 2 + some.lower, some.seq
    begins = _first_of(flow, 2 * len(opening))[flow[late]]
    step = seq[begins] - seq[late]
    behind = late[(begins < late) & ((step == 0) | (step > NEAR_ISN))]
    plain = np.flatnonzero(some.flags & (SYN | RST | ACK) == ACK)
    next_plain = _first_of(flow[plain], 2 * len(opening), plain)
    goes_on, challenge = next_plain[flow[first]], next_plain[flow[first] ^ 1]
    told_off = (goes_on >= 0) & (challenge >= 0) & (seq[goes_on] - seq[first] > FOREIGN)
    told_off &= some.ack[challenge] - seq[goes_on] + np.uint32(NEAR_ISN) <= 2 * NEAR_ISN
    strays: Ints = rows[np.concatenate([behind, first[told_off]])]
    return strays


def _find_openers(
    packets: PacketTable, groups: Grouping, connection: Ints, flags: npt.NDArray[np.uint16], lower: Bools, syns: Ints
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Per connection: the side of its lower endpoint, and how that is known."""
    first, count = groups.bounds[:-1], len(groups.bounds) - 1
    acked = (flags[syns] & ACK) != 0
    sport, dport = (packets[name][groups.order[first]] for name in ("sport", "dport"))
    by_ports = (np.minimum(sport, dport) < REGISTERED_PORTS) & (sport != dport)
    by_ports &= (np.minimum(sport, dport) < WELL_KNOWN_PORTS) | (np.maximum(sport, dport) >= REGISTERED_PORTS)
    opener = np.full(count, OpenerEvidence.FIRST_SEGMENT, np.uint8)
    opener[by_ports] = OpenerEvidence.PORTS
    client_is_lower = np.where(by_ports, lower[first] == (sport > dport), lower[first])
    for rows, by_client, evidence in (
        (syns[acked], False, OpenerEvidence.SYN_ACK),
        (syns[~acked], True, OpenerEvidence.SYN),
    ):
        first_such = _first_of(connection[rows], count, rows)
        seen = first_such >= 0
        client_is_lower[seen] = lower[first_such[seen]] == by_client
        opener[seen] = evidence
    return np.where(client_is_lower, CLIENT, SERVER).astype(np.uint8), opener


def _assemble(
    packets: PacketTable, groups: Grouping, lower: Bools, successor: Ints, settings: Settings
) -> ConnectionTable:
    """The table of connections whose rows stand in these groups; `lower`: who sent each of them."""
    order, count = groups.order, len(successor)
    connection, flags = groups.of_each(), packets["flags"][order]
    raw = packets["seq"][order]
    raw_ack = packets["ack"][order]
    strays = _stray_syns(_Raw(connection, lower, flags, raw, raw_ack), groups.bounds[:-1], successor)
    syns = np.flatnonzero((flags & SYN) != 0)
    if len(strays):
        syns = np.setdiff1d(syns, strays)
    side_of_lower, opener = _find_openers(packets, groups, connection, flags, lower, syns)
    side = side_of_lower[connection] ^ ~lower
    flow = connection * 2 + side
    seq, isn, isn_seen = _relative_seq(raw, syns, strays, flow, count)
    ack = _relative_ack(raw_ack, flags, flow, isn)
    end = seq + packets["payload_len"][order]
    end += ((flags & SYN) != 0).view(np.uint8) + ((flags & FIN) != 0)
    rows = Rows(connection, order, packets["time_ns"][order], flags, side, seq, end, ack)
    right = put_right(rows, packets, settings)
    if right is not None:
        rows = rows.at(right)
        flow = rows.connection * 2 + rows.side
    return ConnectionTable(
        packets=packets,
        bounds=groups.bounds,
        row=rows.row,
        time_ns=rows.time_ns,
        frame=packets["frame"][rows.row],
        flags=rows.flags,
        length=packets["payload_len"][rows.row].astype(np.int64),
        side=rows.side,
        seq=rows.seq,
        end=rows.end,
        ack=rows.ack,
        window=packets["window"][rows.row].astype(np.int64),
        opener=opener,
        successor=successor,
        isn=isn.reshape(count, 2),
        isn_seen=isn_seen.reshape(count, 2),
        original=originals(Sent(packets, rows.row, flow, rows.seq, rows.end, rows.ack), settings),
        moved=behind_later(rows.row, rows.connection),
    )


def _relative_seq(
    raw: npt.NDArray[np.uint32], syns: Ints, strays: Ints, flow: Ints, count: int
) -> tuple[Ints, npt.NDArray[np.uint32], Bools]:
    """(unwrapped numbers relative to each flow's ISN, raw ISN per flow, ISN seen per flow); `syns`: the rows of SYNs,
    of which `strays` did not open their connection.

    Without a SYN the first number of the flow counts as 1, as Wireshark shows it.
    """
    anchor = _first_of(flow[syns], 2 * count, syns)
    seen = anchor >= 0
    others = np.delete(np.arange(len(flow)), strays) if len(strays) else None
    first = _first_of(flow, 2 * count) if others is None else _first_of(flow[others], 2 * count, others)
    anchor = np.where(seen, anchor, first)
    isn = np.where(anchor >= 0, raw[anchor] - (~seen).astype(np.uint32), np.uint32(0))
    return sequence.relative(raw, isn, flow, anchor), isn, seen


def _relative_ack(
    raw: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint16], flow: Ints, isn: npt.NDArray[np.uint32]
) -> Ints:
    """Acknowledgment numbers relative to the other flow's ISN; its ISN is filled in from the first one if unseen."""
    out = np.zeros(len(flow), np.int64)
    valid = np.flatnonzero((flags & ACK) != 0)
    if not len(valid):
        return out
    numbers, acking = raw[valid], flow[valid]
    first = _first_of(acking, len(isn))
    silent = np.ones(len(isn), bool)
    silent[flow] = False
    told = np.flatnonzero(silent & (_of_peers(first) >= 0))
    isn[told] = numbers[first[told ^ 1]] - np.uint32(1)
    out[valid] = sequence.relative(numbers, _of_peers(isn), acking, first)
    return out


def _of_peers(of_flows: npt.NDArray[T]) -> npt.NDArray[T]:
    """Of each flow what belongs to the flow of the other side."""
    return of_flows.reshape(-1, 2)[:, ::-1].reshape(-1)
