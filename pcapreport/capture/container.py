"""What a capture container yields: blocks of record positions, and the evidence about the file around them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import Ints
from pcapreport.capture.limits import MAX_COMMENT_CHARACTERS, MAX_COMMENTS
from pcapreport.capture.model import Interface, Problem

BLOCK_RECORDS = 65_536
"""Records handled at once: enough to make numpy's fixed costs vanish, few enough to keep memory small."""

NO_INTERFACE = 0xFFFF
"""Interface of a record whose interface is described nowhere."""


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Up to BLOCK_RECORDS records in file order; every array has shape (n,)."""

    frame: Ints
    """1-based over the whole file."""
    offset: Ints
    """Of the captured bytes, in the decompressed stream."""
    cap_len: Ints
    wire_len: Ints
    time_ns: Ints
    interface: Ints
    """Index into the interfaces found so far; NO_INTERFACE where there is none."""

    def __len__(self) -> int:
        return len(self.frame)

    def pick(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> RecordBlock:
        """The chosen records."""
        return RecordBlock(*(getattr(self, name)[rows] for name in self.__slots__))


class Damage(Exception):
    """Internal to the walks: reading cannot go on here."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Findings:
    """What the walk learns on its way; the only state it shares with its caller."""

    order: str = "<"
    interfaces: list[Interface] = field(default_factory=list)
    drops: dict[int, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    other_blocks: Counter[str] = field(default_factory=Counter)
    oddities: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """code -> (message, first frame, frames)."""
    application: str = ""
    os: str = ""
    hardware: str = ""
    frames: int = 0
    complete: bool = True

    def damage(self, damage: Damage, offset: int) -> None:
        """Reading stops at this byte offset."""
        self.complete = False
        self.problems.append(Problem(damage.code, damage.message, offset, self.frames + 1))

    def oddity(self, code: str, message: str, frames: Ints) -> None:
        """Frames that are odd but readable; told once with their number."""
        if len(frames):
            _, first, count = self.oddities.get(code, (message, int(frames[0]), 0))
            self.oddities[code] = (message, first, count + len(frames))

    def comment(self, frame: int, raw: bytes) -> None:
        """A comment on a frame, or on the section (frame 0)."""
        if len(self.comments) < MAX_COMMENTS:
            text = raw[: 4 * MAX_COMMENT_CHARACTERS].decode("utf-8", "replace")
            self.comments.append((frame, text.rstrip("\0")[:MAX_COMMENT_CHARACTERS]))

    def all_problems(self) -> tuple[Problem, ...]:
        """Damage and oddities, in order of the frames they begin at."""
        odd = [
            Problem(code, f"{message} ({count} frame{'s' if count > 1 else ''})", None, first)
            for code, (message, first, count) in self.oddities.items()
        ]
        return tuple(sorted([*self.problems, *odd], key=lambda problem: problem.frame or 0))


def number_frames(found: Findings, count: int) -> Ints:
    """Numbers for the next `count` frames."""
    first = found.frames + 1
    found.frames += count
    return np.arange(first, first + count, dtype=np.int64)
