"""Inline SVG that survives hostile viewers: presentation attributes only, no style, no script, no outside address.

A page may be opened under a policy that forbids style sheets, scripts and `data:` images; a drawing made of elements
with `fill=` and `stroke=` still shows. Text and lines without a meaning of their own use `currentColor`, so one
drawing serves light and dark pages.
"""

from __future__ import annotations

from functools import cache, lru_cache
from html import escape

from pcapreport.report.wording import visible

CLIENT, SERVER = "#0072B2", "#D55E00"
"""Okabe and Ito's blue and vermilion; both reach 3:1 against the page's light and its dark ground."""
SIDE_COLOUR = {"client": CLIENT, "server": SERVER}
SEVERITY_COLOUR = {"error": "#D2222D", "warning": "#C98A00", "note": "#7A8591"}


FONTS = "system-ui, Noto Sans CJK SC, Microsoft YaHei, PingFang SC, sans-serif"


SHORT = 200
"""Characters of what is remembered as it is written: a page's drawings say the same words again and again."""


def quoted(text: str) -> str:
    """Hostile text as SVG or HTML text or attribute value."""
    return _quoted_short(text) if type(text) is str and len(text) <= SHORT else _quoted(text)


def _quoted(text: str) -> str:
    return escape(visible(text), quote=True)


_quoted_short = lru_cache(maxsize=4096)(_quoted)


def element(name: str, content: str = "", /, **attributes: str | float | None) -> str:
    """One element; `content` is markup already. Underscores in attribute names become hyphens, None is left out."""
    written = name
    for key, value in attributes.items():
        if value is not None:
            written += f' {_named(key)}="{_attribute(value) if isinstance(value, str) else coordinate(value)}"'
    return f"<{written}>{content}</{name}>" if content else f"<{written}/>"


@cache
def _named(key: str) -> str:
    return key.replace("_", "-")


def _attribute(value: str) -> str:
    """A shape may be longer than any text is shown."""
    return escape(value) if len(value) > SHORT and value.isascii() and value.isprintable() else quoted(value)


@lru_cache(maxsize=8192)
def coordinate(value: float) -> str:
    """A length in user units with at most two decimals and no needless zeros."""
    return f"{value + 0.0:.2f}".rstrip("0").rstrip(".")


def drawing(width: float, height: float, title: str, description: str, content: str, top: float = 0) -> str:
    """A whole inline drawing of `width` x `height` user units, the first of them at `top`; it shrinks to its container
    where styles allow."""
    head = element("title", quoted(title)) + element("desc", quoted(description))
    return element(
        "svg",
        head + content,
        role="img",
        viewBox=f"0 {coordinate(top)} {coordinate(width)} {coordinate(height)}",
        width=coordinate(width),
        height=coordinate(height),
        fill="currentColor",
        font_family=FONTS,
    )


def interactive(width: float, height: float, title: str, description: str, content: str, top: float = 0) -> str:
    """A drawing that holds links: a group of things rather than one image."""
    return drawing(width, height, title, description, content, top).replace(' role="img"', ' role="group"', 1)


def plot(width: float, height: float, title: str, description: str, content: str) -> str:
    """A drawing whose lengths are points, in the type of the page."""
    head = element("title", quoted(title)) + element("desc", quoted(description))
    return element(
        "svg",
        head + content,
        role="img",
        viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        width=f"{coordinate(width)}pt",
        height=f"{coordinate(height)}pt",
        fill="currentColor",
        font_size="9px",
    )
