"""What was done, from which bytes, with which options: a second run over the same directory does only what is new."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from pcapreport.batch.discover import STANDARD_INPUT, Job
from pcapreport.batch.index import IndexEntry
from pcapreport.version import __version__

FILE = ".pcapreport.sqlite"
_TABLE = """create table if not exists done (
    name text primary key, size integer, mtime_ns integer, options text, entry blob
)"""


class Manifest:
    """The record of one output directory. Use as a context manager; anything unreadable in it counts as not done."""

    def __init__(self, out: Path, options: dict[str, Any]) -> None:
        """`options`: all that changes the result; another value of any makes earlier work count as not done."""
        self._out = out
        told = msgspec.json.encode([__version__, sorted(options.items())], enc_hook=str)
        self._options = hashlib.sha256(told).hexdigest()
        self._path = out / FILE

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=10)
        database.execute(_TABLE)
        return database

    def done(self, job: Job) -> IndexEntry | None:
        """The entry of an earlier run on the same bytes (by size and time of change) and options, if its files stand."""
        if job.source == STANDARD_INPUT or not self._path.exists():
            return None
        try:
            size, mtime = _stamp(job)
            with closing(self._open()) as database:
                row = database.execute(
                    "select entry from done where name = ? and size = ? and mtime_ns = ? and options = ?",
                    (job.name, size, mtime, self._options),
                ).fetchone()
            entry = msgspec.json.decode(row[0], type=IndexEntry) if row else None
        except (OSError, sqlite3.Error, msgspec.MsgspecError):
            return None
        if entry is None or not all((self._out / name).exists() for name in (entry.report, entry.json) if name):
            return None
        return entry

    def record(self, finished: Iterable[tuple[Job, IndexEntry]]) -> None:
        """Remember finished captures; what could not be read is tried again next time."""
        rows = [
            (job.name, *_stamp(job), self._options, msgspec.json.encode(entry))
            for job, entry in finished
            if job.source != STANDARD_INPUT and entry.status in ("ok", "damaged")
        ]
        try:
            with closing(self._open()) as database, database:
                database.executemany("insert or replace into done values (?, ?, ?, ?, ?)", rows)
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)  # not a database of ours: the next run starts afresh


def _stamp(job: Job) -> tuple[int, int]:
    status = os.stat(job.source)
    return status.st_size, status.st_mtime_ns
