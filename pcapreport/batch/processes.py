"""Processes of this machine that carry out tasks: spawned, killed when they hang, replaced when they die."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")
_READY = b"ready"
_FALSE_STARTS = 3
"""Processes that died before they were ready, one after the other, after which no more are started."""


def _nothing() -> None:
    """Of a process that needs no preparation."""


class WorkerLost(Exception):
    """The process that ran the task died."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        """As of `multiprocessing`: the signal that ended it, negative, or what it exited with."""


class NotBegun(BrokenExecutor):
    """No process took the task."""


class Overdue(Exception):
    """The process that ran the task was killed, for it took too long and could not say so itself."""


@dataclass(slots=True)
class _Task:
    future: Future[Any]
    call: tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    task: _Task | None = None
    deadline: float | None = None


@dataclass(slots=True)
class _State:
    """What the caller's thread and the manager's share; to be touched under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[_Task] = field(default_factory=deque)
    closing: bool = False
    abandoned: bool = False


class Processes(Executor):
    """An executor that knows which task each process is at: whatever happens to one concerns that task alone.

    A future raises WorkerLost or Overdue for its own process only; another takes that one's place.
    """

    def __init__(self, count: int, limit: float | None = None, prepare: Callable[[], None] = _nothing) -> None:
        """`limit`: seconds after which a task's process is killed; what each does before that, `prepare`, is not
        counted."""
        self._count, self._limit, self._prepare = count, limit, prepare
        self._state = _State()
        self._heard, self._bell = _SPAWN.Pipe(duplex=False)
        self._workers: list[_Worker] = []
        self._false_starts = 0
        self._manager = threading.Thread(target=self._manage, daemon=True)
        self._manager.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        """Run `function`, which a new process must be able to import."""
        future: Future[Any] = Future()
        with self._state.lock:
            if self._state.closing:
                raise BrokenExecutor("no process can be started")
            self._state.waiting.append(_Task(future, (function, arguments)))
        self._bell.send_bytes(b"!")
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """With `cancel_futures`, what is running is killed; what it writes is there whole or not at all."""
        with self._state.lock:
            self._state.closing = True
            self._state.abandoned |= cancel_futures
        if self._manager.is_alive():
            self._bell.send_bytes(b"!")
        if wait:
            self._manager.join()

    # --- the manager's thread -----------------------------------------------------------------------------------------

    def _manage(self) -> None:
        try:
            while self._hand_out():
                self._listen()
        finally:
            self._end()

    def _hand_out(self) -> bool:
        """Give tasks to workers that have none, and start more if tasks wait; says whether there is more to do."""
        with self._state.lock:
            if self._state.abandoned or self._false_starts >= _FALSE_STARTS:
                return False
            busy = sum(worker.task is not None for worker in self._workers)
            if self._state.closing and not self._state.waiting and not busy:
                return False
            for _ in range(min(self._count, busy + len(self._state.waiting)) - len(self._workers)):
                self._workers.append(_started(self._prepare))
            for worker in self._workers:
                while worker.ready and worker.task is None and self._state.waiting:
                    self._give(worker, self._state.waiting.popleft())
        return True

    def _give(self, worker: _Worker, task: _Task) -> None:
        if not task.future.set_running_or_notify_cancel():
            return
        worker.task = task
        worker.deadline = None if self._limit is None else time.monotonic() + self._limit
        try:
            worker.connection.send(task.call)
        except OSError:
            pass  # it died: that is heard at its connection as well
        except Exception as error:  # what cannot be sent, no process can do
            worker.task = None
            task.future.set_exception(error)

    def _listen(self) -> None:
        """Wait for something to happen, and see to it."""
        deadlines = [worker.deadline for worker in self._workers if worker.task and worker.deadline is not None]
        patience = max(min(deadlines) - time.monotonic(), 0) if deadlines else None
        heard = wait([self._heard, *(worker.connection for worker in self._workers)], patience)
        if self._heard in heard:
            self._heard.recv_bytes()
        for worker in list(self._workers):
            if worker.connection in heard:
                self._hear(worker)
            elif worker.task and worker.deadline is not None and worker.deadline <= time.monotonic():
                worker.process.kill()
                self._lost(worker, Overdue())

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._lost(worker, WorkerLost(worker.process.exitcode))
            return
        if message == _READY:
            worker.ready, self._false_starts = True, 0
            return
        task, worker.task = worker.task, None
        if task:
            done, result = message
            (task.future.set_result if done else task.future.set_exception)(result)

    def _lost(self, worker: _Worker, error: Exception) -> None:
        self._workers.remove(worker)
        self._false_starts += not worker.ready
        worker.process.join()
        worker.connection.close()
        if worker.task:
            worker.task.future.set_exception(error)

    def _end(self) -> None:
        """Kill all; every future that waits is told."""
        with self._state.lock:
            self._state.closing = True
            waiting, self._state.waiting = list(self._state.waiting), deque()
        for worker in self._workers:
            worker.process.kill()
        for worker in list(self._workers):
            self._lost(worker, WorkerLost(None))
        for task in waiting:
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(NotBegun("no process can be started"))


def _started(prepare: Callable[[], None]) -> _Worker:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, os.getpid(), prepare), daemon=True)
    process.start()
    theirs.close()  # so that its end is heard
    return _Worker(process, ours)


# --- in the process ---------------------------------------------------------------------------------------------------


def _serve(connection: Connection, parent: int, prepare: Callable[[], None]) -> None:
    """Do what comes, until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and kills us when it is ready to
    _die_with_parent(parent)
    prepare()
    connection.send(_READY)
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            message: Any = (True, function(*arguments))
        except Exception as error:
            message = (False, error)
        try:
            connection.send(message)
        except OSError:
            return
        except Exception as error:  # a result or an error that cannot be sent
            connection.send((False, RuntimeError(f"{type(error).__name__}: {error}")))


_PR_SET_PDEATHSIG = 1
"""Linux, sys/prctl.h."""


def _die_with_parent(parent: int) -> None:
    """Where the system can see to it: else a process that hangs would outlive a killed parent for ever."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
