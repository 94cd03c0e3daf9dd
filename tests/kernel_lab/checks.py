"""Whether the truth agrees with RFC 9293, with itself and with the socket tables."""

from __future__ import annotations

from collections.abc import Sequence

from .play import Run
from .truth import NAMES, Connection, Transition

_LEGAL = {
    "CLOSED": {"SYN_SENT"},
    "LISTEN": {"SYN_RCVD"},
    "SYN_SENT": {"ESTABLISHED", "SYN_RCVD", "CLOSED"},
    "SYN_RCVD": {"ESTABLISHED", "FIN_WAIT_1", "CLOSED"},
    "ESTABLISHED": {"FIN_WAIT_1", "CLOSE_WAIT", "CLOSED"},
    "FIN_WAIT_1": {"FIN_WAIT_2", "CLOSING", "TIME_WAIT", "CLOSED"},
    "FIN_WAIT_2": {"TIME_WAIT", "CLOSED"},
    "CLOSE_WAIT": {"LAST_ACK", "CLOSED"},
    "CLOSING": {"TIME_WAIT", "CLOSED"},
    "LAST_ACK": {"CLOSED"},
    "TIME_WAIT": {"CLOSED"},
}


def doubts(connection: Connection, run: Run) -> list[str]:
    """Where the truth contradicts RFC 9293, itself, or the socket tables."""
    found = []
    for side, chain in connection.sides.items():
        state = connection.start[side]
        for item in chain:
            again = state == "CLOSED" and item.old == "LISTEN" and connection.start[side] == "LISTEN"
            if item.old != state and not again or item.new not in _LEGAL[item.old]:
                found.append(f"connection {connection.id} {side}: {item.old} -> {item.new} after {state}")
            state = item.new
        found += _against_tables(connection, side, chain, run)
    return found


def _against_tables(connection: Connection, side: str, chain: Sequence[Transition], run: Run) -> list[str]:
    mine, peer = connection.pair if side == "A" else connection.pair[::-1]
    until = chain[-1].high if chain and chain[-1].new == "CLOSED" else run.ended
    wrong: dict[str, int] = {}
    for sample in run.samples:
        if sample.side != side or not chain or sample.since < chain[0].low or sample.until > until:
            continue
        for entry in sample.entries:
            if entry.local == mine and entry.remote == peer:
                possible = _possible(chain, sample.since, sample.until)
                name = NAMES.get(entry.state, entry.state)
                if name not in possible:
                    said = f"the table says {name}, the truth {'/'.join(sorted(possible))}"
                    key = f"connection {connection.id} {side}: {said}"
                    wrong[key] = wrong.get(key, 0) + 1
    return [f"{key} ({count} times)" for key, count in wrong.items()]


def _possible(chain: Sequence[Transition], low: int, high: int) -> set[str]:
    states = {item.new for item in chain if item.low <= high and item.high >= low}
    states |= {item.old for item in chain if item.low <= high and item.high >= low}
    before = [item for item in chain if item.high < low]
    if before and not any(item.high <= low and item.low > before[-1].low for item in chain if item not in before):
        states.add(before[-1].new)
    return states
