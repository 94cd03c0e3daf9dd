"""The plots: time-sequence after Stevens, what set the pace of a connection, and the capture as a whole.

The only module that imports matplotlib, and only when a plot is drawn (the import costs about half a second). The
object API alone: no pyplot, no global figure. Words live in the page's captions; the drawing holds units only, so no
font needs any script's glyphs. Output is deterministic: no date, a fixed hash salt, ids with the caller's prefix.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pcapreport.report.model import Activity, Connection, Host, RoundTrips, Sender, Series
from pcapreport.report.svg import SEVERITY_COLOUR, SIDE_COLOUR, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (7.6, 2.9)
MARGINS = 0.95, 0.12, 0.1, 0.48
"""Inches left, right, above and below, with room for the words of any axis: to find out how much is needed would take
longer than to draw."""
LEAST_POINTS = 6
"""Below this a plot says less than the packet table."""
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "pcapreport", "font.size": 9.0}
SEQUENCE = ("data", "retransmission", "ack", "window")
"""Kinds of the curves of a time-sequence plot."""
HAN_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
"""The best first; of a collection of fonts matplotlib knows the first alone, which is the Japanese one of Noto's."""
_GREY = "#7A8591"
_GREEN = "#009E73"


def preload() -> None:
    """Import what a plot needs, so that it can be done beside other work; nothing happens without matplotlib."""
    with contextlib.suppress(ImportError):
        importlib.import_module("matplotlib.backends.backend_svg")


def worth_plotting(series: Sequence[Series], sender: Sender) -> bool:
    """Whether this side sent data often enough for its curve to show something."""
    return sum(len(s.time_s) for s in series if s.sender == sender and s.kind == "data") >= LEAST_POINTS


def time_sequence(
    series: Sequence[Series], sender: Sender, prefix: str, title: str, description: str, vertices: int = 2_000
) -> str:
    """One direction's plot as inline SVG; "" without points or without matplotlib.

    `series` may hold both directions. x in seconds since the capture's first packet, y in bytes from the sender's ISN.
    `vertices` bounds the points drawn over all series.
    """
    chosen = [s for s in series if s.sender == sender and s.time_s and s.kind in SEQUENCE]
    share = max(2, vertices // max(len(chosen), 1))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _dress(axes, "s", "bytes")
        for one in chosen:
            _plot(axes, one, share)

    return _svg(draw, INCHES, prefix, title, description) if chosen else ""


def pace(series: Sequence[Series], prefix: str, title: str, description: str, vertices: int = 1_200) -> str:
    """What set the pace of a connection: bytes in flight and window, round trips, rate, one above the other."""
    share = max(2, vertices // 6)
    busiest = max(("client", "server"), key=lambda side: sum(sum(s.value) for s in _of(series, "rate", side)))
    panels: list[tuple[str, list[Series], float]] = [
        ("bytes", [*_of(series, "flight", busiest), *_of(series, "offered", busiest)], 1),
        ("ms", _of(series, "rtt"), 1_000),
        ("bytes/s", _of(series, "rate"), 1),
    ]
    panels = [panel for panel in panels if panel[1]]

    def draw(figure: Figure) -> None:
        above = None
        for number, (unit, curves, scale) in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, number + 1, sharex=above)
            above = above or axes
            _dress(axes, "s" if number == len(panels) - 1 else "", unit)
            for one in curves:
                times, values = thinned(one, share)
                _pace_curve(axes, one, times, [value / scale for value in values])

    return _svg(draw, (INCHES[0], 1.6 * len(panels) + 0.3), prefix, title, description) if panels else ""


def _of(series: Sequence[Series], kind: str, sender: str = "") -> list[Series]:
    return [s for s in series if s.kind == kind and s.time_s and sender in ("", s.sender)]


def _pace_curve(axes: Axes, one: Series, times: Sequence[float], values: Sequence[float]) -> None:
    colour = SIDE_COLOUR[one.sender]
    if one.kind == "rtt":
        axes.plot(times, values, linestyle="none", marker="." if one.sender == "client" else "x", color=colour)
    elif one.kind == "offered":
        axes.plot(times, values, drawstyle="steps-post", linewidth=1.0, linestyle=(0, (4, 3)), color=_GREY)
    else:
        line: Any = "-" if one.sender == "client" or one.kind == "flight" else (0, (2, 1))
        axes.plot(times, values, drawstyle="steps-post", linewidth=1.4, linestyle=line, color=colour)


def traffic(activity: Activity, prefix: str, title: str, description: str) -> str:
    """Packets and bytes of each second over time."""

    def draw(figure: Figure) -> None:
        above = None
        for number, (values, unit) in enumerate(((activity.packets, "packets/s"), (activity.bytes, "bytes/s"))):
            axes = figure.add_subplot(2, 1, number + 1, sharex=above)
            above = above or axes
            _dress(axes, "s" if number else "", unit)
            edges = [span * activity.span_s for span in range(len(values) + 1)]
            axes.stairs([value / activity.span_s for value in values], edges, fill=True, color=_GREEN, alpha=0.55)

    return _svg(draw, (INCHES[0], 3.2), prefix, title, description)


def timeline(connections: Sequence[Connection], prefix: str, title: str, description: str) -> str:
    """A line for each connection from its first to its last segment, in the order given from the top."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _dress(axes, "s", "")
        levels = {one.severity for one in connections}
        for level in sorted(levels, key=str):
            of_level = [(at, one) for at, one in enumerate(connections) if one.severity == level]
            rows = [at for at, _ in of_level]
            spans = [one.start_s for _, one in of_level], [one.end_s for _, one in of_level]
            colour = SEVERITY_COLOUR[level] if level else _GREEN
            axes.hlines(rows, *spans, color=colour, linewidth=2.2 if level else 1.6)
            axes.plot(spans[0], rows, linestyle="none", marker="|", markersize=5, color=colour)
        axes.invert_yaxis()
        axes.set_yticks([])

    height = min(1.2 + 0.07 * len(connections), 7.0)
    return _svg(draw, (INCHES[0], height), prefix, title, description) if connections else ""


def population(hosts: Sequence[Host], prefix: str, title: str, description: str) -> str:
    """How many TIME-WAITs the first hosts held."""
    chosen = [host for host in hosts if host.held]
    styles: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _dress(axes, "s", "TIME-WAIT")
        for host, style in zip(chosen, styles, strict=False):
            axes.plot(host.held_from_s, host.held, drawstyle="steps-post", linestyle=style, color="#7A6F00")

    return _svg(draw, (INCHES[0], 2.4), prefix, title, description) if chosen else ""


def distribution(trips: RoundTrips, prefix: str, title: str, description: str) -> str:
    """How many connections have which round trip."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _dress(axes, "ms", "connections")
        axes.bar(range(len(trips.connections)), trips.connections, width=0.9, color="#0072B2", alpha=0.7)
        words = ["" if limit is None else f"{limit:g}" for limit in trips.up_to_ms]
        axes.set_xticks([place + 0.45 for place in range(len(words))], words)

    return _svg(draw, (INCHES[0], 2.4), prefix, title, description)


def _svg(draw: Callable[[Figure], None], inches: tuple[float, float], prefix: str, title: str, description: str) -> str:
    """What `draw` puts on a figure, as inline SVG; "" without matplotlib."""
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's own matplotlibrc must not change a report
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=inches)
        left, right, top, bottom = MARGINS
        width, height = inches
        figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=0.3)
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return inline(buffer.getvalue(), prefix, title, description)


