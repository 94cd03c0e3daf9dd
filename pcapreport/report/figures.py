"""The plots of a page with their captions and the tables behind them, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pcapreport.language import joined, phrase, say, sentences
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
_SAYS_THE_SAME = phrase("The table behind it says the same.")


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


def _heads(*columns: tuple[str, bool]) -> tuple[str, ...]:
    """Of the columns, each with whether it holds numbers."""
    return tuple(f"#{say(head)}" if numeric else say(head) for head, numeric in columns)


def _described(text: str) -> str:
    return sentences(text, _SAYS_THE_SAME)


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
    side = phrase("client") if sender == "client" else phrase("server")
    name = phrase("Time-sequence plot of connection {id}, sent by the {side}", id=connection.id, side=side)
    vertices = max(120, PLOT_VERTICES // share)
    svg = time_sequence(series, sender, name, _described(phrase("Seconds against bytes.")), vertices)
    if not svg:
        return
    limit = max(4, PLOT_ROWS // share // len(series))
    points = sorted(((t, s.kind, v) for s in series for t, v in zip(*thinned(s, limit), strict=True)))
    rows = [(f"{time:.6f}", say(kind), number(value)) for time, kind, value in points]
    caption = phrase(
        "What the {side} sent, in bytes from its initial sequence number, against seconds of the capture. Dots: end "
        "of each data segment; crosses: sent again; solid: acknowledged; dashed: edge of the window offered.",
        side=side,
    )
    total = sum(len(s.time_s) for s in series)
    heads = _heads((phrase("Time, s"), True), (phrase("Point"), False), (phrase("Byte"), True))
    yield Figure(name, Markup(svg), caption, heads, rows, total - len(rows))


def _pace(connection: Connection) -> Iterator[Figure]:
    """What set the pace."""
    series = [s for s in (connection.detail.series if connection.detail else []) if s.kind not in SEQUENCE]
    name = phrase("What set the pace of connection {id}", id=connection.id)
    svg = plots.pace(series, name, _described(phrase("Three curves over seconds.")))
    if not svg:
        return
    words = {
        "flight": (phrase("bytes in flight"), 1, "bytes"),
        "offered": (phrase("window offered by the other side"), 1, "bytes"),
        "rtt": (phrase("round trip beyond the tap"), 1_000, "ms"),
        "rate": (phrase("new bytes a second"), 1, "bytes/s"),
    }
    points = [
        (time, s.sender, *words[s.kind], value)
        for s in series
        for time, value in zip(*thinned(s, 12), strict=True)
        if value or s.kind != "rate"
    ]
    rows = [
        (f"{time:.6f}", say(sender), say(what), f"{value / scale:,.10g} {unit}")
        for time, sender, what, scale, unit, value in sorted(points)
    ]
    caption = phrase(
        "Above: bytes in flight of the side that sent more, and dashed the window that the other offered: where they "
        "meet, the receiver set the pace. Middle: milliseconds from each segment to its acknowledgment at the tap "
        "(dots: of the client's, crosses: of the server's). Below: new bytes a second (solid: client, dashed: server)."
    )
    left_out = sum(len(s.time_s) for s in series) - len(rows)
    heads = _heads((phrase("Time, s"), True), (phrase("Side"), False), (phrase("What"), False), (phrase("Value"), True))
    yield Figure(name, Markup(svg), caption, heads, rows, left_out)


def capture_figures(document: Document) -> list[Figure]:
    """The capture as a whole, where there is enough of it."""
    return [*_traffic(document), *_timeline(document), *_population(document), *_distribution(document)]


def _traffic(document: Document) -> Iterator[Figure]:
    activity = document.activity
    if activity is None or sum(activity.packets) < LEAST_PACKETS:
        return
    name = phrase("TCP traffic over time")
    svg = plots.traffic(activity, name, _described(phrase("Packets and bytes a second.")))
    spans = enumerate(zip(activity.packets, activity.bytes, strict=True))
    rows = [(f"{at * activity.span_s:.6f}", number(packets), number(size)) for at, (packets, size) in spans if packets]
    caption = phrase(
        "TCP packets (above) and bytes on the wire (below) a second, in spans of {span} from the capture's first "
        "packet on.",
        span=duration(activity.span_s),
    )
    if svg:
        heads = _heads((phrase("From, s"), True), (phrase("Packets"), True), (phrase("Bytes"), True))
        yield Figure(name, Markup(svg), caption, heads, rows)


def _timeline(document: Document) -> Iterator[Figure]:
    connections = document.connections[:TIMELINE]
    if len(connections) < LEAST_TIMELINE:
        return
    name = phrase("Connections over time")
    svg = plots.timeline(connections, name, _described(phrase("A line for each connection.")))
    nothing = phrase("nothing found")
    rows = [(str(c.id), f"{c.start_s:.6f}", f"{c.end_s:.6f}", say(c.severity or nothing)) for c in connections]
    caption = phrase(
        "Each connection from its first to its last segment, in order from the top; green: nothing found, grey: notes, "
        "amber: warnings, red: errors."
    )
    if document.totals.connections > len(connections):
        shown, whole = len(connections), document.totals.connections
        caption = sentences(caption, phrase("The first {shown:,} of {whole:,}.", shown=shown, whole=whole))
    heads = _heads(
        (phrase("Connection"), True),
        (phrase("Begins, s"), True),
        (phrase("Ends, s"), True),
        (phrase("Worst finding"), False),
    )
    if svg:
        yield Figure(name, Markup(svg), caption, heads, rows)


def _population(document: Document) -> Iterator[Figure]:
    hosts = [host for host in document.hosts if host.held]
    if not hosts:
        return
    name = phrase("TIME-WAITs held over time")
    svg = plots.population(hosts, name, _described(phrase("A curve for each host.")))
    points = [(at, host.address, held) for host in hosts for at, held in zip(host.held_from_s, host.held, strict=True)]
    rows = [(f"{at:.6f}", address, number(held)) for at, address, held in sorted(points)[:PLOT_ROWS]]
    styles = (phrase("solid"), phrase("dashed"), phrase("dotted"))
    pairs = zip(styles, hosts, strict=False)
    named = [phrase("{style}: {host}", style=style, host=host.address) for style, host in pairs]
    curves = joined(named, " and ")
    caption = phrase("How many TIME-WAITs a host held at once, as far as the capture shows ({curves}).", curves=curves)
    if svg:
        heads = _heads((phrase("From, s"), True), (phrase("Host"), False), (phrase("Held"), True))
        yield Figure(name, Markup(svg), caption, heads, rows, len(points) - len(rows))


def _distribution(document: Document) -> Iterator[Figure]:
    trips = document.round_trips
    if trips is None or sum(trips.connections) < LEAST_TRIPS:
        return
    name = phrase("Round trips of the handshakes")
    svg = plots.distribution(trips, name, _described(phrase("Connections by round trip.")))
    limits = [
        phrase("longer") if limit is None else phrase("up to {limit:g} ms", limit=limit) for limit in trips.up_to_ms
    ]
    rows = [(limit, number(count)) for limit, count in zip(limits, trips.connections, strict=True)]
    caption = phrase(
        "How many connections opened with which round trip, from the SYN to the segment behind the SYN, ACK; each bar "
        "up to the limit at its right edge, in milliseconds."
    )
    if svg:
        heads = _heads((phrase("Round trip"), False), (phrase("Connections"), True))
        yield Figure(name, Markup(svg), caption, heads, rows)
