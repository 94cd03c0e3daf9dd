"""Rows -> connections: grouping, direction, what is known of the opener, and where one incarnation ends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from findings.scenario import parse

from pcapreport.tcp import hashing
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable, Endpoint, OpenerEvidence, find_connections
from pcapreport.tcp.tuples import endpoint_hash

from .wire import ACK, FIN, RST, SYN, A, B, Host, Wire, connections_of, packets_of

OPENING = """
0.000 C > S S 0:0(0)
0.020 S > C S. 0:0(0) ack 1
0.040 C > S . 1:1(0) ack 1
0.041 C > S P. 1:101(100) ack 1
0.061 S > C . 1:1(0) ack 101
"""
CLOSING = """
1.000 S > C F. 1:1(0) ack 101
1.020 C > S F. 101:101(0) ack 2
1.040 S > C . 2:2(0) ack 102
"""


def found(text: str) -> ConnectionTable:
    """The connections of a scenario."""
    return find_connections(parse(text, "made").capture().table)


def frames_of(table: ConnectionTable) -> list[list[int]]:
    """The frames of each connection."""
    return [table.frame[table.rows_of(i)].tolist() for i in range(len(table))]


def talk(client: Host, server: Host, start: int = 0, isn: int = 7) -> list[Wire]:
    """A handshake."""
    return [
        Wire(start, client, server, SYN, isn),
        Wire(start + 10, server, client, SYN | ACK, 70, isn + 1),
        Wire(start + 20, client, server, ACK, isn + 1, 71),
    ]


# -- grouping ------------------------------------------------------------------------------------------------------


def test_a_capture_without_segments_has_no_connections() -> None:
    table = connections_of([])
    assert len(table) == 0
    assert table.all_endpoints == []


def test_interleaved_connections_are_told_apart_by_any_part_of_the_4_tuple() -> None:
    pairs = [(A, B), (A._replace(port=40_001), B), (A, B._replace(port=81)), (A._replace(address=A.address + 1), B)]
    talks = [talk(client, server, n) for n, (client, server) in enumerate(pairs)]
    table = connections_of([one for rank in zip(*talks, strict=True) for one in rank])
    assert [table.endpoints(i) for i in range(len(table))] == [
        tuple(Endpoint(f"{h.address >> 24}.{h.address >> 16 & 255}.{h.address >> 8 & 255}.{h.address & 255}", h.port)
              for h in pair)
        for pair in pairs
    ]  # fmt: skip
    assert [len(frames) for frames in frames_of(table)] == [3] * 4


def test_connections_are_numbered_by_their_first_frame_and_rows_keep_their_order() -> None:
    hosts = [A._replace(port=port) for port in random.Random(3).sample(range(1024, 60_000), 50)]
    wires = [one for n, host in enumerate(hosts) for one in talk(host, B, n * 5)]
    wires.sort(key=lambda wire: wire.time_ns)
    frames = frames_of(connections_of(wires))
    firsts = [each[0] for each in frames]
    assert firsts == sorted(firsts)
    assert all(each == sorted(each) for each in frames)
    assert sorted(sum(frames, [])) == list(range(1, len(wires) + 1))


def test_rows_parted_by_their_endpoints_give_the_same_connections_in_the_same_order() -> None:
    hosts = [A._replace(port=port) for port in random.Random(4).sample(range(1024, 60_000), 40)]
    wires = [one for n, host in enumerate(hosts) for one in talk(host, B, n)]
    wires.sort(key=lambda wire: wire.time_ns)
    frames = [n // 4 + 1 for n in range(len(wires))]  # four segments a frame, as an 802.11 aggregate has them
    packets = packets_of(wires, frames)
    hashes = endpoint_hash(packets)
    merged = []
    for part in range(3):
        rows = np.flatnonzero(hashes % np.uint64(3) == part)
        columns = {name: column[rows] for name, column in packets.columns.items()}
        table = find_connections(replace(packets, columns=columns))
        of_part = zip(table.frame[table.bounds[:-1]], hashes[rows[table.row[table.bounds[:-1]]]], strict=True)
        merged += [(*key, ends) for key, ends in zip(of_part, table.all_endpoints, strict=True)]
    assert [ends for *_, ends in sorted(merged)] == find_connections(packets).all_endpoints


def test_both_directions_have_one_endpoint_hash() -> None:
    six = [host._replace(version=6, address=host.address << 90) for host in (A, B)]
    for ends in ([A, B], six):
        assert len(set(endpoint_hash(packets_of(talk(*ends) + talk(*ends[::-1]))).tolist())) == 1


def test_ipv4_and_ipv6_of_the_same_bits_are_two_connections() -> None:
    six = [host._replace(version=6) for host in (A, B)]
    assert len(connections_of(talk(A, B) + talk(*six))) == 2


def test_long_ipv6_addresses_are_compared_in_both_halves() -> None:
    high, low = Host(1 << 100 | 5, 9, 6), Host(2 << 100 | 5, 9, 6)
    table = connections_of(talk(high, low) + talk(low, high._replace(port=10), 100))
    assert [table.endpoints(i)[0].address for i in range(2)] == ["0:10::5", "0:20::5"]


def test_a_host_that_talks_to_itself_on_two_ports_is_one_connection() -> None:
    table = connections_of(talk(A, A._replace(port=80)))
    assert table.side.tolist() == [CLIENT, SERVER, CLIENT]


@pytest.mark.parametrize("bits", [0, 1, 3])
def test_4_tuples_with_one_hash_are_still_told_apart(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    wires = [one for n in range(20) for one in talk(A._replace(port=5000 + n), B, n)]
    wires.sort(key=lambda wire: wire.time_ns)
    alone = connections_of(wires)
    whole = hashing.mixed

    def colliding(columns: Sequence[np.ndarray]) -> np.ndarray:
        return whole(columns) & np.uint64(bits)

    monkeypatch.setattr(hashing, "mixed", colliding)
    table = connections_of(wires)
    assert frames_of(table) == frames_of(alone)
    assert table.all_endpoints == alone.all_endpoints
    assert table.successor.tolist() == [-1] * 20


# -- direction and the opener --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "server"), [(A, B), (B, A)], ids=["higher-port", "lower-port"])
def test_the_sender_of_the_syn_is_the_client(client: Host, server: Host) -> None:
    table = connections_of(talk(client, server))
    assert table.opener[0] == OpenerEvidence.SYN
    assert table.endpoints(0)[0].port == client.port
    assert table.side.tolist() == [CLIENT, SERVER, CLIENT]


@pytest.mark.parametrize(("client", "server"), [(A, B), (B, A)], ids=["higher-port", "lower-port"])
def test_without_the_syn_the_receiver_of_the_syn_ack_is_the_client(client: Host, server: Host) -> None:
    table = connections_of(talk(client, server)[1:])
    assert table.opener[0] == OpenerEvidence.SYN_ACK
    assert table.endpoints(0)[0].port == client.port


@pytest.mark.parametrize(
    ("ports", "server", "evidence"),
    [
        ((40_000, 80), 80, OpenerEvidence.PORTS),
        ((80, 40_000), 80, OpenerEvidence.PORTS),
        ((3000, 443), 443, OpenerEvidence.PORTS),
        ((8080, 50_000), 8080, OpenerEvidence.PORTS),
        ((8080, 9090), 9090, OpenerEvidence.FIRST_SEGMENT),
        ((9090, 8080), 8080, OpenerEvidence.FIRST_SEGMENT),
        ((40_000, 50_000), 50_000, OpenerEvidence.FIRST_SEGMENT),
    ],
)
def test_in_midstream_the_opener_is_a_guess_that_says_so(
    ports: tuple[int, int], server: int, evidence: OpenerEvidence
) -> None:
    sender, receiver = A._replace(port=ports[0]), B._replace(port=ports[1])
    table = connections_of([Wire(0, sender, receiver, ACK, 5, 9, 10), Wire(1, receiver, sender, ACK, 9, 15)])
    assert table.opener[0] == evidence
    assert table.endpoints(0)[1].port == server


def test_a_late_syn_outweighs_ports() -> None:
    """A capture may hold the SYN-ACK's answer before the SYN (two interfaces)."""
    handshake = talk(B, A)
    table = connections_of([handshake[1], handshake[0], handshake[2]])
    assert table.opener[0] == OpenerEvidence.SYN
    assert table.endpoints(0)[0].port == B.port


