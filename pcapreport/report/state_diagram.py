"""The state diagram of RFC 9293 (figure 5, section 3.3.2) with the ways of both sides of one connection drawn on it.

Thin lines are the transitions of the standard; each side's own are thick, numbered in order. A way that the figure does
not show, such as the one that a reset takes, is a dashed curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from math import hypot
from typing import NamedTuple

from pcapreport.report.diagram_layout import FAMILY_COLOUR
from pcapreport.report.model import Connection, EndpointHistory, Sender
from pcapreport.report.svg import SIDE_COLOUR, coordinate, drawing, element, quoted

WIDTH, HEIGHT = 720.0, 500.0
HALF_WIDTH, HALF_HEIGHT = 62.0, 15.0
"""Of a state's box."""
ASIDE = 4.5
"""Each side's way runs so far beside the standard's line, so that both show."""
BADGE = 8.0
END = "CLOSED at the end"
PLACES = {
    "CLOSED": (360.0, 24.0),
    "LISTEN": (360.0, 96.0),
    "SYN-RECEIVED": (110.0, 168.0),
    "SYN-SENT": (610.0, 168.0),
    "ESTABLISHED": (360.0, 240.0),
    "FIN-WAIT-1": (110.0, 312.0),
    "CLOSE-WAIT": (610.0, 312.0),
    "CLOSING": (360.0, 352.0),
    "FIN-WAIT-2": (110.0, 408.0),
    "LAST-ACK": (610.0, 396.0),
    "TIME-WAIT": (360.0, 464.0),
    END: (610.0, 476.0),
}
STANDARD = (
    ("CLOSED", "LISTEN"),
    ("CLOSED", "SYN-SENT"),
    ("LISTEN", "SYN-RECEIVED"),
    ("LISTEN", "SYN-SENT"),
    ("SYN-SENT", "SYN-RECEIVED"),
    ("SYN-RECEIVED", "ESTABLISHED"),
    ("SYN-SENT", "ESTABLISHED"),
    ("SYN-RECEIVED", "FIN-WAIT-1"),
    ("ESTABLISHED", "FIN-WAIT-1"),
    ("ESTABLISHED", "CLOSE-WAIT"),
    ("FIN-WAIT-1", "FIN-WAIT-2"),
    ("FIN-WAIT-1", "CLOSING"),
    ("FIN-WAIT-1", "TIME-WAIT"),
    ("FIN-WAIT-2", "TIME-WAIT"),
    ("CLOSING", "TIME-WAIT"),
    ("CLOSE-WAIT", "LAST-ACK"),
    ("LAST-ACK", END),
    ("TIME-WAIT", END),
)
"""Figure 5; the state CLOSED stands twice, before and after."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of state of one side; `number`: the how manieth of that side."""

    side: Sender
    number: int
    before: str
    after: str


class _Line(NamedTuple):
    """From border to border."""

    x1: float
    y1: float
    x2: float
    y2: float

    def at(self, share: float) -> tuple[float, float]:
        return self.x1 + share * (self.x2 - self.x1), self.y1 + share * (self.y2 - self.y1)


def state_diagram(connection: Connection, title: str, description: str, bare: bool = False) -> str:
    """The diagram; "" where neither side changed its state, unless it is wanted `bare`."""
    ends = connection.endpoints
    taken = [*steps("client", ends.client), *steps("server", ends.server)]
    if not taken and not bare:
        return ""
    visited = {state for step in taken for state in (step.before, step.after)}
    parts = (
        _thin_lines(),
        *(_way(step) for step in taken),
        *(_box(state, state in visited) for state in PLACES),
        *(_badge(step) for step in taken),
    )
    return drawing(WIDTH, HEIGHT, title, description, "".join(parts))


@cache
def _thin_lines() -> str:
    return "".join(_thin(before, after) for before, after in STANDARD)


def steps(side: Sender, end: EndpointHistory) -> list[Step]:
    """A side's changes of state, in order; of CLOSED the last is told from the first."""
    states = [item.state for item in end.history if item.state]
    named = [END if state == "CLOSED" and at and _begun(states[:at]) else state for at, state in enumerate(states)]
    changes = [(before, after) for before, after in pairwise(named) if before != after]
    places = [pair for pair in changes if pair[0] in PLACES and pair[1] in PLACES]
    return [Step(side, number, before, after) for number, (before, after) in enumerate(places, 1)]


def _begun(states: Sequence[str]) -> bool:
    return any(state != "CLOSED" for state in states)


