"""RFC 9293's state machine as data, for both ends alike.

Theory of operation. A tap sees segments, not endpoints. For each end X of a connection, every segment is an input:
SEND for its sender, RECEIVE for its receiver, and one table serves both. What X sent shows X's state: such a
transition is proven. What X received is supposed until X shows it. The order of inputs is X's own order, not the
tap's: a segment on its way to X passes the tap before X acts on it (see evidence.py).

The rules E1 to E26 name why a state was entered. Timers (2MSL, FIN-WAIT-2, give-up) are rules like the others, with
certainty `assumed` as no segment shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from pcapreport.language import Text, joined, phrase


class State(StrEnum):
    """Connection states, RFC 9293 section 3.3.2."""

    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"
    CLOSED = "CLOSED"


class Input(StrEnum):
    """What can move an endpoint."""

    SEND_SYN = "sends SYN"
    SEND_SYN_ACK = "sends SYN, ACK"
    SEND_FIN = "sends FIN"
    SEND_RST = "sends RST"
    RECEIVE_SYN = "SYN arrives"
    RECEIVE_SYN_ACK = "SYN, ACK arrives"
    RECEIVE_ACK_OF_SYN = "ACK of its SYN arrives"
    RECEIVE_FIN = "FIN arrives in order"
    RECEIVE_ACK_OF_FIN = "ACK of its FIN arrives"
    RECEIVE_FIN_AND_ACK_OF_FIN = "FIN that also acknowledges its FIN arrives"
    RECEIVE_RST = "acceptable RST arrives"
    TIMEOUT = "timer expires"
    NEW_INCARNATION = "a new connection takes the ports"


class Rule(NamedTuple):
    """One cell of the table."""

    id: str
    to: State
    why: Text


_S, _I = State, Input

_SYNCHRONIZED = (
    _S.ESTABLISHED,
    _S.FIN_WAIT_1,
    _S.FIN_WAIT_2,
    _S.CLOSE_WAIT,
    _S.CLOSING,
    _S.LAST_ACK,
    _S.TIME_WAIT,
)


def _table() -> Mapping[tuple[State, Input], Rule]:
    cells = {
        (_S.CLOSED, _I.SEND_SYN): Rule("E1", _S.SYN_SENT, phrase("sent a SYN (RFC 9293 3.5)")),
        (_S.LISTEN, _I.SEND_SYN_ACK): Rule("E3", _S.SYN_RECEIVED, phrase("answered a SYN (RFC 9293 3.10.7.2)")),
        (_S.SYN_SENT, _I.RECEIVE_SYN_ACK): Rule(
            "E4", _S.ESTABLISHED, phrase("its SYN was answered (RFC 9293 3.10.7.3)")
        ),
        (_S.SYN_SENT, _I.RECEIVE_SYN): Rule(
            "E5", _S.SYN_RECEIVED, phrase("the SYNs crossed: simultaneous open (RFC 9293 MUST-10)")
        ),
        (_S.SYN_RECEIVED, _I.RECEIVE_ACK_OF_SYN): Rule(
            "E6", _S.ESTABLISHED, phrase("its SYN was acknowledged (RFC 9293 3.10.7.4)")
        ),
        (_S.SYN_RECEIVED, _I.RECEIVE_RST): Rule(
            "E7", _S.CLOSED, phrase("reset before it was established; a listener stays in LISTEN")
        ),
        (_S.SYN_SENT, _I.RECEIVE_RST): Rule(
            "E8", _S.CLOSED, phrase("refused: a RST acknowledged its SYN (RFC 9293 3.10.7.3)")
        ),
        (_S.ESTABLISHED, _I.SEND_FIN): Rule("E9", _S.FIN_WAIT_1, phrase("closed first: sent a FIN (RFC 9293 3.6)")),
        (_S.SYN_RECEIVED, _I.SEND_FIN): Rule(
            "E9", _S.FIN_WAIT_1, phrase("closed before it was established (RFC 9293 3.6)")
        ),
        (_S.ESTABLISHED, _I.RECEIVE_FIN): Rule(
            "E10", _S.CLOSE_WAIT, phrase("the other side's FIN arrived (RFC 9293 3.6)")
        ),
        (_S.CLOSE_WAIT, _I.SEND_FIN): Rule("E11", _S.LAST_ACK, phrase("closed second: sent its FIN (RFC 9293 3.6)")),
        (_S.FIN_WAIT_1, _I.RECEIVE_ACK_OF_FIN): Rule(
            "E12", _S.FIN_WAIT_2, phrase("its FIN was acknowledged (RFC 9293 3.6)")
        ),
        (_S.FIN_WAIT_1, _I.RECEIVE_FIN): Rule(
            "E13", _S.CLOSING, phrase("the FINs crossed: simultaneous close (RFC 9293 3.6)")
        ),
        (_S.FIN_WAIT_1, _I.RECEIVE_FIN_AND_ACK_OF_FIN): Rule(
            "E14", _S.TIME_WAIT, phrase("one segment brought the FIN and the ACK of its own (RFC 9293 3.3.2 note 2)")
        ),
        (_S.FIN_WAIT_2, _I.RECEIVE_FIN): Rule(
            "E15", _S.TIME_WAIT, phrase("the other side's FIN arrived; 2MSL starts (RFC 9293 3.6)")
        ),
        (_S.FIN_WAIT_2, _I.RECEIVE_FIN_AND_ACK_OF_FIN): Rule(
            "E15", _S.TIME_WAIT, phrase("the other side's FIN arrived; 2MSL starts (RFC 9293 3.6)")
        ),
        (_S.ESTABLISHED, _I.RECEIVE_FIN_AND_ACK_OF_FIN): Rule(
            "E10", _S.CLOSE_WAIT, phrase("the other side's FIN arrived (RFC 9293 3.6)")
        ),
        (_S.CLOSING, _I.RECEIVE_ACK_OF_FIN): Rule(
            "E16", _S.TIME_WAIT, phrase("its FIN was acknowledged; 2MSL starts (RFC 9293 3.6)")
        ),
        (_S.LAST_ACK, _I.RECEIVE_ACK_OF_FIN): Rule(
            "E17", _S.CLOSED, phrase("its FIN was acknowledged: done (RFC 9293 3.6)")
        ),
        (_S.TIME_WAIT, _I.TIMEOUT): Rule("E19", _S.CLOSED, phrase("2MSL ran out (RFC 9293 3.6.1)")),
        (_S.TIME_WAIT, _I.NEW_INCARNATION): Rule(
            "E19", _S.CLOSED, phrase("a new connection took the ports (RFC 9293 MAY-2, RFC 6191)")
        ),
        (_S.FIN_WAIT_2, _I.TIMEOUT): Rule(
            "E24", _S.CLOSED, phrase("an orphan's FIN-WAIT-2 ran out, or its process was gone (RFC 9293 SHLD-3)")
        ),
    }
    for state in _SYNCHRONIZED:
        cells[state, _I.RECEIVE_RST] = Rule("E20", _S.CLOSED, phrase("reset by the other side (RFC 9293 3.10.7.4)"))
    for state in (_S.SYN_SENT, _S.SYN_RECEIVED, *_SYNCHRONIZED):
        cells[state, _I.SEND_RST] = Rule("E21", _S.CLOSED, phrase("sent a RST (RFC 9293 3.5.2)"))
        cells.setdefault(
            (state, _I.NEW_INCARNATION),
            Rule("E22", _S.CLOSED, phrase("gone: it opened a new connection on the same ports")),
        )
    return MappingProxyType(cells)


TABLE = _table()
"""THE TABLE: (state, input) -> rule. A pair that is missing moves nothing."""

EXTRA_RULES: Mapping[str, Text] = MappingProxyType(
    {
        "E2": phrase("listened: inferred back from its answer (no segment shows LISTEN)"),
        "E18": phrase("a segment that restarts 2MSL (RFC 9293 3.10.7.4)"),
        "E23": phrase("gave up (RFC 9293 3.8.3); no segment shows it"),
        "E26": phrase("the capture starts in mid-connection: what went before is unknown"),
    }
)


_CELLS: Mapping[Input, Text] = MappingProxyType(
    {
        _I.SEND_SYN: phrase("{state} to {to} when it sends SYN"),
        _I.SEND_SYN_ACK: phrase("{state} to {to} when it sends SYN, ACK"),
        _I.SEND_FIN: phrase("{state} to {to} when it sends FIN"),
        _I.SEND_RST: phrase("{state} to {to} when it sends RST"),
        _I.RECEIVE_SYN: phrase("{state} to {to} when SYN arrives"),
        _I.RECEIVE_SYN_ACK: phrase("{state} to {to} when SYN, ACK arrives"),
        _I.RECEIVE_ACK_OF_SYN: phrase("{state} to {to} when ACK of its SYN arrives"),
        _I.RECEIVE_FIN: phrase("{state} to {to} when FIN arrives in order"),
        _I.RECEIVE_ACK_OF_FIN: phrase("{state} to {to} when ACK of its FIN arrives"),
        _I.RECEIVE_FIN_AND_ACK_OF_FIN: phrase("{state} to {to} when FIN that also acknowledges its FIN arrives"),
        _I.RECEIVE_RST: phrase("{state} to {to} when acceptable RST arrives"),
        _I.TIMEOUT: phrase("{state} to {to} when timer expires"),
        _I.NEW_INCARNATION: phrase("{state} to {to} when a new connection takes the ports"),
    }
)
"""What a cell of the table says, by its input."""


def rule_texts() -> dict[str, Text]:
    """What each transition rule says, by id: why, then its cells of the table."""
    cells: dict[str, list[Text]] = {}
    whys: dict[str, Text] = {}
    for (state, given), rule in TABLE.items():
        whys.setdefault(rule.id, rule.why)
        cells.setdefault(rule.id, []).append(phrase(_CELLS[given], state=state, to=rule.to))
    told = {id: phrase("{why}: {cells}", why=why, cells=joined(cells[id], "; ")) for id, why in whys.items()}
    return {**EXTRA_RULES, **told}
