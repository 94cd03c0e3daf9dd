"""What to call the way a connection opened and closed, from both ends' histories."""

from __future__ import annotations

from collections.abc import Sequence

from pcapreport.language import phrase
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import FIN, Segment
from pcapreport.tcp.history import Certainty, EndpointHistory
from pcapreport.tcp.states import State

OPENINGS = (
    phrase("three-way"),
    phrase("fast-open"),
    phrase("simultaneous"),
    phrase("refused"),
    phrase("unanswered"),
    phrase("one-sided"),
    phrase("incomplete"),
    phrase("midstream"),
)
CLOSINGS = (
    phrase("client-first"),
    phrase("server-first"),
    phrase("simultaneous"),
    phrase("reset-by-client"),
    phrase("reset-by-server"),
    phrase("refused"),
    phrase("half-closed"),
    phrase("never-opened"),
    phrase("open"),
)
"""Here so that translators find them; histories hold the plain words."""


def _states(end: EndpointHistory) -> list[State]:
    return [item.state for item in end.transitions]


def _rules(end: EndpointHistory) -> list[str]:
    return [item.rule for item in end.transitions]


def classify_opening(client: EndpointHistory, server: EndpointHistory, segments: Sequence[Segment]) -> str:
    """three-way, fast-open, simultaneous, refused, unanswered, incomplete (never finished) or midstream."""
    syn = next((s for s in segments if s.is_syn), None)
    syn_ack = next((s for s in segments if s.is_syn_ack), None)
    if "E26" in _rules(client) or syn is None and syn_ack is None:
        return "midstream"
    if "E5" in _rules(client) or "E5" in _rules(server):
        return "simultaneous"
    if "E8" in _rules(client):
        return "refused"
    if syn is not None and not any(s.side == SERVER for s in segments):
        alone = all(s.is_syn for s in segments)
        return "unanswered" if alone else "one-sided"
    if syn is not None and syn.length and syn_ack is not None and syn_ack.ack > 1:
        return "fast-open"
    if State.ESTABLISHED in _states(client) and State.ESTABLISHED in _states(server):
        return "three-way"
    return "incomplete"


def classify_closing(
    client: EndpointHistory, server: EndpointHistory, segments: Sequence[Segment], opening: str
) -> str:
    """client-first, server-first, simultaneous, reset-by-client, reset-by-server, refused, half-closed, never-opened
    or open (as far as the capture shows)."""
    if opening == "refused":
        return "refused"
    ends = (client, server)
    reset = _reset_by(ends)
    if reset is not None:
        return reset
    if opening == "unanswered":
        return "never-opened"
    if any(State.CLOSING in _states(end) for end in ends):
        return "simultaneous"
    by_client, by_server = (
        next((s for s in segments if s.side == side and s.flags & FIN), None) for side in (CLIENT, SERVER)
    )
    if by_client is not None and by_server is not None:
        return _first_closer(ends, by_client.at <= by_server.at)
    return "open" if by_client is by_server else "half-closed"


def _reset_by(ends: tuple[EndpointHistory, EndpointHistory]) -> str | None:
    """Which side's RST ended the connection before both had closed in order."""
    names = ("client", "server")
    for end, me, other in ((ends[0], 0, 1), (ends[1], 1, 0)):
        for before, item in zip(end.transitions, end.transitions[1:], strict=False):
            orderly = before.state in (State.TIME_WAIT, State.LAST_ACK, State.CLOSING)
            if item.rule == "E21" and not orderly:
                return f"reset-by-{names[me]}"
            if item.rule in ("E20", "E7") and not orderly and item.certainty is not Certainty.ASSUMED:
                return f"reset-by-{names[other]}"
    return None


def _first_closer(ends: tuple[EndpointHistory, EndpointHistory], client_fin_first: bool) -> str:
    for end, name in zip(ends, ("client-first", "server-first"), strict=True):
        if State.FIN_WAIT_2 in _states(end) or State.TIME_WAIT in _states(end):
            return name
    return "client-first" if client_fin_first else "server-first"
