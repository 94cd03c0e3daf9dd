"""Which states are possible at the end of a capture: few where it is complete, none too few where it is not."""

from __future__ import annotations

import pytest

from pcapreport.tcp.states import State

from .scenario import parse

_S = State
_CLOSING_STATES = {_S.FIN_WAIT_1, _S.FIN_WAIT_2, _S.CLOSING, _S.TIME_WAIT, _S.LAST_ACK, _S.CLOSED}
_SYNCHRONIZED = {_S.ESTABLISHED, _S.CLOSE_WAIT, *_CLOSING_STATES}

HANDSHAKE = """
0.000 C > S S 0:0(0)
0.020 S > C S. 0:0(0) ack 1
0.040 C > S . 1:1(0) ack 1
"""
DATA = """
0.050 C > S P. 1:101(100) ack 1
0.070 S > C P. 1:301(300) ack 101
0.090 C > S . 101:101(0) ack 301
"""
CLOSE = """
1.000 C > S F. 101:101(0) ack 301
1.020 S > C F. 301:301(0) ack 102
1.040 C > S . 102:102(0) ack 302
"""
LONG_AFTER = """
9.000 end
"""


def possible(text: str) -> tuple[frozenset[State], frozenset[State]]:
    """The states possible for the client and the server of the first connection."""
    history = parse(text).histories()[0]
    return history.client.possible_final, history.server.possible_final


def test_a_complete_close_leaves_one_state_and_whether_the_last_ack_arrived() -> None:
    assert possible(HANDSHAKE + DATA + CLOSE) == ({_S.TIME_WAIT}, {_S.LAST_ACK, _S.CLOSED})


def test_who_was_silent_for_long_has_not_closed() -> None:
    assert possible(HANDSHAKE + DATA + LONG_AFTER) == ({_S.ESTABLISHED}, {_S.ESTABLISHED})


def test_a_fin_or_a_reset_can_be_on_its_way_when_the_capture_ends() -> None:
    assert possible(HANDSHAKE + DATA) == ({_S.ESTABLISHED, _S.FIN_WAIT_1, _S.CLOSED},) * 2


def test_who_waits_in_time_wait_sends_no_reset_of_its_own() -> None:
    assert possible(HANDSHAKE + DATA + CLOSE)[0] == {_S.TIME_WAIT}


def test_a_fin_can_wait_behind_data_that_is_not_acknowledged() -> None:
    _, server = possible(HANDSHAKE + DATA + "1.0 S > C P. 301:601(300) ack 101" + LONG_AFTER)
    assert server >= {_S.ESTABLISHED, _S.FIN_WAIT_1}


def test_who_does_not_answer_may_have_closed_unseen() -> None:
    asked = "".join(f"{at} C > S P. 101:201(100) ack 301\n" for at in (1.0, 1.3, 1.9, 3.1, 5.5, 8.9))
    _, server = possible(HANDSHAKE + DATA + asked + LONG_AFTER)
    assert server == {_S.ESTABLISHED, _S.FIN_WAIT_1, _S.CLOSED}


def test_an_acknowledged_octet_that_was_not_captured_may_have_been_the_fin() -> None:
    client, server = possible(HANDSHAKE + DATA + "1.0 C > S . 101:101(0) ack 302\n" + LONG_AFTER)
    assert {_S.ESTABLISHED, _S.CLOSE_WAIT} <= client
    assert {_S.ESTABLISHED, _S.FIN_WAIT_1, _S.FIN_WAIT_2} <= server


def test_a_fin_that_is_not_repeated_was_acknowledged_though_the_capture_missed_it() -> None:
    client, _ = possible(HANDSHAKE + DATA + "1.0 C > S F. 101:101(0) ack 301" + LONG_AFTER)
    assert _S.FIN_WAIT_2 in client


@pytest.mark.parametrize("side", ["C", "S"])
def test_one_direction_leaves_the_other_end_open(side: str) -> None:
    lines = (HANDSHAKE + DATA + CLOSE).splitlines()
    ends = possible("\n".join(line for line in lines if f" {side} >" in line))
    silent = ends[side == "C"]
    assert silent >= {_S.FIN_WAIT_2, _S.TIME_WAIT, _S.LAST_ACK, _S.CLOSED}
    assert _S.CLOSED in ends[side == "S"], "a RST may have been on the other side"


def test_a_reset_in_its_name_leaves_open_whether_it_is_gone() -> None:
    client, server = possible(HANDSHAKE + DATA + "1.0 S > C R. 301:301(0) ack 101" + LONG_AFTER)
    assert client >= {_S.ESTABLISHED, _S.CLOSED}
    assert _S.CLOSED in server


def test_a_syn_ack_that_nobody_answers_leaves_the_client_open() -> None:
    client, _ = possible("0.0 C > S S 0:0(0)\n0.02 S > C S. 0:0(0) ack 1")
    assert client >= {_S.SYN_SENT, _S.ESTABLISHED, _S.CLOSED}


def test_a_lone_ack_can_be_of_any_synchronized_state() -> None:
    assert possible("0.0 C > S . 1:1(0) ack 1") == (_SYNCHRONIZED, _SYNCHRONIZED)


def test_behind_a_late_start_data_shows_that_no_fin_went_before() -> None:
    client, server = possible(DATA + LONG_AFTER)
    assert (client, server) == ({_S.ESTABLISHED}, {_S.ESTABLISHED})


def test_of_resets_alone_nothing_can_be_told() -> None:
    assert possible("0.0 C > S R 1:1(0)")[1] == set(State)
