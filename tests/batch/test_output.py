"""What is in the output directory is whole, whatever was killed; and what was left half-way is put away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcapreport.batch import output
from pcapreport.batch.output import Output


def begun(folder: Path, machine: str, process: int, age_s: float = 0.0) -> Path:
    path = folder / f".pcapreport-{machine}-{process}-0123.part"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.fixture
def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_file_is_replaced_when_all_of_it_is_there(tmp_path: Path) -> None:
    place = Output(tmp_path)
    place.write("a/b.json", [b"old"])

    def pieces() -> Iterator[bytes]:
        yield b"ne"
        assert (tmp_path / "a/b.json").read_bytes() == b"old"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        place.write("a/b.json", pieces())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
    place.write("a/b.json", [b"n", b"ew"])
    assert (tmp_path / "a/b.json").read_bytes() == b"new"


def test_what_killed_processes_had_begun_is_removed_and_nothing_else(tmp_path: Path, gone: int) -> None:
    (tmp_path / "deep").mkdir()
    here, day = output.machine(), output.FORGOTTEN_S
    left = [begun(tmp_path, here, gone), begun(tmp_path / "deep", here, gone), begun(tmp_path, "0" * 8, 2, 2 * day)]
    live = [begun(tmp_path, here, os.getpid()), begun(tmp_path, here, os.getppid()), begun(tmp_path, "0" * 8, 1)]
    mine = [tmp_path / ".pcapreport-notes.part", tmp_path / "a.part"]
    for path in mine:
        path.touch()
    Output(tmp_path).sweep()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in [*live, *mine])


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError) as caught:
        Output(tmp_path).write("a", [b"x"])
    assert caught.value.filename == str(tmp_path / "a") and os.listdir(tmp_path) == ["a"]
