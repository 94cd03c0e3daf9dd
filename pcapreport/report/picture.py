"""Pictures that tickets show inline: the only module that imports matplotlib, and only when one is drawn.

The object API alone: no pyplot, no global figure. Output is deterministic: no date, and the user's own matplotlibrc
changes nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def preload() -> None:
    """Import what a picture needs, so that it can be done beside other work; nothing happens without matplotlib."""
    with contextlib.suppress(ImportError):
        importlib.import_module("matplotlib.backends.backend_agg")
        importlib.import_module("matplotlib.figure")


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
