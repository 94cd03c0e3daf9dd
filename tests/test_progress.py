"""What a batch tells while it runs: for people on a terminal, and as events for other programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch.index import IndexEntry
from pcapreport.batch.manifest import Stale
from pcapreport.language import speaking
from pcapreport.progress import Progress

SAMPLES = Path(__file__).parents[1] / "sample_pcaps"


class Terminal:
    """What was written, and a clock that is set by hand."""

    def __init__(self, **kind: bool) -> None:
        self.lines: list[str] = []
        self.now = 100.0
        kind = {"quiet": False, "verbose": False, "live": False} | kind
        self.progress = Progress(lambda line, nl=True: self.lines.append(line), **kind, clock=lambda: self.now)

    def done(self, count: int, seconds: float) -> None:
        for number in range(count):
            self.now += seconds
            self.progress.tell(IndexEntry(file=f"{number}.pcap", status="ok"))


def test_the_line_tells_count_rate_and_time_left_of_what_is_done_now() -> None:
    terminal = Terminal(live=True)
    terminal.progress.plan(3_000, 1_000, 0)
    terminal.done(1_000, 0)
    terminal.done(500, 0.5)
    assert terminal.lines[-1] == "\r\033[K[1500/3000] 2.0/s, 0:12:30 left: 499.pcap"
    with speaking("zh"):
        terminal.done(1, 0.5)
    assert "1501/3000" in terminal.lines[-1] and "left" not in terminal.lines[-1]


def test_the_line_is_not_written_more_often_than_a_terminal_can_show() -> None:
    terminal = Terminal(live=True)
    terminal.progress.plan(1_000, 0, 0)
    terminal.done(1_000, 0.001)
    assert 9 <= len(terminal.lines) <= 11


@pytest.mark.parametrize(("removed", "words"), [(False, "--prune removes"), (True, "removed")])
def test_stale_reports_are_told_with_what_was_left(removed: bool, words: str) -> None:
    terminal = Terminal()
    reports = [Stale("a\033.pcap", ["a.pcap.html"], []), Stale("b.pcap", [], ["b.pcap.html"])]
    terminal.progress.stale(reports, removed)
    assert words in terminal.lines[-1] and "\033" not in "".join(terminal.lines)
    assert ("b.pcap.html: is not as it was written" in terminal.lines[0]) == removed


def events(*arguments: object, cwd: Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit status, and what was on standard error, of which every line is an event."""
    command = [sys.executable, "-m", "pcapreport", "report", *map(str, arguments), "--log-format", "json"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stderr.isascii() and all(event["at"] >= 0 for event in told)
    return done.returncode, told


def test_events_tell_the_run_for_another_program(tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    shutil.copy(SAMPLES / "refused.pcap", given / "a\u200e.pcap")
    (given / "bad.pcap").write_bytes(b"no capture")
    (given / "notes.txt").write_text("nothing")
    code, (started, *captures, finished) = events(given, "-v", cwd=tmp_path)
    assert code == 3
    assert started.items() >= {"event": "started", "captures": 2, "before": 0, "skipped": 1}.items()
    good, bad = sorted(captures, key=lambda event: event["status"])
    assert {event["event"] for event in captures} == {"capture"}
    assert good["file"] == "a\u200e.pcap" and good["verdict"].startswith("The server refused")
    assert (good["report"], good["json"]) == ("a\u200e.pcap.html", "a\u200e.pcap.json") and good["seconds"] > 0
    assert (bad["status"], bad["report"], bad["verdict"]) == ("unreadable", "", "") and "bad.pcap" in bad["message"]
    assert finished.items() >= {
        "event": "finished", "captures": 2, "before": 0, "ok": 1, "damaged": 0, "unreadable": 1, "timeout": 0,
        "crashed": 0, "exit_code": 3, "index": str(Path("pcapreport-out", "index.html")),
    }.items()  # fmt: skip
    (given / "a\u200e.pcap").unlink()
    _, (_, _, stale, _) = events(given, "--prune", cwd=tmp_path)
    assert stale["event"] == "stale" and stale["removed"] == ["a\u200e.pcap.html", "a\u200e.pcap.json"]


def test_an_error_is_an_event_as_well(tmp_path: Path) -> None:
    code, (error,) = events("nowhere", cwd=tmp_path)
    assert code == 2 and error["event"] == "error" and error["exit_code"] == 2
    assert error["message"] == "nowhere: no such file or directory"
    code, (error,) = events("nowhere", "--jobs", "none", cwd=tmp_path)
    assert code == 2 and "--jobs" in error["message"]
