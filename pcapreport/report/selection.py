"""Which of a capture's connections a document holds as records: the foremost by some order, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from pcapreport.message import Message
from pcapreport.report import model

NO_NUMBER = b'{"id":0'
"""How an encoded connection begins whose number is not known yet."""

Rank = tuple[int, ...]
"""The lower the sooner a connection is shown."""


_decode = msgspec.json.Decoder(model.Connection).decode


class Told(NamedTuple):
    """A connection as JSON, which goes from process to process as it is."""

    text: bytes
    """Its number is 0."""
    messages: dict[str, Message]
    """How its texts were made."""

    def numbered(self, number: int) -> bytes:
        """The JSON with the number that the connection has in the document."""
        return b'{"id":%d' % number + self.text[len(NO_NUMBER) :]

    def record(self, number: int) -> model.Connection:
        """The same decoded."""
        return _decode(self.numbered(number))


class Kept(NamedTuple):
    """A connection that the document may show."""

    rank: Rank
    place: int
    """In the store."""
    told: Told

    def moved(self, by: int) -> Kept:
        """In a store where so many others come first."""
        return self._replace(place=self.place + by)


class Foremost:
    """The connections with the lowest ranks, `most` of them at most (None: all)."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._kept: list[Kept] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._kept)

    def join(self, other: Foremost, place: int) -> None:
        """And those of a later part, whose places in the store begin with this one."""
        self.add(one.moved(place) for one in other)

    def add(self, more: Iterable[Kept]) -> None:
        """Of these and those before the foremost are kept."""
        self._kept = sorted((*self._kept, *more), key=lambda one: one.rank)[: self._most]
