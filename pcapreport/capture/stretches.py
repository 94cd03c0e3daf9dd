"""Records of a large file, found from many places at once.

Where a record begins is known only from the one before it, so a file must be followed record by record, in Python. A
long stretch is therefore cut into lanes of equal length, in each of which the first place is guessed that looks like a
record; all lanes are then followed together, one record of each in a step. The guesses need not be right: a lane counts
only if the one before it came out exactly where it began, so what is found is what the walk from the start would find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pcapreport.capture import recovery
from pcapreport.capture.gather import Bools, Gather, Ints

if TYPE_CHECKING:
    from pcapreport.capture.records import Layout

STRETCH = 1 << 25
"""Bytes followed at once, and so held in memory where the file is mapped."""

LANE = 1 << 15
"""Bytes of a lane: a thousand lanes make numpy's fixed costs small, in some hundred steps."""

FEW = 100
"""Lanes that are followed as fast one by one, so the last ones are."""

COMMON = 4
"""Where more than one byte in so many is like a record's first, guessing takes more time and memory than it saves."""

NONE: Ints = np.empty(0, np.int64)

SEARCHED = 1 << 11
"""Bytes of a lane in which its first record is looked for; a lane without is followed by the one before it."""


def follow(gather: Gather, start: int, layout: Layout) -> tuple[Ints, int]:
    """(positions of whole records that follow each other from `start` on, where the next one is to begin).

    May stop anywhere, and at once; what stands there is not judged.
    """
    stop = min(start + STRETCH, gather.size - layout.head)
    if stop - start < FEW * LANE:
        return NONE, start
    begins = _guessed(gather, start, stop, layout)
    ends = np.append(begins[1:], stop)
    reached = begins.copy()
    visited: list[Ints] = []
    lane, at, end = np.arange(len(begins)), begins, ends
    while len(at) >= FEW:
        length = layout.lengths(gather, at)
        following = at + length
        following += layout.extra
        sound = (length >= layout.shortest) & (length <= layout.longest) & (following <= gather.size)
        if not sound.all():
            reached[lane] = at
            lane, at, end, following = lane[sound], at[sound], end[sound], following[sound]
        visited.append(at)
        inside = following < end
        if inside.all():
            at = following
            continue
        reached[lane] = following
        lane, at, end = lane[inside], following[inside], end[inside]
    for number, position, stop in zip(lane.tolist(), at.tolist(), end.tolist(), strict=True):
        alone, reached[number] = _alone(gather, position, stop, layout)
        visited.append(np.array(alone, np.int64))
    wrong = np.flatnonzero(reached[:-1] != begins[1:])
    last = int(wrong[0]) if len(wrong) else len(begins) - 1
    positions = np.concatenate(visited)
    positions = positions[positions < ends[last]]
    positions.sort()
    return positions, int(reached[last])


def _alone(gather: Gather, position: int, stop: int, layout: Layout) -> tuple[list[int], int]:
    """The same of one lane."""
    positions, read = [], layout.reader()
    while position < stop:
        length = read(gather.buffer, position)[0]
        following = position + layout.extra + length
        if not layout.shortest <= length <= layout.longest or following > gather.size:
            break
        positions.append(position)
        position = following
    return positions, position


def _guessed(gather: Gather, start: int, stop: int, layout: Layout) -> Ints:
    """`start`, and in each lane behind it the first place where two plausible records stand, if there is one."""
    first_s = int(gather.headers(layout.header, np.array([start]))["sec"][0])
    begins = np.arange(start + LANE, stop - SEARCHED - layout.head, LANE)
    seconds_at = 4 * (layout.header.names or ()).index("sec")
    highest = gather.span(start + LANE + seconds_at + (3 if layout.order == "<" else 0), stop)
    rows = np.lib.stride_tricks.as_strided(highest, (len(begins), SEARCHED), (LANE, 1), writeable=False)
    alike = np.flatnonzero(rows == first_s >> 24)  # of one dimension: that is several times faster
    if len(alike) > rows.size // COMMON:
        return np.array([start])
    lane, behind = np.divmod(alike, SEARCHED)
    at = begins[lane] + behind

    def sound(positions: Ints) -> Bools:
        return recovery.plausible(gather.headers(layout.header, positions), layout, first_s)

    for steps in range(2):
        chosen = sound(at if not steps else at + layout.extra + layout.lengths(gather, at))
        lane, at = lane[chosen], at[chosen]
    return np.concatenate([[start], at[np.diff(lane, prepend=-1) != 0]])
