"""Connections of one shape share one history: found once, then stamped with each one's times and frames.

Of tens of thousands of connections only some hundred differ in shape, that is in who sent which flags with numbers in
which order. The numbers are replaced by their ranks (`canonical_numbers`), which keep all that the reconstructor asks
of them: their order, and whether two follow on each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pcapreport.tcp.evidence import FOREIGN, Segment
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory, TimeWait, Transition, Withdrawn
from pcapreport.tcp.moment import Guard, Moment, Sum, Times, passing

Ints = npt.NDArray[np.int64]

LEAST_ALIKE = 4
"""Fewer connections of one shape are reconstructed one by one: tracing costs about as much as ten plain runs."""
LEAST_CAUGHT = 10
"""A traced history must fit at least so many connections to have been worth its while."""
MOST_MISSES = 3
"""After so many in a row that were not, the rest of a shape is done one by one."""

Reconstruct = Callable[[Sequence[Segment], int], ConnectionHistory]
"""(segments, time of the capture's end) -> history."""


def canonical_numbers(space: Ints, values: Ints) -> Ints:
    """Sequence numbers by rank within their space: same order, 0 stays 0, differences 0 and 1 stay, others become 2.

    `space`: (n,) which flow's numbers they are; `values`: (n,) relative numbers. Numbers of another incarnation
    (FOREIGN or more away) stay that far away.
    """
    if not len(space):
        return values
    spaces = np.arange(int(space.max()) + 1)
    all_spaces = np.concatenate([space, spaces])
    all_values = np.concatenate([values, np.zeros(len(spaces), np.int64)])
    order = _sorted_by(all_spaces, all_values)
    ordered = all_values[order]
    steps = np.zeros(len(order), np.int64)
    np.minimum(ordered[1:] - ordered[:-1], 2, out=steps[1:])
    steps[1:][all_spaces[order][1:] != all_spaces[order][:-1]] = 0
    rank = np.empty(len(order), np.int64)
    rank[order] = np.cumsum(steps)
    canonical = rank[: len(values)] - rank[len(values) :][space]
    return canonical + np.where(values >= FOREIGN, FOREIGN, 0) - np.where(values <= -FOREIGN, FOREIGN, 0)


def _sorted_by(first: Ints, second: Ints) -> Ints:
    """The order by `first`, then `second`: by one sort where both fit one number."""
    low, span = int(second.min()), int(second.max()) - int(second.min()) + 1
    if span * (int(first.max()) + 1) < 1 << 62:
        return np.argsort(first * span + (second - low), kind="stable")
    return np.lexsort((second, first))


def reconstruct_alike(
    times: Times, frames: Ints, shape: Sequence[Segment], capture_end: int, reconstruct: Reconstruct
) -> list[ConnectionHistory]:
    """Histories of m connections of one shape.

    `times`, `frames`: (rows, m); `shape`: the segments of one of them with canonical numbers, whatever their times.
    """
    done: list[ConnectionHistory | None] = [None] * times.shape[1]
    rows = np.vstack([times, np.full(times.shape[1], capture_end, np.int64)])
    left = np.arange(times.shape[1])
    misses = 0
    while len(left) >= LEAST_ALIKE and misses < MOST_MISSES:
        guards: set[Guard] = set()
        moments = [Moment.of_row(row, int(time), guards) for row, time in enumerate(rows[:, left[0]])]
        traced = reconstruct(
            [s._replace(at=m, frame=i) for i, (s, m) in enumerate(zip(shape, moments, strict=False))], moments[-1]
        )
        alike = left[passing(guards, rows[:, left])]
        misses = misses + 1 if len(alike) < LEAST_CAUGHT else 0
        for index, history in zip(alike.tolist(), _stamped(traced, rows[:, alike], frames[:, alike]), strict=True):
            done[index] = history
        left = left[~np.isin(left, alike)]
    for index in left.tolist():
        done[index] = reconstruct(
            [
                s._replace(at=t, frame=f)
                for s, t, f in zip(shape, times[:, index].tolist(), frames[:, index].tolist(), strict=True)
            ],
            capture_end,
        )
    return [history for history in done if history is not None]


def _stamped(traced: ConnectionHistory, times: Times, frames: Ints) -> list[ConnectionHistory]:
    """The traced history with the times and frames of each of m connections."""
    stamp = _Stamp(times, frames)
    client, server = stamp.endpoint(traced.client), stamp.endpoint(traced.server)
    opening, closing = traced.opening, traced.closing
    return [ConnectionHistory(c, s, opening, closing) for c, s in zip(client, server, strict=True)]


class _Stamp:
    """Evaluates what a traced history holds, for all connections at once; each sum once."""

    def __init__(self, times: Times, frames: Ints) -> None:
        self._times = times
        self._frames = frames
        self._count: int = times.shape[1]
        self._values: dict[Sum, list[int]] = {}

    def endpoint(self, end: EndpointHistory) -> list[EndpointHistory]:
        columns = [self._transition(item) for item in end.transitions]
        waits = self._time_wait(end.time_wait)
        rows = zip(*columns, strict=True) if columns else ((),) * self._count
        notes = [self._withdrawn(note) for note in end.withdrawn]
        withdrawn = zip(*notes, strict=True) if notes else ((),) * self._count
        final = end.possible_final
        return [
            EndpointHistory(tuple(row), final, wait, tuple(told))
            for row, wait, told in zip(rows, waits, withdrawn, strict=True)
        ]

    def _time(self, time: int | None) -> Sequence[int | None]:
        if time is None:
            return (None,) * self._count
        if not isinstance(time, Moment):
            return (time,) * self._count
        made = time.sum
        values = self._values.get(made)
        if values is None:
            values = self._values[made] = made.over(self._times).tolist()
        return values

    def _frame(self, row: int | None) -> Sequence[int | None]:
        return (None,) * self._count if row is None else self._frames[row].tolist()

    def _withdrawn(self, note: Withdrawn) -> list[Withdrawn]:
        frames = zip(*(self._frames[row].tolist() for row in note.frames), strict=True)
        return [note._replace(frames=tuple(named)) for named in frames]

    def _transition(self, item: Transition) -> list[Transition]:
        state, rule, certainty, note = item.state, item.rule, item.certainty, item.note
        columns = zip(self._time(item.earliest), self._time(item.latest), self._frame(item.frame), strict=True)
        return [Transition(state, a, b, frame, rule, certainty, note) for a, b, frame in columns]

    def _time_wait(self, ledger: TimeWait | None) -> Sequence[TimeWait | None]:
        if ledger is None:
            return (None,) * self._count
        entered = zip(self._time(ledger.entered[0]), self._time(ledger.entered[1]), strict=True)
        expires = zip(self._time(ledger.expires[0]), self._time(ledger.expires[1]), strict=True)
        restarts = [
            [
                r._replace(at=at or 0, frame=frame or 0)
                for at, frame in zip(self._time(r.at), self._frame(r.frame), strict=True)
            ]
            for r in ledger.restarts
        ]
        again = zip(*restarts, strict=True) if restarts else ((),) * self._count
        ended = zip(self._time(ledger.ended_at), self._frame(ledger.ended_frame), strict=True)
        return [
            ledger._replace(entered=a, expires=b, restarts=tuple(r), ended_at=at, ended_frame=frame)
            for a, b, r, (at, frame) in zip(entered, expires, again, ended, strict=True)
        ]
