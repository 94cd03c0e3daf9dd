"""Scenarios with the states both ends must have: frames in the notation of the findings' scenarios, then the states.

    # The client closes first.
    0.000 C > S S 0:0(0)                       # 1
    0.020 S > C S. 0:0(0) ack 1                # 2
    ...
    client:
        SYN-SENT      frame 1   proven
        ESTABLISHED   frame 2   proven    between 0.02 and 0.04
    server:
        LISTEN        no frame  assumed
        ...

A state line is: state, its cause (`frame N` or `no frame`), its certainty, and, where it matters, the interval in
seconds (`?` for an open end). `client of connection 2:` heads the states of a later connection. Of the rest what is
told is checked: `opening: NAME`, `closing: NAME`, `client's TIME-WAIT: restarted by FIN 9 ACK 11, ended by expiry`
(or `none`), `client's later SYNs: frame 12 challenged, frame 15 after-reset`, `client withdraws: N`, `connections:
N`. `fault: TEXT` says that the reconstructor is known to get it wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import zip_longest

from findings.scenario import START
from findings.scenario import Scenario as Frames
from findings.scenario import parse as parse_frames

from pcapreport.capture.model import Capture
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory, Transition

SIDES = ("client", "server")

HEAD = re.compile(r"(client|server)(?: of connection (\d+))?:")
STATE = re.compile(r"[A-Z][A-Z0-9-]+ (no frame|frame \d+) (proven|supposed|assumed)( between \S+ and \S+)?")
FACT = re.compile(r"(opening|closing|(?:client|server)'s (?:TIME-WAIT|later SYNs)|(?:client|server) withdraws):\s*(.*)")
ABOUT_ALL = re.compile(r"(connections|fault):\s*(.*)")


@dataclass
class Expected:
    """What one connection of a scenario should look like."""

    states: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


@dataclass
class Scenario:
    """A scenario read: the frames, and what is expected of each connection."""

    frames: Frames
    connections: int
    fault: str
    expected: dict[int, Expected]

    def histories(self) -> list[ConnectionHistory]:
        """What the reconstructor makes of it."""
        return histories_of(self.frames.capture())


def histories_of(capture: Capture, settings: Settings | None = None) -> list[ConnectionHistory]:
    """The histories of a capture, by the public way."""
    return list(reconstruct_all(find_connections(capture.table), capture.last_ns or 0, settings or Settings()))


def parse(text: str, name: str = "made") -> Scenario:
    """Read a scenario; raises ValueError on a line that it cannot read."""
    frames: list[str] = []
    expected: dict[int, Expected] = {}
    about_all = {"connections": "", "fault": ""}
    connection, heading = 1, None
    for line in text.splitlines():
        words = " ".join(line.split("#")[0].split())
        if found := HEAD.fullmatch(words):
            connection = int(found[2] or 1)
            heading = expected.setdefault(connection, Expected()).states.setdefault(found[1], [])
        elif STATE.fullmatch(words) and heading is not None:
            heading.append(words)
        elif found := FACT.fullmatch(words):
            expected.setdefault(connection, Expected()).facts[found[1]] = found[2]
        elif found := ABOUT_ALL.fullmatch(words):
            about_all[found[1]] = found[2]
        else:
            frames.append(line)
            continue
        frames.append("")  # keeps the line numbers
    read = parse_frames("\n".join(frames), name)
    return Scenario(read, int(about_all["connections"] or len(expected)), about_all["fault"], expected)


# -- what came of it, in the same words ----------------------------------------------------------------------------


def told_state(item: Transition, interval: bool = False) -> str:
    """A transition as a scenario file says it."""
    cause = "no frame" if item.frame is None else f"frame {item.frame}"
    text = f"{item.state} {cause} {item.certainty}"
    return f"{text} between {_seconds(item.earliest)} and {_seconds(item.latest)}" if interval else text


def _seconds(time: int | None) -> str:
    return "?" if time is None else f"{Decimal(time - START) / SECOND:f}"


def _told_facts(history: ConnectionHistory) -> dict[str, str]:
    facts = {"opening": history.opening, "closing": history.closing}
    for side, end in zip(SIDES, (history.client, history.server), strict=True):
        facts[f"{side}'s TIME-WAIT"] = _told_time_wait(end)
        facts[f"{side}'s later SYNs"] = _told_later_syns(end)
        facts[f"{side} withdraws"] = str(len(end.withdrawn))
    return facts


def _told_time_wait(end: EndpointHistory) -> str:
    if end.time_wait is None:
        return "none"
    restarts = " ".join(f"{r.what} {r.frame}" for r in end.time_wait.restarts)
    restarted = f"restarted by {restarts}, " if restarts else ""
    return f"{restarted}ended by {end.time_wait.ended_by}"


def _told_later_syns(end: EndpointHistory) -> str:
    syns = end.time_wait.later_syns if end.time_wait else ()
    return ", ".join(f"frame {syn.frame} {syn.meeting}" for syn in syns) or "none"


def compare(expected: Expected, history: ConnectionHistory) -> list[tuple[str, str, str]]:
    """(what, expected, actual) of all that the scenario tells of one connection, in its order."""
    rows: list[tuple[str, str, str]] = []
    for side, end in zip(SIDES, (history.client, history.server), strict=True):
        wanted = expected.states.get(side, [])
        for index, (want, item) in enumerate(zip_longest(wanted, end.transitions)):
            actual = "-" if item is None else told_state(item, want is not None and " between " in want)
            rows.append((f"{side} {index + 1}", want or "-", actual))
    facts = _told_facts(history)
    return rows + [(name, want, facts[name]) for name, want in expected.facts.items()]


def side_by_side(rows: list[tuple[str, str, str]]) -> str:
    """A table with a mark at each line that differs."""
    table = [("", "expected", "actual"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    return "\n".join(
        ("! " if row[1] != row[2] and row is not table[0] else "  ")
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
