"""A whole run: where the files go, what the index says, which exit status follows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch import session
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"


def put(path: Path, sample: str = "refused.pcap") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SAMPLES / sample, path)
    return path


def run(out: Path, *paths: Path, **more: Any) -> list[IndexEntry]:
    formats = more.pop("formats", frozenset(("html", "json")))
    batch = {name: more.pop(name) for name in ("jobs", "force") if name in more}
    return session.run(session.Request(tuple(map(str, paths)), Order(out, formats, **more), **batch))


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.suffix != ".sqlite"}


def index(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "index.json").read_bytes())["captures"]


INDEX = {"index.html", "index.json", "index.csv"}


def test_reports_mirror_the_directories_and_keep_the_full_file_names(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.pcap")
    put(tmp_path / "in" / "mon" / "night" / "a.pcapng", "two-taps.pcapng")
    run(tmp_path / "out", tmp_path / "in")
    reports = {"a.pcap.html", "a.pcap.json", "mon/night/a.pcapng.html", "mon/night/a.pcapng.json"}
    assert files(tmp_path / "out") == reports | INDEX


def test_files_and_directories_may_be_mixed_and_names_that_meet_are_kept_apart(tmp_path: Path) -> None:
    single = put(tmp_path / "desk" / "a.pcap", "abort-by-reset.pcap")
    put(tmp_path / "in" / "a.pcap")
    put(tmp_path / "in" / "b.pcap")
    entries = run(tmp_path / "out", single, tmp_path / "in", formats=frozenset(("json",)))
    assert files(tmp_path / "out") == {"desk/a.pcap.json", "in/a.pcap.json", "b.pcap.json"} | INDEX
    told = {entry.file: entry.verdict.split()[1] for entry in entries}
    assert told == {"desk/a.pcap": "client", "in/a.pcap": "server", "b.pcap": "server"}


def test_every_address_in_the_index_is_a_file_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.pcap")
    put(tmp_path / "in" / "deep" / "b c#%.pcap")
    run(tmp_path / "out", tmp_path / "in")
    assert [line["file"] for line in index(tmp_path / "out")] == ["a.pcap", "deep/b c#%.pcap"]
    for line in index(tmp_path / "out"):
        assert (tmp_path / "out" / line["report"]).is_file() and (tmp_path / "out" / line["json"]).is_file()
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'href="a.pcap.html"' in page and 'href="deep/b%20c%23%25.pcap.html"' in page


@pytest.mark.parametrize("formats", [{"html"}, {"json"}, {"md"}, {"html", "json", "md"}])
def test_the_files_are_those_of_the_formats_and_the_index_is_always_there(tmp_path: Path, formats: set[str]) -> None:
    run(tmp_path / "out", put(tmp_path / "a.pcap"), formats=frozenset(formats))
    assert files(tmp_path / "out") == {f"a.pcap.{name}" for name in formats} | INDEX


def test_the_index_is_written_for_no_capture_and_for_none_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert run(tmp_path / "out", tmp_path / "in") == []
    assert files(tmp_path / "out") == INDEX and index(tmp_path / "out") == []
    (tmp_path / "in" / "bad.pcap").write_bytes(b"")
    run(tmp_path / "out", tmp_path / "in")
    assert files(tmp_path / "out") == INDEX
    assert [line["status"] for line in index(tmp_path / "out")] == ["unreadable"]


def test_an_interrupted_run_leaves_an_index_of_what_is_done_and_the_next_does_the_rest(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / "in" / f"{number}.pcap")
    request = session.Request((str(tmp_path / "in"),), Order(tmp_path / "out", frozenset(("json",))))
    seen: list[str] = []

    def interrupt(entry: IndexEntry) -> None:
        seen.append(entry.file)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.run(request, interrupt)
    assert [line["file"] for line in index(tmp_path / "out")] == ["0.pcap", "1.pcap"]
    planned: list[tuple[int, int, int]] = []
    session.run(request, plan=lambda *numbers: planned.append(numbers))
    assert planned == [(4, 2, 0)]
    assert len(index(tmp_path / "out")) == 4


def test_the_plan_comes_first_and_every_capture_is_told_once(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.pcap")
    put(tmp_path / "in" / "b.pcap")
    (tmp_path / "in" / "notes.txt").write_text("no capture")
    told: list[Any] = []
    request = session.Request((str(tmp_path / "in"),), Order(tmp_path / "out", frozenset(("json",))))
    session.run(request, lambda entry: told.append(entry.file), lambda *numbers: told.append(numbers))
    assert told == [(2, 0, 1), "a.pcap", "b.pcap"]


def entry(status: Any = "ok", **findings: int) -> IndexEntry:
    return IndexEntry(file="a", status=status, findings=findings)


@pytest.mark.parametrize(
    ("entries", "fail_on", "code"),
    [
        ([], "never", 4),
        ([entry("unreadable"), entry("timeout")], "note", 4),
        ([entry()], "note", 0),
        ([entry(error=1)], "never", 0),
        ([entry(error=1)], "error", 1),
        ([entry(warning=1)], "error", 0),
        ([entry(), entry(warning=1)], "warning", 1),
        ([entry(note=1)], "note", 1),
        ([entry(note=1)], "warning", 0),
        ([entry("damaged")], "never", 3),
        ([entry(error=1), entry("unreadable")], "error", 3),
        ([entry(), entry("timeout")], "never", 3),
    ],
)
def test_the_exit_status_tells_unreadable_before_findings(entries: list[IndexEntry], fail_on: str, code: int) -> None:
    assert session.exit_code(entries, fail_on) == code
