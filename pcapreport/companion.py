"""A second process that takes its share of one capture's parts.

A part's rows and the encoded connections that come of it pass through files without a name that this process has open,
which the other reaches through /proc. So it needs Linux; elsewhere there is none.
"""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
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

        All parts are offered to the other process, and those that it has not begun when their turn comes are done here.
        Raises CompanionLost.
        """
        question = replace(question, threads=1)
        self._executor.submit(_ask, replace(question, capture=replace(question.capture, frames=None)))
        offered = deque(self._offer(part) for part in parts.each())
        found, begun = _Joined(), deque[_Offered]()
        while offered:
            offer = offered.popleft()
            if offer.future.cancel():
                offer.connections.close()
                begun.append(replace(offer, found=answer(question, offer.part.take(), part_file)))
                memory.give_back()
            else:
                begun.append(offer)
            while begun and begun[0].is_done():
                found.add(begun.popleft().answer())
        for offer in begun:
            found.add(offer.answer())
        assert found.joined
        return found.joined

    def _offer(self, part: Part) -> _Offered:
        connections = disk_file()
        return _Offered(part, connections, self._executor.submit(_answer, part, path_of(connections)))


@dataclass(frozen=True)
class _Offered:
    """A part that either process may take."""

    part: Part
    """Kept here, for the sake of its file."""
    connections: IO[bytes]
    future: Future[Answer]
    found: Answer | None = None
    """What this process found in it."""

    def is_done(self) -> bool:
        """By whichever process."""
        return self.found is not None or self.future.done()

    def answer(self) -> Answer:
        """What was found in it."""
        if self.found:
            return self.found
        try:
            found = self.future.result()
        except Exception as error:
            raise CompanionLost from error
        found.builder.store.adopt(self.connections)
        return found


class _Joined:
    """What was found in the parts so far."""

    joined: Answer | None = None

    def add(self, found: Answer) -> None:
        """And in the next one."""
        if self.joined is None:
            self.joined = found
        else:
            self.joined.join(found)


# --- in the other process ---------------------------------------------------------------------------------------------

_asked: list[Question] = []


def _be_ready() -> None:
    """Nothing to do: by the time it is called, all that is needed has been imported."""


def _ask(question: Question) -> None:
    _asked[:] = [question]


def _answer(part: Part, path: str) -> Answer:
    with memory.for_analysis():
        return answer(_asked[0], part.take(), lambda _: open(path, "wb", FILE_BUFFER))