# -- numbers -------------------------------------------------------------------------------------------------------


def test_numbers_count_from_each_sides_initial_number_over_the_wrap() -> None:
    top = (1 << 32) - 1
    table = connections_of(
        [
            Wire(0, A, B, SYN, top),
            Wire(1, B, A, SYN | ACK, top - 5, 0),
            Wire(2, A, B, ACK, 0, top - 4, 1000),
            Wire(3, B, A, ACK | FIN, top - 4, 1000, 10),
            Wire(4, A, B, ACK, 1000, 6),
        ]
    )
    assert table.seq.tolist() == [0, 0, 1, 1, 1001]
    assert table.end.tolist() == [1, 1, 1001, 12, 1001]
    assert table.ack.tolist() == [0, 1, 1, 1001, 12]
    assert table.isn.tolist() == [[top, top - 5]]
    assert table.isn_seen.tolist() == [[True, True]]


def test_in_midstream_numbers_count_from_one_as_wireshark_shows_them() -> None:
    table = connections_of([Wire(0, A, B, ACK, 500, 900, 10), Wire(1, B, A, ACK, 900, 510, 5)])
    assert table.seq.tolist() == [1, 1]
    assert table.ack.tolist() == [1, 11]
    assert table.isn_seen.tolist() == [[False, False]]


