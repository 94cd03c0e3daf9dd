"""One 4-tuple on several encapsulation paths: what is one connection, and what is several."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from time import process_time

import numpy as np
import pytest
from capture import builders as make

from pcapreport.capture.packet_table import PacketTable
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable, find_connections

from .wire import ACK, FIN, RST, SYN, A, B, Wire, packets_of

Frame = tuple[str, Wire]
"""A path and what passes on it."""


def talk(isn: int = 1_000, peer: int = 500_000_000, start: int = 0) -> list[Wire]:
    """Handshake, data both ways, close."""
    n, m = isn + 1, peer + 1
    parts = [
        (A, SYN, isn, 0, 0),
        (B, SYN | ACK, peer, n, 0),
        (A, ACK, n, m, 0),
        (A, ACK, n, m, 100),
        (B, ACK, m, n + 100, 0),
        (B, ACK, m, n + 100, 2_000),
        (A, ACK, n + 100, m + 2_000, 0),
        (A, FIN | ACK, n + 100, m + 2_000, 0),
        (B, FIN | ACK, m + 2_000, n + 101, 0),
        (A, ACK, n + 101, m + 2_001, 0),
    ]
    return [
        Wire(start + i * 1_000_000, src, B if src is A else A, flags, seq, ack, length)
        for i, (src, flags, seq, ack, length) in enumerate(parts)
    ]


def on(path: str, wires: Iterable[Wire]) -> list[Frame]:
    return [(path, wire) for wire in wires]


def in_turn(*streams: Sequence[Frame]) -> list[Frame]:
    """A frame of each in turn, as long as it has some."""
    longest = max(map(len, streams))
    return [stream[i] for i in range(longest) for stream in streams if i < len(stream)]


def packets(frames: Sequence[Frame]) -> PacketTable:
    names = tuple(dict.fromkeys(path for path, _ in frames))
    table = packets_of([wire for _, wire in frames])
    columns = {**table.columns, "encapsulation": np.array([names.index(path) for path, _ in frames], np.uint16)}
    return PacketTable(columns, table.sack_blocks, names)


def found(frames: Sequence[Frame]) -> ConnectionTable:
    return find_connections(packets(frames))


def frames_of(table: ConnectionTable) -> list[list[int]]:
    return [table.frame[table.rows_of(i)].tolist() for i in range(len(table))]


def test_the_same_addresses_in_two_networks_are_two_connections() -> None:
    table = found(in_turn(on("vxlan 5", talk()), on("vxlan 6", talk(3_000_000_000, 2_000_000_000))))
    assert frames_of(table) == [list(range(1, 21, 2)), list(range(2, 21, 2))]
    assert table.paths == ["vxlan 5", "vxlan 6"]
    assert table.all_endpoints[0] == table.all_endpoints[1]
    assert table.successor.tolist() == [-1, -1]
    assert table.seq[table.rows_of(1)].tolist() == table.seq[table.rows_of(0)].tolist()


def test_one_network_after_the_other_with_the_same_addresses_is_two_connections() -> None:
    table = found(on("vlan 1", talk()) + on("vlan 2", talk(3_000_000_000, 2_000_000_000, 10**10)))
    assert table.paths == ["vlan 1", "vlan 2"]
    assert frames_of(table) == [list(range(1, 11)), list(range(11, 21))]


@pytest.mark.parametrize("other_port_first", [False, True])
def test_directions_in_two_vlans_are_one_connection(other_port_first: bool) -> None:
    frames = [("vlan 1" if wire.src is A else "vlan 2", wire) for wire in talk()]
    other = on("vlan 9", talk())[:0] if not other_port_first else [("vlan 9", Wire(0, A._replace(port=9), B, SYN, 5))]
    table = found(other + frames)
    assert len(table) == len(other) + 1
    assert table.paths[-1] == "vlan 1 and vlan 2"
    assert {CLIENT, SERVER} == set(table.side[table.rows_of(len(other))].tolist())


def test_a_refused_attempt_with_its_answer_on_another_path_is_one_connection() -> None:
    answer = Wire(1, B, A, RST | ACK, 0, 1_001)
    assert found([("mpls", Wire(0, A, B, SYN, 1_000)), ("ethernet", answer)]).paths == ["mpls and ethernet"]


def test_an_unanswered_syn_sent_again_on_another_path_stays_one_connection() -> None:
    table = found([("vlan 1", Wire(0, A, B, SYN, 1_000)), ("vlan 2", Wire(10**9, A, B, SYN, 1_000))])
    assert frames_of(table) == [[1, 2]]


def test_unanswered_syns_in_two_networks_are_two_connections() -> None:
    table = found([("vlan 1", Wire(0, A, B, SYN, 1_000)), ("vlan 2", Wire(9, A, B, SYN, 2_000_000_000))])
    assert frames_of(table) == [[1], [2]]


@pytest.mark.parametrize("paths", [("ethernet", "vlan 7"), ("ethernet", "ethernet/ipv4/udp/vxlan 5/ethernet")])
def test_packets_captured_twice_are_copies_in_one_connection(paths: tuple[str, str]) -> None:
    table = found(in_turn(*(on(path, talk()) for path in paths)))
    assert len(table) == 1
    assert table.original.tolist() == [-1 if i % 2 == 0 else i - 1 for i in range(20)]
    assert table.paths == [" and ".join(paths)]


def test_two_networks_captured_twice_each_are_two_connections_with_their_copies() -> None:
    one, two = talk(), talk(3_000_000_000, 2_000_000_000)
    table = found(in_turn(on("vlan 1", one), on("ethernet 1", one), on("vlan 2", two), on("ethernet 2", two)))
    assert table.paths == ["vlan 1 and ethernet 1", "vlan 2 and ethernet 2"]
    assert (table.original >= 0).sum() == 20


@pytest.mark.parametrize("isn", [1_000, (1 << 32) - 50], ids=["plain", "over-the-wrap"])
@pytest.mark.parametrize("at", range(1, 10))
def test_a_connection_that_is_moved_to_another_path_midway_stays_one(at: int, isn: int) -> None:
    wires = talk(isn)
    table = found(on("vlan 1", wires[:at]) + on("vlan 2", wires[at:]))
    assert frames_of(table) == [list(range(1, 11))]
    assert table.paths == ["vlan 1 and vlan 2"]


def test_directions_that_change_their_paths_at_different_times_stay_one_connection() -> None:
    wires = talk()
    paths = ["a", "b", "a", "a", "b", "c", "a", "d", "c", "d"]
    assert len(found(list(zip(paths, wires, strict=True)))) == 1


def test_a_reused_port_is_still_split_within_each_network() -> None:
    one = talk(1_000, 500_000_000) + talk(90_000_000, 700_000_000, 10**11)
    two = talk(3_000_000_000, 2_000_000_000) + talk(3_500_000_000, 2_500_000_000, 10**11)
    table = found(in_turn(on("vlan 1", one), on("vlan 2", two)))
    assert table.paths == ["vlan 1", "vlan 2", "vlan 1", "vlan 2"]
    assert table.successor.tolist() == [2, 3, -1, -1]


def test_a_number_that_no_acknowledgment_was_meant_for_links_nothing() -> None:
    """A segment without ACK has 0 in that field, as a connection whose numbers happen to begin there."""
    one = [Wire(0, A, B, SYN, 1_000), Wire(1, A, B, RST, 1_001)]
    two = talk(2_000_000_000, 5)
    assert len(found(in_turn(on("vlan 1", one), on("vlan 2", two)))) == 2


def test_captures_of_both_directions_and_both_sides_of_a_tunnel_from_bytes() -> None:
    """The whole way from frames: tagged by direction, and inside and outside of VXLAN."""
    frames = []
    for n, (mine, theirs) in enumerate([((1_000, 2_000), 3_000_000_000), ((7_000, 8_000), 1_500_000_000)]):
        there = make.ipv4(make.tcp(b"question", seq=mine[0], ack=theirs))
        back = make.ipv4(
            make.tcp(b"answer", sport=80, dport=40_000, seq=theirs, ack=mine[0] + 8), src="10.0.0.2", dst="10.0.0.1"
        )
        for packet, vlan in ((there, 10 + n), (back, 20 + n)):
            inner = make.ethernet(packet)
            vxlan = b"\x08\0\0\0" + (100 + vlan).to_bytes(3, "big") + b"\0" + inner
            outer = make.ipv4(make.udp(vxlan, dport=4789), 17, src="192.0.2.1", dst="192.0.2.2")
            frames += [make.ethernet(packet, vlans=[vlan]), make.ethernet(outer)]
    table = find_connections(make.read(make.pcap(frames)).table)
    prefix = "ethernet/ipv4/udp/vxlan"
    assert table.paths == [
        f"ethernet/vlan 1{n} and {prefix} 11{n}/ethernet and ethernet/vlan 2{n} and {prefix} 12{n}/ethernet"
        for n in (0, 1)
    ]
    assert (table.original >= 0).tolist() == [False, True] * 4


@pytest.mark.parametrize("related", [False, True], ids=["unrelated", "related"])
def test_a_4_tuple_on_ten_thousand_paths_costs_no_more_than_its_rows(related: bool) -> None:
    source = random.Random(7)
    frames = []
    for n in range(10_000):
        isn, peer = (1_000 + n, 7) if related else (source.randrange(1 << 32), source.randrange(1 << 32))
        frames += on(str(n), [Wire(n, A, B, ACK, isn, peer, 1), Wire(n, B, A, ACK, peer, isn + 1)])
    table = packets(frames)
    began = process_time()
    connections = find_connections(table)
    assert process_time() - began < 5
    assert len(connections) == (1 if related else 10_000)
