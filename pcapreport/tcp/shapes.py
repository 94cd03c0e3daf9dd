"""Connections of one shape share a history: found once, it holds for each with its own times and frames.

Of tens of thousands of connections only some hundred differ in shape, that is in who sent which flags with numbers in
which order. The numbers are replaced by their ranks (`canonical_numbers`), which keep all that the reconstructor asks
of them: their order, and whether two follow on each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.tcp.evidence import FOREIGN, Segment
from pcapreport.tcp.families import Family, Rows, Traced
from pcapreport.tcp.foreign import ELSEWHERE
from pcapreport.tcp.history import ConnectionHistory
from pcapreport.tcp.moment import Trace, passing

Ints = npt.NDArray[np.int64]

LEAST_ALIKE = 4
"""Fewer connections of one shape are reconstructed one by one: tracing one costs about as much as four plain runs."""
LEAST_CAUGHT = 4
"""A traced history must fit at least so many connections to have been worth its while."""
ENOUGH = 4
"""Traced histories of a shape that are kept though they fitted fewer: others to come may be like them."""
MOST_MISSES = 20
"""After so many in a row that were not, the rest of a shape is done one by one."""

MOST_KNOWN = 1_000
"""Traced histories that are kept for later parts and captures, of some 65 kB each."""
MOST_MET = 50_000
"""Shapes that are counted, of less than one kB each."""

Reconstruct = Callable[[Sequence[Segment], int], ConnectionHistory]
"""(segments, time of the capture's end) -> history."""


class Pattern(NamedTuple):
    """A traced history, which holds for every connection of its shape that passes the trace's guards."""

    like: ConnectionHistory
    trace: Trace


class Known:
    """What is known of a shape."""

    def __init__(self, among: Patterns) -> None:
        self.met = 0
        """Connections that had it."""
        self.patterns: list[Pattern] = []
        self._among = among

    def add(self, pattern: Pattern) -> None:
        """Keep it for connections to come."""
        self.patterns.append(pattern)
        self._among.count += 1


class Patterns:
    """What was traced of each shape, in whichever part of whichever capture."""

    def __init__(self) -> None:
        self.count = 0
        self._of: dict[Hashable, Known] = {}

    def of(self, shape: Hashable) -> Known:
        """Of one shape, to be added to; `shape` tells all but times and frames. All go once they are many."""
        if self.count >= MOST_KNOWN or len(self._of) >= MOST_MET:
            self.count = 0
            self._of.clear()
        return self._of.setdefault(shape, Known(self))


def canonical_numbers(space: Ints, values: Ints) -> Ints:
    """Sequence numbers by rank within their space: same order, 0 stays 0, differences 0 and 1 stay, others become 2.

    `space`: (n,) which flow's numbers they are; `values`: (n,) relative numbers. Those of another incarnation, which
    are `ELSEWHERE`, become FOREIGN or more away.
    """
    if not len(space):
        return values
    spaces = np.arange(int(space.max()) + 1)
    all_spaces = np.concatenate([space, spaces])
    all_values = np.concatenate([values, np.zeros(len(spaces), np.int64)])
    order = _sorted_by(all_spaces, all_values)
    ordered = all_values[order]
    steps = np.zeros(len(order), np.int64)
    np.clip(ordered[1:] - ordered[:-1], 0, 2, out=steps[1:])  # a step from one space to the next is of no account
    rank = np.empty(len(order), np.int64)
    rank[order] = np.cumsum(steps)
    canonical = rank[: len(values)] - rank[len(values) :][space]
    canonical += np.where(values >= ELSEWHERE // 2, FOREIGN, 0) - np.where(values <= -ELSEWHERE // 2, FOREIGN, 0)
    return canonical


def _sorted_by(first: Ints, second: Ints) -> npt.NDArray[np.intp]:
    """The order by `first`, then `second`: by one sort where both fit one number."""
    low, span = int(second.min()), int(second.max()) - int(second.min()) + 1
    if span * (int(first.max()) + 1) < 1 << 62:
        return np.argsort(first * span + (second - low), kind="stable")
    return np.lexsort((second, first))


def families_of(
    connections: Ints,
    rows: Rows,
    shape: Sequence[Segment],
    capture_end: int,
    reconstruct: Reconstruct,
    known: Known,
) -> Iterator[Family]:
    """The families of some connections of one shape.

    `shape`: the segments of one of them with canonical numbers, whatever their times and frames; `known`: what was
    traced of the shape before, to which is added what proves worth it.
    """
    times = np.vstack([rows.times(connections), np.full(len(connections), capture_end, np.int64)])
    left = np.arange(len(connections))
    misses, untried = 0, iter(tuple(known.patterns))
    known.met += len(connections)
    while len(left):
        pattern = next(untried, None)
        new = pattern is None
        if pattern is None:
            rare = known.met < LEAST_ALIKE or len(known.patterns) >= ENOUGH
            if len(left) < LEAST_ALIKE and rare or misses == MOST_MISSES:
                break
            pattern = _traced(shape, times[:, left[0]].tolist(), reconstruct)
        alike = passing(pattern.trace, times.take(left, axis=1) if len(left) < len(connections) else times)
        caught = left[alike]
        if len(caught):
            yield Family(pattern.like, connections[caught], Traced(pattern.trace, rows, capture_end))
        if new and (len(caught) >= LEAST_CAUGHT or len(known.patterns) < ENOUGH):
            known.add(pattern)
        if new:
            misses = 0 if len(caught) >= LEAST_CAUGHT else misses + 1
        left = left[~alike]
    frames = rows.frames(connections[left])
    for index, own in zip(left.tolist(), frames.T.tolist(), strict=True):
        plain = [s._replace(at=t, frame=f) for s, t, f in zip(shape, times[:-1, index].tolist(), own, strict=True)]
        yield Family(reconstruct(plain, capture_end), connections[index : index + 1])


def _traced(shape: Sequence[Segment], times: Sequence[int], reconstruct: Reconstruct) -> Pattern:
    """What a connection's history is made of, given the times of its rows and of the capture's end."""
    trace = Trace(times)
    *moments, end = trace.moments
    rows_of_one = enumerate(zip(shape, moments, strict=True))
    return Pattern(reconstruct([s._replace(at=moment, frame=i) for i, (s, moment) in rows_of_one], end), trace)
