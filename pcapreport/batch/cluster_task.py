"""What a worker of a cluster does with a task: it hands it to a process of its own, as the local executor does.

So a capture is analysed in the main thread of a process that nothing else runs in, whatever the worker's number of
threads; a time limit ends it, and one that kills its process leaves the worker standing.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from pcapreport.batch.processes import Overdue, Processes, WorkerLost
from pcapreport.batch.work import prepare
from pcapreport.version import __version__

IDLE_S = 20.0
"""After so long without a task the processes end: a worker outlives the runs that it serves."""
_MOST = 1024
"""Processes of one worker; its threads are far fewer, and each waits for one task."""


class Ticket(NamedTuple):
    """What goes with every task."""

    limit: float | None
    """Seconds after which its process is killed."""
    version: str = __version__
    """Of who asks."""
    probe: str = ""
    """A file that a worker sees if it shares the output directory; empty: it need not."""


class Outcome(NamedTuple):
    """What became of a task; no exception, since Dask would try it again."""

    kind: str
    """done, raised, lost, overdue, version or unshared."""
    value: Any = None


def take(task: Callable[..., Any], arguments: tuple[Any, ...], ticket: Ticket) -> Outcome:
    """Carry out a task here; it is called in one of the worker's threads."""
    if ticket.version != __version__:
        return Outcome("version", (socket.gethostname(), __version__))
    if ticket.probe and not os.path.exists(ticket.probe):
        return Outcome("unshared", socket.gethostname())
    try:
        return Outcome("done", _processes.run(ticket.limit, task, arguments))
    except WorkerLost as error:
        return Outcome("lost", error.exit_code)
    except Overdue:
        return Outcome("overdue")
    except Exception as error:
        return Outcome("raised", error)


class _Kept:
    """Processes that are kept from task to task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[float | None, Processes] = {}
        self._active = 0
        self._timer: threading.Timer | None = None

    def run(self, limit: float | None, task: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """The task's result, or what it raised."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            if limit not in self._pools:
                self._pools[limit] = _started(limit)
            future = self._pools[limit].submit(task, *arguments)
            self._active += 1
        try:
            return future.result()
        finally:
            with self._lock:
                self._active -= 1
                if not self._active:
                    self._timer = threading.Timer(IDLE_S, self.end)
                    self._timer.daemon = True
                    self._timer.start()

    def end(self) -> None:
        """End them, if none is at work."""
        with self._lock:
            pools, self._pools = ({}, self._pools) if self._active else (self._pools, {})
        for pool in pools.values():
            pool.shutdown(wait=False)


def _started(limit: float | None) -> Processes:
    own = multiprocessing.current_process()
    if own.daemon:  # as Dask starts its workers: such may have no children, but ours end with their parent anyway
        own.daemon = False
    return Processes(_MOST, limit, prepare)


_processes = _Kept()
