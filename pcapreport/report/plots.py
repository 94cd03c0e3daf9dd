"""Time-sequence plots, after Stevens: what one side sent against time, what the other acknowledged and allowed.

The only module that imports matplotlib, and only when a plot is drawn (the import costs about half a second). The
object API alone: no pyplot, no global figure. Words live in the page's captions; the drawing holds units only, so no
font needs any script's glyphs. Output is deterministic: no date, a fixed hash salt, ids with the caller's prefix.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcapreport.report.model import Sender, Series
from pcapreport.report.svg import SIDE_COLOUR, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (7.6, 2.9)
LEAST_POINTS = 6
"""Below this a plot says less than the packet table."""
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "pcapreport", "font.size": 9.0}
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
    chosen = [s for s in series if s.sender == sender and s.time_s]
    if not chosen:
        return ""
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's own matplotlibrc must not change a report
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=INCHES, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _dress(axes)
        share = max(2, vertices // len(chosen))
        for one in chosen:
            _plot(axes, one, share)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return inline(buffer.getvalue(), prefix, title, description)


def _dress(axes: Axes) -> None:
    """Axes, ticks and units; the grid is faint in light and in dark."""
    axes.set_xlabel("s")
    axes.set_ylabel("bytes")
    axes.grid(True, color=_GREY, alpha=0.3, linewidth=0.6)
    axes.ticklabel_format(useOffset=False)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
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
