"""Times that remember how they were made, so that one connection's history can be stamped onto others like it.

A `Moment` is an int (ns) that also knows which rows' times it is the sum of, and notes every comparison it took part
in as a guard. A history computed with Moments therefore holds, term by term, for every connection of the same shape
whose own times pass the same guards; no approximation is involved. The least or greatest of several Moments is a row
of its own (`least`, `greatest`): which of them it is need not be the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Terms = tuple[tuple[int, int], ...]
"""(row, weight), by row, no weight 0."""


class Sum(NamedTuple):
    """constant + sum of weight * time of row."""

    terms: Terms
    constant: int

    def over(self, times: Times | Sequence[Times]) -> Times:
        """Its value for each of m connections; `times`: (rows, m) ns."""
        if not self.terms:
            return np.full(len(times[0]), self.constant, np.int64)
        (row, weight), *others = self.terms
        total: Times = times[row] * weight
        for row, weight in others:
            if weight == 1:
                total += times[row]
            elif weight == -1:
                total -= times[row]
            else:
                total += weight * times[row]
        if self.constant:
            total += self.constant
        return total


class Guard(NamedTuple):
    """How a comparison of two times came out: `left` - `right` + `constant` is below, at or above 0 (bits of `signs`),
    or one of two of these where the comparison asked no more."""

    left: Terms
    right: Terms
    constant: int
    signs: int


class Trace:
    """What one connection's Moments were asked for: guards, and which of them were the least or greatest of others."""

    def __init__(self, times: Sequence[int]) -> None:
        """`times`: (rows,) ns."""
        self.guards: set[Guard] = set()
        self.moments = [Moment.made_of(time, ((row, 1),), 0, self) for row, time in enumerate(times)]
        """Of each row."""
        self._chosen: dict[tuple[bool, tuple[Sum, ...]], int] = {}

    def chosen(self, values: Sequence[int], greatest: bool) -> Moment:
        """The least or greatest of `values`, as a row of its own."""
        among = tuple(v.sum if isinstance(v, Moment) else Sum((), v) for v in values)
        row = self._chosen.setdefault((greatest, among), len(self.moments) + len(self._chosen))
        plain = [int(v) for v in values]
        return Moment.made_of(max(plain) if greatest else min(plain), ((row, 1),), 0, self)

    def with_chosen(self, times: Times) -> Times | Sequence[Times]:
        """`times`, (rows, m), and what was chosen among them."""
        if not self._chosen:
            return times
        rows = list(times)
        for greatest, among in self._chosen:
            pick = np.maximum if greatest else np.minimum
            rows.append(pick.reduce([value.over(rows) for value in among]))
        return rows


def least(values: Sequence[int]) -> int:
    """`min`, of Moments as well."""
    return _chosen(values, False)


def greatest(values: Sequence[int]) -> int:
    """`max`, of Moments as well."""
    return _chosen(values, True)


def _chosen(values: Sequence[int], greatest: bool) -> int:
    traced = next((v for v in values if isinstance(v, Moment)), None)
    if traced is None or len(values) == 1:
        return max(values) if greatest else min(values)
    return traced.trace.chosen(values, greatest)


class Moment(int):
    """An int made of rows' times; see the module."""

    terms: Terms
    constant: int
    trace: Trace

    @classmethod
    def made_of(cls, value: int, terms: Terms, constant: int, trace: Trace) -> Moment:
        """Of so many times each of these rows; comparisons are noted in `trace`."""
        self = cls(value)
        self.terms, self.constant, self.trace = terms, constant, trace
        return self

    @property
    def sum(self) -> Sum:
        """How it was made."""
        return Sum(self.terms, self.constant)

    def _plus(self, other: int, sign: int) -> Moment:
        value = int(self) + sign * int(other)
        if isinstance(other, Moment):
            constant = self.constant + sign * other.constant
            return self.made_of(value, _added(self.terms, other.terms, sign), constant, self.trace)
        return self.made_of(value, self.terms, self.constant + sign * other, self.trace)

    def __add__(self, other: int) -> Moment:
        return self._plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: int) -> Moment:
        return self._plus(other, -1)

    def __rsub__(self, other: int) -> Moment:
        return (self * -1)._plus(other, 1)

    def __mul__(self, factor: int) -> Moment:
        terms = tuple((row, weight * factor) for row, weight in self.terms) if factor else ()
        return self.made_of(int(self) * factor, terms, self.constant * factor, self.trace)

    __rmul__ = __mul__

    def _cannot(self, *_: object) -> NoReturn:
        raise TypeError("a Moment would forget how it was made: compare multiples instead")

    __floordiv__ = __truediv__ = __mod__ = __divmod__ = __neg__ = __abs__ = __round__ = _cannot

    def _compare(self, other: int, asked: int) -> bool:
        """Whether the sign of self - other is in `asked`; notes the guard."""
        mine, other_value = int(self), int(other)
        sign = _ABOVE if mine > other_value else _BELOW if mine < other_value else _SAME
        holds = sign & asked != 0
        terms, constant = (other.terms, other.constant) if isinstance(other, Moment) else ((), other)
        if terms != self.terms:
            self.trace.guards.add(Guard(self.terms, terms, self.constant - constant, asked if holds else _ANY - asked))
        return holds

    def __lt__(self, other: int) -> bool:
        return self._compare(other, _BELOW)

    def __le__(self, other: int) -> bool:
        return self._compare(other, _BELOW | _SAME)

    def __gt__(self, other: int) -> bool:
        return self._compare(other, _ABOVE)

    def __ge__(self, other: int) -> bool:
        return self._compare(other, _ABOVE | _SAME)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and self._compare(other, _SAME)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


