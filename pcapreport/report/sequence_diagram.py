"""The sequence diagram of one connection as inline SVG: what diagram_layout.py has placed, drawn.

Presentation attributes only. Each row leads to its line in the table below the diagram and tells its raw values to who
points at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapreport.language import phrase, say
from pcapreport.report.diagram_layout import (
    CLIENT_LINE,
    EDGE,
    FAMILY_COLOUR,
    FRAME_LEFT,
    HEADER,
    LANE,
    LOST_AT,
    MARK_X,
    NAME_AGAIN,
    NO_STATE,
    SERVER_LINE,
    TIME_RIGHT,
    WIDTH,
    Arrow,
    Band,
    Diagram,
    Text,
    Tie,
    Wait,
    lay_out,
)
from pcapreport.report.diagram_parts import in_parts
from pcapreport.report.model import Connection, Severity
from pcapreport.report.svg import SEVERITY_COLOUR, SIDE_COLOUR, coordinate, element, interactive, quoted
from pcapreport.report.wording import short

__all__ = ["FAMILY_COLOUR", "sequence_diagram"]


def sequence_diagram(connection: Connection, title: str, description: str, row_ids: Sequence[str] = ()) -> str:
    """The connection's ladder; "" without one. `row_ids`: of each row the id of its line in a table, or ""."""
    if connection.detail is None or not connection.detail.ladder:
        return ""
    parts = in_parts(lay_out(connection))
    drawn, begun = [], 0
    for number, part in enumerate(parts, 1):
        told = title
        if len(parts) > 1:
            told = phrase("{title}, part {number} of {parts}", title=title, number=number, parts=len(parts))
        drawn.append(draw(part, told, description, row_ids[begun : begun + len(part.rows)]))
        begun += len(part.rows)
    return "".join(drawn)


def draw(diagram: Diagram, title: str, description: str, row_ids: Sequence[str]) -> str:
    """The shapes as inline SVG."""
    parts = (
        *_draw_rows(diagram),
        *_draw_bands(diagram.bands),
        *_draw_waits(diagram.waits),
        _draw_names(diagram.bands),
        *(() if diagram.top else _draw_header(diagram)),
        *_draw_tap(diagram),
        *_draw_breaks(diagram),
        *_draw_ties(diagram.ties),
        *_draw_arrows(diagram.arrows),
        _draw_texts(diagram.labels, text_anchor="middle", font_size=12.0),
        _draw_texts(diagram.times, text_anchor="end", font_size=11.0, font_family="ui-monospace, monospace"),
        _draw_texts(diagram.frames, font_size=11.0, font_family="ui-monospace, monospace"),
    )
    targets = element("g", "".join(_draw_targets(diagram, row_ids)), fill_opacity=0)
    height = diagram.height - diagram.top
    return interactive(WIDTH, height, title, description, "".join(parts) + targets, diagram.top)


def _draw_targets(diagram: Diagram, row_ids: Sequence[str]) -> Iterator[str]:
    """Over each row what tells its values and leads to its line in the table."""
    for at, (row, values) in enumerate(zip(diagram.rows, diagram.values, strict=True)):
        told = f'<title>{quoted(values)}</title><path d="{_box(0, row.top, WIDTH, row.bottom)}"/>'
        where = row_ids[at] if at < len(row_ids) else ""
        yield f'<a href="#{quoted(where)}">{told}</a>' if where else f"<g>{told}</g>"


def _draw_tap(diagram: Diagram) -> Iterator[str]:
    """Where the capture was taken."""
    if diagram.tap is None:
        return
    x = coordinate(diagram.tap)
    line = f"M{x} {coordinate(max(HEADER, diagram.top))}V{coordinate(diagram.height)}"
    yield element("path", d=line, stroke="currentColor", stroke_opacity=0.3, stroke_dasharray="1 5")
    if not diagram.top:
        label = [Text(diagram.tap, 48, phrase("tap"))]
        yield _draw_texts(label, text_anchor="middle", font_size=11.0, fill_opacity=0.75)


