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
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory, Restart, TimeWait, Transition
from pcapreport.tcp.moment import Guard, Moment, Sum, Times, passing

Ints = npt.NDArray[np.int64]

LEAST_ALIKE = 4
"""Fewer connections of one shape are reconstructed one by one: tracing costs about as much as ten plain runs."""
MOST_VARIANTS = 12
"""Different outcomes of the guards that are tried for one shape before the rest is done one by one."""

Reconstruct = Callable[[Sequence[Segment], int], ConnectionHistory]
"""(segments, time of the capture's end) -> history."""


def canonical_numbers(space: Ints, values: Ints) -> Ints:
    """Sequence numbers by rank within their space: same order, 0 stays 0, differences 0 and 1 stay, others become 2.

    `space`: (n,) which flow's numbers they are; `values`: (n,) relative numbers. Numbers of another incarnation
    (FOREIGN or more away) stay that far away.
    """
    spaces = np.unique(space)
    all_spaces = np.concatenate([space, spaces])
    all_values = np.concatenate([values, np.zeros(len(spaces), np.int64)])
    order = np.lexsort((all_values, all_spaces))
    ordered = all_values[order]
    steps = np.minimum(np.diff(ordered, prepend=ordered[:1]), 2)
    steps[np.diff(all_spaces[order], prepend=-1) != 0] = 0
    rank = np.empty(len(order), np.int64)
    rank[order] = np.cumsum(steps)
    zero = rank[len(values) :]
    canonical = rank[: len(values)] - zero[np.searchsorted(spaces, space)]
    return canonical + np.where(values >= FOREIGN, FOREIGN, 0) - np.where(values <= -FOREIGN, FOREIGN, 0)


def reconstruct_alike(
    times: Times, frames: Ints, shape: Sequence[Segment], capture_end: int, reconstruct: Reconstruct
) -> list[ConnectionHistory]:
    """Histories of m connections of one shape.

    `times`, `frames`: (rows, m); `shape`: the segments of one of them with canonical numbers, whatever their times.
    """
    done: list[ConnectionHistory | None] = [None] * times.shape[1]
    rows = np.vstack([times, np.full(times.shape[1], capture_end, np.int64)])
    left = np.arange(times.shape[1])
    for _ in range(MOST_VARIANTS):
        if len(left) < LEAST_ALIKE:
            break
        guards: set[Guard] = set()
        moments = [Moment.of_row(row, int(time), guards) for row, time in enumerate(rows[:, left[0]])]
        traced = reconstruct(
            [s._replace(at=m, frame=i) for i, (s, m) in enumerate(zip(shape, moments, strict=False))], moments[-1]
        )
        if traced.client.withdrawn or traced.server.withdrawn:
            break  # their sentences name frames
        alike = left[passing(guards, rows[:, left])]
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
        final = end.possible_final
        return [EndpointHistory(tuple(row), final, wait, ()) for row, wait in zip(rows, waits, strict=True)]

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
            [Restart(at or 0, frame or 0) for at, frame in zip(self._time(r.at), self._frame(r.frame), strict=True)]
            for r in ledger.restarts
        ]
        again = zip(*restarts, strict=True) if restarts else ((),) * self._count
        ended = zip(self._time(ledger.ended_at), self._frame(ledger.ended_frame), strict=True)
        return [
            ledger._replace(entered=a, expires=b, restarts=tuple(r), ended_at=at, ended_frame=frame)
            for a, b, r, (at, frame) in zip(entered, expires, again, ended, strict=True)
        ]
