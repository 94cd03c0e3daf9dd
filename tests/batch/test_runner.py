"""Many captures over several processes: whatever one of them does, every other one gets its entry."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import misbehaving
import pytest

from pcapreport.batch import runner, work
from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry

ORDER = work.Order(out=Path("nowhere"), formats=frozenset())


def jobs(*names: str) -> list[Job]:
    return [Job(f"/nowhere/{name}", name) for name in names]


def statuses(entries: Iterator[IndexEntry]) -> dict[str, str]:
    listed = list(entries)
    assert max(Counter(entry.file for entry in listed).values()) == 1, "a capture has two entries"
    return {entry.file: entry.status for entry in listed}


def test_several_workers_do_every_job_once_in_other_processes() -> None:
    wanted = [f"{number}.pcap" for number in range(40)]
    entries = list(runner.run(jobs(*wanted), ORDER, 2, misbehaving.task))
    assert sorted(entry.file for entry in entries) == sorted(wanted)
    assert str(os.getpid()) not in {entry.message for entry in entries}


@pytest.mark.parametrize(("count", "workers"), [(3, 1), (1, 4)])
def test_one_worker_or_one_job_needs_no_other_process(count: int, workers: int) -> None:
    entries = list(runner.run(jobs(*map(str, range(count))), ORDER, workers, misbehaving.task))
    assert [entry.message for entry in entries] == [str(os.getpid())] * count


def test_streams_are_read_in_this_process_and_first(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    given = [*jobs("a", "b"), Job("-", "stdin"), Job(str(tmp_path / "pipe"), "pipe")]
    entries = list(runner.run(given, ORDER, 2, misbehaving.task))
    assert [entry.file for entry in entries[:2]] == ["stdin", "pipe"]
    assert [entry.message == str(os.getpid()) for entry in entries] == [True, True, False, False]


@pytest.mark.parametrize("end", ["killed", "exits"])
def test_a_worker_that_dies_loses_only_the_capture_that_killed_it(end: str) -> None:
    found = statuses(runner.run(jobs("a", "b", end, "c", "d", "e"), ORDER, 2, misbehaving.task))
    assert found == {"a": "ok", "b": "ok", end: "unreadable", "c": "ok", "d": "ok", "e": "ok"}


def test_two_deadly_captures_lose_only_themselves_and_say_why() -> None:
    names = ["killed-1", *map(str, range(8)), "exits-2"]
    entries = list(runner.run(jobs(*names), ORDER, 2, misbehaving.task))
    assert sorted(entry.file for entry in entries) == sorted(names)
    lost = {entry.file: entry.message for entry in entries if entry.status != "ok"}
    assert set(lost) == {"killed-1", "exits-2"}
    assert all(message.startswith(f"{name}: the worker process died on it") for name, message in lost.items())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_raises_loses_only_its_capture(workers: int) -> None:
    entries = {e.file: e for e in runner.run(jobs("a", "raises", "b"), ORDER, workers, misbehaving.task)}
    assert {name: entry.status for name, entry in entries.items()} == {"a": "ok", "raises": "unreadable", "b": "ok"}
    assert "RuntimeError: cannot do raises" in entries["raises"].message
    assert "\n" not in entries["raises"].message


def test_with_debug_a_task_that_raises_ends_the_run_with_its_traceback() -> None:
    order = work.Order(out=Path("nowhere"), formats=frozenset(), debug=True)
    with pytest.raises(RuntimeError, match="cannot do raises"):
        list(runner.run(jobs("a", "raises"), order, 1, misbehaving.task))


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


def test_a_pool_that_breaks_while_it_is_given_a_task_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_pool", lambda workers: _Fragile())
    names = [str(number) for number in range(3_000)]
    assert statuses(runner.run(jobs(*names), ORDER, 2, misbehaving.task)) == dict.fromkeys(names, "ok")


@pytest.mark.skipif(not hasattr(work.signal, "setitimer"), reason="the system has no timer for the limit")
def test_a_capture_over_the_time_limit_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def dawdle(*_: Any, **__: Any) -> None:
        for _ in range(6_000):
            time.sleep(0.01)

    monkeypatch.setattr(work.pipeline, "read_within", dawdle)
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

    monkeypatch.setattr(work.pipeline, "read_within", tolerant)
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

    monkeypatch.setattr(work.pipeline, "read_within", fail)
    entry = work.carry_out(Job("a.pcap", "a.pcap"), ORDER)
    assert entry.status == "unreadable"
    assert entry.message.startswith("a.pcap: ") and words in entry.message and "\n" not in entry.message
