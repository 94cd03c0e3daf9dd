"""An output directory at an address: workers write reports there themselves, the record of the run is brought and sent.

The record is a database and needs a file of this machine: it is fetched when a run begins, and sent at times and at the
end. Of two runs at once into one address the later one's record stays; what it does not know is done again.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from pcapreport.batch.output import BEGUN, RECORD, Output, begun_name, is_gone
from pcapreport.batch.places import Folder, reason
from pcapreport.batch.urls import Url
from pcapreport.errors import UsageError
from pcapreport.language import phrase

SEND_EVERY_S = 30.0
"""Seconds between two times that the record is sent, at least: a power cut costs no more work than was done in them."""
SEND_SHARE = 20
"""To send it takes at most one part in so many of the time."""


class RemoteOutput(Output):
    """Files at an address; `top` is where the record is meanwhile."""

    def __init__(self, url: Url) -> None:
        super().__init__(Path(os.devnull))
        self._url = url
        self._surveyed: dict[str, tuple[int, int]] | None = None
        self._surveying = False
        self._next_s = 0.0

    @property
    def _folder(self) -> Folder:
        return _folder_at(self._url.secret)

    def prepare(self) -> None:
        """Fetch the record; raises UsageError where files cannot be written."""
        trial = begun_name()
        self._folder.write(trial, [b""])
        self._folder.remove(trial)
        self.top = Path(tempfile.mkdtemp(prefix="pcapreport-"))
        try:
            self._folder.read(RECORD, self.top / RECORD)
        except BaseException:
            shutil.rmtree(self.top, ignore_errors=True)
            raise
        self._next_s = time.monotonic() + SEND_EVERY_S

    def write(self, address: str, pieces: Iterable[bytes]) -> None:
        """Write a file so that it is there whole or not at all; what was there before stands until then."""
        try:
            self._folder.write(address, pieces)
        except UsageError as error:
            why = phrase("the output cannot be written ({reason})", reason=reason(error.__cause__ or error))
            raise OSError(errno.EIO, why, self.address(address)) from error

    @contextmanager
    def surveyed(self) -> Iterator[None]:
        """Within it stamps are those that one listing gives."""
        self._surveying = True
        try:
            yield
        finally:
            self._surveying, self._surveyed = False, None

    def stamp(self, address: str) -> tuple[int, int] | None:
        """Size and what changes with the file; None if it is not there."""
        try:
            if self._surveying:
                if self._surveyed is None:
                    self._surveyed = self._folder.stamps()
                return self._surveyed.get(address)
            return self._folder.stamp(address)
        except UsageError:
            return None

    def settle(self, addresses: Iterable[str]) -> None:
        """What was sent is there to stay, as far as this side can tell."""

    def remove(self, address: str) -> None:
        """Remove a file."""
        self._folder.remove(address)

    def sweep(self) -> None:
        """Remove what processes of this machine that are gone had begun to write, where a begun file can be seen."""
        if self._folder.is_store:
            return
        for address in self.addresses():
            found = BEGUN.fullmatch(address.rpartition("/")[2])
            if found and is_gone(found[1], int(found[2]), time.time()):
                self._folder.remove(address)

    def names(self) -> list[str]:
        """What is in it, not looking into folders."""
        return self._folder.names()

    def addresses(self) -> Iterator[str]:
        """Of all files in it."""
        yield from self._folder.stamps()

    def address(self, name: str) -> str:
        """What a file in it is called for people."""
        return f"{str(self._url).rstrip('/')}/{name}"

    def keep(self, last: bool = False) -> None:
        """Send the record, if it is time; at the `last` time the copy here is removed."""
        if not last and time.monotonic() < self._next_s:
            return
        begun = time.monotonic()
        copy = self.top / f"{RECORD}.sent"
        try:
            if (self.top / RECORD).exists():
                _copied(self.top / RECORD, copy)
                self._folder.write_file(RECORD, copy)
        except (UsageError, sqlite3.Error, OSError):
            pass  # it is sent next time, or the next run does again what it would tell
        took = time.monotonic() - begun
        self._next_s = time.monotonic() + max(SEND_EVERY_S, took * SEND_SHARE)
        if last:
            shutil.rmtree(self.top, ignore_errors=True)


@cache
def _folder_at(url: str) -> Folder:
    """Connected once a process."""
    return Folder(url, begun_name)


def _copied(database: Path, target: Path) -> None:
    """As it is after some whole transaction."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
