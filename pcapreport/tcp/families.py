"""Histories as columns: what many connections have in common is held once, their times and frames as arrays.

A history is made of a family's columns when it is asked for. Whoever goes over all connections of a capture asks the
families: how they opened and closed and which states they went through is one answer for thousands of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from pcapreport.tcp.history import ConnectionHistory, EndpointHistory, Restart, TimeWait, Transition, Withdrawn
from pcapreport.tcp.moment import Moment, Sum, Times

Ints = npt.NDArray[np.int64]
T = TypeVar("T")


class Rows(NamedTuple):
    """The rows that connections were judged by: those of connection i are bounds[i]:bounds[i + 1]."""

    bounds: Ints
    time: Ints
    """ns, never stepping back within a connection."""
    frame: Ints

    def times(self, connections: Ints) -> Ints:
        """(rows, connections), for connections with the same number of rows."""
        return self.time.take(self._at(connections))

    def frames(self, connections: Ints) -> Ints:
        """(rows, connections), for connections with the same number of rows."""
        return self.frame.take(self._at(connections))

    def _at(self, connections: Ints) -> Ints:
        if not len(connections):
            return np.empty((0, 0), np.int64)
        start = self.bounds[connections]
        return start[None, :] + np.arange(self.bounds[connections[0] + 1] - start[0])[:, None]


class Family:
    """Connections whose histories differ in nothing but times and frames."""

    like: ConnectionHistory
    """What they have in common: states, rules, how sure those are, how they opened and closed. Of a family of several
    its times and frames are to be read by `times` and `frames` alone."""
    members: Ints
    """The connections, ascending."""

    def __init__(self, like: ConnectionHistory, members: Ints, rows: Rows | None = None, capture_end: int = 0) -> None:
        """`like` was traced (see `moment`) over `rows` of a member; without rows it is the one member's history."""
        self.like, self.members = like, members
        self._rows, self._end = rows, capture_end
        self._made: dict[Sum, list[int]] = {}

    def times(self, time: int | None) -> Sequence[int | None]:
        """Each member's value of a time in `like`, ns."""
        if not isinstance(time, Moment):
            return (time,) * len(self.members)
        how = time.sum
        made = self._made.get(how)
        if made is None:
            made = self._made[how] = how.over(self._times).tolist()
        return made

    def frames(self, frame: int | None) -> Sequence[int | None]:
        """Each member's value of a frame in `like`."""
        if frame is None or self._rows is None:
            return (frame,) * len(self.members)
        named: list[int] = self._rows.frame[self._rows.bounds[self.members] + frame].tolist()
        return named

    @cached_property
    def _times(self) -> Times:
        assert self._rows is not None
        return np.vstack([self._rows.times(self.members), np.full(len(self.members), self._end, np.int64)])

    def histories(self) -> list[ConnectionHistory]:
        """Each member's history."""
        if self._rows is None:
            return [self.like]
        opening, closing = self.like.opening, self.like.closing
        client, server = self._endpoint(self.like.client), self._endpoint(self.like.server)
        return [ConnectionHistory(c, s, opening, closing) for c, s in zip(client, server, strict=True)]

    def history(self, connection: int) -> ConnectionHistory:
        """One member's."""
        if self._rows is None:
            return self.like
        return Family(self.like, np.array([connection]), self._rows, self._end).histories()[0]

    def _endpoint(self, end: EndpointHistory) -> Iterator[EndpointHistory]:
        final = end.possible_final
        rows = self._each([self._transition(item) for item in end.transitions])
        waits = (None,) * len(self.members) if end.time_wait is None else self.time_wait(end.time_wait)
        notes = self._each([self._withdrawn(note) for note in end.withdrawn])
        for row, wait, told in zip(rows, waits, notes, strict=True):
            yield EndpointHistory(row, final, wait, told)

    def _each(self, columns: Sequence[Iterable[T]]) -> Iterable[tuple[T, ...]]:
        return zip(*columns, strict=True) if columns else ((),) * len(self.members)

    def _transition(self, item: Transition) -> Iterator[Transition]:
        state, rule, certainty, note = item.state, item.rule, item.certainty, item.note
        columns = zip(self.times(item.earliest), self.times(item.latest), self.frames(item.frame), strict=True)
        return (Transition(state, a, b, frame, rule, certainty, note) for a, b, frame in columns)

    def _withdrawn(self, note: Withdrawn) -> Iterator[Withdrawn]:
        named = zip(*(self.frames(frame) for frame in note.frames), strict=True)
        return (note._replace(frames=tuple(frame or 0 for frame in each)) for each in named)

    def _interval(self, ends: tuple[int | None, int | None]) -> Iterator[tuple[int | None, int | None]]:
        return zip(self.times(ends[0]), self.times(ends[1]), strict=True)

    def _restart(self, item: Restart) -> Iterator[Restart]:
        return (
            Restart(at or 0, frame or 0) for at, frame in zip(self.times(item.at), self.frames(item.frame), strict=True)
        )

    def time_wait(self, ledger: TimeWait) -> Iterator[TimeWait]:
        """Each member's ledger, given that of an end of `like`."""
        restarts = self._each([self._restart(item) for item in ledger.restarts])
        ended = zip(self.times(ledger.ended_at), self.frames(ledger.ended_frame), strict=True)
        columns = zip(self._interval(ledger.entered), self._interval(ledger.expires), restarts, ended, strict=True)
        for entered, expires, again, (at, frame) in columns:
            yield ledger._replace(entered=entered, expires=expires, restarts=again, ended_at=at, ended_frame=frame)


class Histories(Sequence[ConnectionHistory]):
    """The histories of all connections of a table, each made when it is asked for."""

    def __init__(self, families: Sequence[Family]) -> None:
        """`families`: every connection is a member of one."""
        self.families = families
        sizes = [len(family.members) for family in families]
        self._family = np.empty(sum(sizes), np.int32)
        if families:
            self._family[np.concatenate([family.members for family in families])] = np.repeat(
                np.arange(len(sizes)), sizes
            )

    def __len__(self) -> int:
        return len(self._family)

    def family(self, connection: int) -> Family:
        """The family that a connection belongs to."""
        return self.families[int(self._family[connection])]

    def like(self, connection: int) -> ConnectionHistory:
        """What a connection shares with its family: all but times and frames."""
        return self.family(connection).like

    def opened(self, how: str) -> list[int]:
        """The connections that opened in this way."""
        return [one for family in self.families if family.like.opening == how for one in family.members.tolist()]

    @overload
    def __getitem__(self, index: int) -> ConnectionHistory: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ConnectionHistory]: ...
    def __getitem__(self, index: int | slice) -> ConnectionHistory | Sequence[ConnectionHistory]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        connection = range(len(self))[index]
        return self.family(connection).history(connection)

    def __iter__(self) -> Iterator[ConnectionHistory]:
        """All in order, made family by family."""
        done: list[ConnectionHistory | None] = [None] * len(self)
        for family in self.families:
            for connection, history in zip(family.members.tolist(), family.histories(), strict=True):
                done[connection] = history
        return (history for history in done if history is not None)
