"""Runs a batch over worker processes: one capture a task, failures kept apart."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from pcapreport.batch.discover import Job, is_stream
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order, carry_out, failed, unread
from pcapreport.language import phrase

Task = Callable[[Job, Order], IndexEntry]
AHEAD = 4
"""Tasks handed out per worker before its first is done: enough to keep it busy, few enough to lose little."""


def run(jobs: Sequence[Job], order: Order, workers: int, task: Task = carry_out) -> Iterator[IndexEntry]:
    """Yield an entry for every job, in the order of completion.

    With one worker or one job all runs in this process, and so do streams. A worker that dies (killed for its memory,
    say) loses nothing but the capture that killed it: what was unfinished is run again, each alone.
    """
    here = [job for job in jobs if is_stream(job.source)]
    there = [job for job in jobs if not is_stream(job.source)]
    if workers <= 1 or len(there) <= 1:
        here, there = list(jobs), []
    for job in here:
        yield _entry(job, order, partial(task, job, order))
    suspects: list[Job] = []
    while there:
        there = yield from _in_pool(there, order, workers, task, suspects)
    for job in suspects:
        yield _alone(job, order, task)


def _entry(job: Job, order: Order, result: Callable[[], IndexEntry]) -> IndexEntry:
    """The result, or what went wrong instead: a task that fails must not stop the others."""
    try:
        return result()
    except BrokenProcessPool:
        raise
    except Exception as error:
        if order.debug:
            raise
        return failed(job, error, order)


def _pool(workers: int) -> Executor:
    """Workers that an interrupt from the keyboard ends at once and silently: this process says what is to be said."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_DFL))


def _in_pool(
    jobs: Sequence[Job], order: Order, workers: int, task: Task, suspects: list[Job]
) -> Generator[IndexEntry, None, list[Job]]:
    """Entries of the jobs that a pool finishes; when it breaks, the running ones are put into `suspects`.

    Returns the jobs that were not begun.
    """
    queue = list(reversed(jobs))
    running: dict[Future[IndexEntry], Job] = {}
    pool = _pool(min(workers, len(jobs)))
    try:
        while queue or running:
            while queue and len(running) < workers * AHEAD:
                future = pool.submit(task, queue[-1], order)  # may raise: then the job is still in the queue
                running[future] = queue.pop()
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                entry = _entry(running[future], order, future.result)
                del running[future]
                yield entry
    except BrokenProcessPool:
        suspects.extend(running.values())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return queue[::-1]


def _alone(job: Job, order: Order, task: Task) -> IndexEntry:
    with _pool(1) as pool:
        try:
            return _entry(job, order, pool.submit(task, job, order).result)
        except BrokenProcessPool:
            message = phrase(
                "{file}: the worker process died on it (out of memory?); cut the capture or use fewer --jobs",
                file=job.name,
            )
            return unread(job, message)
