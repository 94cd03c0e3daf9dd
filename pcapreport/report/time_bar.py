"""Where a connection's time went, in words and as one bar, its parts in the order of the ledger."""

from __future__ import annotations

from pcapreport.language import phrase
from pcapreport.report.model import TimeSpent
from pcapreport.report.svg import CLIENT, SERVER, drawing, element, quoted

WORDS = {
    "handshake_s": phrase("Handshake"),
    "client_s": phrase("Client's application"),
    "server_s": phrase("Server's application"),
    "network_s": phrase("Network, transfer"),
    "recovery_s": phrase("Recovery from loss"),
    "client_window_s": phrase("Client's window closed"),
    "server_window_s": phrase("Server's window closed"),
    "close_s": phrase("Close"),
    "idle_s": phrase("Both sides idle"),
    "unknown_s": phrase("Not known"),
}
WIDTH, HEIGHT, BAR = 720.0, 40.0, 26.0
LEAST_LABEL = 0.09
"""Share of the bar from which on a part has room for its share in digits."""
COLOURS = {
    "handshake_s": "#56B4E9",
    "client_s": CLIENT,
    "server_s": SERVER,
    "network_s": "#009E73",
    "recovery_s": "#CC79A7",
    "client_window_s": CLIENT,
    "server_window_s": SERVER,
    "close_s": "#8A9199",
    "idle_s": "#C3C9CF",
    "unknown_s": "none",
}
"""Okabe and Ito's; a closed window has its side's colour, paler and outlined."""
_PALE = frozenset(("client_window_s", "server_window_s"))
_DARK_TEXT = frozenset(("handshake_s", "recovery_s", "idle_s"))


def shares(spent: TimeSpent) -> list[tuple[str, str, float, float]]:
    """(field, what it is, seconds, share of the whole) of each part that took time, the longest first."""
    times = [(name, getattr(spent, name)) for name in WORDS]
    whole = sum(time for _, time in times)
    told = [(name, WORDS[name], time, time / whole) for name, time in times if time > 0]
    return sorted(told, key=lambda one: -one[2])


def swatch(name: str) -> str:
    """A part's colour beside its words."""
    return element(
        "svg",
        _box(name, 1, 1, 10, 10),
        aria_hidden="true",
        viewBox="0 0 12 12",
        width=12,
        height=12,
    )


def _box(name: str, x: float, y: float, width: float, height: float, content: str = "") -> str:
    outlined = name in _PALE or COLOURS[name] == "none"
    return element(
        "rect",
        content,
        x=x,
        y=y,
        width=width,
        height=height,
        fill=COLOURS[name],
        fill_opacity=0.35 if name in _PALE else None,
        stroke="currentColor" if outlined else None,
        stroke_width=1 if outlined else None,
    )


def time_bar(spent: TimeSpent, title: str) -> str:
    """The bar as SVG; the table beside it says the same."""
    times = [(name, getattr(spent, name)) for name in WORDS]
    whole = sum(time for _, time in times)
    parts, left = "", 0.0
    for name, time in times:
        if time > 0:
            share = time / whole
            parts += _part(name, left, share)
            left += share
    description = phrase("Each part's share of the connection's time; the table says the same.")
    return drawing(WIDTH, HEIGHT, title, description, parts)


def _part(name: str, left: float, share: float) -> str:
    x, width = left * WIDTH, share * WIDTH
    title = element("title", quoted(phrase("{part}: {share:.0%}", part=WORDS[name], share=share)))
    box = _box(name, x, (HEIGHT - BAR) / 2, max(width, 0.75), BAR, title)
    if share < LEAST_LABEL:
        return box
    outlined = name in _PALE or COLOURS[name] == "none"
    colour = "currentColor" if outlined else "#1B1F23" if name in _DARK_TEXT else "#FFFFFF"
    middle = HEIGHT / 2 + 4.5
    words = element("text", f"{share:.0%}", x=x + width / 2, y=middle, text_anchor="middle", font_size=13, fill=colour)
    return box + words
