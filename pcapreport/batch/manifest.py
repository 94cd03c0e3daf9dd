"""What was done, from which bytes, with which options: a second run over the same directory does only what is new.

A capture is known by the SHA-256 of its bytes. They are read for it only where size, time of change and inode are not
as they were recorded; and where a time of change is so recent that another change could have the same, nothing is
recorded that would spare the reading.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pcapreport.batch import sameness
from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.index_names import is_index_file
from pcapreport.batch.output import RECORD, Output, is_gone, machine
from pcapreport.batch.sameness import UNSURE, Stamp
from pcapreport.language import as_string
from pcapreport.report.model import SCHEMA_VERSION
from pcapreport.version import __version__

FILE = RECORD
_LAYOUT = 2
"""Of the table; what an earlier version wrote counts as nothing done."""
_TABLES = (
    "drop table if exists done",
    """create table done (
        name text primary key, root text, size integer, mtime_ns integer, inode integer, sha256 text, options text,
        files blob, entry blob
    )""",
    "drop table if exists running",
    "create table running (token text primary key, machine text, process integer, since real)",
    "drop table if exists written_index",
    "create table written_index (mark text, files blob)",
    f"pragma user_version = {_LAYOUT}",
)
_PATIENCE_S, _SHORT_PATIENCE_S = 10.0, 0.5
"""Seconds that another run is waited for which writes to the record."""
Files = dict[str, tuple[int, int]]
"""Of a report the formats (of the index its names), each with size and time of change of its file as it was written."""


class Stale(NamedTuple):
    """A report of a capture that is no more."""

    name: str
    files: list[str]
    """Addresses of its files that are as they were written."""
    changed: list[str]
    """Those that somebody has changed since."""


class _Row(NamedTuple):
    stamp: Stamp
    sha256: str
    entry: bytes


class Manifest:
    """The record of one output directory; anything unreadable in it counts as not done."""

    def __init__(
        self,
        output: Output,
        formats: Collection[str],
        options: dict[str, Any],
        root: Callable[[str], str] | None = None,
    ) -> None:
        """`options`: all that changes the result; another value of any makes earlier work count as not done.

        `root`: what stands for the path that a capture was found below, where that may not be recorded as it is; then
        work with other options is forgotten, for the same reason.
        """
        self._output, self._formats = output, formats
        self._alone = root is not None
        self._root = root or _digest
        told = msgspec.json.encode([__version__, SCHEMA_VERSION, sorted(options.items())], enc_hook=str)
        self._options = hashlib.sha256(told).hexdigest()
        self._path = output.top / FILE
        self._token = secrets.token_hex(8)
        self._database: sqlite3.Connection | None = None
        self._stamps: dict[str, Stamp] = {}
        self._jobs: dict[str, Job] = {}
        self._pending: dict[str, tuple[Any, ...]] = {}

    def close(self) -> None:
        if self._database:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            database = sqlite3.connect(self._path, timeout=_PATIENCE_S)
            try:
                _lay_out(database)
                if self._alone:
                    database.execute("pragma secure_delete = on")
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database

    def begin(self) -> bool:
        """Note that a run begins; says whether an earlier one may not have come to its end."""
        try:
            with self._open() as database:
                others = database.execute("select token, machine, process, since from running").fetchall()
                gone = [(token,) for token, *told in others if is_gone(*told) or told[:2] == [machine(), os.getpid()]]
                database.executemany("delete from running where token = ?", gone)
                run = (self._token, machine(), os.getpid(), time.time())
                database.execute("insert into running values (?, ?, ?, ?)", run)
        except sqlite3.Error:
            self.close()
            return True
        return bool(gone)

    def end(self) -> None:
        """Note that it came to its end."""
        try:
            with self._open() as database:
                database.execute("delete from running where token = ?", (self._token,))
        except sqlite3.Error:
            self.close()  # the next run looks for what this one might have left

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else's within this, if it can be had: what several files make up together is written by one run."""
        try:
            database = self._open()
            database.execute("begin immediate")
        except sqlite3.Error:
            self.close()
            yield
            return
        try:
            yield
        except BaseException:
            database.rollback()
            raise
        try:
            database.commit()
        except sqlite3.Error:
            self.close()

    def mark_of(self, entries: Iterable[IndexEntry], stale: Sequence[str]) -> str:
        """What an index is made of: captures that were read, each by its bytes."""
        told = sorted((entry.file, entry.sha256) for entry in entries)
        return _digest(msgspec.json.encode([self._options, told, stale]).decode())

    def has_index(self, mark: str) -> bool:
        """The index that was written last is of this mark, and its files are as they were written."""
        try:
            row = self._open().execute("select files from written_index where mark = ?", (mark,)).fetchone()
        except sqlite3.Error:
            self.close()
            return False
        return bool(mark and row and _files(row[0]) == self._index_files())

    def record_index(self, mark: str) -> None:
        """To be called when it was written, within `held`."""
        try:
            database = self._open()
            database.execute("delete from written_index")
            database.execute(
                "insert into written_index values (?, ?)", (mark, msgspec.json.encode(self._index_files()))
            )
        except sqlite3.Error:
            self.close()  # it is written again next time

    def _index_files(self) -> Files:
        names = [name for name in self._output.names() if is_index_file(name)]
        return {name: stamp for name in names if (stamp := self._output.stamp(name))}

    # --- what is done -------------------------------------------------------------------------------------------------

    def known(self, jobs: Sequence[Job], threads: int = 1) -> dict[str, IndexEntry]:
        """By name the entries of an earlier run on the same bytes and with the same options, if its files stand.

        To be asked before the captures are read, and only then can they be recorded: what changes while it is read
        counts as changed.
        """
        self._jobs = {job.name: job for job in jobs}
        self._stamps = {job.name: stamp for job in jobs if (stamp := sameness.stamp_of(job))}
        rows = self._standing()
        same = [name for name, row in rows.items() if row.stamp == self._stamps[name] and row.stamp.mtime_ns != UNSURE]
        touched = sorted(rows.keys() - same)
        with ThreadPoolExecutor(max(threads, 1)) as pool:  # hashing leaves the interpreter to others
            digests = list(pool.map(lambda name: sameness.digest_of(self._jobs[name]), touched))
        again = [name for name, digest in zip(touched, digests, strict=True) if digest == rows[name].sha256]
        self._restamp(again)
        entries: dict[str, IndexEntry] = {}
        for name in (*same, *again):
            try:
                entries[name] = msgspec.json.decode(rows.pop(name).entry, type=IndexEntry)
            except msgspec.MsgspecError:
                continue
        return entries

    def _standing(self) -> dict[str, _Row]:
        """Of the jobs those of the same size that were done with these options and whose files are still there."""
        rows: dict[str, _Row] = {}
        query = "select name, size, mtime_ns, inode, sha256, files, entry from done where options = ?"
        try:
            if not self._path.exists():
                return {}
            with self._output.surveyed():
                for name, size, mtime_ns, inode, sha256, files, entry in self._open().execute(query, (self._options,)):
                    stamp = self._stamps.get(name)
                    if stamp and stamp.size == size and self._stand(name, _files(files)):
                        rows[name] = _Row(Stamp(size, mtime_ns, inode), sha256, entry)
        except (OSError, sqlite3.Error):
            self.close()
            return {}
        return rows

    def _stand(self, name: str, files: Files) -> bool:
        """All formats that were written are there, as large as they were: a power cut may leave an empty file."""
        for format_, (size, _) in files.items():
            stamp = self._output.stamp(f"{name}.{format_}") if format_ in self._formats else (size, 0)
            if stamp is None or stamp[0] != size:
                return False
        return True

    def _restamp(self, names: Iterable[str]) -> None:
        rows = [(*self._stamps[name], name) for name in names]
        try:
            if rows:
                with self._open() as database:
                    database.executemany("update done set size = ?, mtime_ns = ?, inode = ? where name = ?", rows)
        except sqlite3.Error:
            pass  # they are hashed again next time

    # --- recording ----------------------------------------------------------------------------------------------------

    def record(self, entry: IndexEntry) -> None:
        """Remember a finished capture at the next `flush`; what could not be read is tried again next time."""
        job, stamp = self._jobs.get(entry.file), self._stamps.get(entry.file)
        if job is None or stamp is None or entry.status not in ("ok", "damaged"):
            return
        addresses = {name: f"{entry.file}.{name}" for name in entry.formats}
        files = {name: found for name, address in addresses.items() if (found := self._output.stamp(address))}
        told = msgspec.json.encode(entry, enc_hook=as_string)
        root = self._root(job.root or job.source)
        self._pending[entry.file] = (
            entry.file, root, *stamp, entry.sha256, self._options, msgspec.json.encode(files), told,
        )  # fmt: skip

    def flush(self, patient: bool = False) -> None:
        """Write what is to be remembered, with one wait for the disk; what cannot be written now is kept for later.

        `patient`: there is no later, so another run that holds the record is waited for.
        """
        if not self._pending:
            return
        patience = _PATIENCE_S if patient else _SHORT_PATIENCE_S
        self._output.settle(f"{row[0]}.{name}" for row in self._pending.values() for name in _files(row[7]))
        try:
            self._insert(patience)
        except sqlite3.OperationalError:
            self.close()  # locked by another run, or no room: if that stays so, the next run does these again
        except sqlite3.DatabaseError:  # not a database of ours
            self.close()
            try:
                self._path.unlink(missing_ok=True)
                self._insert(patience)
            except (OSError, sqlite3.Error):
                self.close()

    def _insert(self, patience: float) -> None:
        self._open().execute(f"pragma busy_timeout = {patience * 1000:.0f}")
        with self._open() as database:
            if self._alone:
                database.execute("delete from done where options <> ?", (self._options,))
            rows = [self._with_older_files(database, row) for row in self._pending.values()]
            database.executemany("insert or replace into done values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._pending.clear()

    def _with_older_files(self, database: sqlite3.Connection, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Other formats that an earlier run wrote stay known as ours."""
        before = database.execute("select files from done where name = ?", (row[0],)).fetchone()
        if not before:
            return row
        files = _files(before[0])
        return (*row[:7], msgspec.json.encode(files | _files(row[7])), row[8]) if files else row

    # --- reports of captures that are no more -------------------------------------------------------------------------

    def stale(self, roots: Iterable[str], failed: Collection[str] = ()) -> list[Stale]:
        """Reports on captures that were found below one of `roots` and are no more, or that `failed` this time."""
        given = {self._root(root) for root in roots}
        found: list[Stale] = []
        try:
            if not self._path.exists():
                return []
            with self._output.surveyed():
                for name, root, files in self._open().execute("select name, root, files from done order by name"):
                    if root in given and (name not in self._jobs or name in failed):
                        found.append(self._stale(name, _files(files)))
        except (OSError, sqlite3.Error):
            self.close()
        return found

    def _stale(self, name: str, files: Files) -> Stale:
        same: list[str] = []
        changed: list[str] = []
        for format_, stamp in files.items():
            address = f"{name}.{format_}"
            now = self._output.stamp(address) if _is_below(address) else None
            if now:
                (same if now == stamp else changed).append(address)
        return Stale(name, same, changed)

    def prune(self, reports: Iterable[Stale]) -> None:
        """Remove these reports, files that somebody has changed excepted, and forget them."""
        reports = list(reports)
        for report in reports:
            for address in report.files:
                self._output.remove(address)
        try:
            with self._open() as database:
                database.executemany("delete from done where name = ?", [(report.name,) for report in reports])
        except sqlite3.Error:
            self.close()  # they are stale next time as well


def _lay_out(database: sqlite3.Connection) -> None:
    """Make the tables, unless another run has just made them."""
    if _layout(database) != _LAYOUT:
        with database:
            database.execute("begin immediate")
            for statement in _TABLES if _layout(database) != _LAYOUT else ():
                database.execute(statement)


def _layout(database: sqlite3.Connection) -> int:
    version: int = database.execute("pragma user_version").fetchone()[0]
    return version


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _files(encoded: bytes) -> Files:
    try:
        return msgspec.json.decode(encoded, type=Files)
    except msgspec.MsgspecError:
        return {}


def _is_below(address: str) -> bool:
    """It does not lead out of the directory, whoever wrote the record."""
    path = Path(address)
    return not path.is_absolute() and ".." not in path.parts
