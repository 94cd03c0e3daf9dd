"""The verdict as a picture that tickets show inline: the sentence, the facts, the states of both sides.

Its letters are large enough to be read where a ticket shows it at half its width, and it is as high as it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pcapreport.language import phrase, say, speaking
from pcapreport.report.advice import actor
from pcapreport.report.diagram_layout import FAMILY_COLOUR, NO_STATE
from pcapreport.report.model import Connection, Document, Sender
from pcapreport.report.picture import han_font, picture, text_width
from pcapreport.report.svg import SIDE_COLOUR
from pcapreport.report.wording import SEVERITY_RANK, visible

WIDTH, MARGIN, DPI = 1200, 36, 100
"""Dots."""
MOST_BYTES = 1 << 20
"""What every ticket system shows inline."""
SMALLER = (DPI, 75, 50)
"""Dots per inch that are tried where it must take fewer bytes."""
NAME, VERDICT, SIDE, FACT, LANE = 22, 33, 25, 23, 21
"""Heights of letters, in dots."""
VERDICT_LINES, FACTS, FACT_LINES, ACTOR_LINES = 6, 3, 3, 3
BAR = 44
INK, FAINT = "#1B1F23", "#57606A"
THE_TIME = frozenset(("slow_response", "application_limited", "network_limited"))
"""Findings after which a side did nothing wrong and only took long."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; `y` is its top."""

    x: float
    y: float
    text: str
    size: int
    colour: str = INK
    bold: bool = False
    centred: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A stay in a state."""

    x: float
    y: float
    width: float
    colour: str


class Sheet:
    """What has been put on the picture so far, from the top."""

    def __init__(self, measure: Callable[[str, int, bool], float]) -> None:
        self.measure = measure
        self.y = float(MARGIN) - 8
        self.lines: list[Line] = []
        self.blocks: list[Block] = []

    def put(self, text: str, size: int, most: int, colour: str = INK, bold: bool = False, mark: str = "") -> None:
        """A paragraph of at most so many lines; `mark` stands before the first."""
        indent = self.measure(mark, size, bold)
        x = MARGIN + indent
        if mark:
            self.lines.append(Line(MARGIN, self.y, mark, size, colour, bold))
        for line in self._wrapped(visible(say(text)), WIDTH - MARGIN - x, size, bold, most):
            self.lines.append(Line(x, self.y, line, size, colour, bold))
            self.y += round(size * 1.32)

    def gap(self, height: float) -> None:
        self.y += height

    def _wrapped(self, text: str, room: float, size: int, bold: bool, most: int) -> Iterator[str]:
        """As many words a line as it has room for; a word longer than that, and a script without spaces, anywhere."""
        rest = text.strip()
        for number in range(most):
            if not rest:
                return
            fits = self._fitting(rest, room, size, bold)
            last = number == most - 1 and fits < len(rest)
            if last:
                fits = self._fitting(rest, room - self.measure("…", size, bold), size, bold)
            line, rest = rest[:fits].rstrip(), rest[fits:].lstrip()
            yield f"{line}…" if last else line

    def _fitting(self, text: str, room: float, size: int, bold: bool) -> int:
        """How many characters a line takes."""
        low, high = 1, min(len(text), 400)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.measure(text[:middle], size, bold) <= room else (low, middle - 1)
        if low == len(text):
            return low
        space = text.rfind(" ", 0, low + 1)
        return space if space > low // 2 else low


def render_card(document: Document) -> bytes:
    """A PNG, the same bytes each time, no larger than the document's option max_size, and never over 1 MB; none where
    that cannot be had, or without matplotlib. In English without a font for what is asked."""
    most = min(document.options.get("max_size") or MOST_BYTES, MOST_BYTES)
    font = han_font()
    with speaking(document.language if font else "en", document.messages):
        for dpi in SMALLER:
            made = picture(lambda figure: _draw(figure, document), (WIDTH / DPI, WIDTH / DPI), dpi, font)
            if len(made) <= most:
                return made
    return b""


def _draw(figure: Any, document: Document) -> None:
    sheet = Sheet(lambda text, size, bold: text_width(figure, text, size * 72 / DPI, bold) * DPI / 72)
    _words(sheet, document)
    worst = _worst(document)
    if worst is not None:
        _lanes(sheet, worst)
    height = sheet.y + MARGIN
    figure.set_size_inches(WIDTH / DPI, height / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    for block in sheet.blocks:
        axes.barh(
            block.y + BAR / 2, block.width, left=block.x, height=BAR, color=block.colour, alpha=0.5, edgecolor="#FFFFFF"
        )
    for line in sheet.lines:
        axes.text(
            line.x,
            line.y,
            line.text,
            size=line.size * 72 / DPI,
            color=line.colour,
            weight="bold" if line.bold else "normal",
            va="center" if line.centred else "top",
            ha="center" if line.centred else "left",
            parse_math=False,
        )


def _worst(document: Document) -> Connection | None:
    detailed = [one for one in document.connections if one.detail is not None and one.detail.ladder]
    return min(detailed, key=lambda one: SEVERITY_RANK[one.severity], default=None)


def _words(sheet: Sheet, document: Document) -> None:
    """File, verdict, side, facts, who should act."""
    verdict = document.verdict
    sheet.put(document.capture.file, NAME, 1, FAINT)
    sheet.gap(6)
    sheet.put(verdict.text, VERDICT, VERDICT_LINES, bold=True)
    sheet.gap(10)
    sheet.put(_side(document), SIDE, 1, SIDE_COLOUR.get(verdict.side, INK), bold=True)
    sheet.gap(10)
    for fact in verdict.evidence[:FACTS]:
        sheet.put(fact, FACT, FACT_LINES, mark="\u2022 ")
        sheet.gap(4)
    sheet.gap(8)
    sheet.put(phrase("Who should act: {actor}", actor=actor(document)), FACT, ACTOR_LINES, FAINT)
    sheet.gap(14)


def _side(document: Document) -> str:
    verdict = document.verdict
    if verdict.side == "none":
        return phrase("no side at fault")
    if verdict.side == "undecidable":
        return phrase("side at fault: cannot be decided")
    parts = {"side": say(verdict.side), "confidence": say(verdict.confidence)}
    if verdict.findings and verdict.findings[0] in THE_TIME:
        return phrase("took the time: {side}; confidence: {confidence}", **parts)
    return phrase("side at fault: {side}; confidence: {confidence}", **parts)


def _lanes(sheet: Sheet, connection: Connection) -> None:
    """Both sides' states, left to right by row of the diagram, with their names in words below."""
    ladder = connection.detail.ladder if connection.detail else []
    lanes: tuple[tuple[Sender, list[str]], ...] = (
        ("client", [row.client_state for row in ladder]),
        ("server", [row.server_state for row in ladder]),
    )
    for side, states in lanes:
        end = getattr(connection, side)
        sheet.put(f"{say(side)} {end.address}:{end.port}", LANE, 1, SIDE_COLOUR[side], bold=True)
        scale = (WIDTH - 2 * MARGIN) / max(len(states), 1)
        for start, stop, state in _stays(states):
            x, width = MARGIN + start * scale, (stop - start) * scale
            sheet.blocks.append(Block(x, sheet.y, width, FAMILY_COLOUR.get(state, NO_STATE)))
            name = visible(state)
            if name and sheet.measure(name, LANE, False) < width - 8:
                sheet.lines.append(Line(x + width / 2, sheet.y + BAR / 2, name, LANE, centred=True))
        sheet.gap(BAR + 4)
        names = [visible(state) or say(phrase("unknown")) for _, _, state in _stays(states)]
        sheet.put(" → ".join(names), LANE, 2, FAINT)
        sheet.gap(8)


def _stays(states: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first row, row behind, state) of each stay."""
    start = 0
    for at in range(1, len(states) + 1):
        if at == len(states) or states[at] != states[start]:
            yield start, at, states[start]
            start = at
