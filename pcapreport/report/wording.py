"""Numbers, moments, frame lists and hostile text as words: what the page, the ticket text and the terminal share.

Capture text is hostile. `visible` is the one place that decides which characters a reader may be shown as they are;
every renderer passes each string of the document through it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from pcapreport.language import Text, counted, forms, phrase, say
from pcapreport.report.columns import beginning, columns
from pcapreport.report.model import Capture, Interval, Severity

SEVERITY_COUNTS: dict[Severity, tuple[str, str]] = {
    "error": forms("{n:,} error", "{n:,} errors"),
    "warning": forms("{n:,} warning", "{n:,} warnings"),
    "note": forms("{n:,} note", "{n:,} notes"),
}
SEVERITY_MARK: dict[Severity, str] = {"error": "◆", "warning": "▲", "note": "▪"}
CERTAINTY_MARK = {"proven": "●", "supposed": "◐", "assumed": "○"}
SEVERITY_RANK: dict[Severity | None, int] = {"error": 0, "warning": 1, "note": 2, None: 3}
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that draw nothing or reorder their neighbours: controls, bidi overrides, zero widths, lone
surrogates, private use, unassigned, line and paragraph separators."""


LONGEST = 4_000
"""Characters of one text from a capture that a reader is shown; the JSON has all."""


def visible(text: str) -> str:
    """`text` with each invisible or reordering character written as an escape, such as `\\x1b` or `\\u202e`.

    Of a very long one the beginning, and how much is left out.
    """
    if isinstance(text, Text):
        text = say(text)
    start = text[:LONGEST]
    if not start.isprintable():  # which all of those categories are not
        start = "".join(_escape(c) if unicodedata.category(c) in _HIDDEN_CATEGORIES else c for c in start)
    if len(text) <= LONGEST:
        return start
    return start[:LONGEST] + say(phrase("… ({more:,} more characters)", more=len(text) - LONGEST))


def _escape(character: str) -> str:
    code = ord(character)
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named:
        return named
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def short(text: str, limit: int) -> str:
    """`text` made visible and cut to `limit` columns, the cut marked."""
    text = visible(text)
    return text if columns(text) <= limit else beginning(text, limit - 1).rstrip() + "…"


def number(value: float | int) -> str:
    """A count with thousands separated: 16384 -> "16,384"."""
    return f"{value:,}"


def size(count: int) -> str:
    """Bytes in the largest unit (powers of 1,000) that keeps three digits: 1234567 -> "1.23 MB"."""
    if count < 1_000:
        return f"{count} B"
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < scale * 999.5 or unit == "GB":
            return f"{_significant(count / scale, 3)} {unit}"
    raise AssertionError("unreachable")


def duration(seconds: float | None) -> str:
    """A span in the unit that fits it, four significant digits: 0.00012 -> "120 µs", 61.2 -> "61.2 s"."""
    if seconds is None:
        return phrase("unknown")
    nanoseconds = round(seconds * 1e9)
    sign, nanoseconds = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if nanoseconds == 0:
        return "0 s"
    if nanoseconds >= 120_000_000_000:
        return sign + _long_duration(nanoseconds / 1e9)
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= scale * 0.99995:
            return f"{sign}{_significant(nanoseconds / scale, 4)} {unit}"
    return f"{sign}{nanoseconds} ns"


def _long_duration(seconds: float) -> str:
    if seconds < 7_200:
        minutes, rest = divmod(round(seconds, 1), 60)
        return f"{minutes:.0f} min" + (f" {_significant(rest, 3)} s" if rest else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d" + (f" {hours} h" if hours else "")


def _significant(value: float, digits: int) -> str:
    """`value` > 0 rounded to `digits` significant digits, without an exponent or trailing zeros."""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits - len(str(int(value)))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(part: float) -> str:
    """A part of a whole in percent: 0.5 -> "50 %"; small ones are not told apart."""
    return phrase("less than 1 %") if 0 < part < 0.01 else f"{100 * part:.0f} %"


def percent(part: float) -> str:
    """The same with two significant digits: 0.0123 -> "1.2 %"."""
    if 0 < part < 0.0001:
        return phrase("under 0.01 %")
    return f"{_significant(100 * part, 2)} %" if part >= 0.01 else f"{100 * part:.2g} %"


def moment(seconds: float | None) -> str:
    """A time since the first packet, in seconds: six decimals, nine where nanoseconds were recorded."""
    if seconds is None:
        return ""
    nanoseconds = round(seconds * 1e9)
    return f"{seconds:.6f}" if nanoseconds % 1_000 == 0 else f"{seconds:.9f}"


def interval(bounds: Interval) -> str:
    """The time span that contains a moment, in seconds."""
    earliest, latest = bounds
    if earliest is None and latest is None:
        return phrase("unknown")
    if earliest is None:
        return phrase("by {moment}", moment=moment(latest))
    if latest is None:
        return phrase("from {moment}", moment=moment(earliest))
    first, last = moment(earliest), moment(latest)
    return first if first == last else phrase("{first} to {last}", first=first, last=last)


def dwell(entered: Interval, left: Interval) -> str:
    """How long a state lasted, given the intervals of its beginning and end; "" where nothing bounds it."""
    (a, b), (c, d) = entered, left
    least = max(0.0, c - b) if b is not None and c is not None else None
    most = max(0.0, d - a) if a is not None and d is not None else None
    if least is None and most is None:
        return ""
    if most is None:
        return phrase("at least {span}", span=duration(least)) if least else ""
    if least is None or round(least * 1e9) == 0 < round(most * 1e9):
        return phrase("up to {span}", span=duration(most))
    low, high = duration(least), duration(most)
    return low if low == high else phrase("{first} to {last}", first=low, last=high)


def runs(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Frame numbers as ascending [first, last] runs without gaps."""
    found: list[tuple[int, int]] = []
    for frame in sorted(set(frames)):
        if found and frame == found[-1][1] + 1:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    return found


def frame_list(frames: Sequence[int], limit: int | None = None) -> str:
    """Frames as a reader writes them, "3, 5–8"; at most `limit` runs, the cut marked."""
    spans = runs(frames)
    shown = spans if limit is None else spans[:limit]
    parts = [str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}–{b}" for a, b in shown]
    return ", ".join(parts) + (" …" if len(shown) < len(spans) else "")


def frame_filter(frames: Sequence[int]) -> str:
    """The Wireshark display filter that shows exactly these frames."""
    spans = runs(frames)
    if len(spans) == 1 and spans[0][0] == spans[0][1]:
        return f"frame.number == {spans[0][0]}"
    return "frame.number in {" + ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in spans) + "}"


def spoken(name: str) -> str:
    """A snake_case rule or kebab-case kind as words: "fin_unanswered" -> "fin unanswered"."""
    return say(visible(name).replace("_", " "))


def packets_read(capture: Capture, safe: Callable[[str], str]) -> str:
    """How many packets were read and what they are; `safe` makes the kinds' names fit to be shown."""
    others = "".join(f"{say(', ')}{number(n)} {safe(say(kind))}" for kind, n in capture.other_packets.items())
    return say(
        counted(
            capture.packets,
            "{n:,} packet read: {tcp} TCP{others}",
            "{n:,} packets read: {tcp} TCP{others}",
            tcp=number(capture.tcp_packets),
            others=others,
        )
    )
