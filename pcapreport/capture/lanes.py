"""The vocabulary of the common path: many frames at once, layer by layer, as layers.py has it for one frame.

Frames that have come to the same kind of layer travel together as Lanes. A handler looks at that layer of all of them
and sends each on to the next; one that it does not send on nor count is left for dissect.py. So a handler may refuse
whatever it is not sure of, and must agree with its counterpart there in whatever it takes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Bools, Gather, Ints
from pcapreport.capture.layers import Space, outside

Rows = npt.NDArray[np.intp]

MAX_DEPTH = 24
"""Layers that are followed together; a deeper frame is left."""

NO_LENGTH, VERSION_6 = 1, 2
"""Bits of Lanes.ip_notes."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """Frames at the same kind of layer, in file order, each at most once; every array has shape (n,)."""

    row: Rows
    """Which frame of the block."""
    at: Ints
    """Position of this layer's header."""
    end: Ints
    """Behind the captured bytes of this layer."""
    wire_end: Ints
    """Behind this layer, had all of it been captured."""
    path: Ints
    """Number of the layers outside, in Paths."""
    ip_at: Ints
    """Position of the innermost IP header so far."""
    ip_notes: npt.NDArray[np.uint8]
    """NO_LENGTH and VERSION_6, of that header."""

    def __len__(self) -> int:
        return len(self.row)

    def pick(self, chosen: Bools) -> Lanes:
        """The chosen ones."""
        if chosen.all():
            return self
        rows = np.flatnonzero(chosen)
        return Lanes(*(getattr(self, name)[rows] for name in self.__slots__))

    def skip(self, count: Ints | int) -> Lanes:
        """Behind a header of this size."""
        return Lanes(self.row, self.at + count, self.end, self.wire_end, self.path, self.ip_at, self.ip_notes)

    def trim(self, length: Ints) -> Lanes:
        """What a length field leaves of the layer."""
        wire_end = np.minimum(self.wire_end, self.at + length)
        end = np.minimum(self.end, wire_end)
        return Lanes(self.row, self.at, end, wire_end, self.path, self.ip_at, self.ip_notes)

    def named(self, path: Ints) -> Lanes:
        """With another path."""
        return Lanes(self.row, self.at, self.end, self.wire_end, path, self.ip_at, self.ip_notes)

    def inside(self, notes: npt.NDArray[np.uint8]) -> Lanes:
        """With the IP header that stands here as the innermost."""
        return Lanes(self.row, self.at, self.end, self.wire_end, self.path, self.at, notes)

    def holds(self, count: Ints | int) -> Bools:
        """Which have so many bytes captured from here on."""
        enough: Bools = self.at + count <= self.end
        return enough

    @classmethod
    def join(cls, parts: Sequence[Lanes]) -> Lanes:
        """All of them together, in file order."""
        if len(parts) == 1:
            return parts[0]
        order = np.argsort(np.concatenate([part.row for part in parts]), kind="stable")
        return cls(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in cls.__slots__))


class Paths:
    """Sequences of layer names, numbered while a block of frames is taken apart; number 0 is the empty one."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self._paths: list[tuple[str, ...]] = [()]

    def add(self, path: Ints, name: str) -> Ints:
        """The paths with this layer inside."""
        return self._mapped(path, lambda number: self._number((*self._paths[number], name)))

    def add_each(self, path: Ints, name: str, values: Ints) -> Ints:
        """The paths with a layer inside whose name ends with a number of its own."""
        keys = path << 32 | values
        if not len(keys):
            return path
        if (keys == keys[0]).all():
            return self.add(path, f"{name} {int(values[0])}")
        distinct, inverse = np.unique(keys, return_inverse=True)
        numbers = [self._number((*self._paths[key >> 32], f"{name} {key & 0xFFFF_FFFF}")) for key in distinct.tolist()]
        each: Ints = np.array(numbers, np.int64)[inverse.reshape(-1)]
        return each

    def outside(self, path: Ints, encapsulations: Encapsulations) -> Ints:
        """The paths without their innermost IP header, as numbers of `encapsulations`."""
        return self._mapped(path, lambda number: encapsulations.number(outside(self._paths[number])))

    def _number(self, path: tuple[str, ...]) -> int:
        number = self._numbers.setdefault(path, len(self._paths))
        if number == len(self._paths):
            self._paths.append(path)
        return number

    def _mapped(self, path: Ints, function: Callable[[int], int]) -> Ints:
        """The function of each number, called once for each that occurs."""
        if not len(path):
            return path
        if (path == path[0]).all():
            return np.full(len(path), function(int(path[0])), np.int64)
        table = np.zeros(len(self._paths), np.int64)
        for number in np.flatnonzero(np.bincount(path)).tolist():
            table[number] = function(number)
        return table[path]


Handler = Callable[["Descent", Lanes], None]
Handlers = Mapping[tuple[Space, int], Handler]
Strangers = Callable[[Space, int], str]
"""How frames are counted whose next layer nothing here takes apart; empty if dissect.py does."""


class Descent:
    """One block of frames on its way from link layer to segment."""

    def __init__(
        self, gather: Gather, count: int, others: Counter[str], handlers: Handlers, strangers: Strangers
    ) -> None:
        self.gather = gather
        self.others = others
        self.paths = Paths()
        self.left = np.ones(count, np.bool_)
        """Frames that nothing was decided on."""
        self._handlers = handlers
        self._strangers = strangers
        self._waiting: defaultdict[tuple[Space, int], list[Lanes]] = defaultdict(list)

    def run(self) -> None:
        """Go down until nothing moves any more. Frames of one level that meet again go on together."""
        for _ in range(MAX_DEPTH):
            level, self._waiting = self._waiting, defaultdict(list)
            for key, parts in level.items():
                self._handlers[key](self, Lanes.join(parts))
            if not self._waiting:
                return

    def go(self, space: Space, number: int, lanes: Lanes) -> None:
        """These come to this layer next, if it is one of the common path."""
        if len(lanes) and (space, number) in self._handlers:
            self._waiting[space, number].append(lanes)

    def go_each(self, space: Space, numbers: Ints, lanes: Lanes) -> None:
        """Each of these comes to the layer that its number says, or is counted if that is none which is taken apart."""
        if not len(lanes):
            return
        alike = bool((numbers == numbers[0]).all())
        present = [int(numbers[0])] if alike else np.flatnonzero(np.bincount(np.maximum(numbers, 0))).tolist()
        strange = []
        for number in present:
            if (space, number) in self._handlers:
                self.go(space, number, lanes if alike else lanes.pick(numbers == number))
            elif space is not Space.PORT and self._strangers(space, number):
                strange.append(number)
        if strange:
            chosen = np.isin(numbers, strange)
            for number, count in zip(*np.unique(numbers[chosen], return_counts=True), strict=True):
                self.others[self._strangers(space, int(number))] += int(count)
            self.left[lanes.row[chosen]] = False

    def count(self, label: str, lanes: Lanes) -> None:
        """These hold no segment."""
        if len(lanes):
            self.others[label] += len(lanes)
            self.left[lanes.row] = False
