"""The likeliest moment of a transition: in its interval, half a round trip from where its segment passed the tap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.estimate import estimates
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.history import Certainty, Transition
from pcapreport.tcp.states import State
from pcapreport.tcp.vantage import UNKNOWN_NS, find_vantages

from .captures import captures
from .talks import on_the_wire, talks
from .wire import connections_of


def entered(rule: str, earliest: int | None, latest: int | None) -> Transition:
    return Transition(State.ESTABLISHED, earliest, latest, 1, rule, Certainty.PROVEN)


@pytest.mark.parametrize(
    ("rule", "earliest", "latest", "round_trip", "moment"),
    [
        ("E9", 0, 1_000, 100, 950),
        ("E9", None, 1_000, 100, 950),
        ("E9", 980, 1_000, 100, 980),
        ("E10", 0, 1_000, 100, 50),
        ("E10", 0, None, 100, 50),
        ("E10", 0, 20, 100, 20),
        ("E10", None, 1_000, 100, None),
        ("E10", 0, 1_000, UNKNOWN_NS, 500),
        ("E9", None, 1_000, UNKNOWN_NS, None),
        ("E19", 60, 62, 100, 61),
        ("E26", None, 1_000, 100, None),
        ("E2", None, 1_000, 100, None),
    ],
)
def test_sending_is_before_and_receiving_after_the_segment_passed_the_tap(
    rule: str, earliest: int | None, latest: int | None, round_trip: int, moment: int | None
) -> None:
    assert estimates([entered(rule, earliest, latest)], round_trip, round_trip != UNKNOWN_NS) == [moment]


def in_order_and_inside(history: tuple[Transition, ...], round_trip: int) -> None:
    before = None
    for item, moment in zip(history, estimates(history, round_trip, round_trip != UNKNOWN_NS), strict=True):
        if moment is None:
            continue
        assert item.earliest is None or item.earliest <= moment
        assert item.latest is None or moment <= item.latest
        assert before is None or before <= moment
        before = moment


@given(talks(), st.sampled_from((UNKNOWN_NS, 0, 40_000, 20_000_000, 10**10)))
def test_estimates_are_in_order_and_inside_their_intervals(talk: tuple[list, list], round_trip: int) -> None:
    wires = on_the_wire(*talk)
    for history in reconstruct_all(connections_of(wires), wires[-1].time_ns, Settings()):
        for end in (history.client, history.server):
            in_order_and_inside(end.transitions, round_trip)


def test_so_they_are_for_the_samples() -> None:
    for _, capture in captures("samples"):
        table = find_connections(capture.table)
        histories = reconstruct_all(table, capture.last_ns or 0, Settings())
        for history, trips in zip(histories, find_vantages(table, Settings()).round_trip.tolist(), strict=True):
            in_order_and_inside(history.client.transitions, trips[0])
            in_order_and_inside(history.server.transitions, trips[1])
