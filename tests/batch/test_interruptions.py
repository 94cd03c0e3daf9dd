"""Whatever is killed, full, closed or hangs: the rest is done, nothing is half there, and the next run finishes it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import misbehaving
import pytest

from pcapreport.batch import manifest, runner, session
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order
from pcapreport.errors import UsageError

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
PATIENCE = 300
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and mounts are POSIX's")


def captures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(SAMPLES / "refused.pcap", folder / f"{name}.pcap")
    return folder


def numbered(count: int) -> list[str]:
    return [f"{number:03}" for number in range(count)]


def program(folder: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pcapreport", "report", str(folder), "-o", str(out), "--jobs", "2", *more]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PCAPREPORT_")}
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and standard error."""
    _, told = process.communicate(timeout=PATIENCE)
    return process.returncode, told


def until(condition: Callable[[], Any]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "nothing happens"
        time.sleep(0.02)


def recorded(out: Path) -> set[str]:
    """Names in the record of a directory."""
    try:
        with closing(sqlite3.connect(out / manifest.FILE, timeout=10)) as database:
            return {name for (name,) in database.execute("select name from done")}
    except sqlite3.Error:
        return set()


def check_whole(out: Path, leftovers: bool = False) -> set[str]:
    """Every file is whole; gives the names of the captures that have reports."""
    for path in out.rglob("*"):
        if path.name.endswith(".part"):
            assert leftovers, f"{path} was left"
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
    return {path.name.removesuffix(".json") for path in out.rglob("*.pcap.json")}


def children(process: int) -> list[int]:
    told = Path(f"/proc/{process}/task/{process}/children")
    threads = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return sorted({int(child) for found in threads for child in found}) if told.exists() else []


def is_running(process: int) -> bool:
    """It is there, and not only to be asked how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found through /proc")
def test_after_a_killed_run_nothing_is_half_there_and_the_next_does_the_rest(tmp_path: Path) -> None:
    given, out = captures(tmp_path / "in", *numbered(24)), tmp_path / "out"
    first = program(given, out)
    until(lambda: len(recorded(out)) >= 4)
    workers = children(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    until(lambda: not any(map(is_running, workers)))
    there = check_whole(out, leftovers=True)
    kept = recorded(out)
    assert kept <= there and len(there - kept) <= 3, "more than what was at hand is lost"
    code, told = ended(program(given, out, "--log-format", "json"))
    assert code == 0 and json.loads(told.splitlines()[0])["before"] == len(kept)
    assert len(check_whole(out)) == 24


def test_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    given, out = captures(tmp_path / "in", *numbered(12)), tmp_path / "out"
    run = program(given, out)
    until(lambda: recorded(out))
    victims = [child for child in children(run.pid) if is_running(child)]
    os.kill(victims[-1], signal.SIGKILL)
    code, _ = ended(run)
    assert code == 0 and len(check_whole(out)) == 12


def test_two_runs_into_one_directory_do_each_other_no_harm(tmp_path: Path) -> None:
    one, other, out = captures(tmp_path / "a", *numbered(8)), captures(tmp_path / "b", "x", "y", "z"), tmp_path / "out"
    runs = [program(one, out), program(one, out), program(other, out)]
    assert [ended(run)[0] for run in runs] == [0, 0, 0]
    assert len(check_whole(out)) == 11 and len(recorded(out)) == 11
    listed = json.loads((out / "index.json").read_bytes())["captures"]
    assert len(listed) in (8, 3), "the index is that of one run"
    assert json.loads(ended(program(one, out, "--log-format", "json"))[1].splitlines()[0])["before"] == 8


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "run_jobs", partial(runner.run, task=misbehaving.spoiled))


def done_by(request: session.Request) -> tuple[dict[str, str], int, list[IndexEntry]]:
    """Statuses by capture, how many an earlier run had done, and the entries."""
    before: list[int] = []
    entries = session.run(request, plan=lambda total, known, skipped: before.append(known))
    return {entry.file: entry.status for entry in entries}, before[0], entries


def test_captures_that_hang_eat_or_kill_cost_only_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"hangs": "timeout", "dawdles": "timeout", "eats": "unreadable", "killed": "crashed", "exits": "crashed"}
    given = captures(tmp_path / "in", *bad, *numbered(7))
    order = Order(tmp_path / "out", frozenset(("html", "json")), timeout=8, most_memory=1 << 30)
    request = session.Request((str(given),), order, jobs=2)
    with monkeypatch.context() as patched:
        spoil(patched)
        found, _, entries = done_by(request)
    good = {f"{number}.pcap": "ok" for number in numbered(7)}
    assert found == good | {f"{name}.pcap": status for name, status in bad.items()}
    assert session.exit_code(entries, "never") == 3
    messages = {entry.file: entry.message for entry in entries if entry.message}
    assert "raise --max-memory" in messages["eats.pcap"] and all("\n" not in told for told in messages.values())
    assert check_whole(tmp_path / "out") == set(good)
    found, before, _ = done_by(request)
    assert set(found.values()) == {"ok"} and before == 7
    assert len(check_whole(tmp_path / "out")) == 12


def test_reports_and_index_are_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    for path in sorted(SAMPLES.glob("*.pcap"))[:9]:
        shutil.copy(path, given)
    (given / "broken.pcap").write_bytes(b"no capture")

    def contents(workers: int) -> dict[str, bytes]:
        out = tmp_path / str(workers)
        session.run(session.Request((str(given),), Order(out, frozenset(("html", "json", "md"))), jobs=workers))
        files = (path for path in out.rglob("*") if path.is_file() and path.name != manifest.FILE)
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}

    alone = contents(0)
    assert len(alone) == 3 * 9 + 3
    assert contents(1) == alone and contents(2) == alone


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_on_a_full_disk_nothing_is_half_written_and_with_room_the_rest_is_done(tmp_path: Path) -> None:
    given, out = captures(tmp_path / "in", *numbered(12)), tmp_path / "out"
    with mounted(out, "size=400k"):
        code, told = ended(program(given, out))
        assert code in (2, 3) and "No space left on device" in told and "Traceback" not in told
        there = check_whole(out)
        assert 0 < len(there) < 12
        subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
        code, told = ended(program(given, out))
        assert code == 0, told
        assert len(check_whole(out)) == 12


def test_a_directory_that_cannot_be_written_to_is_told_before_anything_is_analysed(tmp_path: Path) -> None:
    given, out = captures(tmp_path / "in", "a"), tmp_path / "out"
    with mounted(out, "ro"):
        assert ended(program(given, out)) == (
            2, f"pcapreport: {out}: Read-only file system; give another directory to -o\n",
        )  # fmt: skip
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="give another directory"):
        session.run(session.Request((str(given),), Order(tmp_path / "file", frozenset())))
