"""Many captures over several processes: whatever one of them does, every other one gets its entry."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import misbehaving
import pytest

from pcapreport import pipeline
from pcapreport.batch import runner, work
from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.processes import Processes, WorkerLost
from pcapreport.errors import WorkersFailed

ORDER = work.Order(out=Path("nowhere"), formats=frozenset())


def jobs(*names: str) -> list[Job]:
    return [Job(f"/nowhere/{name}", name) for name in names]


def statuses(entries: Iterator[IndexEntry]) -> dict[str, str]:
    listed = list(entries)
    assert max(Counter(entry.file for entry in listed).values()) == 1, "a capture has two entries"
    return {entry.file: entry.status for entry in listed}


def run(given: list[Job], count: int, order: work.Order = ORDER) -> Iterator[IndexEntry]:
    return runner.run(given, order, runner.local(count, order), misbehaving.task)


def test_several_workers_do_every_job_once_in_other_processes() -> None:
    wanted = [f"{number}.pcap" for number in range(40)]
    entries = list(run(jobs(*wanted), 2))
    assert sorted(entry.file for entry in entries) == sorted(wanted)
    assert str(os.getpid()) not in {entry.message for entry in entries}


@pytest.mark.parametrize(("count", "workers"), [(3, 0), (1, 4)])
def test_no_worker_or_one_job_needs_no_other_process(count: int, workers: int) -> None:
    entries = list(run(jobs(*map(str, range(count))), workers))
    assert [entry.message for entry in entries] == [str(os.getpid())] * count


def test_one_capture_with_a_time_limit_needs_a_process_that_can_be_killed() -> None:
    (entry,) = run(jobs("a"), 1, replace(ORDER, timeout=60))
    assert entry.message != str(os.getpid())


def test_streams_are_read_in_this_process_and_first(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    given = [*jobs("a", "b"), Job("-", "stdin"), Job(str(tmp_path / "pipe"), "pipe")]
    entries = list(run(given, 2))
    assert [entry.file for entry in entries[:2]] == ["stdin", "pipe"]
    assert [entry.message == str(os.getpid()) for entry in entries] == [True, True, False, False]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("end", ["killed", "exits"])
def test_a_worker_that_dies_loses_only_the_capture_that_killed_it(end: str, workers: int) -> None:
    found = statuses(run(jobs("a", "b", end, "c", "d", "e"), workers))
    assert found == {"a": "ok", "b": "ok", end: "crashed", "c": "ok", "d": "ok", "e": "ok"}


def test_deadly_captures_lose_only_themselves_and_say_why() -> None:
    names = ["killed-1", *map(str, range(8)), "exits-2"]
    entries = list(run(jobs(*names), 2))
    assert sorted(entry.file for entry in entries) == sorted(names)
    assert {entry.file: entry.message for entry in entries if entry.status != "ok"} == {
        "killed-1": "killed-1: ended its process (signal 9; 9 is what a system out of memory sends); cut the capture",
        "exits-2": "exits-2: ended its process (exit status 3); cut the capture",
    }


def test_a_capture_whose_process_was_killed_by_chance_is_done_by_another(tmp_path: Path) -> None:
    found = statuses(run(jobs("a", "once", "b"), 2, replace(ORDER, out=tmp_path)))
    assert found == {"a": "ok", "once": "ok", "b": "ok"} and (tmp_path / "once.tried").exists()


def test_a_process_that_hangs_where_python_does_not_run_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.2)
    order = replace(ORDER, timeout=0.3)
    entries = {entry.file: entry for entry in run(jobs("hangs-1", "a", "b", "hangs-2", "c"), 2, order)}
    assert {name: entry.status for name, entry in entries.items()} == {
        "hangs-1": "timeout", "a": "ok", "b": "ok", "hangs-2": "timeout", "c": "ok",
    }  # fmt: skip
    assert entries["hangs-1"].message == "hangs-1: not finished within 0.3 s; raise --timeout or cut the capture"


def test_what_cannot_be_sent_between_processes_loses_only_its_capture() -> None:
    assert statuses(run(jobs("a", "unsendable", "b"), 2)) == {"a": "ok", "unsendable": "unreadable", "b": "ok"}


def test_leaving_early_kills_what_runs_and_leaves_no_process() -> None:
    entries = run(jobs("a", *["hangs"] * 3), 2)
    assert next(entries).file == "a"
    entries.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_task_that_raises_loses_only_its_capture(workers: int) -> None:
    entries = {e.file: e for e in run(jobs("a", "raises", "b"), workers)}
    assert {name: entry.status for name, entry in entries.items()} == {"a": "ok", "raises": "unreadable", "b": "ok"}
    assert "RuntimeError: cannot do raises" in entries["raises"].message
    assert "\n" not in entries["raises"].message


def test_with_debug_a_task_that_raises_ends_the_run_with_its_traceback() -> None:
    order = work.Order(out=Path("nowhere"), formats=frozenset(), debug=True)
    with pytest.raises(RuntimeError, match="cannot do raises"):
        list(run(jobs("a", "raises"), 0, order))


class _Fragile(Executor):
    """Does its tasks at once; breaks when it is given its third."""

    def __init__(self) -> None:
        self.given = 0

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        self.given += 1
        if self.given == 3:
            raise BrokenProcessPool("a worker died between two tasks")
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


def test_an_executor_that_breaks_while_it_is_given_a_task_loses_none() -> None:
    names = [str(number) for number in range(3_000)]
    found = runner.run(jobs(*names), ORDER, runner.Workers(_Fragile, 8), misbehaving.task)
    assert statuses(found) == dict.fromkeys(names, "ok")


class _Broken(_Fragile):
    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        raise BrokenProcessPool("no process starts here")


def test_where_no_process_can_be_started_the_run_ends_and_says_so() -> None:
    with pytest.raises(WorkersFailed, match="no worker process can be started"):
        list(runner.run(jobs("a", "b"), ORDER, runner.Workers(_Broken, 8), misbehaving.task))


def test_so_it_does_where_every_process_dies_before_it_is_ready() -> None:
    workers = runner.Workers(partial(Processes, 2, None, misbehaving.die_at_once), 8, (WorkerLost,))
    with pytest.raises(WorkersFailed, match="no worker process can be started"):
        list(runner.run(jobs("a", "b"), ORDER, workers, misbehaving.task))


@pytest.mark.skipif(not hasattr(work.signal, "setitimer"), reason="the system has no timer for the limit")
def test_a_capture_over_the_time_limit_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def dawdle(*_: Any, **__: Any) -> None:
        for _ in range(6_000):
            time.sleep(0.01)

    monkeypatch.setattr(pipeline, "read_within", dawdle)
    order = work.Order(out=Path("nowhere"), formats=frozenset(), timeout=0.05)
    entry = work.carry_out(Job("a.pcap", "a.pcap"), order)
    assert entry.status == "timeout"
    assert entry.message == "a.pcap: not finished within 0.05 s; raise --timeout or cut the capture"


@pytest.mark.skipif(not hasattr(work.signal, "setitimer"), reason="the system has no timer for the limit")
def test_no_reader_can_take_the_time_limit_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def tolerant(*_: Any, **__: Any) -> None:
        try:
            time.sleep(60)
        except Exception as error:
            raise OSError("damaged") from error

    monkeypatch.setattr(pipeline, "read_within", tolerant)
    order = work.Order(out=Path("nowhere"), formats=frozenset(), timeout=0.05)
    assert work.carry_out(Job("a.pcap", "a.pcap"), order).status == "timeout"


@pytest.mark.skipif(not hasattr(work.signal, "setitimer"), reason="the system has no timer for the limit")
def test_the_time_limit_ends_with_its_capture(tmp_path: Path) -> None:
    before = work.signal.getsignal(work.signal.SIGALRM)
    work.carry_out(Job(str(tmp_path / "absent"), "absent"), work.Order(out=tmp_path, formats=frozenset(), timeout=60))
    assert work.signal.getitimer(work.signal.ITIMER_REAL)[0] == 0
    assert work.signal.getsignal(work.signal.SIGALRM) == before


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError(), "out of memory"), (OSError(28, "No space left on device"), "No space left on device"),
     (ZeroDivisionError("by zero"), "internal error (ZeroDivisionError: by zero)")],
)  # fmt: skip
def test_whatever_goes_wrong_with_a_capture_is_one_line(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pipeline, "read_within", fail)
    entry = work.carry_out(Job("a.pcap", "a.pcap"), ORDER)
    assert entry.status == "unreadable"
    assert entry.message.startswith("a.pcap: ") and words in entry.message and "\n" not in entry.message