def _draw_ties(ties: Sequence[Tie]) -> Iterator[str]:
    """Brackets beside the sender's lifeline."""
    for sender in ("client", "server"):
        line, inwards = (CLIENT_LINE, 1) if sender == "client" else (SERVER_LINE, -1)
        shapes = ""
        for number, tie in enumerate(one for one in ties if one.sender == sender):
            depth = coordinate(inwards * (7 + 5 * (number % 3)))
            back = coordinate(-inwards * (7 + 5 * (number % 3)))
            start = coordinate(line + inwards * 2)
            shapes += f"M{start} {coordinate(tie.top + 3)}h{depth}V{coordinate(tie.bottom + 3)}h{back}"
        if shapes:
            colour = SIDE_COLOUR[sender]
            yield element("path", d=shapes, fill="none", stroke=colour, stroke_width=1.2, stroke_dasharray="3 2")


def _draw_waits(waits: Sequence[Wait]) -> Iterator[str]:
    """A bracket along the lane's outer edge, with a mark where 2MSL was started anew."""
    for wait in waits:
        outer, inwards = (CLIENT_LINE - LANE, 1) if wait.side == "client" else (SERVER_LINE + LANE, -1)
        x = outer + inwards * 5
        y, bottom = coordinate(wait.top + 3), coordinate(wait.bottom - 3)
        shape = f"M{coordinate(x + inwards * 5)} {y}H{coordinate(x)}V{bottom}h{coordinate(inwards * 5)}"
        shape += "".join(f"M{coordinate(x)} {coordinate(at)}h{coordinate(inwards * 9)}" for at in wait.restarts)
        yield element("path", d=shape, fill="none", stroke="currentColor", stroke_opacity=0.7, stroke_width=1.4)
        if wait.words:
            words = [Text(outer + inwards * 52, wait.words_at, wait.words)]
            yield _draw_texts(words, text_anchor="middle", font_size=10.5)


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
    """Solid where proven, hatched where supposed, dashed outlines where assumed; one path for all alike."""
    unknown = "".join(
        f"M{coordinate(_lifeline(b))} {coordinate(b.top)}V{coordinate(b.bottom)}" for b in bands if not b.state
    )
    if unknown:
        yield element("path", d=unknown, stroke=NO_STATE, stroke_dasharray="3 4")
    named = [(FAMILY_COLOUR.get(band.state, NO_STATE), band.certainty, band) for band in bands if band.state]
    for colour, certainty in dict.fromkeys((colour, certainty) for colour, certainty, _ in named):
        alike = [band for one, sure, band in named if (one, sure) == (colour, certainty)]
        lane = "".join(_band(b, LANE) for b in alike)
        if certainty == "proven":
            yield element("path", d=lane, fill=colour, fill_opacity=0.24)
        elif certainty == "supposed":
            yield element("path", d=lane, fill=colour, fill_opacity=0.07)
            middles = "".join(_middle_line(b) for b in alike)
            yield element(
                "path", d=middles, stroke=colour, stroke_width=LANE, stroke_dasharray="1.2 4.8", stroke_opacity=0.4
            )
        else:
            inner = "".join(_band(b, LANE, 1) for b in alike)
            yield element("path", d=inner, fill="none", stroke=colour, stroke_width=1.2, stroke_dasharray="5 3")
        yield element("path", d="".join(_band(b, EDGE) for b in alike), fill=colour)


def _middle_line(band: Band) -> str:
    """Down the middle of the lane."""
    x = _lifeline(band) + LANE / 2 * (-1 if band.side == "client" else 1)
    return f"M{coordinate(x)} {coordinate(band.top + 0.75)}V{coordinate(band.bottom - 0.75)}"


def _lifeline(band: Band) -> float:
    return CLIENT_LINE if band.side == "client" else SERVER_LINE