def test_a_silent_sides_numbers_come_from_the_first_acknowledgment() -> None:
    table = connections_of([Wire(0, A, B, ACK, 500, 900, 10), Wire(1, A, B, ACK, 510, 950, 10)])
    assert table.ack.tolist() == [1, 51]


# -- incarnations --------------------------------------------------------------------------------------------------


def test_a_new_syn_with_another_number_after_a_close_begins_a_connection() -> None:
    table = found(OPENING + CLOSING + "isn C 900000\nisn S 800000\n" + OPENING.replace("0.0", "5.0"))
    assert frames_of(table) == [list(range(1, 9)), list(range(9, 14))]
    assert table.successor.tolist() == [1, -1]


def test_a_new_syn_that_is_answered_begins_a_connection_without_any_close_before() -> None:
    """The client crashed and came back on the same port; the server had forgotten as well."""
    table = found(OPENING + "isn C 900000\nisn S 800000\n" + OPENING.replace("0.0", "50.0"))
    assert frames_of(table) == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


def test_a_refused_new_syn_begins_a_connection() -> None:
    table = found(OPENING + CLOSING + "isn C 900000\n5.000 C > S S 0:0(0)\nisn S 0\n5.020 S > C R. 0:0(0) ack 1")
    assert frames_of(table) == [list(range(1, 9)), [9, 10]]


@pytest.mark.parametrize("hours", [1, 24])
def test_an_idle_pause_of_hours_does_not_split(hours: int) -> None:
    later = OPENING + f"{hours * 3600}.000 C > S P. 101:201(100) ack 1\n{hours * 3600}.020 S > C . 1:1(0) ack 201"
    assert frames_of(found(later)) == [[1, 2, 3, 4, 5, 6, 7]]


def test_a_retransmitted_syn_does_not_split() -> None:
    again = "0.000 C > S S 0:0(0)\n1.000 C > S S 0:0(0)\n1.020 S > C S. 0:0(0) ack 1\n1.030 S > C S. 0:0(0) ack 1\n"
    assert frames_of(found(again + "1.040 C > S . 1:1(0) ack 1")) == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("answer", ["1.020 S > C . 1:1(0) ack 101", ""], ids=["challenged", "unanswered"])
def test_a_stray_syn_that_the_connection_survives_stays_in_it(answer: str) -> None:
    """RFC 5961 section 4: the receiver sends a challenge ACK and goes on."""
    stray = f"1.000 C > S S 70000000:70000000(0)\n{answer}\n"
    text = stray + "2.000 C > S P. 101:201(100) ack 1\n2.020 S > C . 1:1(0) ack 201"
    frames = frames_of(found(OPENING + text))
    assert len(frames) == 1


def test_crossing_syns_are_one_connection() -> None:
    text = "0.000 C > S S 0:0(0)\n0.005 S > C S 0:0(0)\n0.025 C > S S. 0:0(0) ack 1\n0.026 S > C S. 0:0(0) ack 1\n"
    assert frames_of(found(text + "0.050 C > S . 1:1(0) ack 1")) == [[1, 2, 3, 4, 5]]


