"""Runs a batch over worker processes: one capture a task, failures kept apart."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from pcapreport.batch.discover import STANDARD_INPUT, Job
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order, carry_out

Task = Callable[[Job, Order], IndexEntry]
AHEAD = 4
"""Tasks handed out per worker before its first is done: enough to keep it busy, few enough to lose little."""


def run(jobs: Sequence[Job], order: Order, workers: int, task: Task = carry_out) -> Iterator[IndexEntry]:
    """Yield an entry for every job, in the order of completion.

    With one worker or one job all runs in this process, and so does standard input. A worker that dies (killed for
    its memory, say) loses nothing but the capture that killed it: what was unfinished is run again, each alone.
    """
    here = [job for job in jobs if job.source == STANDARD_INPUT]
    there = [job for job in jobs if job.source != STANDARD_INPUT]
    if workers <= 1 or len(there) <= 1:
        here, there = list(jobs), []
    for job in here:
        yield task(job, order)
    unfinished: list[Job] = []
    if there:
        yield from _in_pool(there, order, workers, task, unfinished)
    for job in unfinished:
        yield _alone(job, order, task)


def _pool(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _in_pool(
    jobs: Sequence[Job], order: Order, workers: int, task: Task, unfinished: list[Job]
) -> Iterator[IndexEntry]:
    """Entries of the jobs that a pool finishes; the others are put into `unfinished` when it breaks."""
    queue = list(reversed(jobs))
    running: dict[Future[IndexEntry], Job] = {}
    pool = _pool(min(workers, len(jobs)))
    try:
        while queue or running:
            while queue and len(running) < workers * AHEAD:
                job = queue.pop()
                running[pool.submit(task, job, order)] = job
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    unfinished.append(job)
                    raise
    except BrokenProcessPool:
        unfinished.extend(running.values())
        pool.shutdown(wait=False, cancel_futures=True)
        if queue:
            yield from _in_pool(queue[::-1], order, workers, task, unfinished)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _alone(job: Job, order: Order, task: Task) -> IndexEntry:
    with _pool(1) as pool:
        try:
            return pool.submit(task, job, order).result()
        except BrokenProcessPool:
            message = f"{job.name}: the worker process died on it (out of memory?); cut the capture or use fewer --jobs"
            return IndexEntry(file=job.name, status="unreadable", message=message)
