"""How much room a text takes: in type of one width a Chinese character is as wide as two Latin ones."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator

_WIDE = frozenset("WF")
_NOT_FIRST = frozenset("，。；：、！？）》」』】〉”’…%,.;:!?)]}")
"""No line begins with these: they stay with what is before them."""
_NOT_LAST = frozenset("（《「『【〈“‘([{")


def columns(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return len(text) + sum(unicodedata.east_asian_width(character) in _WIDE for character in text)


def beginning(text: str, room: int) -> str:
    """As much of a text as so many columns hold."""
    if columns(text) <= room:
        return text
    taken = 0
    for at, character in enumerate(text):
        taken += columns(character)
        if taken > room:
            return text[:at]
    return text


def padded(text: str, room: int, side: str = "<") -> str:
    """A text in so many columns: at their left ("<"), their right (">") or in the middle ("^")."""
    return f"{text:{side}{max(room - columns(text) + len(text), 0)}}"


def wrapped(text: str, room: int) -> list[str]:
    """Lines of at most so many columns, none for an empty text; between wide characters a line may end anywhere."""
    if columns(text) == len(text):
        return textwrap.wrap(text, room)
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        if line and columns(line) + columns(piece.rstrip()) > room:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
        while columns(line.rstrip()) > room:  # a single word that is longer than a line
            head = beginning(line, room) or line[0]
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> Iterator[str]:
    """What must not be parted: words with the space after them, wide characters with the signs that belong to them."""
    piece = ""
    for character in " ".join(text.split()):
        if piece and character != " " and character not in _NOT_FIRST and piece[-1] not in _NOT_LAST:
            parted = piece[-1] == " " or columns(piece[-1]) == 2 or columns(character) == 2
            if parted:
                yield piece
                piece = ""
        piece += character
    if piece:
        yield piece
