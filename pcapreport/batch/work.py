"""One capture, from its bytes to its files: the task that a worker process runs.

What analyses is imported there only: the process that hands out the work has no use for it.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from pcapreport.batch import places
from pcapreport.batch.discover import STANDARD_INPUT, Job
from pcapreport.batch.formats import Renderings
from pcapreport.batch.index import IndexEntry, Status, entry_of, with_messages
from pcapreport.batch.output import output_at
from pcapreport.batch.processes import Processes
from pcapreport.batch.urls import Url
from pcapreport.errors import UnreadableCapture, UsageError
from pcapreport.language import phrase, speaking
from pcapreport.memory import bearable, for_analysis, limited
from pcapreport.report.baseline import Baseline, counterpart
from pcapreport.settings import DEFAULT_READING, Reading, Settings

if TYPE_CHECKING:
    from pcapreport.companion import Companion
    from pcapreport.report.build import Report


@dataclass(frozen=True, slots=True)
class Order:
    """What to make of every capture of a batch."""

    out: Path | Url
    formats: frozenset[str]
    settings: Settings = field(default_factory=Settings)
    details: int | None = None
    effective: dict[str, Any] = field(default_factory=dict)
    memory: int | None = None
    """Bytes that the analysis of one capture may take; None: any number."""
    most_memory: int | None = None
    """Bytes of memory at which a capture is given up; None: most of what the machine has that it is done on."""
    reading: Reading = DEFAULT_READING
    timeout: float | None = None
    templates: Path | None = None
    baseline: Path | None = None
    """An earlier run: its document, or its directory."""
    debug: bool = False
    silent: bool = False
    """What libraries write to standard error is thrown away."""
    language: str = "en"
    cores: int = 1
    """Processors that one capture may keep busy."""
    lab: bool = False
    """With the laboratory report of one connection."""
    lesson: int | None = None
    """Its number; None: the one that shows most."""
    meta: dict[str, str] = field(default_factory=dict)


LARGE = 16 << 20
"""Captures from this size on are analysed long enough to import the pictures' library meanwhile."""
PICTURED = ("png", "zip")
"""Formats that it takes."""
_latest: list[Report] = []
"""Kept so that a process that ends after its last capture need not take the report apart first."""


class _TooSlow(BaseException):
    """The time limit for one capture ran out; no Exception, lest a reader on the way take it for damage."""


class Clocked(NamedTuple):
    """What a task gave, and how long it took."""

    entry: IndexEntry
    seconds: float


def clocked(task: Callable[[Job, Order], IndexEntry], job: Job, order: Order) -> Clocked:
    """Carry out a task and look at the clock."""
    begun = time.monotonic()
    return Clocked(task(job, order), time.monotonic() - begun)


def carry_out(job: Job, order: Order) -> IndexEntry:
    """Analyse one capture and write its files; what goes wrong is told in the entry.

    Only with `debug` a fault of ours is raised, for its traceback.
    """
    if not order.formats.isdisjoint(PICTURED) and _is_large(job):
        threading.Thread(target=_preload, daemon=True).start()
    try:
        with (
            _time_limit(order.timeout),
            limited(order.most_memory or bearable()),
            for_analysis(),
            speaking(order.language),
        ):
            report = _analyze(job, order)
            _latest[:] = [report]
            written = _write(report, job, order)
            entry = entry_of(report.document, job.name, written.get("html", ""), written.get("json", ""))
            return msgspec.structs.replace(entry, formats=sorted(written))
    except (UnreadableCapture, UsageError) as error:  # the latter of its baseline
        return unread(job, _told(error, job, order))
    except _TooSlow:
        return overdue(job, order)
    except MemoryError:
        return unread(job, _too_large(job, order))
    except OSError as error:
        return unread(job, _refusal(job, order, error))
    except Exception as error:  # a fault of ours must not stop the other captures
        if order.debug:
            raise
        return failed(job, error, order)


def prepare(silent: bool = False) -> None:
    """In a new worker process: import what the first capture is not to be charged for."""
    importlib.import_module("pcapreport.pipeline")
    if silent:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _is_large(job: Job) -> bool:
    if job.remote:
        return job.remote.size >= LARGE
    try:
        return os.path.getsize(job.source) >= LARGE
    except OSError:
        return False


def _preload() -> None:
    """Import the pictures' library beside the analysis, whose array passes leave the interpreter to others."""
    from pcapreport.report import picture

    picture.preload()


def _told(error: UnreadableCapture | UsageError, job: Job, order: Order) -> str:
    """In one line; without paths of this machine where names are replaced."""
    if order.reading.pseudonyms is None:
        return error.message
    if isinstance(error, UsageError):
        return phrase("{file}: cannot be compared with what --baseline names", file=job.name)
    if tempfile.gettempdir() in error.message:
        return error.message.replace(tempfile.gettempdir(), "TMPDIR")
    return error.message


def failed(job: Job, error: Exception, order: Order) -> IndexEntry:
    """The entry of a capture that met a fault of ours."""
    known = type(error).__name__ if order.reading.pseudonyms else f"{type(error).__name__}: {error}"
    message = phrase(
        "{file}: internal error ({error}); please report it, --debug shows where", file=job.name, error=known
    )
    return unread(job, message)


