"""The order of a SYN's TCP options, padding included: each system's TCP writes them in its own way.

As one number of up to eight hex digits, an OptionMark each, the first option leftmost: 0x46725 is MSS, SACK permitted,
Timestamps, NOP, Window Scale. Options behind the eighth are left out, and so are those behind a fault that hides where
the next one begins (options.py keeps the same rule).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import Gather, Ints
from pcapreport.capture.packet_table import OptionMark
from pcapreport.language import Text, joined, phrase

MOST = 8
_FULL = 1 << 4 * (MOST - 1)
"""From here on eight digits are taken."""

_MARKS = {0: OptionMark.END, 1: OptionMark.NOP, 2: OptionMark.MSS, 3: OptionMark.WINDOW_SCALE,
          4: OptionMark.SACK_PERMITTED, 8: OptionMark.TIMESTAMP, 30: OptionMark.MPTCP,
          34: OptionMark.FAST_OPEN}  # fmt: skip
_MARK = np.full(256, int(OptionMark.OTHER), np.int64)
for _kind, _mark in _MARKS.items():
    _MARK[_kind] = int(_mark)


def orders(gather: Gather, start: Ints, stop: Ints, captured: Ints) -> npt.NDArray[np.uint32]:
    """Of options between these positions, of which the file holds those before `captured`; all arrays (n,)."""
    found = np.zeros(len(start), np.int64)
    at, held = start.copy(), np.minimum(stop, captured)
    rows = np.flatnonzero(at < held)
    while len(rows):
        here = at[rows]
        word = gather.numbers(">u2", here)
        kind, single = word >> 8, word >> 8 <= 1
        length = np.where(single, 1, np.where(here + 1 < held[rows], word & 0xFF, 0))
        whole = (single | (length >= 2)) & (here + length <= held[rows])
        rows, kind = rows[whole], kind[whole]
        at[rows] += length[whole]
        so_far = found[rows]
        again = (kind == 1) & (so_far & 15 == OptionMark.NOP)
        goes_on = again | (so_far < _FULL)
        found[rows] = np.where(again, so_far + 1, np.where(goes_on, so_far << 4 | _MARK[kind], so_far))
        rows = rows[goes_on & (kind != 0) & (at[rows] < held[rows])]
    return found.astype(np.uint32)


def order_of(held: bytes, claimed: int) -> int:
    """Of one segment: its captured option bytes, and how many the header claims."""
    found, at, stop = 0, 0, min(len(held), claimed)
    while at < stop:
        kind = held[at]
        length = 1 if kind <= 1 else held[at + 1] if at + 1 < stop else 0
        if kind > 1 and length < 2 or at + length > stop:
            break
        if kind == 1 and found & 15 == OptionMark.NOP:
            found += 1
        elif found < _FULL:
            found = found << 4 | int(_MARK[kind])
        else:
            break
        if kind == 0:
            break
        at += length
    return found


def words(order: int) -> Text:
    """Such as "MSS, SACK permitted, Timestamps, NOP, Window Scale"."""
    if not order:
        return phrase("none")
    digits = f"{order:x}"
    return joined(_WORDS[OptionMark(int(digit, 16))] for digit in digits)


_WORDS = {
    OptionMark.END: phrase("end of list"),
    OptionMark.NOP: "NOP",
    OptionMark.TWO_NOPS: "NOP, NOP",
    OptionMark.MSS: "MSS",
    OptionMark.WINDOW_SCALE: "Window Scale",
    OptionMark.SACK_PERMITTED: "SACK permitted",
    OptionMark.TIMESTAMP: "Timestamps",
    OptionMark.FAST_OPEN: "Fast Open",
    OptionMark.MPTCP: "MPTCP",
    OptionMark.OTHER: phrase("another"),
}
