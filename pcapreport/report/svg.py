"""Inline SVG that survives hostile viewers: presentation attributes only, no style, no script, no outside address.

A page may be opened under a policy that forbids style sheets, scripts and `data:` images; a drawing made of elements
with `fill=` and `stroke=` still shows. Text and lines without a meaning of their own use `currentColor`, so one
drawing serves light and dark pages.
"""

from __future__ import annotations

import re
from html import escape

from pcapreport.report.wording import visible

CLIENT, SERVER = "#0072B2", "#D55E00"
"""Okabe and Ito's blue and vermilion; both reach 3:1 against the page's light and its dark ground."""
SIDE_COLOUR = {"client": CLIENT, "server": SERVER}
SEVERITY_COLOUR = {"error": "#D2222D", "warning": "#C98A00", "note": "#7A8591"}


FONTS = "system-ui, Noto Sans CJK SC, Microsoft YaHei, PingFang SC, sans-serif"


def quoted(text: str) -> str:
    """Hostile text as SVG or HTML text or attribute value."""
    return escape(visible(text), quote=True)


def element(name: str, content: str = "", /, **attributes: str | float | None) -> str:
    """One element; `content` is markup already. Underscores in attribute names become hyphens, None is left out."""
    written = "".join(
        f' {key.replace("_", "-")}="{quoted(value) if isinstance(value, str) else coordinate(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def coordinate(value: float) -> str:
    """A length in user units with at most two decimals and no needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


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


def inline(svg: str, prefix: str, title: str, description: str) -> str:
    """A stand-alone SVG, as matplotlib writes it, made fit for a page.

    Drops the XML header, doctype, metadata, comments, the global style sheet and clipping (all marks lie inside the
    axes); turns `style=` into attributes; keeps only ids that are referred to, under `prefix`; black becomes
    `currentColor`; role, title and desc are added. Coordinates keep two decimals.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' clip-path="[^"]*"|<clipPath.*?</clipPath>', "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", svg).replace("xlink:href=", "href=")
    svg = re.sub(r' style="([^"]*)"', lambda found: _as_attributes(found[1]), svg)
    svg = _compact(_with_needed_ids(svg, prefix)).replace("#000000", "currentColor")
    head = element("title", quoted(title)) + element("desc", quoted(description))
    return re.sub(r"<svg([^>]*)>", lambda found: f'<svg role="img" fill="currentColor"{found[1]}>{head}', svg, count=1)


def _with_needed_ids(svg: str, prefix: str) -> str:
    """Each id that something refers to, renamed to `prefix` and a number; the others gone."""
    needed: dict[str, str] = {}
    for name in re.findall(r'href="#([^"]*)"', svg):
        needed.setdefault(name, f"{prefix}-{len(needed)}")
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{needed[found[1]]}"' if found[1] in needed else "", svg)
    return re.sub(r'href="#([^"]*)"', lambda found: f'href="#{needed[found[1]]}"', svg)


def _compact(svg: str) -> str:
    """The same drawing in fewer bytes: what all uses of a marker have in common is said once."""
    use = r'<use (href="[^"]*") x="([^"]*)" y="([^"]*)"([^>]*?)/>'
    svg = re.sub(rf"{use}(?:\s*<use \1 [^>]*?\4/>)*", lambda found: _shared(found[0], use), svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", svg)
    svg = re.sub(
        r' (d|x|y|transform)="([^"]*)"',
        lambda found: f' {found[1]}="{re.sub(r"-?[0-9]*[.][0-9]+", _rounded, " ".join(found[2].split()))}"',
        svg,
    )
    svg = re.sub(r">\s+<", "><", svg).strip()
    svg = re.sub(r"<defs></defs>|<defs/>", "", svg)
    return _without_bare_groups(svg)


def _without_bare_groups(svg: str) -> str:
    """The drawing without groups that have no attribute left."""
    kept: list[bool] = []

    def one(tag: re.Match[str]) -> str:
        if tag[0] != "</g>":
            kept.append(tag[0] != "<g>")
            return tag[0] if kept[-1] else ""
        return tag[0] if kept.pop() else ""

    return re.sub(r"<g\b[^>]*>|</g>", one, svg)


def _shared(uses: str, pattern: str) -> str:
    """Uses of one marker with the same look, the look moved to a group around them."""
    found = re.findall(pattern, uses)
    inside = "".join(f'<use {marker} x="{x}" y="{y}"/>' for marker, x, y, _ in found)
    return f"<g{found[0][3]}>{inside}</g>"


def _rounded(found: re.Match[str]) -> str:
    return coordinate(float(found[0]))


def _as_attributes(style: str) -> str:
    """`fill: none; font: 10px 'X', serif` as presentation attributes (of the font shorthand the size)."""
    attributes = ""
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip().replace('"', "'")
        if name == "font":
            sized = re.match(r"([\d.]+)px\s", value)
            attributes += f' font-size="{sized[1]}"' if sized else ""
        elif name not in {"-inkscape-stroke", "font-family"}:
            attributes += f' {name}="{value}"'
    return attributes