def _band(band: Band, width: float, inset: float = 0) -> str:
    """The band's outline, `width` outwards from its lifeline."""
    left = CLIENT_LINE - width if band.side == "client" else SERVER_LINE
    edge = inset + 0.75
    return _box(left + inset, band.top + edge, left + width - inset, band.bottom - edge)


def _draw_names(bands: Sequence[Band]) -> str:
    """Each band's name at its top, again in long bands."""
    written = []
    for band in bands:
        if not band.named:
            continue
        centre = _lifeline(band) + (LANE + EDGE) / 2 * (-1 if band.side == "client" else 1)
        y = band.top + 14
        while y <= max(band.bottom, band.top + 15):
            written.append(Text(centre, y, short(band.state or phrase("unknown"), 14)))
            y += NAME_AGAIN
    return _draw_texts(written, text_anchor="middle", font_size=11.0, font_weight="600")


def _draw_header(diagram: Diagram) -> Iterator[str]:
    for (role, endpoint), x, anchor in zip(diagram.ends, (0.0, WIDTH), ("start", "end"), strict=True):
        square = x if anchor == "start" else x - 10
        yield element("path", d=_box(square, 4, square + 10, 14), fill=SIDE_COLOUR[role])
        label = x + 15 if anchor == "start" else x - 15
        yield _draw_texts([Text(label, 14, "", say(role))], text_anchor=anchor, font_size=13.0)
        yield _draw_texts(
            [Text(x, 30, endpoint)], text_anchor=anchor, font_size=12.0, font_family="ui-monospace, monospace"
        )
    captions = (Text(TIME_RIGHT, 48, phrase("time, s")), Text(FRAME_LEFT + 36, 48, phrase("frame")))
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
        yield element("path", d="".join(_head(arrow) for arrow in of_kind if not arrow.lost) or None, fill=colour)
        crosses = "".join(_cross(arrow) for arrow in of_kind if arrow.reset or arrow.lost)
        if crosses:
            yield element("path", d=crosses, stroke=colour, stroke_width=2.4)


def _along(arrow: Arrow, share: float, back: float = 0) -> tuple[float, float]:
    """The point after a share of an arrow's way, `back` units before it."""
    towards = 1 if arrow.x2 > arrow.x1 else -1
    x = arrow.x1 + share * (arrow.x2 - arrow.x1) - back * towards
    return x, arrow.y1 + (arrow.y2 - arrow.y1) * (x - arrow.x1) / (arrow.x2 - arrow.x1)


def _shaft(arrow: Arrow) -> str:
    x, y = _along(arrow, LOST_AT) if arrow.lost else _along(arrow, 1, 8)
    return f"M{coordinate(arrow.x1)} {coordinate(arrow.y1)}L{coordinate(x)} {coordinate(y)}"


def _head(arrow: Arrow) -> str:
    length, half = (14, 8) if arrow.burst else (11, 4.5)
    x, y = _along(arrow, 1, length)
    return (
        f"M{coordinate(arrow.x2)} {coordinate(arrow.y2)}L{coordinate(x)} {coordinate(y - half)}V{coordinate(y + half)}Z"
    )


def _cross(arrow: Arrow) -> str:
    """A cross: where a lost segment's way ends, or short of the head of what ends the connection on arrival."""
    x, y = _along(arrow, LOST_AT) if arrow.lost else _along(arrow, 1, 24)
    return f"M{coordinate(x - 5)} {coordinate(y - 5)}l10 10m0 -10l-10 10"


def _draw_texts(texts: Sequence[Text], **attributes: str | float | None) -> str:
    """Lines of text that share their attributes."""
    if not texts:
        return ""
    written = []
    for text in texts:
        strong = f'<tspan font-weight="700">{quoted(text.strong)}</tspan>' if text.strong else ""
        space = "\u2002" if strong and text.text else ""
        words = strong + space + quoted(text.text)
        written.append(f'<text x="{coordinate(text.x)}" y="{coordinate(text.y)}">{words}</text>')
    return element("g", "".join(written), **attributes)
