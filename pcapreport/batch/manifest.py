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

from pcapreport.batch.discover import Job, is_stream
from pcapreport.batch.index import IndexEntry
from pcapreport.language import as_string
from pcapreport.version import __version__

FILE = ".pcapreport.sqlite"
_TABLE = """create table if not exists done (
    name text primary key, size integer, mtime_ns integer, options text, entry blob
)"""


class Manifest:
    """The record of one output directory; anything unreadable in it counts as not done."""

    def __init__(self, out: Path, formats: frozenset[str], options: dict[str, Any], alone: bool = False) -> None:
        """`options`: all that changes the result; another value of any makes earlier work count as not done.

        `alone`: work with other options is forgotten, since the names in its record may not stay.
        """
        self._alone = alone
        self._out = out
        self._formats = formats
        self._stamps: dict[str, tuple[int, int]] = {}
        told = msgspec.json.encode([__version__, sorted(options.items())], enc_hook=str)
        self._options = hashlib.sha256(told).hexdigest()
        self._path = out / FILE

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=10)
        database.execute(_TABLE)
        return database

    def done(self, job: Job) -> IndexEntry | None:
        """The entry of an earlier run on the same bytes (by size and time of change) and options, if its files stand.

        To be asked before the capture is read, and only then can it be recorded: what changes while it is read
        counts as changed.
        """
        if is_stream(job.source):
            return None
        try:
            status = os.stat(job.source)
            self._stamps[job.name] = size, mtime = status.st_size, status.st_mtime_ns
            if not self._path.exists():
                return None
            with closing(self._open()) as database:
                row = database.execute(
                    "select entry from done where name = ? and size = ? and mtime_ns = ? and options = ?",
                    (job.name, size, mtime, self._options),
                ).fetchone()
            entry = msgspec.json.decode(row[0], type=IndexEntry) if row else None
        except (OSError, sqlite3.Error, msgspec.MsgspecError):
            return None
        stand = all((self._out / f"{job.name}.{name}").exists() for name in self._formats)
        return entry if stand else None

    def record(self, finished: Iterable[tuple[Job, IndexEntry]]) -> None:
        """Remember finished captures; what could not be read is tried again next time."""
        rows = [
            (job.name, *self._stamps[job.name], self._options, msgspec.json.encode(entry, enc_hook=as_string))
            for job, entry in finished
            if job.name in self._stamps and entry.status in ("ok", "damaged")
        ]
        try:
            self._insert(rows)
        except sqlite3.OperationalError:
            pass  # locked by another run, or no room: the next run does these again
        except sqlite3.DatabaseError:  # not a database of ours
            self._path.unlink(missing_ok=True)
            self._insert(rows)

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        with closing(self._open()) as database, database:
            if self._alone:
                database.execute("pragma secure_delete = on")
                database.execute("delete from done where options <> ?", (self._options,))
            database.executemany("insert or replace into done values (?, ?, ?, ?, ?)", rows)