def test_the_ports_may_be_used_again_the_other_way_round() -> None:
    text = OPENING + CLOSING + "isn C 900000\nisn S 800000\n7.000 S > C S 0:0(0)\n7.020 C > S S. 0:0(0) ack 1\n"
    table = found(text + "7.040 S > C . 1:1(0) ack 1")
    assert frames_of(table) == [list(range(1, 9)), [9, 10, 11]]
    assert table.endpoints(0) == table.endpoints(1)[::-1]


@pytest.mark.parametrize("isn", [900_000, 3_000_000_000], ids=["near", "far"])
def test_a_collision_with_time_wait_belongs_to_the_new_connection(isn: int) -> None:
    collision = f"""
    isn C {isn}
    5.000 C > S S 0:0(0)
    isn C 1000
    5.020 S > C . 2:2(0) ack 102
    5.040 C > S R 102:102(0)
    isn C {isn}
    isn S 800000
    5.051 C > S S 0:0(0)
    5.071 S > C S. 0:0(0) ack 1
    5.091 C > S . 1:1(0) ack 1
    """
    table = found(OPENING + CLOSING + collision)
    assert frames_of(table) == [list(range(1, 9)), list(range(9, 15))]


def test_a_reset_before_the_new_syn_belongs_to_the_old_connection() -> None:
    text = OPENING + "2.000 S > C R. 1:1(0) ack 101\nisn C 900000\nisn S 800000\n" + OPENING.replace("0.0", "5.0")
    assert frames_of(found(text)) == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11]]


def test_a_hundred_incarnations_of_one_4_tuple_are_a_hundred_connections() -> None:
    wires = []
    for n in range(100):
        first, isn = n * 1000, 1 + n * 70_000_000
        wires += talk(A, B, first, isn)
        wires += [
            Wire(first + 30, A, B, FIN | ACK, isn + 1, 71),
            Wire(first + 40, B, A, FIN | ACK, 71, isn + 2),
            Wire(first + 50, A, B, ACK, isn + 2, 72),
        ]
    table = connections_of(wires)
    assert len(table) == 100
    assert table.successor.tolist() == [*range(1, 100), -1]


def test_a_closed_port_seen_alone_refuses_a_connection_for_each_syn_it_acknowledges() -> None:
    """Its RSTs are numbered 0: the SYNs were not captured, and one of them was sent twice."""
    answers = [Wire(n, B, A, RST | ACK, 0, ack) for n, ack in enumerate((1001, 1001, 5_000_001))]
    assert frames_of(connections_of(answers)) == [[1, 2], [3]]


def test_who_asked_and_then_refuses_refuses_another_connection() -> None:
    """Only its side was captured: a RST numbered 0 is no answer from SYN-SENT."""
    wires = [Wire(0, A, B, SYN, 1000), Wire(1, A, B, RST | ACK, 0, 778_523_101)]
    assert frames_of(connections_of(wires)) == [[1], [2]]


def test_a_refused_syn_and_its_refusal_are_one_connection() -> None:
    wires = [Wire(0, A, B, SYN, 1000, length=300), Wire(1, B, A, RST | ACK, 0, 1301)]
    assert frames_of(connections_of(wires)) == [[1, 2]]


def test_port_scans_are_one_refused_connection_a_port() -> None:
    wires = []
    for n in range(30):
        target = B._replace(port=n + 1)
        wires += [Wire(n, A, target, SYN, 5), Wire(n + 1, target, A, RST | ACK, 0, 6)]
    assert frames_of(connections_of(wires)) == [[2 * n + 1, 2 * n + 2] for n in range(30)]


def test_the_frames_of_a_scenario_may_come_at_any_distance() -> None:
    """Grouping asks for no times at all: reversing the clock groups alike."""
    scenario = parse(OPENING + CLOSING + "isn C 900000\nisn S 800000\n" + OPENING.replace("0.0", "5.0"), "made")
    backwards = replace(scenario, frames=[replace(f, time_ns=2 * 10**18 - f.time_ns) for f in scenario.frames])
    one, other = (find_connections(each.capture().table) for each in (scenario, backwards))
    assert frames_of(one) == frames_of(other)
