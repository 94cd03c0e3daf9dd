"""Times that remember how they were made, so that one connection's history can be stamped onto others like it.

A `Moment` is an int (ns) that also knows which rows' times it is the sum of, and notes every comparison it took part
in as a guard. A history computed with Moments therefore holds, term by term, for every connection of the same shape
whose own times pass the same guards; no approximation is involved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]


class Sum(NamedTuple):
    """constant + sum of weight * time of row; `terms` are (row, weight), sorted by row."""

    terms: tuple[tuple[int, int], ...]
    constant: int

    def over(self, times: Times) -> Times:
        """Its value for each of m connections; `times`: (rows, m) ns."""
        total = np.full(times.shape[1], self.constant, np.int64)
        for row, weight in self.terms:
            total += weight * times[row] if weight != 1 else times[row]
        return total


class Guard(NamedTuple):
    """The sign that a difference of two times had: -1, 0 or 1, or one of two where the comparison asked no more."""

    difference: Sum
    signs: frozenset[int]


class Moment(int):
    """An int made of rows' times; see the module."""

    terms: Mapping[int, int]
    constant: int
    guards: set[Guard]

    @classmethod
    def of_row(cls, row: int, time: int, guards: set[Guard]) -> Moment:
        """The time of one row; comparisons are noted in `guards`."""
        return cls._made(time, {row: 1}, 0, guards)

    @classmethod
    def _made(cls, value: int, terms: Mapping[int, int], constant: int, guards: set[Guard]) -> Moment:
        self = cls(value)
        self.terms, self.constant, self.guards = terms, constant, guards
        return self

    @property
    def sum(self) -> Sum:
        """How it was made."""
        return Sum(tuple(sorted((row, weight) for row, weight in self.terms.items() if weight)), self.constant)

    def _plus(self, other: int, sign: int) -> Moment:
        terms = dict(self.terms)
        constant = self.constant
        if isinstance(other, Moment):
            for row, weight in other.terms.items():
                terms[row] = terms.get(row, 0) + sign * weight
            constant += sign * other.constant
        else:
            constant += sign * other
        return self._made(int(self) + sign * int(other), terms, constant, self.guards)

    def __add__(self, other: int) -> Moment:
        return self._plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: int) -> Moment:
        return self._plus(other, -1)

    def __rsub__(self, other: int) -> Moment:
        return (self * -1)._plus(other, 1)

    def __mul__(self, factor: int) -> Moment:
        terms = {row: weight * factor for row, weight in self.terms.items()}
        return self._made(int(self) * factor, terms, self.constant * factor, self.guards)

    __rmul__ = __mul__

    def _cannot(self, *_: object) -> NoReturn:
        raise TypeError("a Moment would forget how it was made: compare multiples instead")

    __floordiv__ = __truediv__ = __mod__ = __divmod__ = __neg__ = __abs__ = __round__ = _cannot

    def _compare(self, other: int, asked: frozenset[int]) -> bool:
        """Whether the sign of self - other is in `asked`; notes the guard."""
        difference = self._plus(other, -1)
        holds = (int(difference) > 0) - (int(difference) < 0) in asked
        if difference.terms and any(difference.terms.values()):
            self.guards.add(Guard(difference.sum, asked if holds else _SIGNS - asked))
        return holds

    def __lt__(self, other: int) -> bool:
        return self._compare(other, _BELOW)

    def __le__(self, other: int) -> bool:
        return self._compare(other, _SIGNS - _ABOVE)

    def __gt__(self, other: int) -> bool:
        return self._compare(other, _ABOVE)

    def __ge__(self, other: int) -> bool:
        return self._compare(other, _SIGNS - _BELOW)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and self._compare(other, _SAME)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


_BELOW, _SAME, _ABOVE = frozenset((-1,)), frozenset((0,)), frozenset((1,))
_SIGNS = _BELOW | _SAME | _ABOVE


def passing(guards: set[Guard], times: Times) -> npt.NDArray[np.bool_]:
    """Which of m connections pass all guards; `times`: (rows, m) ns."""
    passed = np.ones(times.shape[1], bool)
    for guard in guards:
        value = guard.difference.over(times)
        fits = np.zeros(times.shape[1], bool)
        for sign in guard.signs:
            fits |= (value < 0) if sign < 0 else (value > 0) if sign > 0 else (value == 0)
        passed &= fits
    return passed
