"""The same work on the workers of a Dask cluster: the same files, whatever becomes of a worker."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import misbehaving
import pytest

from pcapreport.batch import runner, session
from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order
from pcapreport.errors import UsageError, WorkersFailed

distributed = pytest.importorskip("distributed", reason="distributed is not installed (the extra `cluster`)")

from dask_cluster import DaskCluster  # noqa: E402

from pcapreport.batch import dask_executor  # noqa: E402

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
CAPTURES = 24
FORMATS = frozenset(("json", "html"))


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    running = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield running
    running.stop()


def orders(out: Path, **more: Any) -> Order:
    out.mkdir(exist_ok=True)
    return Order(out=out, formats=FORMATS, **more)


def entries(dask: DaskCluster, jobs: list[Job], order: Order, task: runner.Task) -> dict[str, IndexEntry]:
    with dask_executor.cluster(f"dask://{dask.address}") as connect:
        found = list(runner.run(jobs, order, connect(0, order), task))
    assert len(found) == len(jobs) == len({entry.file for entry in found})
    return {entry.file: entry for entry in found}


def captures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        shutil.copy(SAMPLES / "refused.pcap", folder / f"{number:03}.pcap")
    return folder


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != ".pcapreport.sqlite"
    }


def worker_processes(dask: DaskCluster) -> list[int]:
    with distributed.Client(f"tcp://{dask.address}", set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_a_worker_killed_in_mid_run_costs_nothing_but_a_retry(dask: DaskCluster, tmp_path: Path) -> None:
    given = captures(tmp_path / "in", CAPTURES)
    one_lost: list[int] = []

    def tell(_: IndexEntry) -> None:
        if not one_lost:
            one_lost.extend(worker_processes(dask)[:1])
            os.kill(one_lost[0], signal.SIGKILL)

    with dask_executor.cluster(f"dask://{dask.address}") as connect:
        request = session.Request((str(given),), orders(tmp_path / "out"), workers=connect)
        found = session.run(request, tell)
    assert one_lost and one_lost[0] not in worker_processes(dask)
    assert [entry.status for entry in found] == ["ok"] * CAPTURES
    session.run(session.Request((str(given),), orders(tmp_path / "local")))
    there, here = contents(tmp_path / "out"), contents(tmp_path / "local")
    assert there == here and len(here) == 2 * CAPTURES + 3  # and the index: page, document, table


def test_captures_that_end_hang_or_fail_in_their_process_cost_only_themselves(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "GRACE", 0.5)
    names = ["a", "killed", "b", "exits", "raises", "unsendable", "hangs", "c", "once", "d"]
    before = worker_processes(dask)
    found = entries(
        dask, [Job(f"/nowhere/{name}", name) for name in names], orders(tmp_path, timeout=3), misbehaving.task
    )
    assert {name: entry.status for name, entry in found.items()} == {
        **dict.fromkeys(("a", "b", "c", "d", "once"), "ok"),
        **dict.fromkeys(("killed", "exits"), "crashed"),
        **dict.fromkeys(("raises", "unsendable"), "unreadable"),
        "hangs": "timeout",
    }
    assert "signal 9" in found["killed"].message and "cannot do raises" in found["raises"].message
    assert worker_processes(dask) == before


def test_a_capture_that_ends_its_workers_again_and_again_is_given_up(dask: DaskCluster, tmp_path: Path) -> None:
    found = entries(
        dask, [Job("a", "a"), Job("kills-worker", "kills-worker"), Job("b", "b")], orders(tmp_path), misbehaving.task
    )
    assert {name: entry.status for name, entry in found.items()} == {"a": "ok", "b": "ok", "kills-worker": "crashed"}


def test_workers_of_another_version_are_told_of(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = dask_executor.Ticket
    monkeypatch.setattr(dask_executor, "Ticket", lambda limit, probe: ticket(limit, "0.0.0", probe))
    with pytest.raises(WorkersFailed, match=r"has pcapreport [\d.]+\S*, this is .*; install the same"):
        entries(dask, [Job("a", "a")], orders(tmp_path), misbehaving.task)


def test_workers_that_do_not_see_the_output_directory_are_told_of(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = dask_executor.Ticket
    monkeypatch.setattr(dask_executor, "Ticket", lambda limit, probe: ticket(limit, probe="/nowhere"))
    with pytest.raises(WorkersFailed, match="does not see the output directory; give one that all machines share"):
        entries(dask, [Job("a", "a")], orders(tmp_path), misbehaving.task)


def test_workers_that_lack_the_program_are_told_of(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def take(*_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    monkeypatch.setattr(dask_executor, "take", only_here.take)
    with pytest.raises(WorkersFailed, match="tasks cannot be carried out there .*; install the same"):
        entries(dask, [Job("a", "a")], orders(tmp_path), misbehaving.task)


def test_no_file_of_the_run_itself_is_left_in_the_output(dask: DaskCluster, tmp_path: Path) -> None:
    entries(dask, [Job("a", "a")], orders(tmp_path), misbehaving.task)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_cancels_what_is_queued(dask: DaskCluster, tmp_path: Path) -> None:
    order = orders(tmp_path)
    jobs = [Job(f"/nowhere/marks-{number}", f"marks-{number}") for number in range(30)]
    with dask_executor.cluster(f"dask://{dask.address}") as connect:
        found = runner.run(jobs, order, connect(0, order), misbehaving.task)
        next(found)
        found.close()
    time.sleep(6)  # all that was handed out would be done by then
    assert len(list(tmp_path.iterdir())) < 15


@pytest.mark.parametrize("address", ["dask://", "dask://host", "dask://user:secret@host:1", "nothing", "dask:/h:1"])
def test_what_is_no_address_of_a_scheduler_is_wrong_usage(address: str) -> None:
    with (
        pytest.raises(UsageError, match="give local or dask://HOST:PORT") as raised,
        dask_executor.cluster(address),
    ):
        pass
    assert "secret" not in str(raised.value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pcapreport(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pcapreport", "report", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_without_a_scheduler_one_line_says_how_to_start_one(tmp_path: Path) -> None:
    done = pcapreport(str(SAMPLES), "-o", str(tmp_path), "--executor", f"dask://127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "start one with `dask scheduler`" in done.stderr


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        dask_executor.cluster("dask://127.0.0.1:8786") as connect,
        pytest.raises(UsageError, match=r"pip install 'pcapreport\[cluster\]'"),
    ):
        connect(0, orders(tmp_path))


def test_a_scheduler_without_workers_or_lost_in_mid_run_ends_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "CONNECT_S", 5)
    monkeypatch.setattr(dask_executor, "PATIENCE_S", 3)
    alone = DaskCluster(tmp_path, workers=0)
    order = orders(tmp_path / "out")
    slow = [Job("dawdles", "dawdles")]
    try:
        with pytest.raises(WorkersFailed, match="no worker is there; start some with `dask worker"):
            entries(alone, slow, order, misbehaving.task)
        worker = alone.start_worker()
        alone._told(worker, "Registered to:")
        with dask_executor.cluster(f"dask://{alone.address}") as connect:
            workers = connect(0, order)
            executor = workers.executor()
            lost = executor.submit(misbehaving.task, slow[0], order)
            time.sleep(1)
            os.killpg(worker.pid, signal.SIGKILL)
            assert isinstance(lost.exception(60), WorkersFailed) and "no worker is there" in str(lost.exception())
            lost = executor.submit(misbehaving.task, slow[0], order)
            alone.scheduler.kill()
            assert isinstance(lost.exception(60), WorkersFailed)
            assert "the scheduler was lost; the same command does the rest" in str(lost.exception())
            executor.shutdown(cancel_futures=True)
    finally:
        alone.stop()


def test_relative_paths_mean_the_same_on_every_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    order = replace(Order(out=Path("out"), formats=FORMATS), templates=Path("t"))
    everywhere = dask_executor._everywhere(order)
    assert (everywhere.out, everywhere.templates, everywhere.baseline) == (tmp_path / "out", tmp_path / "t", None)
    assert dask_executor._absolute(Job("a", "a")).source == str(tmp_path / "a")
