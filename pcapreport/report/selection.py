"""Which of a capture's connections a document holds as records: the foremost by some order, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from pcapreport.message import Message
from pcapreport.report import model

NO_NUMBER = b'{"id":0'
"""How an encoded connection begins whose number is not known yet."""

Rank = tuple[int, ...]
"""The lower the sooner a connection is shown."""
ALIKE = 3
"""Connections of a kind that are told in detail before others of it: a hundred refusals look the same."""
FEW, MOST = 10, 30
"""Connections told in detail where there are as many, and at most, unless the user says how many."""

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
    kind: str = ""
    """What it is an example of."""

    def moved(self, by: int) -> Kept:
        """In a store where so many others come first."""
        return self._replace(place=self.place + by)


class Foremost:
    """The connections with the lowest ranks, `most` of them at most (None: all)."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._kept: list[Kept] = []

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._kept)

    def join(self, other: Foremost, place: int) -> None:
        """And those of a later part, whose places in the store begin with this one."""
        self.add(one.moved(place) for one in other)

    def add(self, more: Iterable[Kept]) -> None:
        """Of these and those before the foremost are kept."""
        self._kept = sorted((*self._kept, *more), key=lambda one: one.rank)[: self._most]


class Examples:
    """The connections told in detail: the foremost few of each kind, then the foremost of the others.

    No part of a capture knows what the others hold, so each keeps what might be among them.
    """

    def __init__(self, most: int | None) -> None:
        """`most` as the user says; None: enough to show each kind."""
        self._few, self._most = (FEW, MOST) if most is None else (most, most)
        self._kept: list[Kept] = []

    def among(self, kinds: Sequence[str]) -> list[int]:
        """Of connections in the order of their ranks, the places of those that may be told in detail.

        Of the whole capture these, up to the limit, are told: it has no fewer first ones of a kind than a part has, so
        the part never needs more of the others to be few.
        """
        if not self._most:
            return []
        first, others = _first_of_kinds(kinds)
        return [*first, *others[: max(self._few - len(first), 0)]]

    def join(self, other: Examples, place: int) -> None:
        """And those of a later part, whose places in the store begin with this one."""
        self.add(one.moved(place) for one in other._kept)

    def add(self, more: Iterable[Kept]) -> None:
        """Of these and those before, what may be told in detail is kept."""
        ranked = sorted((*self._kept, *more), key=lambda one: one.rank)
        self._kept = [ranked[at] for at in self.among([one.kind for one in ranked])]

    def chosen(self) -> list[Kept]:
        """Those told in detail."""
        return self._kept[: self._most]


def _first_of_kinds(kinds: Sequence[str]) -> tuple[list[int], list[int]]:
    """Places of the first few of each kind, and of all others."""
    codes = {kind: code for code, kind in enumerate(dict.fromkeys(kinds))}
    kind = np.array([codes[one] for one in kinds], np.int32)
    order = np.argsort(kind, kind="stable")
    nth = np.empty(len(kind), np.int64)
    nth[order] = np.arange(len(kind)) - np.searchsorted(kind[order], kind[order])
    return np.flatnonzero(nth < ALIKE).tolist(), np.flatnonzero(nth >= ALIKE).tolist()
