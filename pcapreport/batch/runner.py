"""Runs a batch over an executor's processes: one capture a task, failures kept apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from functools import partial

from pcapreport.batch.discover import Job, is_stream
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.processes import NotBegun, Overdue, Processes, WorkerLost
from pcapreport.batch.work import Clocked, Order, carry_out, clocked, crashed, failed, overdue, prepare
from pcapreport.errors import WorkersFailed
from pcapreport.language import phrase

Task = Callable[[Job, Order], IndexEntry]
Took = Callable[[str, float], None]
Lost = tuple[Job, BaseException]
AHEAD = 4
"""Tasks handed out per worker before its first is done: enough to keep it busy, few enough to lose little."""
GRACE = 2.0
"""Seconds beyond the time limit that a capture has to notice it by itself, before its process is killed."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who carries tasks out: an executor as in `concurrent.futures`, here or on other machines."""

    executor: Callable[[], Executor]
    """Opens one; it is left by `shutdown(cancel_futures=True)`."""
    tasks: int
    """Handed out at a time."""
    lost: tuple[type[Exception], ...] = ()
    """What a future raises if the process that ran its task died."""
    here: int = 0
    """Processors for a single capture, which may as well be done in this process; 0: it may not."""


def local(count: int, order: Order) -> Workers | None:
    """So many processes of this machine; None: everything is to be done in this one."""
    if count < 1:
        return None
    limit = None if order.timeout is None else order.timeout + GRACE
    executor = partial(Processes, count, limit, partial(prepare, order.silent))
    return Workers(executor, count * AHEAD, (WorkerLost,), here=count)


def run(
    jobs: Sequence[Job],
    order: Order,
    workers: Workers | None = None,
    task: Task = carry_out,
    took: Took = lambda name, seconds: None,
) -> Generator[IndexEntry, None, None]:
    """Yield an entry for every job, in the order of completion; just before, `took(name, seconds)` is called.

    Streams are read in this process, and so is a single capture that has no time limit. A worker that dies (killed for
    its memory, say) loses nothing but the capture it was at, which is tried once more when it has the machine for
    itself.
    """
    here = [job for job in jobs if is_stream(job.source)]
    there = [job for job in jobs if not is_stream(job.source)]
    if workers is None or (workers.here and len(there) <= 1 and order.timeout is None):
        here, there = list(jobs), []
    alone = replace(order, cores=max(workers.here, 1) if workers else 1)
    for job in here:
        yield _entry(job, order, partial(clocked, task, job, alone), took)
    if there and workers is not None:
        yield from _Run(order, workers, task, took).over(there)


def _entry(job: Job, order: Order, result: Callable[[], Clocked], took: Took) -> IndexEntry:
    """The result, or what went wrong instead: a task that fails must not stop the others."""
    try:
        entry, seconds = result()
        took(job.name, seconds)
        return entry
    except Overdue:
        return overdue(job, order)
    except WorkersFailed:  # not the capture's doing
        raise
    except Exception as error:
        if order.debug:
            raise
        return failed(job, error, order)


class _Run:
    """Tasks handed out to one executor after the other, should it break."""

    def __init__(self, order: Order, workers: Workers, task: Task, took: Took) -> None:
        self.order, self.workers, self.task, self.took = order, workers, partial(clocked, task), took
        self.lost: tuple[type[BaseException], ...] = (BrokenExecutor, *workers.lost)

    def over(self, jobs: Sequence[Job]) -> Iterator[IndexEntry]:
        suspects: list[Lost] = []
        deadly: list[Lost] = []
        yield from self._all(jobs, self.workers.tasks, suspects)
        yield from self._all([job for job, _ in suspects], 1, deadly)
        for job, error in deadly:
            yield crashed(job, getattr(error, "exit_code", None))

    def _all(self, jobs: Sequence[Job], most: int, lost: list[Lost]) -> Iterator[IndexEntry]:
        """Entries of jobs, at most so many at a time; those whose process died are put into `lost`."""
        waiting = deque(jobs)
        while waiting:
            before = len(waiting)
            yield from self._with_executor(waiting, most, lost)
            if len(waiting) == before:
                raise WorkersFailed(
                    phrase("no worker process can be started; give one capture at a time, or another --executor")
                )

    def _with_executor(self, waiting: deque[Job], most: int, lost: list[Lost]) -> Iterator[IndexEntry]:
        """The same until the executor takes no more."""
        running: dict[Future[Clocked], Job] = {}
        executor = self.workers.executor()
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    future = executor.submit(self.task, waiting[0], self.order)
                    running[future] = waiting.popleft()
                wait(running, return_when=FIRST_COMPLETED)
                yield from self._finished(running, waiting, lost)
        except BrokenExecutor:
            wait(running)
            yield from self._finished(running, waiting, lost)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _finished(
        self, running: dict[Future[Clocked], Job], waiting: deque[Job], lost: list[Lost]
    ) -> Iterator[IndexEntry]:
        for future in [future for future in running if future.done()]:
            job = running.pop(future)
            error = future.exception()
            if isinstance(error, NotBegun):
                waiting.append(job)
            elif error is not None and isinstance(error, self.lost):
                lost.append((job, error))
            else:
                yield _entry(job, self.order, future.result, self.took)
