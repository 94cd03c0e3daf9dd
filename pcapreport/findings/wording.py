"""Numbers, times and sides as the words of a summary."""

from __future__ import annotations

from collections.abc import Sequence

from pcapreport.capture.packet_table import Flag
from pcapreport.tcp.connections import CLIENT, Endpoint

NAMES = ("client", "server")
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


def flag_words(flags: int) -> str:
    """Such as "SYN, ACK"; PSH is left out, as it says nothing about the connection."""
    return ", ".join(word for flag, word in FLAG_WORDS if flags & flag) or "no flags"


def side_name(side: int) -> str:
    """ "client" or "server"."""
    return NAMES[0] if side == CLIENT else NAMES[1]


def The(side: int) -> str:
    """ "The client" or "The server", as a sentence begins."""
    return f"The {side_name(side)}"


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 segment", "1,200 segments"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def times(number: int) -> str:
    """ "once", "twice", "5 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


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


def listed(items: Sequence[str], limit: int) -> str:
    """ "a", "a and b", "a, b, c and 4 more"."""
    shown, rest = list(items[:limit]), len(items) - limit
    shown += [f"{rest:,} more"] if rest > 0 else []
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def frames(numbers: Sequence[int], limit: int = 4) -> str:
    """ "frame 7", "frames 7 and 9", "frames 7, 9, 12, 13 and 20 more"."""
    if not numbers:
        return "no frame"
    shown = [str(number) for number in numbers[:limit]]
    if len(numbers) == 1:
        return f"frame {shown[0]}"
    rest = len(numbers) - len(shown)
    if rest:
        return f"frames {', '.join(shown)} and {rest:,} more"
    return f"frames {', '.join(shown[:-1])} and {shown[-1]}"


def first_of(numbers: Sequence[int]) -> str:
    """Where to look first: "frame 12", "first: frame 12"."""
    return f"frame {numbers[0]}" if len(numbers) == 1 else f"first: frame {numbers[0]}"


def address(endpoint: Endpoint) -> str:
    """ "10.0.0.1:4000", "[2001:db8::1]:4000"."""
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{host}:{endpoint.port}"
