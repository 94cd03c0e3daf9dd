"""What a capture container yields: blocks of record positions, and the evidence about the file around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import Ints
from pcapreport.capture.model import Interface, Problem
from pcapreport.language import Text, counted, phrase
from pcapreport.settings import MAX_COMMENT_CHARACTERS, MAX_COMMENTS, MAX_DAMAGES

BLOCK_RECORDS = 65_536
"""Records handled at once: enough to make numpy's fixed costs vanish, few enough to keep memory small."""

BLOCK_BYTES = 1 << 26
"""And bytes of the file: what is touched of a mapped file counts as memory until it is forgotten."""

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
    fcs_len: Ints
    """Bytes of frame check sequence at the end of the frame."""

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def span(self) -> int:
        """Bytes of the file from the first record to the last."""
        return int(self.offset[-1] - self.offset[0])

    def pick(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> RecordBlock:
        """The chosen records."""
        return RecordBlock(*(getattr(self, name)[rows] for name in self.__slots__))

    @classmethod
    def concatenate(cls, blocks: Sequence[RecordBlock]) -> RecordBlock:
        """One block of several that follow each other."""
        if len(blocks) == 1:
            return blocks[0]
        return cls(*(np.concatenate([getattr(block, name) for block in blocks]) for name in cls.__slots__))


class Damage(Exception):
    """Internal to the walks: what stands here cannot be read."""

    def __init__(self, code: str, message: Text) -> None:
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
    oddities: dict[str, tuple[Text, int, int]] = field(default_factory=dict)
    """code -> (message, first frame, frames)."""
    application: str = ""
    os: str = ""
    hardware: str = ""
    packet_drops: Counter[int] = field(default_factory=Counter)
    """Interface -> losses told packet by packet; the interface statistics know better where there are some."""
    frames: int = 0
    """Numbers given so far."""
    packets: int = 0
    damages: int = 0
    complete: bool = True

    def damage(self, damage: Damage, offset: int, resumed: int | None, size: int) -> bool:
        """What cannot be read at this byte offset, and where reading goes on (None: nowhere in these `size` bytes).

        Returns whether reading is to go on: after many damages it is not worth it, and each costs a search.
        """
        self.complete = False
        self.damages += 1
        if resumed is not None and self.damages >= MAX_DAMAGES:
            message = phrase(
                "{damage}; this is the {count}th damage, so reading stops", damage=damage.message, count=self.damages
            )
            damage, resumed = Damage(damage.code, message), None
        skipped = (size if resumed is None else resumed) - offset
        message = _with_what_follows(damage.message, skipped, resumed)
        self.problems.append(Problem(damage.code, message, offset, self.frames + 1, skipped))
        return resumed is not None

    def oddity(self, code: str, message: Text, frames: Ints) -> None:
        """Frames that are odd but readable; told once with their number."""
        if len(frames):
            _, first, count = self.oddities.get(code, (message, int(frames[0]), 0))
            self.oddities[code] = (message, first, count + len(frames))

    def comment(self, frame: int, raw: bytes) -> None:
        """A comment on a frame, or on the section (frame 0)."""
        if len(self.comments) < MAX_COMMENTS:
            text = raw[: 4 * MAX_COMMENT_CHARACTERS].decode("utf-8", "replace")
            self.comments.append((frame, text.rstrip("\0")[:MAX_COMMENT_CHARACTERS]))

    @classmethod
    def about(cls, problem: Problem | None) -> Findings:
        """The findings about a file of which perhaps not all bytes could be had."""
        return cls(problems=[problem], complete=False) if problem else cls()

    def byte_order(self) -> str:
        """ "little" or "big": that of the file's first section."""
        return "little" if self.order == "<" else "big"

    def interfaces_with_drops(self) -> tuple[Interface, ...]:
        """The interfaces, each with the losses that were told of it."""
        drops = {**self.packet_drops, **self.drops}
        return tuple(
            replace(one, drops=drops[index]) if index in drops else one for index, one in enumerate(self.interfaces)
        )

    def all_problems(self) -> tuple[Problem, ...]:
        """Damage and oddities, in order of the frames they begin at."""
        odd = [
            Problem(code, counted(count, "{oddity} ({n} frame)", "{oddity} ({n} frames)", oddity=message), None, first)
            for code, (message, first, count) in self.oddities.items()
        ]
        return tuple(sorted([*self.problems, *odd], key=lambda problem: problem.frame or 0))


def _with_what_follows(damage: Text, skipped: int, resumed: int | None) -> Text:
    """A damage, how many bytes are not read for it, and where reading goes on."""
    if resumed is not None:
        return phrase(
            "{damage}; {skipped} bytes are skipped and reading goes on at byte {offset}",
            damage=damage,
            skipped=skipped,
            offset=resumed,
        )
    if skipped <= 0:
        return damage
    return phrase("{damage}; the rest of the file, {skipped} bytes, is not read", damage=damage, skipped=skipped)


def number_frames(found: Findings, packets: int, others: int = 0) -> Ints:
    """Numbers for the next `packets` frames, were there no others; `others` more take numbers without packets."""
    first = found.frames + 1
    found.frames += packets + others
    found.packets += packets
    return np.arange(first, first + packets, dtype=np.int64)
