"""The bytes of single frames, fetched again from where they stand in a capture that has been read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pcapreport.capture.container import Findings, RecordBlock
from pcapreport.capture.gather import Buffer
from pcapreport.pseudonyms import Pseudonyms
from pcapreport.settings import Limits

Walk = Callable[[Buffer, Findings, Limits], Iterator[RecordBlock]]
MOST = 2_048
"""Bytes of a frame: all its headers, however many tunnels there are."""


class Frame(NamedTuple):
    """The beginning of one frame."""

    link_type: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Frames:
    """Of one capture, whose bytes stay at hand as long as this does."""

    buffer: Buffer
    walk: Walk
    limits: Limits
    pseudonyms: Pseudonyms | None = None
    """What replaces addresses, if anything: whoever shows something of the bytes has to heed it."""

    def of(self, numbers: Collection[int]) -> dict[int, Frame]:
        """The frames of these numbers (1-based), as far as there are such; one walk over the records up to the last."""
        wanted = sorted(numbers)
        found: dict[int, Frame] = {}
        if not wanted:
            return found
        told = Findings()
        for block in self.walk(self.buffer, told, self.limits):
            first, last = int(block.frame[0]), int(block.frame[-1])
            for number in wanted:
                if first <= number <= last:
                    found.update(self._frame(block, number, told))
            if last >= wanted[-1]:
                break
        return found

    def _frame(self, block: RecordBlock, number: int, told: Findings) -> Iterator[tuple[int, Frame]]:
        at = int(block.frame.searchsorted(number))
        if block.frame[at] == number and int(block.interface[at]) < len(told.interfaces):
            start = int(block.offset[at])
            data = bytes(self.buffer[start : start + min(int(block.cap_len[at]), MOST)])
            yield number, Frame(told.interfaces[int(block.interface[at])].link_type, data)
