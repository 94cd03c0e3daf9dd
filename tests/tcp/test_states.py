"""THE TABLE as a whole: what RFC 9293 allows, nothing else, and no way out of it that has no name."""

from __future__ import annotations

import re

from pcapreport.tcp.states import EXTRA_RULES, TABLE, Input, State, rule_texts

S = State

ORDERLY = {
    (S.CLOSED, S.SYN_SENT),
    (S.LISTEN, S.SYN_RECEIVED),
    (S.SYN_SENT, S.ESTABLISHED),
    (S.SYN_SENT, S.SYN_RECEIVED),
    (S.SYN_RECEIVED, S.ESTABLISHED),
    (S.SYN_RECEIVED, S.FIN_WAIT_1),
    (S.ESTABLISHED, S.FIN_WAIT_1),
    (S.ESTABLISHED, S.CLOSE_WAIT),
    (S.FIN_WAIT_1, S.FIN_WAIT_2),
    (S.FIN_WAIT_1, S.CLOSING),
    (S.FIN_WAIT_1, S.TIME_WAIT),
    (S.FIN_WAIT_2, S.TIME_WAIT),
    (S.CLOSE_WAIT, S.LAST_ACK),
    (S.CLOSING, S.TIME_WAIT),
    (S.LAST_ACK, S.CLOSED),
    (S.TIME_WAIT, S.CLOSED),
}
"""The arrows of RFC 9293 figure 5 that a connection can follow (those of the user's calls that no segment shows, such
as CLOSED to LISTEN, are conventions of the histories and not in the table)."""

ABORTING = {Input.SEND_RST, Input.RECEIVE_RST, Input.TIMEOUT, Input.NEW_INCARNATION}
"""Inputs that may delete a connection from any state (RFC 9293 3.5.2, 3.8.3, 3.10.7.4)."""


def moves(start: State) -> set[State]:
    """The states that follow `start` in one step."""
    return {rule.to for (state, _), rule in TABLE.items() if state is start}


def test_every_state_is_reached() -> None:
    """From CLOSED by an active open, or from LISTEN, in which a passive one begins."""
    reached, edge = set(), {S.CLOSED, S.LISTEN}
    while edge:
        reached |= edge
        edge = set().union(*(moves(state) for state in edge)) - reached
    assert reached == set(State)


def test_every_state_leads_to_closed() -> None:
    home = {S.CLOSED}
    while more := {state for state in State if moves(state) & home} - home:
        home |= more
    assert home == set(State)


def test_only_transitions_of_rfc_9293_are_made() -> None:
    for (state, given), rule in TABLE.items():
        aborts = given in ABORTING and rule.to is S.CLOSED
        assert aborts or (state, rule.to) in ORDERLY, f"{state} to {rule.to} when {given}"


def test_every_transition_of_rfc_9293_can_be_made() -> None:
    assert not ORDERLY - {(state, rule.to) for (state, _), rule in TABLE.items()}


def test_closed_is_left_by_sending_a_syn_only() -> None:
    assert {given for state, given in TABLE if state is S.CLOSED} == {Input.SEND_SYN}


def test_no_rule_stays_where_it_is() -> None:
    assert not [(state, given) for (state, given), rule in TABLE.items() if rule.to is state]


def test_a_reset_received_ends_every_state_that_has_sent_a_syn() -> None:
    for state in set(State) - {S.CLOSED, S.LISTEN}:
        assert TABLE[state, Input.RECEIVE_RST].to is S.CLOSED


def test_a_reset_sent_ends_every_state_that_has_sent_a_syn() -> None:
    for state in set(State) - {S.CLOSED, S.LISTEN}:
        assert TABLE[state, Input.SEND_RST].to is S.CLOSED


def test_what_acknowledges_the_fin_and_brings_one_equals_the_two_in_turn() -> None:
    """RFC 9293 3.3.2 note 2, wherever both ways exist."""
    for state in State:
        both = TABLE.get((state, Input.RECEIVE_FIN_AND_ACK_OF_FIN))
        acked = TABLE.get((state, Input.RECEIVE_ACK_OF_FIN))
        between = acked.to if acked else state
        after = TABLE.get((between, Input.RECEIVE_FIN))
        if both is not None:
            assert after is not None and both.to is after.to, state


def test_simultaneous_close_ends_alike_whichever_comes_first() -> None:
    """FIN then ACK of FIN (CLOSING) and ACK of FIN then FIN (FIN-WAIT-2) both end in TIME-WAIT."""
    for first, second in (
        (Input.RECEIVE_FIN, Input.RECEIVE_ACK_OF_FIN),
        (Input.RECEIVE_ACK_OF_FIN, Input.RECEIVE_FIN),
    ):
        assert TABLE[TABLE[S.FIN_WAIT_1, first].to, second].to is S.TIME_WAIT


def test_one_table_serves_both_ends() -> None:
    """Direction is an input (sends, arrives), never a role: no state, input or rule text speaks of one side by role."""
    words = " ".join([*(str(i) for i in Input), *(rule.why for rule in TABLE.values())]).lower()
    assert not re.findall(r"\b(client|server)\b", words)


def test_every_rule_has_one_text_and_a_number() -> None:
    texts = rule_texts()
    used = {rule.id for rule in TABLE.values()}
    assert set(texts) == used | set(EXTRA_RULES)
    for name, text in texts.items():
        assert re.fullmatch(r"E([1-9]|1\d|2[0-6])", name)
        assert text.strip()


def test_a_rule_text_names_every_cell_of_the_rule() -> None:
    texts = rule_texts()
    for (state, given), rule in TABLE.items():
        assert f"{state} to {rule.to} when" in texts[rule.id]
        assert str(given) in texts[rule.id]


def test_every_rule_that_a_history_can_carry_has_a_text() -> None:
    """E1 to E26, without E25, which is told as E24."""
    assert set(rule_texts()) >= {f"E{n}" for n in range(1, 27)} - {"E25"}
