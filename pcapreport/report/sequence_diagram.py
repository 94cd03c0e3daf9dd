"""The sequence diagram of one connection: geometry first, then SVG.

Time runs down, one row of its own height per ladder row, so that labels never meet however close two packets were.
On each lifeline lies a lane of named bands, one band a state. A segment's sender changes state where the arrow
leaves it, the receiver where the arrow arrives: the same rule for both ends. All lengths are user units of a drawing
`WIDTH` wide; `lay_out` knows no SVG and `draw` computes no place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pcapreport.report.model import RETRANSMISSION_RULES, Connection, LadderRow, Sender, Severity
from pcapreport.report.svg import SEVERITY_COLOUR, SIDE_COLOUR, coordinate, drawing, element, quoted
from pcapreport.report.wording import (
    duration,
    frame_list,
    moment,
    number,
    plural,
    short,
    spoken,
)

WIDTH = 720.0
LANE = 98.0
"""Width of a state lane: the longest name, SYN-RECEIVED, in the lane's type."""
EDGE = 4.0
"""Width of a band's solid edge along its lifeline."""
CLIENT_LINE, SERVER_LINE = 196.0, 542.0
TIME_RIGHT, MARK_X, FRAME_LEFT = 79.0, 89.0, 648.0
TIME_CHARACTERS = 12
"""What fits left of the lanes; of a longer time the nanoseconds are in the table only."""
HEADER = 56.0
TAIL, SLANT, LINE = 21.0, 13.0, 13.0
"""From a row's top to its arrow's tail; fall of an arrow; height of a further line of text."""
HEIGHT = {"segment": 41.0, "burst": 43.0, "phantom": 41.0, "gap": 34.0, "event": 31.0}
FOOT = 20.0
LABEL_CHARACTERS = 50
"""What fits between the lifelines in the label's type."""
NAME_AGAIN = 460.0
"""A long band repeats its name so that it is in sight when the page is scrolled."""

NO_STATE = "#8A929A"
FAMILY_COLOUR = {
    "LISTEN": NO_STATE,
    "SYN-SENT": "#E69F00",
    "SYN-RECEIVED": "#E69F00",
    "ESTABLISHED": "#009E73",
    "FIN-WAIT-1": "#56B4E9",
    "FIN-WAIT-2": "#56B4E9",
    "CLOSING": "#56B4E9",
    "CLOSE-WAIT": "#CC79A7",
    "LAST-ACK": "#CC79A7",
    "TIME-WAIT": "#D6C400",
    "CLOSED": NO_STATE,
}
"""One colour for each family: opening, open, closing first, closing second, waiting, none."""


@dataclass(frozen=True, slots=True)
class Band:
    """One state in one lane; `state` is "" where the state is unknown."""

    side: Sender
    state: str
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """A segment (or a folded burst) on its way; both ends lie on lifelines."""

    sender: Sender
    x1: float
    y1: float
    x2: float
    y2: float
    line: Literal["sent", "again", "phantom"]
    burst: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text with its baseline; `strong` is written first and bold."""

    x: float
    y: float
    text: str
    strong: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The box of one ladder row, over the whole width."""

    kind: str
    top: float
    bottom: float
    severity: Severity | None


@dataclass(frozen=True, slots=True)
class Diagram:
    """All shapes of one diagram."""

    height: float
    rows: tuple[Row, ...]
    bands: tuple[Band, ...]
    arrows: tuple[Arrow, ...]
    labels: tuple[Text, ...]
    """Centred between the lifelines."""
    times: tuple[Text, ...]
    frames: tuple[Text, ...]
    breaks: tuple[float, ...]
    """Heights at which both lifelines are broken."""
    events: tuple[float, ...]
    """Heights of what happened without a segment."""
    ends: tuple[tuple[str, str], tuple[str, str]]
    """(role, endpoint) of the client and of the server."""


def sequence_diagram(connection: Connection, title: str, description: str) -> str:
    """The connection's ladder as inline SVG; "" without a ladder."""
    if connection.detail is None or not connection.detail.ladder:
        return ""
    return draw(lay_out(connection), title, description)


