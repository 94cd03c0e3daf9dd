"""A second process changes nothing but the time that a capture takes."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from pcapreport import companion
from pcapreport.batch import work
from pcapreport.batch.discover import Job
from pcapreport.batch.processes import Processes
from pcapreport.batch.work import Order, carry_out
from pcapreport.capture import reader
from pcapreport.companion import Companion, CompanionLost
from pcapreport.pipeline import read_within, report_on
from pcapreport.report.build import DocumentOptions, Report
from pcapreport.settings import DEFAULT_READING, Settings

SAMPLES = Path(__file__).parents[1] / "sample_pcaps"
MANY = SAMPLES / "many-short-connections.pcap"
OPTIONS = DocumentOptions(details=3, listed=20)

pytestmark = pytest.mark.skipif(not companion.POSSIBLE, reason="a second process reads through /proc: Linux only")


class Here(Executor):
    """Does what the other process would, at once, in this one."""

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WORTH_SHARING", 1)


def told(report: Report) -> bytes:
    return b"".join(report.json())


def shared(path: Path, memory: int | None, executor: Executor) -> bytes:
    capture = read_within(memory, path, path.name, DEFAULT_READING, sharers=2)
    return told(report_on(capture, Settings(), OPTIONS, companion=Companion(executor)))


def alone(path: Path) -> bytes:
    return told(report_on(read_within(None, path, path.name, DEFAULT_READING), Settings(), OPTIONS))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.pcap*")), ids=lambda path: path.name)
def test_a_shared_capture_is_told_as_one_done_alone(path: Path) -> None:
    assert shared(path, None, Here()) == alone(path)


@pytest.mark.parametrize("memory", [None, 20_000], ids=["in two", "in many parts"])
def test_so_it_is_where_the_other_process_is_a_real_one(memory: int | None) -> None:
    executor = Processes(1)
    try:
        assert shared(MANY, memory, executor) == alone(MANY)
    finally:
        executor.shutdown(cancel_futures=True)


def test_a_process_that_is_lost_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it dies at its work or before it, when another takes its place that was not asked anything."""
    executor = Processes(1)
    give = Companion._offer

    def killed(self: Companion, *arguments: Any) -> Any:
        executor.submit(os.kill, executor.submit(os.getpid).result(), signal.SIGKILL)
        return give(self, *arguments)

    monkeypatch.setattr(Companion, "_offer", killed)
    try:
        with pytest.raises(CompanionLost):
            shared(MANY, None, executor)
    finally:
        executor.shutdown(cancel_futures=True)


def test_then_the_capture_is_done_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(Companion):
        def answer(self, *_: Any) -> Any:
            raise CompanionLost

    monkeypatch.setattr(work, "LARGE", 1)
    monkeypatch.setattr(companion, "Companion", Lost)
    job = Job(str(MANY), "a.pcap")
    order = Order(tmp_path / "two", frozenset({"json"}), cores=2)
    assert carry_out(job, order).status == "ok"
    assert carry_out(job, Order(tmp_path / "one", frozenset({"json"}))).status == "ok"
    assert (tmp_path / "two/a.pcap.json").read_bytes() == (tmp_path / "one/a.pcap.json").read_bytes()
