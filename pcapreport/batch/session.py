"""A whole run of `report`: discover, skip what is done, run the rest, write the index."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcapreport import errors
from pcapreport.batch.discover import Job, discover
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.index_files import write_index
from pcapreport.batch.index_names import is_index_file
from pcapreport.batch.index_pages import Look
from pcapreport.batch.manifest import FILE, Manifest
from pcapreport.batch.runner import Workers, local
from pcapreport.batch.runner import run as run_jobs
from pcapreport.batch.work import Order
from pcapreport.language import phrase
from pcapreport.report.baseline import load

RECORD_EVERY = 50
"""Finished captures between two writes to the manifest: little is lost when a run is interrupted."""
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


def run(
    request: Request,
    tell: Callable[[IndexEntry], None] = lambda entry: None,
    plan: Callable[[int, int, int], None] = lambda total, before, skipped: None,
    meet: Callable[[Sequence[Job]], None] = lambda jobs: None,
) -> list[IndexEntry]:
    """Do it; `plan(captures, done before, files skipped)` is called first, `tell(entry)` after each capture; before
    both `meet(jobs)`, if their names are pseudonyms.

    Raises UsageError for a path that is not there. Writes the index even when interrupted.
    """
    order = request.order
    pseudonyms = order.reading.pseudonyms
    found = discover(request.paths, pseudonyms)
    _check_baseline(order, len(found.jobs))
    if pseudonyms:
        meet(found.jobs)
    order.out.mkdir(parents=True, exist_ok=True)
    shaping = {
        **order.effective,
        "formats": sorted(order.formats),
        "templates": _contents(order.templates),
        "baseline": _contents(order.baseline),
        "meta": order.meta,
    }
    manifest = Manifest(order.out, order.formats, shaping, alone=pseudonyms is not None)
    entries: list[IndexEntry] = []
    todo = []
    for job in found.jobs:
        before = manifest.done(job)
        if before is None or request.force:
            todo.append(job)
        else:
            entries.append(before)
    plan(len(found.jobs), len(entries), found.skipped)
    for entry in entries:
        tell(entry)
    by_name = {job.name: job for job in todo}
    fresh: list[IndexEntry] = []
    try:
        with _interrupts() as stop_if_asked:
            for entry in run_jobs(todo, order, request.workers(request.jobs, order) if todo else None):
                entries.append(entry)
                fresh.append(entry)
                tell(entry)
                if len(fresh) == RECORD_EVERY:
                    manifest.record((by_name[e.file], e) for e in fresh)
                    fresh.clear()
                stop_if_asked()
    finally:
        manifest.record((by_name[e.file], e) for e in fresh)
        key_id = pseudonyms.key_id if pseudonyms else ""
        write_index(entries, order.out, Look(order.templates, order.language, order.lab, key_id, request.parquet))
    return entries


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
    files = (path.relative_to(order.out).as_posix() for path in order.out.rglob("*") if path.is_file())
    return any(name not in own and not is_index_file(name) for name in files)


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