_BELOW, _SAME, _ABOVE = 1, 2, 4
_ANY = _BELOW | _SAME | _ABOVE
_FAR = 1 << 62
"""No sum of times comes so far: an open end of a range."""


def _added(left: Terms, right: Terms, sign: int) -> Terms:
    """`left` + `sign` * `right`."""
    if len(left) == 1 and len(right) == 1 and left[0][0] != right[0][0]:
        (row, weight), (other, more) = left[0], right[0]
        return ((row, weight), (other, sign * more)) if row < other else ((other, sign * more), (row, weight))
    weights = dict(left)
    for row, weight in right:
        weights[row] = weights.get(row, 0) + sign * weight
    return tuple(sorted((row, weight) for row, weight in weights.items() if weight))


def passing(trace: Trace, times: Times) -> npt.NDArray[np.bool_]:
    """Which of m connections pass all guards; `times`: (rows, m) ns."""
    ranges, barred = _ranges(trace.guards)
    for terms in list(_implied(ranges, times)):
        del ranges[terms]
    order: dict[Terms, tuple[int, int]] = {
        terms: ends for terms, ends in ranges.items() if len(terms) == 2 and terms[1][0] < len(times)
    }
    passed = _within(order, times)
    left = np.flatnonzero(passed)  # most who fail do not have the order of events
    times = times.take(left, axis=1) if len(left) < len(passed) else times
    rows = trace.with_chosen(times)
    fits = _within({terms: ends for terms, ends in ranges.items() if terms not in order}, rows)
    for difference in barred:
        fits &= difference.over(rows) != 0
    passed[left] = fits
    return passed


def _within(ranges: Mapping[Terms, tuple[int, int]], times: Times | Sequence[Times]) -> npt.NDArray[np.bool_]:
    """Of which of m connections all these sums of times are in their ranges."""
    within = np.ones(len(times[0]), bool)
    for terms, (least, most) in ranges.items():
        value = Sum(terms, 0).over(times)
        if least > -_FAR:
            within &= value >= least
        if most < _FAR:
            within &= value <= most
    return within


def _ranges(guards: Iterable[Guard]) -> tuple[dict[Terms, tuple[int, int]], list[Sum]]:
    """(least and most of each sum of times that guards are about, sums that must not be 0): many guards ask about the
    same two rows, and differ by constants or the sign alone."""
    ranges: dict[Terms, tuple[int, int]] = {}
    barred: list[Sum] = []
    for left, right, constant, signs in guards:
        terms, zero, below, above = _added(left, right, -1), -constant, _BELOW, _ABOVE
        if signs & below and signs & above:
            barred.append(Sum(terms, constant))
            continue
        if terms[0][1] < 0:
            terms, zero, below, above = tuple((row, -weight) for row, weight in terms), constant, _ABOVE, _BELOW
        strictly = not signs & _SAME
        least, most = ranges.get(terms, (-_FAR, _FAR))
        if not signs & below:
            least = max(least, zero + strictly)
        if not signs & above:
            most = min(most, zero - strictly)
        ranges[terms] = least, most
    return ranges, barred


def _implied(ranges: Mapping[Terms, tuple[int, int]], times: Times) -> Iterator[Terms]:
    """What need not be looked at since rows follow each other in time: their order, and of those that must not fall
    together all but the nearest."""
    stretch = np.cumsum(np.append(False, (times[1:] < times[:-1]).any(axis=1))).tolist()
    orders: list[tuple[int, int, Terms]] = []
    for terms, (least, most) in ranges.items():
        if least == -_FAR and -1 <= most <= 0 and len(terms) == 2 and terms[0][1] == 1 and terms[1][1] == -1:
            first, last = terms[0][0], terms[1][0]
            if last < len(times) and stretch[first] == stretch[last]:
                orders.append((last, -first, terms))
    nearest = -1
    for _, minus_first, terms in sorted(orders):
        if ranges[terms][1] == 0 or -minus_first <= nearest:
            yield terms
        else:
            nearest = -minus_first
