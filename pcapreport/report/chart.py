"""Axes with curves and marks as SVG: what a plot is drawn on. All lengths are points.

A page has up to a dozen plots, and a batch thousands of pages. matplotlib takes 20 ms and more for a plot, and 0.4 s to
be imported; what a plot here needs of it are lines, marks and round numbers on two axes, which take less than 1 ms.
Limits, ticks and measures are those that matplotlib would choose. Presentation attributes only; no ids, no words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pcapreport.report.svg import element, quoted

GREY = "#7A8591"
MARGIN = 0.05
"""Share of the data's range that an axis goes on beyond it."""
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
"""What the distance between ticks may be, times a power of ten."""
MOST_TICKS = 9
"""Distances between ticks."""
X_ROOM, Y_ROOM = 27.0, 18.0
"""Least distance of ticks."""
TICK, LINE, TYPE = 3.5, 0.8, 9.0
LETTER = 5.73
"""Width of a figure in that type."""
LARGEST = 1e300
"""Of a value: beyond, differences are no numbers."""


class Axis(NamedTuple):
    """A range of values with its unit and its ticks."""

    low: float
    high: float
    unit: str
    ticks: tuple[tuple[float, str], ...]
    """Places and what is written there."""


def axis(values: Iterable[float], unit: str, length: float, across: bool, floor: float | None = None) -> Axis:
    """An axis of that length for the values; no margin below `floor` where that is the least of them."""
    held = [max(-LARGEST, min(value, LARGEST)) for value in values]
    low, high = limits(min(held, default=0.0), max(held, default=1.0), floor)
    room = X_ROOM if across else Y_ROOM
    places, digits = ticks(low, high, max(1, min(int(length / room), MOST_TICKS)))
    write: Callable[[float], str] = (lambda at: f"{at:.{digits}f}") if across else (lambda at: f"{at:,.10g}")
    return Axis(low, high, unit, tuple((at, write(at).replace("-", "\u2212")) for at in places))


def limits(low: float, high: float, floor: float | None = None) -> tuple[float, float]:
    """What an axis shows of data from `low` to `high`: something more, and not nothing where there is one value."""
    lowest = low
    if high - low <= max(abs(low), abs(high)) * 1e-15:
        wider = MARGIN * max(abs(low), abs(high)) or MARGIN
        low, high = low - wider, high + wider
    margin = (high - low) * MARGIN
    return low if floor is not None and lowest == floor == low else low - margin, high + margin


def ticks(low: float, high: float, most: int) -> tuple[list[float], int]:
    """Round numbers within a range, so that there are at most that many distances between them, but at least two
    numbers; and how many decimals it takes to write them."""
    least = (high - low) / most
    if not 0 < least < LARGEST:
        return [], 0
    power = math.floor(math.log10(least))
    usual = next(at for at, one in enumerate(ROUND) if one * 10.0**power >= least * (1 - 1e-10))
    numbers: range = range(0)
    for step in (*ROUND[usual::-1], *(one / 10 for one in ROUND[-2::-1])):
        distance = step * 10.0**power
        numbers = range(math.ceil(low / distance - 1e-10), math.floor(high / distance + 1e-10) + 1)
        if len(numbers) > 1:
            break
    digits = max(0, -power + {10.0: -1, 2.5: 1, 0.5: 1, 0.25: 2, 0.2: 1, 0.1: 1}.get(step, 0))
    return [round(number * distance, digits) + 0.0 for number in numbers], digits


