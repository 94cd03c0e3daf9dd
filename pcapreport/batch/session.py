"""A whole run of `report`: discover, skip what is done, run the rest, write the index."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pcapreport import errors
from pcapreport.batch.discover import Found, Job, discover
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.index_names import is_index_file
from pcapreport.batch.manifest import FILE, Manifest, Stale
from pcapreport.batch.output import Output, output_at
from pcapreport.batch.runner import Workers, local
from pcapreport.batch.runner import run as run_jobs
from pcapreport.batch.work import Order
from pcapreport.language import phrase
from pcapreport.report.baseline import load

SEVERITIES = ("note", "warning", "error")


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    paths: tuple[str, ...]
    order: Order
    jobs: int = 0
    """Worker processes; 0: all is done in this one."""
    force: bool = False
    """Do again what an earlier run has done."""
    workers: Callable[[int, Order], Workers | None] = local
    """Of so many processes; other machines may have another number."""
    parquet: bool = False
    """With tables of the index for programs."""
    prune: bool = False
    """Remove the reports of captures that are no more."""


def _nothing(*_: object) -> None:
    """Nobody is told."""


class Listener(NamedTuple):
    """Who is told what while a run goes on."""

    tell: Callable[[IndexEntry], None] = _nothing
    """After each capture."""
    plan: Callable[[int, int, int], None] = _nothing
    """Before the first: captures, those done by an earlier run, files that are none."""
    meet: Callable[[Sequence[Job]], None] = _nothing
    """Before that, if their names are pseudonyms."""
    took: Callable[[str, float], None] = _nothing
    """How many seconds the capture took that is told of next, if it was done now."""
    stale: Callable[[Sequence[Stale], bool], None] = _nothing
    """At the end: reports of captures that are no more, and whether they were removed."""


def run(
    request: Request,
    tell: Callable[[IndexEntry], None] = _nothing,
    plan: Callable[[int, int, int], None] = _nothing,
    meet: Callable[[Sequence[Job]], None] = _nothing,
    took: Callable[[str, float], None] = _nothing,
    stale: Callable[[Sequence[Stale], bool], None] = _nothing,
) -> list[IndexEntry]:
    """Do it, and give an entry for each capture; the callbacks are those of Listener.

    Raises UsageError for a path that is not there and for an output directory that cannot be written to. The index,
    which is written even when interrupted, lists the captures below the paths given, whatever else is in the directory.
    """
    order = request.order
    pseudonyms = order.reading.pseudonyms
    found = discover(request.paths, pseudonyms)
    _check_baseline(order, len(found.jobs))
    if pseudonyms:
        meet(found.jobs)
    output = output_at(order.out)
    output.prepare()
    root = partial(pseudonyms.name, "folder") if pseudonyms else None
    try:
        with closing(Manifest(output, order.formats, _shaping(order), root)) as manifest:
            if manifest.begin():
                output.sweep()
            entries = _Session(request, found, manifest, output, Listener(tell, plan, meet, took, stale)).run()
            manifest.end()
    finally:
        output.keep(last=True)
    return entries


def _shaping(order: Order) -> dict[str, Any]:
    """All that changes what is written."""
    return {
        **order.effective,
        "formats": sorted(order.formats),
        "templates": _contents(order.templates),
        "baseline": _contents(order.baseline),
        "meta": order.meta,
    }


class _Session:
    """One run over what was found."""

    def __init__(self, request: Request, found: Found, manifest: Manifest, output: Output, listener: Listener) -> None:
        self.request, self.order, self.found = request, request.order, found
        self.manifest, self.output, self.listener = manifest, output, listener
        self.entries: list[IndexEntry] = []
        self.failed: set[str] = set()
        """Names of captures that there is no report on, though there may be one of an earlier run."""

    def run(self) -> list[IndexEntry]:
        todo = self._skip_done()
        whole = False
        try:
            self._do(todo)
            whole = True
        finally:
            self.manifest.flush(patient=True)
            if todo:  # a process that was killed may have left something, even if another has done its work
                self.output.sweep()
            stale = self._stale(prune=whole and self.request.prune)
            self._write_index(stale)
        return self.entries

    def _skip_done(self) -> list[Job]:
        """The jobs that no earlier run has done; those that one has are told of."""
        before = self.manifest.known(self.found.jobs, self.request.jobs)
        if self.request.force:
            before = {}
        self.listener.plan(len(self.found.jobs), len(before), self.found.skipped)
        for job in self.found.jobs:
            if job.name in before:
                self._add(before[job.name])
        return [job for job in self.found.jobs if job.name not in before]

    def _add(self, entry: IndexEntry) -> None:
        self.entries.append(entry)
        if entry.status not in ("ok", "damaged"):
            self.failed.add(entry.file)
        self.listener.tell(entry)

    def _do(self, todo: Sequence[Job]) -> None:
        workers = self.request.workers(self.request.jobs, self.order) if todo else None
        results = run_jobs(todo, self.order, workers, took=self.listener.took)
        with _interrupts() as stop_if_asked, closing(results):
            for entry in results:
                self.manifest.record(entry)
                self._add(entry)
                self.manifest.flush()
                self.output.keep()
                stop_if_asked()

    def _stale(self, prune: bool) -> list[Stale]:
        """Reports of captures that are no more; with `prune` those of which something was left."""
        stale = self.manifest.stale(self.found.roots, self.failed)
        if prune:
            self.manifest.prune(stale)
        if stale:
            self.listener.stale(stale, prune)
        return [report for report in stale if report.changed or not prune]

    def _write_index(self, stale: Sequence[Stale]) -> None:
        """Unless it stands as an earlier run wrote it of the same captures."""
        names = [report.name for report in stale]
        mark = "" if self.failed else self.manifest.mark_of(self.entries, [*names, str(self.request.parquet)])
        with self.manifest.held():
            if self.request.force or not self.manifest.has_index(mark):
                _write_index(self.order, self.entries, names, self.request.parquet)
                self.manifest.record_index(mark)


def _write_index(order: Order, entries: Sequence[IndexEntry], stale: Sequence[str], parquet: bool) -> None:
    from pcapreport.batch.index_files import write_index  # which take longer to import than a run without news
    from pcapreport.batch.index_pages import Look

    key_id = order.reading.pseudonyms.key_id if order.reading.pseudonyms else ""
    write_index(entries, order.out, Look(order.templates, order.language, order.lab, key_id, parquet), stale)


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """Gives what raises KeyboardInterrupt if the user asked to stop.

    The one that Python raises is lost where it meets a callback that nothing may leave, such as those of a pool whose
    workers die of the same signal.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def ring(_signal: int, _frame: object) -> None:
        asked.set()
        raise KeyboardInterrupt

    def stop_if_asked() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ring)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)


