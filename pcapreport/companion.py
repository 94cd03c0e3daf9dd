"""A second process that takes its share of one capture's parts.

A part's rows and the encoded connections that come of it pass through files without a name that this process has open,
which the other reaches through /proc. So it needs Linux; elsewhere there is none.
"""

from __future__ import annotations

import sys
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import IO

from pcapreport import memory
from pcapreport.analysis import FILE_BUFFER, Answer, Question, answer, disk_file, part_file
from pcapreport.capture.spill import Part, Parts, path_of

POSSIBLE = sys.platform.startswith("linux")


class CompanionLost(Exception):
    """The other process did not finish its share, whatever the reason: the capture is to be done without it."""


class Companion:
    """Shares the parts of a capture with the one process of an executor."""

    def __init__(self, executor: Executor) -> None:
        """The process is started at once, to be ready when the capture is read."""
        self._executor = executor
        self._executor.submit(_be_ready)

    def answer(self, question: Question, parts: Parts) -> Answer:
        """What was found in all parts, joined in their order, so that it does not matter who took which.

        Raises CompanionLost.
        """
        self._executor.submit(_ask, replace(question, capture=replace(question.capture, frames=None)))
        shares = _Shares()
        away: _Away | None = None
        for number, part in enumerate(parts.each()):
            if away is None or away.future.done():
                if away:
                    shares.add(away.number, away.answer())
                away = self._give(number, part)
            else:
                shares.add(number, answer(question, part.take(), part_file))
                memory.give_back()
        if away:
            shares.add(away.number, away.answer())
        assert shares.joined
        return shares.joined

    def _give(self, number: int, part: Part) -> _Away:
        connections = disk_file()
        return _Away(number, part, connections, self._executor.submit(_answer, part, path_of(connections)))


@dataclass
class _Away:
    """A part that the other process is at."""

    number: int
    part: Part
    """Kept here, for the sake of its file."""
    connections: IO[bytes]
    future: Future[Answer]

    def answer(self) -> Answer:
        try:
            found = self.future.result()
        except Exception as error:
            raise CompanionLost from error
        found.builder.store.adopt(self.connections)
        return found


@dataclass
class _Shares:
    """Answers that come in any order and are joined in that of the parts."""

    joined: Answer | None = None
    _waiting: dict[int, Answer] = field(default_factory=dict)
    _next: int = 0

    def add(self, number: int, found: Answer) -> None:
        self._waiting[number] = found
        while self._next in self._waiting:
            following = self._waiting.pop(self._next)
            if self.joined is None:
                self.joined = following
            else:
                self.joined.join(following)
            self._next += 1


# --- in the other process ---------------------------------------------------------------------------------------------

_asked: list[Question] = []


def _be_ready() -> None:
    """Nothing to do: by the time it is called, all that is needed has been imported."""


def _ask(question: Question) -> None:
    _asked[:] = [question]


def _answer(part: Part, path: str) -> Answer:
    with memory.for_analysis():
        return answer(_asked[0], part.take(), lambda: open(path, "wb", FILE_BUFFER))
