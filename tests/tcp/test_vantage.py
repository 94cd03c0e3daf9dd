"""Where the capture was taken: from the round trips between the tap and each side, and from the TTLs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from findings.scenario import parse

from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.vantage import HEAD_ROWS, UNKNOWN_NS, Place, Vantage, find_vantages

US, MS = 1_000, 1_000_000


def vantages(text: str) -> list[Vantage]:
    table = find_connections(parse(text, "made").capture().table)
    found = find_vantages(table, Settings())
    return [found.of(connection) for connection in range(len(table))]


def talk(client_us: int, server_us: int, *, client_ttl: int = 64, server_ttl: int = 64, length: int = 100) -> str:
    """A handshake and a request with its answer, the ends so many microseconds away and back."""
    frames, at = [], 0
    for pause, frame in (
        (0, "C > S S 0:0(0)"),
        (server_us, "S > C S. 0:0(0) ack 1"),
        (client_us, "C > S . 1:1(0) ack 1"),
        (10, f"C > S P. 1:{1 + length}({length}) ack 1"),
        (server_us + 5_000, f"S > C P. 1:301(300) ack {1 + length}"),
        (client_us + 40_000, f"C > S . {1 + length}:{1 + length}(0) ack 301"),
    ):
        at += pause
        frames.append(f"{at / 1e6:.6f} {frame} ttl {client_ttl if frame[0] == 'C' else server_ttl}")
    return "\n".join(frames)


@pytest.mark.parametrize(
    ("client_us", "server_us", "place"),
    [
        (40, 20_000, Place.CLIENT),
        (20_000, 40, Place.SERVER),
        (5_000, 9_000, Place.MIDDLE),
        (500, 600, Place.MIDDLE),
        (40, 60, Place.UNKNOWN),
        (150, 400, Place.UNKNOWN),
        (400, 20_000, Place.UNKNOWN),
    ],
)
def test_the_side_that_answers_at_once_is_the_host_of_the_tap(client_us: int, server_us: int, place: Place) -> None:
    (found,) = vantages(talk(client_us, server_us))
    assert found.place is place
    assert found.round_trip == (client_us * US, server_us * US)


def test_the_round_trip_is_the_quickest_answer_whatever_waits_for_a_delayed_one() -> None:
    (found,) = vantages(talk(40, 20_000))
    assert found.round_trip == (40 * US, 20 * MS)
    assert found.samples == (2, 2)


def test_a_reduced_ttl_excludes_that_its_sender_is_beside_the_tap() -> None:
    (found,) = vantages(talk(40, 20_000, client_ttl=63))
    assert found.place is not Place.CLIENT
    assert found.hops == (1, 0)


def test_of_two_quick_sides_the_one_whose_ttl_is_whole_is_the_host() -> None:
    (found,) = vantages(talk(40, 60, server_ttl=57))
    assert found.place is Place.CLIENT
    assert found.hops == (0, 7)


def test_segments_that_have_all_passed_routers_were_captured_in_between() -> None:
    (found,) = vantages(talk(40, 60, client_ttl=120, server_ttl=57))
    assert found.place is Place.MIDDLE


def test_an_answer_to_what_was_sent_twice_is_no_measure() -> None:
    (found,) = vantages(
        """
        0.000 C > S S 0:0(0)
        1.000 C > S S 0:0(0)
        1.00001 S > C S. 0:0(0) ack 1
        1.030 C > S . 1:1(0) ack 1
        """
    )
    assert found.round_trip == (30 * MS - 10 * US, UNKNOWN_NS)
    assert found.place is Place.UNKNOWN


def test_one_direction_alone_tells_nothing() -> None:
    (found,) = vantages("0.000 C > S S 0:0(0)\n0.030 C > S . 1:1(0) ack 1\n0.031 C > S P. 1:101(100) ack 1")
    assert found.place is Place.UNKNOWN
    assert found.ttl == (64, 0)


def test_a_capture_without_segments_has_no_vantage() -> None:
    assert vantages("1.000 end") == []


def test_only_the_first_rows_of_a_connection_are_looked_at() -> None:
    more = [f"{1 + i / 1e3:.6f} C > S P. {101 + i}:{102 + i}(1) ack 301" for i in range(2 * HEAD_ROWS)]
    late = [f"2.000010 S > C . 301:301(0) ack {101 + 2 * HEAD_ROWS}"]
    (alone,) = vantages(talk(5_000, 9_000))
    (followed,) = vantages("\n".join([talk(5_000, 9_000), *more, *late]))
    assert followed.round_trip == alone.round_trip


def test_connections_do_not_tell_of_each_other() -> None:
    here, there = talk(40, 20_000), talk(20_000, 40)
    moved = re.sub(r"^(\S+) (.*)$", r"\1 \2 port 4001", there, flags=re.MULTILINE)
    lines = sorted([*here.splitlines(), *moved.splitlines()], key=lambda line: float(line.split()[0]))
    found = vantages("\n".join(lines))
    assert sorted(one.place for one in found) == [Place.CLIENT, Place.SERVER]


def test_segments_beyond_the_mss_let_a_busy_host_be_the_host_of_the_tap() -> None:
    table = find_connections(parse(talk(400, 20_000, length=5_000), "made").capture().table)
    table.packets["mss"][:2] = 1_460
    found = find_vantages(table, Settings()).of(0)
    assert found.oversize
    assert found.place is Place.CLIENT
    assert np.count_nonzero(table.length > 1_460) == 1