def _check_baseline(order: Order, captures: int) -> None:
    """Raises UsageError now for what every capture would fail with."""
    baseline = order.baseline
    if baseline is None or baseline.is_dir():
        return
    if captures > 1:
        message = phrase("--baseline {path}: is one document; give the directory of a whole run", path=str(baseline))
        raise errors.UsageError(message)
    load(baseline, order.effective)


def holds_others(order: Order, entries: Iterable[IndexEntry]) -> bool:
    """The output directory has files that are not of this run, whose names may be originals."""
    own = {FILE} | {f"{entry.file}.{name}" for entry in entries for name in order.formats}
    return any(name not in own and not is_index_file(name) for name in output_at(order.out).addresses())


def _contents(folder: Path | None) -> list[tuple[str, str]]:
    """What the files of a folder of templates, or of an earlier run, hold: with others nothing counts as done."""
    if folder is None:
        return []
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    return [(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def exit_code(entries: Sequence[IndexEntry], fail_on: str) -> int:
    """The command's exit status: what could not be read weighs more than what was found, of which only what is new
    counts where an earlier run is compared with."""
    if not any(entry.status in ("ok", "damaged") for entry in entries):
        return errors.EXIT_NOTHING_ANALYSED
    if any(entry.status != "ok" for entry in entries):
        return errors.EXIT_SOME_UNREADABLE
    levels = SEVERITIES[SEVERITIES.index(fail_on) :] if fail_on in SEVERITIES else ()
    counts = [entry.findings if entry.new is None else entry.new for entry in entries]
    if any(count.get(level) for count in counts for level in levels):
        return errors.EXIT_FINDINGS
    return errors.EXIT_DONE
