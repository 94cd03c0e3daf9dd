"""The plots: time-sequence after Stevens, what set the pace of a connection, and the capture as a whole.

Words live in the page's captions; the drawing holds units only, so no font needs any script's glyphs. How each is drawn
is chart.py's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pcapreport.report.chart import GREY, Axis, Panel, axis
from pcapreport.report.model import Activity, Connection, Host, RoundTrips, Sender, Series
from pcapreport.report.svg import SEVERITY_COLOUR, SIDE_COLOUR, plot

WIDTH = 547.2
LEFT, RIGHT, TOP, BOTTOM = 68.4, 8.64, 7.2, 34.56
"""Room beside the axes, enough for the words of any: all lengths are points."""
BETWEEN = 0.3
"""Of the height of an axis: room between it and the one below."""
LEAST_POINTS = 6
"""Below this a plot says less than the packet table."""
SEQUENCE = ("data", "retransmission", "ack", "window")
"""Kinds of the curves of a time-sequence plot."""
_GREEN = "#009E73"
_DASHED = "4,3"


_Curve = tuple[Series, Sequence[float], Sequence[float]]
"""A series, times, values."""


class _Curves(NamedTuple):
    """What one pair of axes shows."""

    unit: str
    curves: list[_Curve]


def worth_plotting(series: Sequence[Series], sender: Sender) -> bool:
    """Whether this side sent data often enough for its curve to show something."""
    return sum(len(s.time_s) for s in series if s.sender == sender and s.kind == "data") >= LEAST_POINTS


def time_sequence(series: Sequence[Series], sender: Sender, title: str, description: str, vertices: int = 2_000) -> str:
    """One direction's plot as inline SVG; "" without points.

    `series` may hold both directions. x in seconds since the capture's first packet, y in bytes from the sender's ISN.
    `vertices` bounds the points drawn over all series.
    """
    chosen = [s for s in series if s.sender == sender and s.time_s and s.kind in SEQUENCE]
    share = max(2, vertices // max(len(chosen), 1))
    curves: list[_Curve] = [(one, *thinned(one, share)) for one in chosen]
    return _stacked([_Curves("bytes", curves)], 208.8, title, description) if chosen else ""


def pace(series: Sequence[Series], title: str, description: str, vertices: int = 1_200) -> str:
    """What set the pace of a connection: bytes in flight and window, round trips, rate, one above the other."""
    share = max(2, vertices // 6)
    busiest = max(("client", "server"), key=lambda side: sum(sum(s.value) for s in _of(series, "rate", side)))
    rows: list[tuple[str, list[Series], float]] = [
        ("bytes", [*_of(series, "flight", busiest), *_of(series, "offered", busiest)], 1),
        ("ms", _of(series, "rtt"), 1_000),
        ("bytes/s", _of(series, "rate"), 1),
    ]
    panels = [_Curves(unit, list(_scaled(chosen, share, scale))) for unit, chosen, scale in rows if chosen]
    return _stacked(panels, 115.2 * len(panels) + 21.6, title, description) if panels else ""


def _of(series: Sequence[Series], kind: str, sender: str = "") -> list[Series]:
    return [s for s in series if s.kind == kind and s.time_s and sender in ("", s.sender)]


def _scaled(series: Sequence[Series], share: int, scale: float) -> Iterator[_Curve]:
    for one in series:
        times, values = thinned(one, share)
        yield one, times, [value / scale for value in values]


def _stacked(rows: Sequence[_Curves], height: float, title: str, description: str) -> str:
    """Curves over the same seconds, one pair of axes above the other."""
    times = [time for row in rows for _, those, _ in row.curves for time in those]
    drawn = []
    for number, ((unit, curves), (top, room)) in enumerate(zip(rows, _places(len(rows), height), strict=True), 1):
        x = _seconds(times, "s" if number == len(rows) else "")
        y = axis((value for _, _, values in curves for value in values), unit, room, across=False)
        panel = Panel(LEFT, top, WIDTH - LEFT - RIGHT, room, x, y)
        for one, at, values in curves:
            _draw(panel, one, at, values)
        drawn.append(panel.drawn())
    return plot(WIDTH, height, title, description, "".join(drawn))


def _places(number: int, height: float) -> Iterator[tuple[float, float]]:
    """(top, height) of axes one above the other."""
    room = (height - TOP - BOTTOM) / (number + BETWEEN * (number - 1))
    return ((TOP + place * room * (1 + BETWEEN), room) for place in range(number))


def _seconds(times: Sequence[float], unit: str = "s") -> Axis:
    return axis(times, unit, WIDTH - LEFT - RIGHT, across=True)


def _draw(panel: Panel, one: Series, times: Sequence[float], values: Sequence[float]) -> None:
    """Draw one series by its kind."""
    colour, first = SIDE_COLOUR[one.sender], one.sender == "client"
    if one.kind == "data":
        panel.dots(times, values, colour, 4.2)
    elif one.kind == "retransmission":
        panel.crosses(times, values, "#D2222D", 7, 1.6)
    elif one.kind == "ack":
        panel.steps(times, values, _GREEN, 1.2)
    elif one.kind in ("window", "offered"):
        panel.steps(times, values, GREY, 1.0, _DASHED)
    elif one.kind == "rtt" and first:
        panel.dots(times, values, colour, 4)
    elif one.kind == "rtt":
        panel.crosses(times, values, colour, 6, 1)
    else:
        panel.steps(times, values, colour, 1.4, "" if first or one.kind == "flight" else "2.8,1.4")


def traffic(activity: Activity, title: str, description: str) -> str:
    """Packets and bytes of each second over time."""
    span, height, drawn = activity.span_s, 230.4, []
    spans = [(at * span, (at + 1) * span) for at in range(len(activity.packets))]
    rows = ((activity.packets, "packets/s", ""), (activity.bytes, "bytes/s", "s"))
    for (values, unit, below), (top, room) in zip(rows, _places(len(rows), height), strict=True):
        rates = [value / span for value in values]
        y = axis((0.0, *rates), unit, room, across=False, floor=0.0)
        panel = Panel(LEFT, top, WIDTH - LEFT - RIGHT, room, _seconds([0.0, len(spans) * span], below), y)
        panel.bars([(*edges, rate) for edges, rate in zip(spans, rates, strict=True)], _GREEN, 0.55)
        drawn.append(panel.drawn())
    return plot(WIDTH, height, title, description, "".join(drawn))


def timeline(connections: Sequence[Connection], title: str, description: str) -> str:
    """A line for each connection from its first to its last segment, in the order given from the top."""
    if not connections:
        return ""
    height = min(86.4 + 5.04 * len(connections), 504.0)
    rows = axis([0.0, len(connections) - 1.0], "", height - TOP - BOTTOM, across=False)._replace(ticks=())
    x = _seconds([time for one in connections for time in (one.start_s, one.end_s)])
    panel = Panel(LEFT, TOP, WIDTH - LEFT - RIGHT, height - TOP - BOTTOM, x, rows, downwards=True)
    for level in sorted({one.severity for one in connections}, key=str):
        of_level = [(at, one.start_s, one.end_s) for at, one in enumerate(connections) if one.severity == level]
        panel.spans(of_level, SEVERITY_COLOUR[level] if level else _GREEN, 2.2 if level else 1.6)
    return plot(WIDTH, height, title, description, panel.drawn())


def population(hosts: Sequence[Host], title: str, description: str) -> str:
    """How many TIME-WAITs the first hosts held."""
    chosen = [host for host in hosts if host.held]
    if not chosen:
        return ""
    height = 172.8
    x = _seconds([time for host in chosen for time in host.held_from_s])
    y = axis((held for host in chosen for held in host.held), "TIME-WAIT", height - TOP - BOTTOM, across=False)
    panel = Panel(LEFT, TOP, WIDTH - LEFT - RIGHT, height - TOP - BOTTOM, x, y)
    for host, dashes in zip(chosen, ("", "7.5,3", "1.5,2.25"), strict=False):
        panel.steps(host.held_from_s, host.held, "#7A6F00", 1.5, dashes)
    return plot(WIDTH, height, title, description, panel.drawn())


def distribution(trips: RoundTrips, title: str, description: str) -> str:
    """How many connections have which round trip."""
    height, bars = 172.8, [(at - 0.45, at + 0.45, count) for at, count in enumerate(trips.connections)]
    words = ["" if limit is None else f"{limit:g}" for limit in trips.up_to_ms]
    x = axis([-0.45, len(bars) - 0.55], "ms", WIDTH - LEFT - RIGHT, across=True)
    x = x._replace(ticks=tuple((at + 0.45, word) for at, word in enumerate(words)))
    y = axis((0.0, *trips.connections), "connections", height - TOP - BOTTOM, across=False, floor=0.0)
    panel = Panel(LEFT, TOP, WIDTH - LEFT - RIGHT, height - TOP - BOTTOM, x, y)
    panel.bars(bars, "#0072B2", 0.7)
    return plot(WIDTH, height, title, description, panel.drawn())


def thinned(one: Series, share: int) -> tuple[list[float], list[int]]:
    """At most `share` points: all of them, or for each stretch of points its lowest and highest.

    Extremes are kept rather than every n-th point, so that a lone drop or jump stays visible.
    """
    count = len(one.time_s)
    if count <= share:
        return list(one.time_s), list(one.value)
    stretches = max(1, share // 2)
    kept: list[int] = []
    for k in range(stretches):
        inside = range(k * count // stretches, (k + 1) * count // stretches)
        low, high = min(inside, key=one.value.__getitem__), max(inside, key=one.value.__getitem__)
        kept.extend(sorted({low, high}))
    return [one.time_s[i] for i in kept], [one.value[i] for i in kept]