def lay_out(connection: Connection) -> Diagram:
    """Place every row of the connection's ladder."""
    ladder = connection.detail.ladder if connection.detail else []
    rows = tuple(_rows(ladder))
    height = (rows[-1].bottom if rows else HEADER) + FOOT
    placed = list(zip(ladder, rows, strict=True))
    first_states = {
        "client": connection.endpoints.client.history[0].state if connection.endpoints.client.history else "",
        "server": connection.endpoints.server.history[0].state if connection.endpoints.server.history else "",
    }
    sides: tuple[Sender, Sender] = ("client", "server")
    return Diagram(
        height=height,
        rows=rows,
        bands=tuple(band for side in sides for band in _bands(side, first_states[side], placed, height)),
        arrows=tuple(_arrow(item, row) for item, row in placed if item.sender and item.kind not in ("gap", "event")),
        labels=tuple(label for item, row in placed for label in _labels(item, row)),
        times=tuple(
            Text(TIME_RIGHT, row.top + 14, _time(item.time_s))
            for item, row in placed
            if item.time_s is not None and item.kind != "gap"
        ),
        frames=tuple(
            Text(FRAME_LEFT, row.top + 14, short(frame_list(item.frames, 2), 12)) for item, row in placed if item.frames
        ),
        breaks=tuple(_middle(row) for row in rows if row.kind == "gap"),
        events=tuple(_middle(row) for row in rows if row.kind == "event"),
        ends=(
            ("client", short(f"{connection.client.address}:{connection.client.port}", 46)),
            ("server", short(f"{connection.server.address}:{connection.server.port}", 46)),
        ),
    )


def _time(seconds: float) -> str:
    exact = moment(seconds)
    return exact if len(exact) <= TIME_CHARACTERS else f"{seconds:.6f}"


def _rows(ladder: Sequence[LadderRow]) -> Iterator[Row]:
    top = HEADER
    for item in ladder:
        bottom = top + HEIGHT[item.kind] + (LINE if _note(item) else 0)
        yield Row(item.kind, top, bottom, item.severity)
        top = bottom


def _middle(row: Row) -> float:
    return (row.top + row.bottom) / 2


def _boundary(side: Sender, item: LadderRow, row: Row) -> float:
    """Where `side` changes state in this row: at the arrow's tail if it sends, at its head if it receives."""
    if item.sender is None or item.kind in ("gap", "event"):
        return _middle(row)
    tail, head = _fall(item, row)
    return tail if side == item.sender else head


def _fall(item: LadderRow, row: Row) -> tuple[float, float]:
    """Heights of an arrow's tail and head."""
    tail = row.top + TAIL + (LINE if _note(item) else 0)
    return tail, tail + SLANT


def _bands(side: Sender, first: str, placed: Sequence[tuple[LadderRow, Row]], height: float) -> Iterator[Band]:
    """The side's states from the top of the diagram to its foot; `first` is its history's first state."""
    if not placed:
        return
    states = [item.client_state if side == "client" else item.server_state for item, _ in placed]
    state, top = first, HEADER
    if first == states[0] and first in ("SYN-SENT", "SYN-RECEIVED"):
        top = _boundary(side, *placed[0])
    elif not states[0]:
        state = ""
    for after, (item, row) in zip(states, placed, strict=True):
        if after != state:
            border = _boundary(side, item, row)
            if border > top:
                yield Band(side, state, top, border)
            state, top = after, border
    yield Band(side, state, top, height)


def _arrow(item: LadderRow, row: Row) -> Arrow:
    sender: Sender = item.sender or "client"
    tail, head = _fall(item, row)
    x1, x2 = (CLIENT_LINE, SERVER_LINE) if sender == "client" else (SERVER_LINE, CLIENT_LINE)
    again = bool(RETRANSMISSION_RULES.intersection(item.rules))
    line: Literal["sent", "again", "phantom"] = "phantom" if item.kind == "phantom" else "again" if again else "sent"
    return Arrow(sender, x1, tail, x2, head, line, item.kind == "burst", "RST" in item.flags)


def _labels(item: LadderRow, row: Row) -> Iterator[Text]:
    middle = (CLIENT_LINE + SERVER_LINE) / 2
    strong, plain = caption(item)
    baseline = _middle(row) + 4 if item.kind in ("gap", "event") and not _note(item) else row.top + 14
    strong = short(strong, LABEL_CHARACTERS)
    yield Text(middle, baseline, short(plain, LABEL_CHARACTERS - len(strong)), strong)
    if note := _note(item):
        yield Text(middle, baseline + LINE, short(note, LABEL_CHARACTERS + 6))


def caption(item: LadderRow) -> tuple[str, str]:
    """What to write on a row: the words that matter first (flags, count), then the numbers."""
    if item.kind == "gap":
        silent = duration(item.end_s - item.time_s) if item.end_s is not None and item.time_s is not None else ""
        return silent, item.text or "without a segment"
    if item.kind == "event":
        return "", item.text
    if item.kind == "burst":
        span = "" if item.seq is None else f"from seq {item.seq}"
        size = plural(item.length, "byte") if item.length else f"ack {item.ack}"
        return f"{plural(item.count, 'segment')}, {size}", span if item.length else ""
    numbers = [
        f"seq {item.seq}" if item.seq is not None else "",
        f"ack {item.ack}" if item.ack is not None else "",
        f"len {number(item.length)}" if item.length else "",
        "(not captured)" if item.kind == "phantom" else "",
    ]
    return item.flags, "\u2002".join(filter(None, numbers))


