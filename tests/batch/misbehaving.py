"""A task that worker processes can import: what it does is said by the capture's name."""

from __future__ import annotations

import os
import signal

from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order


def task(job: Job, order: Order) -> IndexEntry:
    """Die, raise, or give an entry that names the process."""
    if "killed" in job.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exits" in job.name:
        os._exit(3)
    if "raises" in job.name:
        raise RuntimeError(f"cannot do {job.name}")
    return IndexEntry(file=job.name, status="ok", message=str(os.getpid()))
