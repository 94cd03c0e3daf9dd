"""The workers of a Dask cluster as an executor: the only module that imports distributed.

A worker that is lost costs a retry: the scheduler gives its tasks to others, and gives up a task at which several were
lost (KilledWorker).
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pcapreport.batch.cluster_task import Outcome, Ticket, take
from pcapreport.batch.discover import Job
from pcapreport.batch.output import begun_name
from pcapreport.batch.places import reason
from pcapreport.batch.processes import Overdue, WorkerLost
from pcapreport.batch.runner import AHEAD, GRACE, Workers
from pcapreport.batch.urls import Url, shown
from pcapreport.batch.work import Order
from pcapreport.errors import UsageError, WorkersFailed
from pcapreport.language import phrase
from pcapreport.version import __version__

CONNECT_S = 10.0
"""Seconds for the scheduler to answer, and for a first worker to be there."""
PATIENCE_S = 60.0
"""Seconds without any worker after which a run ends: workers that were lost are usually started again."""
LEAST_AHEAD = 32
"""Tasks handed out at a time however few workers there are when a run begins: more may come."""


PREFIX = "dask://"


@contextmanager
def cluster(address: str) -> Iterator[Callable[[int, Order], Workers]]:
    """Gives what connects to `dask://HOST:PORT` when there is work, and raises UsageError if it cannot."""
    found = re.fullmatch(PREFIX + r"([^/@\s]+:\d+)/?", address)
    if not found:
        raise UsageError(phrase("--executor {address}: give local or dask://HOST:PORT", address=shown(address)))
    with ExitStack() as stack:

        def connect(_processes: int, order: Order) -> Workers:
            limit = None if order.timeout is None else order.timeout + GRACE
            client = _client(found[1])
            stack.callback(_close, client)
            ahead = max(_threads(client, found[1]) * AHEAD, LEAST_AHEAD)
            ticket = Ticket(limit, probe=stack.enter_context(_probe(order)))
            return Workers(lambda: _Cluster(client, found[1], ticket), ahead, (WorkerLost,))

        yield connect


def _close(client: Any) -> None:
    with suppress(Exception):
        client.close(timeout=2)


def _client(address: str) -> Any:
    try:
        distributed = importlib.import_module("distributed")
        dask = importlib.import_module("dask")
    except ImportError as error:
        message = phrase("--executor dask:// needs the library distributed: pip install 'pcapreport[cluster]'")
        raise UsageError(message) from error
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of it is said by us, in one line
    warnings.filterwarnings("ignore", module="distributed")
    protocol = "tls" if dask.config.get("distributed.comm.require-encryption", False) else "tcp"
    try:
        _knock(address)
        return distributed.Client(f"{protocol}://{address}", timeout=CONNECT_S, set_as_default=False)
    except Exception as error:
        message = phrase(
            "--executor dask://{address}: no scheduler answers there ({reason}); start one with `dask scheduler`",
            address=address,
            reason=reason(error),
        )
        raise UsageError(message) from error


def _knock(address: str) -> None:
    """Raise at once what the library would try again and again."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()


def _threads(client: Any, address: str) -> int:
    """Of all workers together."""
    until = time.monotonic() + CONNECT_S
    while not (threads := sum(client.nthreads().values())):
        if time.monotonic() > until:
            raise _no_worker(address)
        time.sleep(0.1)
    return int(threads)


def _no_worker(address: str) -> WorkersFailed:
    return WorkersFailed(
        phrase("dask://{address}: no worker is there; start some with `dask worker {address}`", address=address)
    )


@contextmanager
def _probe(order: Order) -> Iterator[str]:
    """A file in the output directory by which workers see that they share it."""
    if isinstance(order.out, Url):
        yield ""
        return
    probe = order.out.absolute() / begun_name()
    probe.touch()
    try:
        yield str(probe)
    finally:
        probe.unlink(missing_ok=True)