def han_font() -> str:
    """The first font here that has Chinese characters, "" if there is none; variants for Japanese have them as well."""
    try:
        from matplotlib.font_manager import fontManager
    except ImportError:
        return ""
    here = {font.name for font in fontManager.ttflist}
    return next((name for name in HAN_FONTS if name in here), "")


def picture(draw: Callable[[Figure], None], inches: tuple[float, float], dpi: int, font: str = "") -> bytes:
    """What `draw` puts on a white figure, whose size it may change, as PNG; none without matplotlib.

    `font`: of what the usual one lacks.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return b""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that no font here has are drawn as boxes
        matplotlib.rcdefaults()
        if font:
            matplotlib.rcParams["font.family"] = [*matplotlib.rcParams["font.family"], font]
        figure = Figure(figsize=inches, dpi=dpi, facecolor="#FFFFFF")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def text_width(figure: Any, text: str, points: float, bold: bool) -> float:
    """Of one line, in points."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=points, weight="bold" if bold else "normal")
    width, _, _ = figure.canvas.get_renderer().get_text_width_height_descent(text, font, False)
    return float(width) * 72 / float(figure.dpi)


def _dress(axes: Axes, x_unit: str, y_unit: str) -> None:
    """Axes, ticks and units; the grid is faint in light and in dark."""
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.grid(True, color=_GREY, alpha=0.3, linewidth=0.6)
    axes.ticklabel_format(useOffset=False)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)


def _plot(axes: Axes, one: Series, share: int) -> None:
    """Draw one series by its kind, in at most `share` vertices."""
    times, values = thinned(one, share)
    colour = SIDE_COLOUR[one.sender]
    if one.kind == "data":
        axes.plot(times, values, linestyle="none", marker="o", markersize=3.2, color=colour)
    elif one.kind == "retransmission":
        axes.plot(times, values, linestyle="none", marker="x", markersize=7, markeredgewidth=1.6, color="#D2222D")
    elif one.kind == "ack":
        axes.plot(times, values, drawstyle="steps-post", linewidth=1.2, color=_GREEN)
    else:
        axes.plot(times, values, drawstyle="steps-post", linewidth=1.0, linestyle=(0, (4, 3)), color=_GREY)


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
