"""Times that remember how they were made, so that one connection's history can be stamped onto others like it.

A `Moment` is an int (ns) that also knows which rows' times it is the sum of, and notes every comparison it took part
in as a guard. A history computed with Moments therefore holds, term by term, for every connection of the same shape
whose own times pass the same guards; no approximation is involved. The least or greatest of several Moments is a row
of its own (`least`, `greatest`): which of them it is need not be the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
_DIGIT = 64
"""Bits of a weight. How often each row's time counts in a sum is one number, row by row a (signed) digit of it: such
numbers are added and compared in one step, and most never need be taken apart. Products of times and constants that
fit an array have such weights."""
_LOWEST = (1 << _DIGIT) - 1


class ByRow(Protocol):
    """(rows, m): times of m connections."""

    def __getitem__(self, row: int, /) -> Times: ...


class Sum(NamedTuple):
    """constant + sum of weight * time of row."""

    weights: int
    """Of all rows; see _DIGIT."""
    constant: int

    def over(self, times: ByRow) -> Times:
        """Its value for each of m connections, not to be changed: it may be a row itself."""
        if not self.weights:
            return np.full(len(times[0]), self.constant, np.int64)
        total = _summed(_terms(self.weights), times)
        return total + self.constant if self.constant else total


Terms = Sequence[tuple[int, int]]
"""(row, weight), by row, no weight 0."""


@lru_cache(maxsize=1 << 16)
def _terms(weights: int) -> Terms:
    """Rows with their weights: the same few for all connections."""
    found, row = [], 0
    while weights:
        without = ((weights & -weights).bit_length() - 1) // _DIGIT
        weights >>= without * _DIGIT
        weight = weights & _LOWEST
        if weight >> _DIGIT - 1:
            weight -= _LOWEST + 1
        found.append((row + without, weight))
        weights = weights - weight >> _DIGIT
        row += without + 1
    return tuple(found)


def _summed(terms: Terms, times: ByRow) -> Times:
    total: Times | None = None
    for row, weight in terms:
        time = times[row]
        if total is None:
            total = time if weight == 1 else time * weight
        elif weight == -1:
            total = total - time
        else:
            total = total + (time if weight == 1 else time * weight)
    assert total is not None
    return total


class Trace:
    """What one connection's Moments were asked for: how they compared, and which of them were the least or greatest of
    others."""

    def __init__(self, times: Sequence[int]) -> None:
        """`times`: (rows,) ns."""
        self.guards: dict[tuple[int, int], int] = {}
        """(weights, constant) of a difference: that it is below, at or above 0 (bits), or one of two of these where the
        comparisons asked no more."""
        self._times = times
        self._chosen: dict[tuple[bool, tuple[tuple[int, int], ...]], int] = {}

    @property
    def moments(self) -> list[Moment]:
        """Of each row; made when asked for, since each holds on to the trace, which would hold on to them."""
        return [Moment.made_of(time, 1 << row * _DIGIT, 0, self) for row, time in enumerate(self._times)]

    def chosen(self, values: Sequence[int], greatest: bool) -> Moment:
        """The least or greatest of `values`, as a row of its own."""
        among = tuple([(v.weights, v.constant) if isinstance(v, Moment) else (0, v) for v in values])
        row = self._chosen.setdefault((greatest, among), len(self._times) + len(self._chosen))
        plain = [int(v) for v in values]
        return Moment.made_of(max(plain) if greatest else min(plain), 1 << row * _DIGIT, 0, self)

    @cached_property
    def demands(self) -> Demands:
        """What the guards ask; not to be looked at before all is traced."""
        return _demands(self.guards)

    def with_chosen(self, times: Times) -> ByRow:
        """`times`, (rows, m), and what was chosen among them."""
        return _WithChosen(times, list(self._chosen)) if self._chosen else times


class _WithChosen:
    """Rows of times and, found when they are asked for, the least and greatest of them."""

    def __init__(self, times: Times, chosen: Sequence[tuple[bool, tuple[tuple[int, int], ...]]]) -> None:
        self._given, self._chosen = times, chosen
        self._found: dict[int, Times] = {}

    def __getitem__(self, row: int) -> Times:
        if row < len(self._given):
            given: Times = self._given[row]
            return given
        found = self._found.get(row)
        if found is None:
            greatest, among = self._chosen[row - len(self._given)]
            pick = np.maximum if greatest else np.minimum
            first, *others = [Sum(*value).over(self) for value in among]
            for other in others:
                first = pick(first, other)
            found = self._found[row] = first
        return found


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

    weights: int
    constant: int
    trace: Trace

    @classmethod
    def made_of(cls, value: int, weights: int, constant: int, trace: Trace) -> Moment:
        """Of so many times each row; comparisons are noted in `trace`."""
        self = cls(value)
        self.weights, self.constant, self.trace = weights, constant, trace
        return self

    @property
    def sum(self) -> Sum:
        """How it was made."""
        return Sum(self.weights, self.constant)

    def __add__(self, other: int) -> Moment:
        weights, constant = _made_of(other)
        return self.made_of(int.__add__(self, other), self.weights + weights, self.constant + constant, self.trace)

    __radd__ = __add__

    def __sub__(self, other: int) -> Moment:
        weights, constant = _made_of(other)
        return self.made_of(int.__sub__(self, other), self.weights - weights, self.constant - constant, self.trace)

    def __rsub__(self, other: int) -> Moment:
        return self * -1 + other

    def __mul__(self, factor: int) -> Moment:
        return self.made_of(int.__mul__(self, factor), self.weights * factor, self.constant * factor, self.trace)

    __rmul__ = __mul__

    def _cannot(self, *_: object) -> NoReturn:
        raise TypeError("a Moment would forget how it was made: compare multiples instead")

    __floordiv__ = __truediv__ = __mod__ = __divmod__ = __neg__ = __abs__ = __round__ = _cannot

    def _compare(self, other: int, asked: int) -> bool:
        """Whether the sign of self - other is in `asked`; notes how that came out."""
        sign = _ABOVE if int.__gt__(self, other) else _SAME if int.__eq__(self, other) else _BELOW
        holds = sign & asked != 0
        weights, constant = _made_of(other)
        if weights != self.weights:
            guards, guard = self.trace.guards, (self.weights - weights, self.constant - constant)
            guards[guard] = guards.get(guard, _ANY) & (asked if holds else _ANY - asked)
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


def _made_of(value: int) -> tuple[int, int]:
    """(weights, constant)"""
    return (value.weights, value.constant) if isinstance(value, Moment) else (0, value)


class _Range(NamedTuple):
    """What a sum of times must be: at least and at most."""

    terms: Terms
    least: int
    most: int


def passing(trace: Trace, times: Times) -> npt.NDArray[np.bool_]:
    """Which of m connections pass all guards; `times`: (rows, m) ns."""
    ranges, barred = trace.demands
    implied = set(_implied(ranges, times))
    by_rows: list[_Range] = []
    by_chosen: list[_Range] = []
    for index, one in enumerate(ranges):
        if index not in implied:
            (by_rows if one.terms[-1][0] < len(times) else by_chosen).append(one)
    passed = _within(by_rows, times, times.shape[1])
    left = np.flatnonzero(passed)  # most who fail do not have the order of events
    rows = trace.with_chosen(times.take(left, axis=1) if len(left) < len(passed) else times)
    fits = _within(by_chosen, rows, len(left))
    for difference in barred:
        fits &= difference.over(rows) != 0
    passed[left] = fits
    return passed


def _within(ranges: Sequence[_Range], times: ByRow, count: int) -> npt.NDArray[np.bool_]:
    """Of which of `count` connections all these sums of times are in their ranges."""
    within = np.ones(count, bool)
    for terms, least, most in ranges:
        value = _summed(terms, times)
        if least > -_FAR:
            within &= value >= least
        if most < _FAR:
            within &= value <= most
    return within


Demands = tuple[Sequence[_Range], Sequence[Sum]]
"""(ranges of the sums of times that guards are about, sums that must not be 0)"""


def _demands(guards: Mapping[tuple[int, int], int]) -> Demands:
    """Many guards ask about the same two rows, and differ by constants or the sign alone."""
    ranges: dict[int, tuple[int, int]] = {}
    barred: list[Sum] = []
    for (weights, constant), signs in guards.items():
        if signs == _BELOW | _ABOVE:
            barred.append(Sum(weights, constant))
            continue
        if weights < 0:
            weights, constant, signs = -weights, -constant, _TURNED[signs]
        strictly = not signs & _SAME
        least, most = ranges.get(weights, (-_FAR, _FAR))
        if not signs & _BELOW:
            least = max(least, strictly - constant)
        if not signs & _ABOVE:
            most = min(most, -constant - strictly)
        ranges[weights] = least, most
    return [_Range(_terms(weights), *ends) for weights, ends in ranges.items()], barred


_TURNED = [signs & _SAME | (signs & _ABOVE and _BELOW) | (signs & _BELOW and _ABOVE) for signs in range(_ANY + 1)]
"""Of the other difference: what was below is above."""


def _implied(ranges: Sequence[_Range], times: Times) -> Iterator[int]:
    """Which need not be looked at since rows follow each other in time: their order, and of those that must not fall
    together all but the nearest."""
    stretch = np.cumsum(np.append(False, (times[1:] < times[:-1]).any(axis=1))).tolist()
    orders: list[tuple[int, int, int]] = []
    for index, (terms, least, most) in enumerate(ranges):
        if most == _FAR and 0 <= least <= 1 and len(terms) == 2 and terms[0][1] == -1 and terms[1][1] == 1:
            first, last = terms[0][0], terms[1][0]
            if last < len(times) and stretch[first] == stretch[last]:
                orders.append((last, -first, index))
    nearest = -1
    for _, minus_first, index in sorted(orders):
        if ranges[index].least == 0 or -minus_first <= nearest:
            yield index
        else:
            nearest = -minus_first
