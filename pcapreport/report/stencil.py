"""Records alike but for some values, encoded together: one record with slots, and for each slot a column of texts.

A capture has tens of thousands of connections of some hundred kinds. To make the record of each and encode it costs
ten times as much as to encode one of each kind and to fill in the values of all of its kind, column by column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from pcapreport.report.model import Record, encoder
from pcapreport.settings import SECOND

Ints = npt.NDArray[np.signedinteger[Any]] | npt.NDArray[np.unsignedinteger[Any]]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T")
Texts = Sequence[bytes]
"""JSON, one for each record."""

NULL = b"null"
AT_ONCE = 1 << 14
"""Numbers that are written together."""
_EXACT = 1 << 53
"""Whole numbers up to here are the same as floats."""
_SLOT = re.compile(rb"\x00(\d+)\x00")
"""JSON never holds a NUL, so nothing that a capture says looks like it."""
_KEY = re.compile(rb',"\w+":$')


def batched(items: Iterable[T], count: int) -> Iterator[tuple[T, ...]]:
    """So many at a time; as `itertools.batched`, which is there from Python 3.12 on."""
    rest = iter(items)
    while some := tuple(islice(rest, count)):
        yield some


def numbers(values: Ints) -> list[bytes]:
    """Whole numbers."""
    return _elements(values.tolist())


def seconds(ns: Ints) -> list[bytes]:
    """Nanoseconds as seconds."""
    if len(ns) and max(int(ns.max()), -int(ns.min())) > _EXACT:
        return _elements([value / SECOND for value in ns.tolist()])
    return _elements((ns / SECOND).tolist())


def strings(values: Sequence[str]) -> list[bytes]:
    """Texts, many of them the same."""
    encode = encoder().encode
    known = {value: encode(value) for value in set(values)}
    return [known[value] for value in values]


def where(given: Bools, texts: Texts) -> Texts:
    """The texts, and null where none is given."""
    if given.all():
        return texts
    return [text if has else NULL for text, has in zip(texts, given.tolist(), strict=True)]


def _elements(values: Sequence[float]) -> list[bytes]:
    return msgspec.json.encode(values)[1:-1].split(b",") if values else []


_Writer = Callable[[Ints], list[bytes]]


class _Numeric(NamedTuple):
    """A column of numbers."""

    values: Ints
    """Kept, so that no other takes its place."""
    since: int
    column: int
    slot: Any


class Stencil:
    """Makes the JSON of `count` records; its methods give what stands for a column in the record to be filled."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._columns: list[Iterable[bytes]] = []
        self._optional: set[int] = set()
        self._numeric: dict[tuple[_Writer, int, int], _Numeric] = {}
        """By how it is written, by identity and since when: what is yet to be written."""

    def texts(self, texts: Iterable[bytes]) -> Any:
        """Values that are JSON already."""
        self._columns.append(texts)
        return msgspec.Raw(b"\0%d\0" % (len(self._columns) - 1))

    def string(self, form: str, *slots: Any) -> Any:
        """A string with what these slots stand for in place of each {}; neither may hold what JSON escapes."""
        return msgspec.Raw(b'"%b"' % form.format(*(bytes(slot).decode() for slot in slots)).encode())

    def numbers(self, values: Ints) -> Any:
        """Whole numbers."""
        return self._later(numbers, values)

    def seconds(self, ns: Ints, since: int = 0) -> Any:
        """Nanoseconds, as seconds since `since`."""
        return self._later(seconds, ns, since)

    def optional(self, given: Bools, texts: Iterable[bytes]) -> Any:
        """Values of a field that is left out where none is given; not of the first field of its record."""
        if not given.all():
            self._optional.add(len(self._columns))
            texts = [text if has else b"" for text, has in zip(texts, given.tolist(), strict=True)]
        return self.texts(texts)

    def _later(self, write: _Writer, values: Ints, since: int = 0) -> Any:
        key = write, id(values), since
        if key not in self._numeric:
            self._numeric[key] = _Numeric(values, since, len(self._columns), self.texts(()))
        return self._numeric[key].slot

    def _write(self, write: _Writer) -> None:
        """Columns that hold the same are written once, and short ones together."""
        columns: dict[bytes, list[int]] = {}
        for writer, one in ((key[0], one) for key, one in self._numeric.items()):
            if writer is write:
                content = (one.values - one.since if one.since else one.values).astype(np.int64, copy=False).tobytes()
                columns.setdefault(content, []).append(one.column)
        for some in batched(columns, AT_ONCE // max(self.count, 1) or 1):
            texts = write(np.frombuffer(b"".join(some), np.int64))
            for at, content in enumerate(some):
                own = texts[at * self.count : (at + 1) * self.count]
                for column in columns[content]:
                    self._columns[column] = own

    def fill(self, record: Record) -> Iterator[bytes]:
        """The JSON of each record."""
        self._write(numbers)
        self._write(seconds)
        literal, *rest = _SLOT.split(encoder().encode(record))
        columns: list[Iterable[bytes]] = []
        for number, after in zip(map(int, rest[::2]), rest[1::2], strict=True):
            texts = self._columns[number]
            if number in self._optional:
                key = _KEY.search(literal)
                assert key, "the first field of a record cannot be left out"
                literal, name = literal[: key.start()], key.group()
                texts = [name + text if text else text for text in texts]
            columns += [repeat(literal, self.count), texts]
            literal = after
        columns.append(repeat(literal, self.count))
        return map(b"".join, zip(*columns, strict=True))
