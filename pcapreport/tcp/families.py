"""Histories as columns: what many connections have in common is held once, their times and frames as arrays.

A history is made of a family's columns when it is asked for. Whoever goes over all connections of a capture asks the
families: how they opened and closed and which states they went through is one answer for thousands of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from typing import NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.history import (
    ConnectionHistory,
    EndpointHistory,
    Restart,
    TimeWait,
    Transition,
    Withdrawn,
    with_values,
)
from pcapreport.tcp.later_syns import with_later_syns
from pcapreport.tcp.moment import ByRow, Moment, Sum, Trace

Ints = npt.NDArray[np.int64]
T = TypeVar("T")

AT_ONCE = 10_000
"""Histories that are made together: they take some 50 MB."""
FEW, MOST_KEPT = 64, 500
"""Members of a family whose histories take little longer to make than that of one; histories that are kept."""


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


class Traced(NamedTuple):
    """What a family's times and frames are made of."""

    trace: Trace
    """Of one of its members."""
    rows: Rows
    capture_end: int
    """ns"""

    def times(self, members: Ints) -> ByRow:
        """(rows, members): of the rows, of the capture's end, and what was chosen among them."""
        end = np.full(len(members), self.capture_end, np.int64)
        return self.trace.with_chosen(np.vstack([self.rows.times(members), end]))


class Family:
    """Connections whose histories differ in nothing but times and frames."""

    like: ConnectionHistory
    """What they have in common: states, rules, how sure those are, how they opened and closed. Of a family of several
    its times and frames are to be read by `times` and `frames` alone."""
    members: Ints
    """The connections, ascending."""

    def __init__(self, like: ConnectionHistory, members: Ints, traced: Traced | None = None) -> None:
        """`like` was traced (see `moment`) over the rows of a member; if not it is the one member's history."""
        self.like, self.members = like, members
        self._traced = traced
        self._made: dict[Sum, Ints] = {}

    def times(self, time: int) -> Ints:
        """Each member's value of a time in `like`, ns."""
        if not isinstance(time, Moment):
            return np.full(len(self.members), time, np.int64)
        how = time.sum
        made = self._made.get(how)
        if made is None:
            made = self._made[how] = how.over(self._times)
        return made

    def frames(self, frame: int) -> Ints:
        """Each member's value of a frame in `like`."""
        if self._traced is None:
            return np.full(len(self.members), frame, np.int64)
        rows = self._traced.rows
        return rows.frame.take(rows.bounds[self.members] + frame)

    @cached_property
    def _times(self) -> ByRow:
        assert self._traced is not None
        return self._traced.times(self.members)

    def _each_time(self, time: int | None) -> Sequence[int | None]:
        return (None,) * len(self.members) if time is None else self.times(time).tolist()

    def _each_frame(self, frame: int | None) -> Sequence[int | None]:
        return (None,) * len(self.members) if frame is None else self.frames(frame).tolist()

    def histories(self) -> Iterator[ConnectionHistory]:
        """Each member's history."""
        if self._traced is None or not len(self.members):
            return iter((self.like,) * len(self.members))
        opening, closing = self.like.opening, self.like.closing
        client, server = self._endpoint(self.like.client), self._endpoint(self.like.server)
        return (ConnectionHistory(c, s, opening, closing) for c, s in zip(client, server, strict=True))

    def columns(self) -> ConnectionHistory:
        """All members' histories as one: `like` with an array over the members in place of each time and frame."""
        frames = cache(self.frames)  # so that one frame is one column, as one time is
        return ConnectionHistory(
            with_values(self.like.client, self.times, frames),
            with_values(self.like.server, self.times, frames),
            self.like.opening,
            self.like.closing,
        )

    def some(self, start: int, stop: int) -> Family:
        """The members among the connections from `start` up to `stop`."""
        first, last = np.searchsorted(self.members, (start, stop))
        return self.only(self.members[first:last])

    def only(self, members: Ints) -> Family:
        """These of the members."""
        return self if len(members) == len(self.members) else Family(self.like, members, self._traced)

    def _endpoint(self, end: EndpointHistory) -> Iterator[EndpointHistory]:
        final = end.possible_final
        rows = self._each([self._transition(item) for item in end.transitions])
        waits = (None,) * len(self.members) if end.time_wait is None else self._time_wait(end.time_wait)
        notes = self._each([self._withdrawn(note) for note in end.withdrawn])
        for row, wait, told in zip(rows, waits, notes, strict=True):
            yield EndpointHistory(row, final, wait, told)

    def _each(self, columns: Sequence[Iterable[T]]) -> Iterable[tuple[T, ...]]:
        return zip(*columns, strict=True) if columns else ((),) * len(self.members)

    def _transition(self, item: Transition) -> Iterator[Transition]:
        state, rule, certainty, note = item.state, item.rule, item.certainty, item.note
        times = zip(*self._interval((item.earliest, item.latest)), self._each_frame(item.frame), strict=True)
        return (Transition(state, a, b, frame, rule, certainty, note) for a, b, frame in times)

    def _withdrawn(self, note: Withdrawn) -> Iterator[Withdrawn]:
        named = zip(*(self.frames(frame).tolist() for frame in note.frames), strict=True)
        return (note._replace(frames=each) for each in named)

    def _interval(self, ends: tuple[int | None, int | None]) -> tuple[Sequence[int | None], Sequence[int | None]]:
        return self._each_time(ends[0]), self._each_time(ends[1])

    def _restart(self, item: Restart) -> Iterator[Restart]:
        columns = zip(self.times(item.at).tolist(), self.frames(item.frame).tolist(), strict=True)
        return (item._replace(at=at, frame=frame) for at, frame in columns)

    def _time_wait(self, ledger: TimeWait) -> Iterator[TimeWait]:
        entered, expires = (zip(*self._interval(ends), strict=True) for ends in (ledger.entered, ledger.expires))
        restarts = self._each([self._restart(item) for item in ledger.restarts])
        ended = zip(self._each_time(ledger.ended_at), self._each_frame(ledger.ended_frame), strict=True)
        for a, b, again, (at, frame) in zip(entered, expires, restarts, ended, strict=True):
            yield ledger._replace(entered=a, expires=b, restarts=again, ended_at=at, ended_frame=frame)


