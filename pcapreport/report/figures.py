"""The plots of a page with their captions and the tables behind them, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pcapreport.report import plots
from pcapreport.report.model import Connection, Document, Sender
from pcapreport.report.plots import SEQUENCE, thinned, time_sequence, worth_plotting
from pcapreport.report.wording import SEVERITY_RANK, duration, number

PLOTS = 6
HEALTHY_PLOTS = 2
"""Time-sequence plots on a page, the worst connections' first, and how many may show that nothing went wrong."""
PACES = 2
"""Connections of which what set the pace is plotted as well."""
PLOT_VERTICES, PLOT_ROWS = 2_000, 60
"""Most vertices of one plot, and rows of the table behind it; less where many connections share the page."""
TIMELINE = 120
"""Connections on the timeline."""
LEAST_TIMELINE, LEAST_PACKETS, LEAST_TRIPS = 3, 20, 5
"""Below these a plot of the capture says less than the tables."""
_SAYS_THE_SAME = "The table behind it says the same."


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot, what it shows, and its numbers."""

    name: str
    """What it is called beside others."""
    svg: Markup
    caption: str
    heads: tuple[str, ...]
    """Of the table; a number's begins with "#"."""
    rows: Sequence[tuple[str, ...]]
    left_out: int = 0
    """Points that are not in the table."""


