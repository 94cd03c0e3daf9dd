"""Numbers, times and sides as the words of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pcapreport.capture.packet_table import Flag
from pcapreport.language import Text, joined, phrase
from pcapreport.tcp.connections import Endpoint

_SIDES = (phrase("client"), phrase("server"))
_THE_SIDES = (phrase("The client"), phrase("The server"))
_FEW_TIMES = {1: phrase("once"), 2: phrase("twice")}
FLAG_WORDS = (
    (Flag.SYN, "SYN"),
    (Flag.FIN, "FIN"),
    (Flag.RST, "RST"),
    (Flag.ACK, "ACK"),
    (Flag.URG, "URG"),
    (Flag.ECE, "ECE"),
    (Flag.CWR, "CWR"),
    (Flag.AE, "AE"),
)


@lru_cache(maxsize=512)
def flag_words(flags: int) -> str:
    """Such as "SYN, ACK"; PSH is left out, as it says nothing about the connection."""
    return ", ".join(word for flag, word in FLAG_WORDS if flags & flag) or phrase("no flags")


def side_name(side: int) -> Text:
    """ "client" or "server"."""
    return _SIDES[side]


def The(side: int) -> Text:
    """ "The client" or "The server", as a sentence begins."""
    return _THE_SIDES[side]


def times(number: int) -> Text:
    """ "once", "twice", "5 times"."""
    return _FEW_TIMES[number] if number in _FEW_TIMES else phrase("{number:,} times", number=number)


def duration(ns: int | float) -> str:
    """A span in the unit that fits: "310 µs", "40.2 ms", "1.5 s", "2 min 5 s"."""
    if ns < 1_000:
        return f"{int(ns)} ns"
    for unit, scale in (("µs", 1e3), ("ms", 1e6)):
        if ns < 999.5 * scale:
            return f"{ns / scale:.3g} {unit}"
    seconds = ns / 1e9
    if seconds < 120:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def listed(items: Sequence[str], limit: int) -> Text:
    """ "a", "a and b", "a, b, c and 4 more"."""
    shown, rest = list(items[:limit]), len(items) - limit
    if rest > 0:
        return phrase("{items} and {rest:,} more", items=joined(shown), rest=rest)
    if len(shown) < 2:
        return joined(shown)
    return joined((joined(shown[:-1]), shown[-1]), " and ")


def frames(numbers: Sequence[int], limit: int = 4) -> Text:
    """ "frame 7", "frames 7 and 9", "frames 7, 9, 12, 13 and 20 more"."""
    if not numbers:
        return phrase("no frame")
    if len(numbers) == 1:
        return phrase("frame {frame}", frame=numbers[0])
    return phrase("frames {frames}", frames=listed([str(number) for number in numbers], limit))


def first_of(numbers: Sequence[int]) -> Text:
    """Where to look first: "frame 12", "first: frame 12"."""
    frame = phrase("frame {frame}", frame=numbers[0])
    return frame if len(numbers) == 1 else phrase("first: {frame}", frame=frame)


def address(endpoint: Endpoint) -> str:
    """ "10.0.0.1:4000", "[2001:db8::1]:4000"."""
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{host}:{endpoint.port}"
