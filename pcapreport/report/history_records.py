"""State histories as the document tells them: of one connection, or of all that share a history at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pcapreport.report import model
from pcapreport.report.stencil import Stencil
from pcapreport.report.time_wait_records import time_wait_record
from pcapreport.report.times import Clock
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.estimate import estimates
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory
from pcapreport.tcp.states import State
from pcapreport.tcp.vantage import UNKNOWN_NS

Ints = npt.NDArray[np.int64]

_ALONE = -1
LEAST_ALIKE = 3
"""Fewer connections are told one by one: that is quicker."""


def endpoints_record(history: ConnectionHistory, round_trip: Sequence[int], clock: Clock) -> model.Endpoints:
    """Both ends of one connection; `round_trip` between the tap and each, ns or UNKNOWN_NS."""
    ends = zip((history.client, history.server), round_trip, strict=True)
    client, server = (_endpoint(end, estimates(end.transitions, trip, trip != UNKNOWN_NS), clock) for end, trip in ends)
    return model.Endpoints(client=client, server=server)


def endpoints_texts(family: Family, histories: Histories, round_trip: Ints, clock: Clock) -> list[bytes]:
    """The same of every member of a family, encoded; `round_trip`: (connections, 2)."""
    kinds = _kinds(family, histories, round_trip)
    if len(kinds) and (kinds == kinds[0]).all():
        return list(_of_kind(family, int(kinds[0]), histories, round_trip, clock))
    texts: list[bytes] = [b""] * len(kinds)
    for kind in set(kinds.tolist()):
        some = np.flatnonzero(kinds == kind)
        of_kind = _of_kind(family.only(family.members[some]), kind, histories, round_trip, clock)
        for at, text in zip(some.tolist(), of_kind, strict=True):
            texts[at] = text
    return texts


def _of_kind(family: Family, kind: int, histories: Histories, round_trip: Ints, clock: Clock) -> Iterator[bytes]:
    if kind != _ALONE:
        return _of_all(family, round_trip, clock)
    encode = model.encoder().encode
    return (
        encode(endpoints_record(history, round_trip[connection].tolist(), clock))
        for connection, history in histories.of(family)
    )


def _told_alone(family: Family, histories: Histories) -> npt.NDArray[np.bool_]:
    """Which members need a record of their own: what met their TIME-WAIT, or was withdrawn, is told in words."""
    few = len(family.members) < LEAST_ALIKE
    if few or family.like.client.withdrawn or family.like.server.withdrawn:
        return np.ones(len(family.members), np.bool_)
    return histories.with_later_syns(family)


def _kinds(family: Family, histories: Histories, round_trip: Ints) -> Ints:
    """Of each member with which others it is told together, since they differ in values alone, or _ALONE: of some the
    round trips were measured, of some not."""
    measured = round_trip[family.members] != UNKNOWN_NS
    together = measured[:, CLIENT] * 2 + measured[:, SERVER]
    return np.where(_told_alone(family, histories), _ALONE, together)


def _of_all(family: Family, round_trip: Ints, clock: Clock) -> Iterator[bytes]:
    """Of all members; whether the round trips were measured is the same for all."""
    stencil = Stencil(len(family.members))
    pen = _ColumnClock(clock.zero_ns, stencil)
    history, trips = family.columns(), round_trip[family.members]
    ends = zip((history.client, history.server), trips.T, strict=True)
    client, server = (_endpoint(end, _estimate_columns(end, trip, pen), pen) for end, trip in ends)
    return stencil.fill(model.Endpoints(client=client, server=server))


def _estimate_columns(end: EndpointHistory, trip: Ints, pen: _ColumnClock) -> Sequence[Any]:
    measured = bool(trip[0] != UNKNOWN_NS)
    return estimates(end.transitions, cast(int, trip), measured, np.maximum, np.minimum)


@dataclass(frozen=True, slots=True)
class _ColumnClock(Clock):
    """Tells columns of times and frames: for each there is a slot in the record."""

    stencil: Stencil

    def seconds(self, time_ns: Any) -> Any:
        return self.stencil.seconds(time_ns, self.zero_ns)

    def frame(self, frame: Any) -> Any:
        return None if frame is None else self.stencil.numbers(frame)


def _endpoint(end: EndpointHistory, moments: Sequence[int | None], clock: Clock) -> model.EndpointHistory:
    ledger = end.time_wait
    return model.EndpointHistory(
        history=[
            model.Transition(
                state=item.state,
                entered_s=(clock.maybe(item.earliest), clock.maybe(item.latest)),
                estimate_s=clock.maybe(moment),
                frame=clock.frame(item.frame),
                rule=item.rule,
                certainty=cast(model.Certainty, item.certainty),
                note=item.note,
            )
            for item, moment in zip(end.transitions, moments, strict=True)
        ],
        possible_final_states=list(_names(end.possible_final)),
        time_wait=None if ledger is None else time_wait_record(ledger, clock),
        withdrawn=[note.told() for note in end.withdrawn],
    )


@lru_cache(maxsize=256)
def _names(states: frozenset[State]) -> tuple[str, ...]:
    """States by name; there are few different sets of them."""
    return tuple(sorted(states))