def _note(item: LadderRow) -> str:
    """The second line of a row: text beside a segment, and the findings that name it."""
    if item.kind in ("gap", "event"):
        return ""
    return "; ".join(filter(None, [item.text, *(spoken(rule) for rule in item.rules)]))


def draw(diagram: Diagram, title: str, description: str) -> str:
    """The shapes as inline SVG."""
    parts = (
        *_draw_rows(diagram),
        *_draw_bands(diagram.bands),
        _draw_names(diagram.bands),
        *_draw_header(diagram),
        *_draw_breaks(diagram),
        *_draw_arrows(diagram.arrows),
        _draw_texts(diagram.labels, text_anchor="middle", font_size=12.0),
        _draw_texts(diagram.times, text_anchor="end", font_size=11.0, font_family="ui-monospace, monospace"),
        _draw_texts(diagram.frames, font_size=11.0, font_family="ui-monospace, monospace"),
    )
    return drawing(WIDTH, diagram.height, title, description, "".join(parts))


def _draw_rows(diagram: Diagram) -> Iterator[str]:
    for row in diagram.rows:
        if row.severity is None:
            continue
        colour = SEVERITY_COLOUR[row.severity]
        strength = 0.09 if row.severity == "note" else 0.15
        beside_lanes = ((0, CLIENT_LINE - LANE), (CLIENT_LINE, SERVER_LINE), (SERVER_LINE + LANE, WIDTH))
        tint = "".join(_box(left, row.top, right, row.bottom) for left, right in beside_lanes)
        yield element("path", d=tint, fill=colour, fill_opacity=strength)
        yield element("path", d=_severity_shape(row.severity, MARK_X, row.top + 10), fill=colour)


def _box(left: float, top: float, right: float, bottom: float) -> str:
    x, y = coordinate(left), coordinate(top)
    return f"M{x} {y}H{coordinate(right)}V{coordinate(bottom)}H{x}Z"


def _severity_shape(severity: Severity, x: float, y: float) -> str:
    """Diamond for an error, triangle for a warning, small square for a note."""
    a = coordinate(x)
    if severity == "error":
        return f"M{a} {coordinate(y - 6)}l6 6-6 6-6-6Z"
    if severity == "warning":
        return f"M{a} {coordinate(y - 5.5)}l6 10.5h-12Z"
    return f"M{coordinate(x - 3.5)} {coordinate(y - 3.5)}h7v7h-7Z"


def _draw_bands(bands: Sequence[Band]) -> Iterator[str]:
    """One path for all bands of a colour, and one for their solid edges along the lifelines."""
    unknown = "".join(
        f"M{coordinate(_lifeline(b))} {coordinate(b.top)}V{coordinate(b.bottom)}" for b in bands if not b.state
    )
    if unknown:
        yield element("path", d=unknown, stroke=NO_STATE, stroke_dasharray="3 4")
    colours = {band: FAMILY_COLOUR.get(band.state, NO_STATE) for band in bands if band.state}
    for colour in dict.fromkeys(colours.values()):
        of_colour = [band for band in bands if colours.get(band) == colour]
        yield element("path", d="".join(_band(b, LANE) for b in of_colour), fill=colour, fill_opacity=0.24)
        yield element("path", d="".join(_band(b, EDGE) for b in of_colour), fill=colour)


def _lifeline(band: Band) -> float:
    return CLIENT_LINE if band.side == "client" else SERVER_LINE


def _band(band: Band, width: float) -> str:
    """The band's outline, `width` outwards from its lifeline."""
    left = CLIENT_LINE - width if band.side == "client" else SERVER_LINE
    return _box(left, band.top + 0.75, left + width, band.bottom - 0.75)


def _draw_names(bands: Sequence[Band]) -> str:
    """Each band's name at its top, again in long bands."""
    written = []
    for band in bands:
        centre = _lifeline(band) + (LANE + EDGE) / 2 * (-1 if band.side == "client" else 1)
        y = band.top + 14
        while y <= max(band.bottom, band.top + 15):
            written.append(Text(centre, y, short(band.state or "unknown", 14)))
            y += NAME_AGAIN
    return _draw_texts(written, text_anchor="middle", font_size=11.0, font_weight="600")