def _line(before: str, after: str, aside: float = 0.0) -> _Line:
    """Between two boxes' borders, `aside` to the right of its own direction."""
    (ax, ay), (bx, by) = PLACES[before], PLACES[after]
    length = hypot(bx - ax, by - ay)
    dx, dy = (bx - ax) / length, (by - ay) / length
    shift_x, shift_y = -dy * aside, dx * aside
    reach = min(HALF_WIDTH / abs(dx) if dx else length, HALF_HEIGHT / abs(dy) if dy else length)
    return _Line(
        ax + dx * reach + shift_x, ay + dy * reach + shift_y, bx - dx * reach + shift_x, by - dy * reach + shift_y
    )


def _thin(before: str, after: str) -> str:
    line = _line(before, after)
    path = f"M{coordinate(line.x1)} {coordinate(line.y1)}L{coordinate(line.x2)} {coordinate(line.y2)}"
    return element("path", d=path, stroke="currentColor", stroke_opacity=0.35)


def _aside(step: Step) -> float:
    return ASIDE if step.side == "client" else -ASIDE


@lru_cache(maxsize=512)
def _way(step: Step) -> str:
    """A thick line with a head, or a dashed curve where the standard's figure has none."""
    line, colour = _line(step.before, step.after, _aside(step)), SIDE_COLOUR[step.side]
    start, end = f"{coordinate(line.x1)} {coordinate(line.y1)}", f"{coordinate(line.x2)} {coordinate(line.y2)}"
    if (step.before, step.after) in STANDARD:
        shaft = element("path", d=f"M{start}L{end}", stroke=colour, stroke_width=2.4)
        return shaft + element("path", d=_head(line.at(0.5), (line.x2, line.y2)), fill=colour)
    bend = _bend(line)
    path = f"M{start}Q{coordinate(bend[0])} {coordinate(bend[1])} {end}"
    shaft = element("path", d=path, fill="none", stroke=colour, stroke_width=2.4, stroke_dasharray="6 4")
    return shaft + element("path", d=_head(bend, (line.x2, line.y2)), fill=colour)


def _bend(line: _Line) -> tuple[float, float]:
    """Beside the middle, away from the boxes on the straight way."""
    x, y = line.at(0.5)
    length = hypot(line.x2 - line.x1, line.y2 - line.y1) or 1.0
    return x - (line.y2 - line.y1) / length * 46, y + (line.x2 - line.x1) / length * 46


def _head(origin: tuple[float, float], tip: tuple[float, float]) -> str:
    length = hypot(tip[0] - origin[0], tip[1] - origin[1]) or 1.0
    dx, dy = (tip[0] - origin[0]) / length, (tip[1] - origin[1]) / length
    back = tip[0] - dx * 11, tip[1] - dy * 11
    left = back[0] - dy * 4.5, back[1] + dx * 4.5
    right = back[0] + dy * 4.5, back[1] - dx * 4.5
    points = (tip, left, right)
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points) + "Z"


@cache
def _box(state: str, was_there: bool) -> str:
    """A state; full where a side of this connection was in it."""
    x, y = PLACES[state]
    name = "CLOSED" if state == END else state
    colour = FAMILY_COLOUR[name]
    box = element(
        "rect",
        x=x - HALF_WIDTH,
        y=y - HALF_HEIGHT,
        width=2 * HALF_WIDTH,
        height=2 * HALF_HEIGHT,
        rx=5,
        fill=colour,
        fill_opacity=0.3 if was_there else 0.06,
        stroke=colour,
        stroke_width=1.6 if was_there else 1,
    )
    weight = "700" if was_there else "400"
    return box + element("text", quoted(name), x=x, y=y + 4.5, text_anchor="middle", font_size=13, font_weight=weight)


@lru_cache(maxsize=512)
def _badge(step: Step) -> str:
    """The step's number: on a disc for the client, on a square for the server."""
    line = _line(step.before, step.after, _aside(step))
    share = 0.36 if step.side == "client" else 0.62
    x, y = line.at(share)
    if (step.before, step.after) not in STANDARD:
        bend = _bend(line)
        x = (1 - share) ** 2 * line.x1 + 2 * share * (1 - share) * bend[0] + share**2 * line.x2
        y = (1 - share) ** 2 * line.y1 + 2 * share * (1 - share) * bend[1] + share**2 * line.y2
    colour = SIDE_COLOUR[step.side]
    if step.side == "client":
        shape = element("circle", cx=x, cy=y, r=BADGE + 0.5, fill=colour)
    else:
        shape = element("rect", x=x - BADGE, y=y - BADGE, width=2 * BADGE, height=2 * BADGE, fill=colour)
    number = element(
        "text", str(step.number), x=x, y=y + 4, text_anchor="middle", font_size=11, font_weight="700", fill="#FFFFFF"
    )
    return shape + number