class Histories(Sequence[ConnectionHistory]):
    """The histories of all connections of a table, each made when it is asked for."""

    def __init__(self, table: ConnectionTable, families: Sequence[Family]) -> None:
        """`families`: every connection is a member of one."""
        self.families = families
        self._table = table
        self._followed = table.successor >= 0
        self._family = np.empty(len(table), np.int32)
        for number, family in enumerate(families):
            self._family[family.members] = number
        self._met: dict[int, ConnectionHistory] = {}
        self._made: dict[int, ConnectionHistory] = {}
        """Those asked for, and their like: more often than not those are asked for next."""

    def __len__(self) -> int:
        return len(self._family)

    def like(self, connection: int) -> ConnectionHistory:
        """What a connection shares with its family: all but times, frames and later SYNs."""
        return self.families[int(self._family[connection])].like

    def opened(self, how: str) -> list[int]:
        """The connections that opened in this way."""
        return [one for family in self.families if family.like.opening == how for one in family.members.tolist()]

    def closed(self, how: str) -> list[int]:
        """The connections that closed in this way."""
        return [one for family in self.families if family.like.closing == how for one in family.members.tolist()]

    def rules(self) -> set[str]:
        """Of all transitions."""
        likes = [family.like for family in self.families]
        return {item.rule for like in likes for end in (like.client, like.server) for item in end.transitions}

    def of(self, family: Family) -> Iterator[tuple[int, ConnectionHistory]]:
        """(connection, history) of each member."""
        for connection, history in zip(family.members.tolist(), family.histories(), strict=True):
            yield connection, self._whole(connection, history)

    def with_later_syns(self, family: Family) -> npt.NDArray[np.bool_]:
        """Which members' TIME-WAIT may have met SYNs."""
        if family.like.client.time_wait is None and family.like.server.time_wait is None:
            return np.zeros(len(family.members), np.bool_)
        return self._followed[family.members]

    def has_words(self, connection: int) -> bool:
        """Whether something of its history is told in words: what was withdrawn, what met its TIME-WAIT."""
        like = self.like(connection)
        waited = like.client.time_wait is not None or like.server.time_wait is not None
        return bool(like.client.withdrawn or like.server.withdrawn or (waited and self._followed[connection]))

    def _whole(self, connection: int, history: ConnectionHistory) -> ConnectionHistory:
        """With the SYNs that met its TIME-WAIT, which are its own and not its family's."""
        if not self._followed[connection] or history.client.time_wait is None and history.server.time_wait is None:
            return history
        if connection not in self._met:
            self._met[connection] = with_later_syns(self._table, connection, history)
        return self._met[connection]

    @overload
    def __getitem__(self, index: int) -> ConnectionHistory: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ConnectionHistory]: ...
    def __getitem__(self, index: int | slice) -> ConnectionHistory | Sequence[ConnectionHistory]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        connection = range(len(self))[index]
        if connection not in self._made:
            if len(self._made) > MOST_KEPT:
                self._made.clear()
            family = self.families[int(self._family[connection])]
            asked_for = family if len(family.members) <= FEW else family.some(connection, connection + 1)
            self._made.update(self.of(asked_for))
        return self._made[connection]

    def __iter__(self) -> Iterator[ConnectionHistory]:
        """All in order, many made at a time."""
        for start in range(0, len(self), AT_ONCE):
            stop = min(start + AT_ONCE, len(self))
            made: dict[int, ConnectionHistory] = {}
            for number in np.unique(self._family[start:stop]).tolist():
                made.update(self.of(self.families[number].some(start, stop)))
            yield from map(made.__getitem__, range(start, stop))
