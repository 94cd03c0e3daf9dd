"""What is told of a connection that the capture shows from its middle on only: what follows from it, and no guesses."""

from __future__ import annotations

from pcapreport.tcp.history import EndpointHistory
from pcapreport.tcp.states import State

from .scenario import parse

FIN = "1.0 S > C F. 301:301(0) ack 101\n"
ACK = "1.02 C > S . 101:101(0) ack 302\n"


def ends(text: str) -> tuple[EndpointHistory, EndpointHistory]:
    """The client's and the server's histories."""
    history = parse(text).histories()[0]
    return history.client, history.server


def told(text: str) -> list[str]:
    """Both ends' states and how sure they are."""
    return [" ".join(f"{t.state} {t.certainty}" for t in end.transitions) for end in ends(text)]


def test_who_acknowledges_a_fin_and_shows_no_more_is_assumed_to_have_closed_before() -> None:
    client, server = told(FIN + ACK)
    assert client == "FIN-WAIT-2 assumed TIME-WAIT assumed"
    assert server == "CLOSE-WAIT assumed LAST-ACK assumed CLOSED assumed"
    for end, other in zip(ends(FIN + ACK), ({State.CLOSE_WAIT}, {State.FIN_WAIT_1, State.FIN_WAIT_2}), strict=True):
        assert end.possible_final >= other


def test_who_sends_data_had_not_closed_before() -> None:
    client, server = told("0.5 C > S P. 1:101(100) ack 301\n0.52 S > C . 301:301(0) ack 101\n" + FIN + ACK)
    assert client == "ESTABLISHED supposed CLOSE-WAIT proven"
    assert server.startswith("ESTABLISHED supposed FIN-WAIT-1 ")


def test_a_fin_that_follows_tells_which_was_the_first() -> None:
    client, _ = told(FIN + ACK + "2.0 C > S F. 101:101(0) ack 302\n2.02 S > C . 302:302(0) ack 102")
    assert client == "ESTABLISHED supposed CLOSE-WAIT proven LAST-ACK proven CLOSED supposed"


def test_who_aborts_behind_its_acknowledged_fin_was_the_first_to_close() -> None:
    client, server = told(FIN + ACK + "5.0 S > C R. 302:302(0) ack 101")
    assert client.startswith("ESTABLISHED supposed CLOSE-WAIT ")
    assert "FIN-WAIT-2" in server


def test_of_a_fin_that_nobody_acknowledges_nothing_follows() -> None:
    client, server = ends("0.0 C > S . 101:101(0) ack 301\n" + FIN)
    assert client.transitions == server.transitions == ()
    assert server.possible_final >= {State.FIN_WAIT_1, State.LAST_ACK}
    assert State.ESTABLISHED not in server.possible_final


def test_a_fin_that_had_gone_before_the_capture_may_have_been_the_second() -> None:
    behind = "0.5 S > C F. 301:301(0) ack 101\n0.52 C > S . 102:102(0) ack 302\n0.6 C > S F. 101:101(0) ack 302\n"
    client, server = ends(behind + "0.62 S > C . 302:302(0) ack 102")
    assert client.transitions == ()
    assert client.possible_final >= {State.TIME_WAIT, State.CLOSED}
    assert [item.state for item in server.transitions][:2] == [State.ESTABLISHED, State.FIN_WAIT_1]


def test_of_one_that_shows_nothing_of_itself_no_more_is_told() -> None:
    client, _ = told("0.0 S > C . 300:300(0) ack 101\n1.0 S > C . 300:300(0) ack 101\n2.0 S > C R. 301:301(0) ack 101")
    assert client == "ESTABLISHED supposed"


def test_a_lone_reset_shows_that_its_sender_is_gone_and_nothing_of_the_other() -> None:
    assert told("0.0 S > C R. 1:1(0) ack 1")[::-1] in (["CLOSED supposed", ""], ["", "CLOSED supposed"])


def test_a_lone_reset_without_ack_answers_nothing_that_was_captured() -> None:
    assert told("0.0 S > C R 301:301(0)") == ["", ""]


def test_a_syn_ack_sent_again_does_not_undo_its_acknowledgment() -> None:
    client, _ = told("0.0 C > S . 1:1(0) ack 1\n3.0 S > C S. 0:0(0) ack 1\n3.02 C > S . 1:1(0) ack 1")
    assert client == "ESTABLISHED supposed"


def test_old_data_behind_higher_numbers_does_not_show_that_no_fin_had_gone() -> None:
    client, server = told("0.5 C > S . 500:500(0) ack 301\n0.52 C > S . 1:101(100) ack 301\n" + FIN)
    assert client == server == ""


def test_what_a_reset_carries_is_no_data() -> None:
    assert told("0.5 C > S R 101:102(1)\n" + FIN)[1] == ""
