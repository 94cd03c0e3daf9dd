"""A second process that takes its share of one capture's parts.

A part's packet table and what becomes of it pass through files without a name that this process has open, which the
other reaches through /proc. So it needs Linux; elsewhere there is none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import IO, Any, NamedTuple

import numpy as np

from pcapreport import memory
from pcapreport.analysis import FILE_BUFFER, Answer, Question, answer, on_disk
from pcapreport.capture import Capture
from pcapreport.capture.packet_table import PacketTable
from pcapreport.tcp.tuples import endpoint_hash

POSSIBLE = sys.platform.startswith("linux")


class CompanionLost(Exception):
    """The other process did not finish its share, whatever the reason: the capture is to be done without it."""


class Companion:
    """Shares the parts of a capture with the one process of an executor."""

    def __init__(self, executor: Executor) -> None:
        """The process is started at once, to be ready when the capture is read."""
        self._executor = executor
        self._executor.submit(_be_ready)

    def answer(self, question: Question, capture: Capture) -> Answer:
        """What was found in all parts, joined in their order, so that it does not matter who took which.

        Raises CompanionLost.
        """
        self._executor.submit(_ask, replace(question, capture=replace(question.capture, frames=None)))
        shares = _Shares()
        away: _Away | None = None
        for number, packets in enumerate(_parts(capture)):
            if away is None or away.future.done():
                if away:
                    shares.add(away.number, away.answer())
                away = self._give(number, packets)
            else:
                shares.add(number, answer(question, packets, on_disk))
                memory.give_back()
            del packets
        if away:
            shares.add(away.number, away.answer())
        assert shares.joined
        return shares.joined

    def _give(self, number: int, packets: PacketTable) -> _Away:
        rows, connections = on_disk(), on_disk()
        task = self._executor.submit(_answer, _sent(packets, rows), _path(connections))
        task.add_done_callback(lambda _: rows.close())
        return _Away(number, connections, task)


class _Sent(NamedTuple):
    """A packet table in a file: its columns one behind the other, then its SACK blocks."""

    path: str
    columns: dict[str, np.dtype[Any]]
    rows: int
    encapsulations: tuple[str, ...]

    def table(self) -> PacketTable:
        """Read it."""
        with open(self.path, "rb") as file:
            columns = {name: np.fromfile(file, kind, self.rows) for name, kind in self.columns.items()}
            return PacketTable(columns, np.fromfile(file, np.uint32).reshape(-1, 4, 2), self.encapsulations)


def _sent(packets: PacketTable, file: IO[bytes]) -> _Sent:
    for column in (*packets.columns.values(), packets.sack_blocks):
        file.write(np.ascontiguousarray(column).data)
    file.flush()
    kinds = {name: column.dtype for name, column in packets.columns.items()}
    return _Sent(_path(file), kinds, len(packets), packets.encapsulations)


def _path(file: IO[bytes]) -> str:
    """By which another process reaches a file that this one has open."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"


@dataclass
class _Away:
    """A part that the other process is at."""

    number: int
    file: IO[bytes]
    future: Future[Answer]

    def answer(self) -> Answer:
        try:
            found = self.future.result()
        except Exception as error:
            raise CompanionLost from error
        found.builder.store.adopt(self.file)
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


def _parts(capture: Capture) -> Iterator[PacketTable]:
    """As the capture was taken apart, or in two by the hash of the endpoints."""
    if capture.spilled is not None:
        yield from capture.spilled
    else:
        yield from capture.table.divided(endpoint_hash(capture.table) >> np.uint64(63) == 0)


# --- in the other process ---------------------------------------------------------------------------------------------

_asked: list[Question] = []


def _be_ready() -> None:
    """Nothing to do: by the time it is called, all that is needed has been imported."""


def _ask(question: Question) -> None:
    _asked[:] = [question]


def _answer(packets: _Sent, path: str) -> Answer:
    with memory.for_analysis():
        return answer(_asked[0], packets.table(), lambda: open(path, "wb", FILE_BUFFER))
