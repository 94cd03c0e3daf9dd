"""Where a damaged file can be read again: the next place that looks like a record or block in every respect.

A wrong guess would invent packets, so one header that may be sound is not enough. The records behind it must follow
each other for a while, or to the very end of the file, at times that fit those before the damage; a pcapng block must
repeat its length at its end and be followed by another. Where a file merely ends too early, the bytes of its last
record could themselves hold a capture that somebody downloaded, so there only records up to the very end count.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import MARGIN, Bools, Gather, Ints, forget

if TYPE_CHECKING:
    from pcapreport.capture.records import Layout

CHAIN = 4
"""Records in a row that must be plausible."""

WEEK_S = 7 * 86_400
"""Records behind a damage are no farther than this from the time before it."""

MOST_ON_WIRE = 1 << 24
"""No frame is longer, not even one of a device that segments for its host."""

MOST_PADDING = 3
"""Bytes with which snoop fills a record up (RFC 1761)."""

_FIRST_WINDOW, _LARGEST_WINDOW = 1 << 12, 1 << 20
"""Bytes searched at once: little at first, since most gaps are short."""


def next_record(gather: Gather, start: int, layout: Layout, last_s: int | None, to_end: bool) -> int | None:
    """Position behind `start` of the next plausible record, or None.

    `last_s` is the time of the last sound record, if there is one. With `to_end` the records must reach the very end.
    """

    wire_at = 4 * (layout.header.names or ()).index("wire") + (3 if layout.order == "<" else 0)

    def sound(at: Ints) -> Bools:
        # One byte rules out most of what is no record, at a fraction of the cost.
        likely: Bools = gather.numbers("u1", at + wire_at) <= MOST_ON_WIRE >> 24
        likely[likely] = plausible(gather.headers(layout.header, at[likely]), layout, last_s)
        return likely

    found = _candidates(gather, start + 1, sound)
    return _first_chain(found, _stepper(gather, layout, last_s), gather.size, to_end)


def plausible(headers: npt.NDArray[np.void], layout: Layout, last_s: int | None) -> Bools:
    """Which of these record headers (n,) are possible, at a time near to `last_s` if that is known."""
    second, fraction = headers["sec"].astype(np.int64), headers["fraction"].astype(np.int64)
    lengths = (headers["cap"].astype(np.int64), headers["wire"].astype(np.int64))
    cap, wire = lengths if layout.swapped_at is None else (np.minimum(*lengths), np.maximum(*lengths))
    sound = (fraction * layout.scale < 1_000_000_000) & (cap <= layout.most)
    sound &= (cap <= wire) & (wire > 0) & (wire <= MOST_ON_WIRE)
    if "size" in (headers.dtype.names or ()):
        room = headers["size"].astype(np.int64) - layout.head - cap
        sound &= (room >= 0) & (room <= MOST_PADDING)
    near: Bools = (second > 0) if last_s is None else (np.abs(second - last_s) <= WEEK_S)
    return sound & near


def _stepper(gather: Gather, layout: Layout, last_s: int | None) -> Callable[[int], int | None]:
    """From the position of a plausible record to the next; says of one header what `plausible` says of many."""
    names = layout.header.names or ()
    read = struct.Struct(layout.order + "I" * len(names)).unpack_from
    places = [names.index(name) for name in ("sec", "fraction", "cap", "wire")]
    size_at = names.index("size") if "size" in names else None
    follow, known_s = layout.reader(), 0 if last_s is None else last_s
    most_off = 1 << 32 if last_s is None else WEEK_S

    def step(position: int) -> int | None:
        if position + layout.head > gather.size:
            return None
        numbers = read(gather.buffer, position)
        second, fraction, cap, wire = (numbers[place] for place in places)
        if layout.swapped_at is not None:
            cap, wire = min(cap, wire), max(cap, wire)
        if (
            fraction * layout.scale >= 1_000_000_000
            or not 0 < wire <= MOST_ON_WIRE
            or not cap <= min(wire, layout.most)
        ):
            return None
        if abs(second - known_s) > most_off:
            return None
        if size_at is not None and not 0 <= numbers[size_at] - layout.head - cap <= MOST_PADDING:
            return None
        return position + layout.extra + int(follow(gather.buffer, position)[0])

    return step


SECTION_START = 0x0A0D0D0A
BYTE_ORDER_MAGIC = 0x1A2B3C4D
KNOWN_BLOCKS = (1, 2, 3, 4, 5, 6, 9, 10, 0xBAD, 0x4000_0BAD)
_HIGHEST = sorted({kind >> 24 for kind in (*KNOWN_BLOCKS, SECTION_START)})
"""Of their bytes: rules out most of what is no block, at a fraction of the cost."""


def next_block(gather: Gather, start: int, order: str, sections_only: bool, to_end: bool) -> int | None:
    """Position behind `start` of the next plausible pcapng block, or None.

    With `sections_only` nothing but a section header will do: without it what follows could not be understood.
    """

    orders: dict[int, str] = {}
    """Position -> byte order of the block there, where a section header before it says so."""

    def plausible(at: Ints, order: str) -> Bools:
        kind = gather.numbers("<u4", at)
        sound = np.zeros(len(at), np.bool_)
        for byte_order in "<>":
            magic = gather.numbers(byte_order + "u4", at + 8)
            sound |= (kind == SECTION_START) & (magic == BYTE_ORDER_MAGIC) & _framed(gather, at, byte_order, 28)
        if not sections_only:
            sound |= np.isin(gather.numbers(order + "u4", at), KNOWN_BLOCKS) & _framed(gather, at, order, 12)
        return sound

    def step(position: int) -> int | None:
        at = np.array([position])
        here = orders.get(position, order)
        if not plausible(at, here)[0]:
            return None
        if gather.numbers("<u4", at)[0] == SECTION_START:
            here = "<" if gather.numbers("<u4", at + 8)[0] == BYTE_ORDER_MAGIC else ">"
        following = position + int(gather.numbers(here + "u4", at + 4)[0])
        orders[following] = here
        return following

    def sound(at: Ints) -> Bools:
        likely = np.isin(gather.numbers("u1", at + (3 if order == "<" else 0)), _HIGHEST)
        likely[likely] = plausible(at[likely], order)
        return likely

    candidates = _candidates(gather, start + 1, sound)
    return _first_chain(candidates, step, gather.size, to_end, 1 if sections_only else 2)


def _framed(gather: Gather, at: Ints, order: str, smallest: int) -> Bools:
    """The length is possible and stands at both ends of the block."""
    length = gather.numbers(order + "u4", at + 4)
    fits: Bools = (length >= smallest) & (length & 3 == 0) & (at + length <= gather.size)
    rows = np.flatnonzero(fits)
    fits[rows] = gather.numbers(order + "u4", at[rows] + length[rows] - 4) == length[rows]
    return fits


def _candidates(gather: Gather, start: int, plausible: Callable[[Ints], Bools]) -> Iterator[int]:
    """Every position from `start` on where something plausible stands, which zeros alone never are."""
    window = _FIRST_WINDOW
    while start < gather.size:
        if gather.span(start, start + window + MARGIN).any():
            at = np.arange(start, min(start + window, gather.size))
            yield from at[plausible(at)].tolist()
        forget(gather.buffer, start, start + window)
        start, window = start + window, min(2 * window, _LARGEST_WINDOW)


def _first_chain(
    candidates: Iterator[int], step: Callable[[int], int | None], size: int, to_end: bool, chain: int = CHAIN
) -> int | None:
    """The first candidate from which `step` leads on for long enough, or to the very end."""
    dead: set[int] = set()
    for candidate in candidates:
        position: int | None = candidate
        met: list[int] = []
        while position is not None and position != size and position not in dead and (to_end or len(met) < chain):
            met.append(position)
            position = step(position)
        if position == size or (not to_end and len(met) == chain and position is not None):
            return candidate
        dead.update(met)
    return None