def _draw_header(diagram: Diagram) -> Iterator[str]:
    for (role, endpoint), x, anchor in zip(diagram.ends, (0.0, WIDTH), ("start", "end"), strict=True):
        square = x if anchor == "start" else x - 10
        yield element("path", d=_box(square, 4, square + 10, 14), fill=SIDE_COLOUR[role])
        label = x + 15 if anchor == "start" else x - 15
        yield _draw_texts([Text(label, 14, "", role)], text_anchor=anchor, font_size=13.0)
        yield _draw_texts(
            [Text(x, 30, endpoint)], text_anchor=anchor, font_size=12.0, font_family="ui-monospace, monospace"
        )
    captions = (Text(TIME_RIGHT, 48, "time, s"), Text(FRAME_LEFT + 36, 48, "frame"))
    yield _draw_texts(captions, text_anchor="end", font_size=11.0, fill_opacity=0.75)
    yield element("path", d=f"M0 {HEADER - 2}H{WIDTH:.0f}", stroke="currentColor", stroke_opacity=0.4)


def _draw_breaks(diagram: Diagram) -> Iterator[str]:
    slashes = "".join(
        f"M{coordinate(x - 7)} {coordinate(y + shift + 4)}l14 -8"
        for y in diagram.breaks
        for x in (CLIENT_LINE, SERVER_LINE)
        for shift in (-3, 3)
    )
    if slashes:
        yield element("path", d=slashes, stroke="currentColor", stroke_width=1.5)
    rules = "".join(
        f"M{coordinate(CLIENT_LINE + 4)} {coordinate(y - 11)}H{coordinate(SERVER_LINE - 4)}"
        f"m0 22H{coordinate(CLIENT_LINE + 4)}"
        for y in diagram.events
    )
    if rules:
        yield element("path", d=rules, fill="none", stroke="currentColor", stroke_opacity=0.45, stroke_dasharray="2 3")


def _draw_arrows(arrows: Sequence[Arrow]) -> Iterator[str]:
    """One path for all arrows of a kind: the drawing stays small."""
    dashes = {"sent": None, "again": "8 4", "phantom": "1.5 4.5"}
    kinds = sorted({(arrow.sender, arrow.line, arrow.burst) for arrow in arrows})
    for sender, line, burst in kinds:
        of_kind = [arrow for arrow in arrows if (arrow.sender, arrow.line, arrow.burst) == (sender, line, burst)]
        colour, thickness = SIDE_COLOUR[sender], 5.0 if burst else 1.8
        yield element(
            "path",
            d="".join(_shaft(arrow) for arrow in of_kind),
            fill="none",
            stroke=colour,
            stroke_width=thickness,
            stroke_dasharray=dashes[line],
        )
        yield element("path", d="".join(_head(arrow) for arrow in of_kind), fill=colour)
        crosses = "".join(_cross(arrow) for arrow in of_kind if arrow.reset)
        if crosses:
            yield element("path", d=crosses, stroke=colour, stroke_width=2.4)


def _shaft(arrow: Arrow) -> str:
    towards = 1 if arrow.x2 > arrow.x1 else -1
    back = 8 * towards
    end_y = arrow.y2 - SLANT * 8 / (SERVER_LINE - CLIENT_LINE)
    return f"M{coordinate(arrow.x1)} {coordinate(arrow.y1)}L{coordinate(arrow.x2 - back)} {coordinate(end_y)}"


def _head(arrow: Arrow) -> str:
    towards = 1 if arrow.x2 > arrow.x1 else -1
    length, half = (14, 8) if arrow.burst else (11, 4.5)
    rise = SLANT * length / (SERVER_LINE - CLIENT_LINE)
    base_x, base_y = arrow.x2 - towards * length, arrow.y2 - rise
    return (
        f"M{coordinate(arrow.x2)} {coordinate(arrow.y2)}L{coordinate(base_x)} {coordinate(base_y - half)}"
        f"V{coordinate(base_y + half)}Z"
    )


def _cross(arrow: Arrow) -> str:
    """A cross on the arrow, short of its head: what arrives ends the connection."""
    towards = 1 if arrow.x2 > arrow.x1 else -1
    x, y = arrow.x2 - towards * 24, arrow.y2 - SLANT * 24 / (SERVER_LINE - CLIENT_LINE)
    return f"M{coordinate(x - 5)} {coordinate(y - 5)}l10 10m0 -10l-10 10"


def _draw_texts(texts: Sequence[Text], **attributes: str | float | None) -> str:
    """Lines of text that share their attributes."""
    if not texts:
        return ""
    written = []
    for text in texts:
        strong = element("tspan", quoted(text.strong), font_weight="700") if text.strong else ""
        space = "\u2002" if strong and text.text else ""
        written.append(element("text", strong + space + quoted(text.text), x=text.x, y=text.y))
    return element("g", "".join(written), **attributes)