@dataclass(slots=True)
class Panel:
    """One pair of axes at its place in the drawing, with what is drawn on it so far."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis
    downwards: bool = False
    """y grows towards the foot."""
    _drawn: list[str] = field(default_factory=list)

    def _across(self, values: Iterable[float]) -> list[float]:
        factor = self.width / (self.x.high - self.x.low)
        return [self.left + (value - self.x.low) * factor for value in values]

    def _up(self, values: Iterable[float]) -> list[float]:
        factor = self.height / (self.y.high - self.y.low)
        if self.downwards:
            return [self.top + (value - self.y.low) * factor for value in values]
        foot = self.top + self.height
        return [foot - (value - self.y.low) * factor for value in values]

    def steps(self, x: Sequence[float], y: Sequence[float], colour: str, width: float, dashes: str = "") -> None:
        """A line that keeps each value until the next one."""
        shape, last_x, last_y = "", "", ""
        for one, other in zip(self._across(x), self._up(y), strict=True):
            across, up = f"{one:.1f}", f"{other:.1f}"
            if not shape:
                shape = f"M{across} {up}"
            elif across == last_x and up == last_y:
                continue
            else:
                shape += (f"H{across}" if across != last_x else "") + (f"V{up}" if up != last_y else "")
            last_x, last_y = across, up
        attributes = {"stroke_linecap": None if dashes else "square", "stroke_dasharray": dashes or None}
        self._put(shape, fill="none", stroke=colour, stroke_width=width, **attributes)

    def dots(self, x: Sequence[float], y: Sequence[float], colour: str, across: float) -> None:
        """A round mark for each point: a line that is as good as none, with round ends."""
        shape = "".join(f"M{one:.1f} {other:.1f}h.01" for one, other in self._points(x, y))
        self._put(shape, stroke=colour, stroke_width=across, stroke_linecap="round")

    def crosses(self, x: Sequence[float], y: Sequence[float], colour: str, across: float, width: float) -> None:
        """A cross for each point."""
        whole = f"{across:g}"
        marks = (
            f"M{one - across / 2:.1f} {other - across / 2:.1f}l{whole} {whole}m-{whole} 0l{whole}-{whole}"
            for one, other in self._points(x, y)
        )
        self._put("".join(marks), fill="none", stroke=colour, stroke_width=width)

    def spans(self, rows: Sequence[tuple[float, float, float]], colour: str, width: float) -> None:
        """(y, from, to) of level lines, a short stroke across where each begins."""
        begins, ends = self._across(row[1] for row in rows), self._across(row[2] for row in rows)
        heights = self._up(row[0] for row in rows)
        lines = zip(begins, heights, ends, strict=True)
        self._put("".join(f"M{a:.1f} {y:.1f}H{b:.1f}" for a, y, b in lines), stroke=colour, stroke_width=width)
        strokes = "".join(f"M{a:.1f} {y - 2.5:.1f}v5" for a, y in zip(begins, heights, strict=True))
        self._put(strokes, stroke=colour)

    def bars(self, bars: Sequence[tuple[float, float, float]], colour: str, opacity: float) -> None:
        """(from, to, height) of bars that stand on zero."""
        lefts, rights = self._across(bar[0] for bar in bars), self._across(bar[1] for bar in bars)
        foot, *tops = self._up((0.0, *(bar[2] for bar in bars)))
        boxes = (
            f"M{left:.1f} {foot:.1f}V{top:.1f}H{right:.1f}V{foot:.1f}Z"
            for left, right, top in zip(lefts, rights, tops, strict=True)
            if f"{top:.1f}" != f"{foot:.1f}"
        )
        self._put("".join(boxes), fill=colour, fill_opacity=opacity)

    def _points(self, x: Sequence[float], y: Sequence[float]) -> Iterator[tuple[float, float]]:
        return zip(self._across(x), self._up(y), strict=True)

    def _put(self, shape: str, **attributes: str | float | None) -> None:
        if shape:
            self._drawn.append(element("path", d=shape, **attributes))

    def drawn(self) -> str:
        """The grid, the ticks and what is written there, what was drawn, the axes and their units."""
        right, foot = self.left + self.width, self.top + self.height
        columns = self._across(at for at, _ in self.x.ticks)
        rows = self._up(at for at, _ in self.y.ticks)
        start, end = f"{self.left:.1f}", f"{right:.1f}"
        grid = "".join(f"M{at:.1f} {foot:.1f}V{self.top:.1f}" for at in columns)
        grid += "".join(f"M{start} {at:.1f}H{end}" for at in rows)
        lines = "".join(f"M{at:.1f} {foot:.1f}v{TICK}" for at in columns)
        lines += "".join(f"M{start} {at:.1f}h-{TICK}" for at in rows)
        lines += f"M{start} {self.top:.1f}V{foot:.1f}H{end}"
        parts = (
            element("path", d=grid, fill="none", stroke=GREY, stroke_opacity=0.3, stroke_width=0.6) if grid else "",
            *self._drawn,
            element("path", d=lines, fill="none", stroke="currentColor", stroke_width=LINE),
            _words(zip(columns, (foot + 13.84 for _ in columns), self.x.ticks, strict=True), "middle"),
            _words(zip((self.left - 7 for _ in rows), (at + 3.42 for at in rows), self.y.ticks, strict=True), "end"),
            self._units(),
        )
        return "".join(parts)

    def _units(self) -> str:
        told = ""
        if self.x.unit:
            middle, below = self.left + self.width / 2, self.top + self.height + 26.84
            told += element("text", quoted(self.x.unit), text_anchor="middle", x=middle, y=below)
        if self.y.unit:
            widest = max((_width(word) for _, word in self.y.ticks), default=0.0)
            x, y = max(self.left - 13 - widest, 9.4), self.top + self.height / 2
            turned = f"rotate(-90 {x:.1f} {y:.1f})"
            told += element("text", quoted(self.y.unit), text_anchor="middle", x=x, y=y, transform=turned)
        return told


def _words(places: Iterable[tuple[float, float, tuple[float, str]]], anchor: str) -> str:
    """What is written at ticks."""
    written = "".join(f'<text x="{x:.1f}" y="{y:.1f}">{quoted(word)}</text>' for x, y, (_, word) in places if word)
    return element("g", written, text_anchor=anchor) if written else ""


def _width(word: str) -> float:
    return sum(LETTER / 2 if letter in ",." else LETTER for letter in word)
