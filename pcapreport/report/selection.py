"""Which of a capture's connections a document holds as records: the foremost by some order, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pcapreport.report import model

Rank = tuple[int, ...]
"""The lower the sooner a connection is shown."""


class Kept(NamedTuple):
    """A connection that the document may show."""

    rank: Rank
    place: int
    """In the store."""
    connection: model.Connection
    """Without its number."""


class Foremost:
    """The connections with the lowest ranks, `most` of them at most (None: all)."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._kept: list[Kept] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._kept)

    def admits(self, rank: Rank) -> bool:
        """Whether one of this rank would be kept."""
        return self._most is None or len(self._kept) < self._most or (self._most > 0 and rank < self._kept[-1].rank)

    def add(self, more: Iterable[Kept]) -> None:
        """Of these and those before the foremost are kept."""
        self._kept = sorted((*self._kept, *more), key=lambda one: one.rank)[: self._most]
