"""Paths of the layers outside a segment, numbered."""

from __future__ import annotations


class Encapsulations:
    """The paths met so far, numbered in order of appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, path: str) -> int:
        """The number of this path; the column's last number stands for all beyond it."""
        return self._numbers.setdefault(path, min(len(self._numbers), 0xFFFF))

    def paths(self) -> tuple[str, ...]:
        return tuple(self._numbers)