def overdue(job: Job, order: Order) -> IndexEntry:
    """The entry of a capture whose time limit ran out."""
    message = phrase(
        "{file}: not finished within {limit:g} s; raise --timeout or cut the capture",
        file=job.name,
        limit=order.timeout,
    )
    return unread(job, message, "timeout")


def crashed(job: Job, exit_code: int | None) -> IndexEntry:
    """The entry of a capture that ended its process, which exited with that code (negative: a signal)."""
    message = phrase("{file}: ended its process; cut the capture", file=job.name)
    if exit_code is not None and exit_code < 0:
        message = phrase(
            "{file}: ended its process (signal {signal}; 9 is what a system out of memory sends); cut the capture",
            file=job.name,
            signal=-exit_code,
        )
    elif exit_code is not None:
        message = phrase(
            "{file}: ended its process (exit status {code}); cut the capture", file=job.name, code=exit_code
        )
    return unread(job, message, "crashed")


def unread(job: Job, message: str, status: Status = "unreadable") -> IndexEntry:
    """The entry of a capture that there is no report on."""
    return with_messages(IndexEntry(file=job.name, status=status, message=message))


def _too_large(job: Job, order: Order) -> str:
    if order.most_memory is None:
        return phrase("{file}: out of memory; cut the capture, or use fewer --jobs", file=job.name)
    return phrase(
        "{file}: needs more memory than {most:,} bytes; raise --max-memory, or cut the capture",
        file=job.name,
        most=order.most_memory,
    )


def _refusal(job: Job, order: Order, error: OSError) -> str:
    """What the operating system did not do, and what to do about it; without paths where names are replaced."""
    reason, out, temporary = error.strerror or str(error), str(order.out), tempfile.gettempdir()
    if order.reading.pseudonyms:
        reason, temporary = error.strerror or type(error).__name__, "TMPDIR"
        out = phrase("the output directory")
    if error.errno == errno.ENOSPC:
        return phrase(
            "{file}: {reason}; make room in {out} and {temporary}, or set TMPDIR",
            file=job.name,
            reason=reason,
            out=out,
            temporary=temporary,
        )
    return phrase("{file}: {reason}; check the file and its permissions", file=job.name, reason=reason)


@contextmanager
def local_copy(job: Job) -> Iterator[str]:
    """A name by which this machine reads the capture; raises UnreadableCapture if it cannot be had."""
    if job.remote is None:
        yield job.source
        return
    with ExitStack() as stack:
        try:
            path = stack.enter_context(places.fetched(job.remote))
        except UsageError as error:
            why = error.__cause__ or error
            raise UnreadableCapture(
                job.name,
                phrase("cannot be fetched ({reason})", reason=places.reason(why)),
                phrase("check the address, the network and the credentials"),
            ) from error
        yield path


def opened(source: str) -> str | BinaryIO:
    """What the pipeline reads: a path, or the stream that "-" stands for."""
    if source != STANDARD_INPUT:
        return source
    if sys.stdin is None:
        advice = phrase("feed a capture into it, or name a file")
        raise UnreadableCapture("stdin", phrase("cannot be read (it is closed)"), advice)
    return sys.stdin.buffer


def _analyze(job: Job, order: Order) -> Report:
    from pcapreport.companion import CompanionLost

    baseline = counterpart(order.baseline, job.name, order.effective) if order.baseline else None
    if baseline and order.reading.pseudonyms and baseline.file != f"{Path(job.name).name}.json":
        baseline = replace(baseline, file=order.reading.pseudonyms.name("document", baseline.file))
    with _companion(job, order) as companion:
        try:
            return _report(job, order, baseline, companion)
        except CompanionLost:
            pass  # a second process is a convenience: without it, and with its memory, it may do
    return _report(job, order, baseline, None)


def _report(job: Job, order: Order, baseline: Baseline | None, companion: Companion | None) -> Report:
    from pcapreport import pipeline
    from pcapreport.report.build import DocumentOptions
    from pcapreport.report.html import CONNECTION_ROWS

    memory = order.memory if order.lesson is None else None  # connections are numbered over the whole capture
    options = DocumentOptions(
        details=order.details,
        effective=order.effective,
        listed=CONNECTION_ROWS,
        meta=order.meta,
        lab=order.lab,
        lesson=None if order.lesson is None else order.lesson - 1,
    )
    with local_copy(job) as source:
        capture = pipeline.read_within(memory, opened(source), job.name, order.reading, 2 if companion else 1)
        return pipeline.report_on(capture, order.settings, options, baseline, companion)


@contextmanager
def _companion(job: Job, order: Order) -> Iterator[Companion | None]:
    """A second process for a large capture, if there may be one."""
    from pcapreport.companion import POSSIBLE, Companion

    if order.cores < 2 or not POSSIBLE or not _is_large(job) or order.lab:
        yield None
        return
    executor = Processes(1)
    try:
        yield Companion(executor)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _write(report: Report, job: Job, order: Order) -> dict[str, str]:
    """Write the files asked for; format -> address relative to the output directory."""
    written, output = {}, output_at(order.out)
    for name, pieces in Renderings(report.document, report.json(), order.templates).of(order.formats):
        written[name] = f"{job.name}.{name}"
        output.write(written[name], pieces)
    return written


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise _TooSlow in the main thread after `seconds`; no limit elsewhere, or where the system has no timer."""
    usable = seconds and hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable or seconds is None:
        yield
        return

    def ring(_signal: int, _frame: object) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
