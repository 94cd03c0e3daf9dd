"""A task that worker processes can import: what it does is said by the capture's name."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from pcapreport import pipeline
from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order, carry_out

LONG = 600


def task(job: Job, order: Order) -> IndexEntry:
    """Die, raise, hang, or give an entry that names the process."""
    if "once" in job.name:
        _once(job, order)
    if "killed" in job.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exits" in job.name:
        os._exit(3)
    if "raises" in job.name:
        raise RuntimeError(f"cannot do {job.name}")
    if "unsendable" in job.name:
        raise RuntimeError(lambda: None)
    if "hangs" in job.name:
        hang()
    if "dawdles" in job.name:
        dawdle()
    if "kills-worker" in job.name:
        kill_worker()
    if "marks" in job.name:
        Path(order.out, job.name).touch()
        time.sleep(0.2)
    return IndexEntry(file=job.name, status="ok", message=str(os.getpid()))


def _once(job: Job, order: Order) -> None:
    """Die at the first time of asking only."""
    mark = Path(order.out, f"{job.name}.tried")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Never return to Python: no signal is handled, no other thread runs."""
    ctypes.PyDLL(None).sleep(LONG)


def dawdle() -> None:
    """Take for ever, in Python."""
    for _ in range(LONG * 100):
        time.sleep(0.01)


def kill_worker() -> None:
    """Kill the process whose child this is: a worker of a cluster."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(LONG)


def eat() -> None:
    """Take all memory there is."""
    eaten = []
    while True:
        eaten.append(bytearray(64 << 20))


_WORSE = {
    "hangs": hang,
    "dawdles": dawdle,
    "eats": eat,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exits": lambda: os._exit(3),
}
_read_within = pipeline.read_within


def spoiled(job: Job, order: Order) -> IndexEntry:
    """The real task, in which reading a capture does what its name says."""
    worse = next((does for word, does in _WORSE.items() if word in job.name), None)
    pipeline.read_within = (lambda *_: worse()) if worse else _read_within  # type: ignore[assignment]
    return carry_out(job, order)


def die_at_once() -> None:
    """What a process does that cannot even be prepared."""
    os._exit(3)