class _Cluster(Executor):
    """Futures raise WorkerLost and Overdue as those of this machine's processes do, else WorkersFailed."""

    def __init__(self, client: Any, address: str, ticket: Ticket) -> None:
        self._client, self._address, self._ticket = client, address, ticket
        self._executor = client.get_executor(pure=False, retries=1)
        self._lock = threading.Lock()
        self._pending: dict[Future[Any], Future[Any]] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, function: Callable[..., Any], /, job: Job, order: Order, **_: Any) -> Future[Any]:  # type: ignore[override]
        """Run `function(job, order)` on some worker."""
        told: Future[Any] = Future()
        told.set_running_or_notify_cancel()
        try:
            asked = self._executor.submit(take, function, (_absolute(job), _everywhere(order)), self._ticket)
        except Exception as error:
            raise self._useless(error) from error
        with self._lock:
            self._pending[told] = asked
        asked.add_done_callback(partial(self._settle, told))
        return told

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What waits is not begun any more; what a worker is at it finishes, which nobody hears of."""
        self._closed.set()
        with self._lock:
            pending, self._pending = self._pending, {}
        for asked in pending.values():
            asked.cancel()

    def _settle(self, told: Future[Any], asked: Future[Outcome]) -> None:
        with self._lock:
            if self._pending.pop(told, None) is None:
                return
        if asked.cancelled():
            told.set_exception(self._gone())
            return
        error = asked.exception()
        if error is None:
            self._tell(told, asked.result())
        elif type(error).__name__ == "KilledWorker":
            told.set_exception(WorkerLost(None))
        else:
            told.set_exception(self._useless(error))

    def _tell(self, told: Future[Any], outcome: Outcome) -> None:
        if outcome.kind == "done":
            told.set_result(outcome.value)
        elif outcome.kind == "raised":
            told.set_exception(outcome.value)
        elif outcome.kind == "lost":
            told.set_exception(WorkerLost(outcome.value))
        elif outcome.kind == "overdue":
            told.set_exception(Overdue())
        else:
            told.set_exception(self._refused(outcome))

    def _refused(self, outcome: Outcome) -> WorkersFailed:
        if outcome.kind == "version":
            host, version = outcome.value
            return WorkersFailed(
                phrase(
                    "dask://{address}: the worker on {host} has pcapreport {theirs}, this is {ours}; install the same",
                    address=self._address,
                    host=host,
                    theirs=version,
                    ours=__version__,
                )
            )
        return WorkersFailed(
            phrase(
                "dask://{address}: the worker on {host} does not see the output directory; give one that all machines "
                "share under the same path, or an address such as s3://",
                address=self._address,
                host=outcome.value,
            )
        )

    def _gone(self) -> WorkersFailed:
        return WorkersFailed(
            phrase("dask://{address}: the scheduler was lost; the same command does the rest", address=self._address)
        )

    def _useless(self, error: BaseException) -> WorkersFailed:
        told = f"{type(error).__name__}: {reason(error)}"
        return WorkersFailed(
            phrase(
                "dask://{address}: tasks cannot be carried out there ({error}); install the same Python, pcapreport "
                "and distributed for scheduler and workers as here",
                address=self._address,
                error=told,
            )
        )

    def _watch(self) -> None:
        """Nobody waits for ever for workers that do not come back."""
        seen = time.monotonic()
        while not self._closed.wait(2):
            with suppress(Exception):
                if self._client.nthreads():
                    seen = time.monotonic()
            if time.monotonic() - seen > PATIENCE_S:
                with self._lock:
                    pending, self._pending = self._pending, {}
                for told in pending:
                    told.set_exception(_no_worker(self._address))
                return


def _absolute(job: Job) -> Job:
    """Workers have directories of their own to start from."""
    return job if job.remote else job._replace(source=os.path.abspath(job.source))


def _everywhere(order: Order) -> Order:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    return replace(
        order,
        out=order.out if isinstance(order.out, Url) else order.out.absolute(),
        templates=absolute(order.templates),
        baseline=absolute(order.baseline),
    )
