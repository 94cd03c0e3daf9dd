"""Paths of the layers outside a segment, numbered."""

from __future__ import annotations

MOST_PATHS = 0xFFFF
"""Paths told apart; a network has a few hundred."""


class Encapsulations:
    """The paths met so far, numbered in order of appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, path: str) -> int:
        """The number of this path; the last number stands for all beyond what the column can hold."""
        number = self._numbers.get(path)
        if number is None:
            number = len(self._numbers)
            if number >= MOST_PATHS:
                return self._numbers.setdefault("others", MOST_PATHS)
            self._numbers[path] = number
        return number

    def paths(self) -> tuple[str, ...]:
        return tuple(self._numbers)