class ConnectionFigures:
    """Shares the room for plots among the connections of a page."""

    def __init__(self, detailed: Sequence[Connection]) -> None:
        self._share = max(1, len(detailed) // 8)
        self._plotted = _plotted(detailed)
        chosen = [one.id for one in _worst_first(detailed) if one.id in self._plotted and _paced(one)]
        self._paced = set(chosen[:PACES])

    def of(self, connection: Connection) -> tuple[list[Figure], int]:
        """(its figures, how many had no room)."""
        wanted = list(_wanted(connection))
        if connection.id not in self._plotted:
            return [], len(wanted)
        made = [figure for sender in wanted for figure in _sequence(connection, sender, self._share)]
        if connection.id in self._paced:
            made += _pace(connection)
        return made, 0


def _worst_first(detailed: Sequence[Connection]) -> list[Connection]:
    return sorted(detailed, key=lambda connection: SEVERITY_RANK[connection.severity])


def _wanted(connection: Connection) -> Iterator[Sender]:
    series = connection.detail.series if connection.detail else []
    senders: tuple[Sender, Sender] = ("client", "server")
    return (sender for sender in senders if worth_plotting(series, sender))


def _paced(connection: Connection) -> bool:
    return any(_wanted(connection))


def _plotted(detailed: Sequence[Connection]) -> set[int]:
    """Ids of the connections whose plots find room, the worst first."""
    chosen: set[int] = set()
    room, healthy = PLOTS, HEALTHY_PLOTS
    for connection in _worst_first(detailed):
        wanted = len(list(_wanted(connection)))
        room -= wanted
        healthy -= wanted if connection.severity is None else 0
        if min(room, healthy) < 0:
            break
        chosen.add(connection.id)
    return chosen


def _sequence(connection: Connection, sender: Sender, share: int) -> Iterator[Figure]:
    """The time-sequence plot of one direction, if it can be drawn; `share` divides the page's budget."""
    all_curves = connection.detail.series if connection.detail else []
    series = [s for s in all_curves if s.sender == sender and s.kind in SEQUENCE]
    name = f"Time-sequence plot of connection {connection.id}, sent by the {sender}"
    prefix, vertices = f"p{connection.id}{sender[0]}", max(120, PLOT_VERTICES // share)
    svg = time_sequence(series, sender, prefix, name, f"Seconds against bytes. {_SAYS_THE_SAME}", vertices)
    if not svg:
        return
    limit = max(4, PLOT_ROWS // share // len(series))
    points = sorted(((t, s.kind, v) for s in series for t, v in zip(*thinned(s, limit), strict=True)))
    rows = [(f"{time:.6f}", kind, number(value)) for time, kind, value in points]
    caption = (
        f"What the {sender} sent, in bytes from its initial sequence number, against seconds of the capture. Dots: end "
        "of each data segment; crosses: sent again; solid: acknowledged; dashed: edge of the window offered."
    )
    total = sum(len(s.time_s) for s in series)
    yield Figure(name, Markup(svg), caption, ("#Time, s", "Point", "#Byte"), rows, total - len(rows))


def _pace(connection: Connection) -> Iterator[Figure]:
    """What set the pace."""
    series = [s for s in (connection.detail.series if connection.detail else []) if s.kind not in SEQUENCE]
    name = f"What set the pace of connection {connection.id}"
    svg = plots.pace(series, f"q{connection.id}", name, f"Three curves over seconds. {_SAYS_THE_SAME}")
    if not svg:
        return
    words = {
        "flight": ("bytes in flight", 1, "bytes"),
        "offered": ("window offered by the other side", 1, "bytes"),
        "rtt": ("round trip beyond the tap", 1_000, "ms"),
        "rate": ("new bytes a second", 1, "bytes/s"),
    }
    points = [
        (time, s.sender, *words[s.kind], value)
        for s in series
        for time, value in zip(*thinned(s, 12), strict=True)
        if value or s.kind != "rate"
    ]
    rows = [
        (f"{time:.6f}", sender, what, f"{value / scale:,.10g} {unit}")
        for time, sender, what, scale, unit, value in sorted(points)
    ]
    caption = (
        "Above: bytes in flight of the side that sent more, and dashed the window that the other offered: where they "
        "meet, the receiver set the pace. Middle: milliseconds from each segment to its acknowledgment at the tap "
        "(dots: of the client's, crosses: of the server's). Below: new bytes a second (solid: client, dashed: server)."
    )
    left_out = sum(len(s.time_s) for s in series) - len(rows)
    yield Figure(name, Markup(svg), caption, ("#Time, s", "Side", "What", "#Value"), rows, left_out)


def capture_figures(document: Document) -> list[Figure]:
    """The capture as a whole, where there is enough of it."""
    return [*_traffic(document), *_timeline(document), *_population(document), *_distribution(document)]


def _traffic(document: Document) -> Iterator[Figure]:
    activity = document.activity
    if activity is None or sum(activity.packets) < LEAST_PACKETS:
        return
    name = "TCP traffic over time"
    svg = plots.traffic(activity, "traffic", name, f"Packets and bytes a second. {_SAYS_THE_SAME}")
    spans = enumerate(zip(activity.packets, activity.bytes, strict=True))
    rows = [(f"{at * activity.span_s:.6f}", number(packets), number(size)) for at, (packets, size) in spans if packets]
    caption = (
        f"TCP packets (above) and bytes on the wire (below) a second, in spans of {duration(activity.span_s)} from the "
        "capture's first packet on."
    )
    if svg:
        yield Figure(name, Markup(svg), caption, ("#From, s", "#Packets", "#Bytes"), rows)


def _timeline(document: Document) -> Iterator[Figure]:
    connections = document.connections[:TIMELINE]
    if len(connections) < LEAST_TIMELINE:
        return
    name = "Connections over time"
    svg = plots.timeline(connections, "timeline", name, f"A line for each connection. {_SAYS_THE_SAME}")
    rows = [(str(c.id), f"{c.start_s:.6f}", f"{c.end_s:.6f}", c.severity or "nothing found") for c in connections]
    caption = (
        "Each connection from its first to its last segment, in order from the top; green: nothing found, grey: notes, "
        "amber: warnings, red: errors."
    )
    left_out = document.totals.connections - len(connections)
    caption += f" The first {number(len(connections))} of {number(document.totals.connections)}." if left_out else ""
    if svg:
        yield Figure(name, Markup(svg), caption, ("#Connection", "#Begins, s", "#Ends, s", "Worst finding"), rows)


def _population(document: Document) -> Iterator[Figure]:
    hosts = [host for host in document.hosts if host.held]
    if not hosts:
        return
    name = "TIME-WAITs held over time"
    svg = plots.population(hosts, "population", name, f"A curve for each host. {_SAYS_THE_SAME}")
    points = [(at, host.address, held) for host in hosts for at, held in zip(host.held_from_s, host.held, strict=True)]
    rows = [(f"{at:.6f}", address, number(held)) for at, address, held in sorted(points)[:PLOT_ROWS]]
    curves = " and ".join(
        f"{style}: {host.address}" for style, host in zip(("solid", "dashed", "dotted"), hosts, strict=False)
    )
    caption = f"How many TIME-WAITs a host held at once, as far as the capture shows ({curves})."
    if svg:
        left_out = len(points) - len(rows)
        yield Figure(name, Markup(svg), caption, ("#From, s", "Host", "#Held"), rows, left_out)


def _distribution(document: Document) -> Iterator[Figure]:
    trips = document.round_trips
    if trips is None or sum(trips.connections) < LEAST_TRIPS:
        return
    name = "Round trips of the handshakes"
    svg = plots.distribution(trips, "trips", name, f"Connections by round trip. {_SAYS_THE_SAME}")
    limits = ["longer" if limit is None else f"up to {limit:g} ms" for limit in trips.up_to_ms]
    rows = [(limit, number(count)) for limit, count in zip(limits, trips.connections, strict=True)]
    caption = (
        "How many connections opened with which round trip, from the SYN to the segment behind the SYN, ACK; each bar "
        "up to the limit at its right edge, in milliseconds."
    )
    if svg:
        yield Figure(name, Markup(svg), caption, ("Round trip", "#Connections"), rows)
