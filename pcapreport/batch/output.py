"""The output directory: each file in it is whole or not there, whoever else writes there and whatever is killed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath

from pcapreport.batch.urls import Url
from pcapreport.errors import UsageError
from pcapreport.language import phrase

RECORD = ".pcapreport.sqlite"
"""Of what was done; it has to be a file of this machine."""
BEGUN = re.compile(r"\.pcapreport-([0-9a-f]{8})-(\d+)-[0-9a-f]+\.part")
"""Name of a file that is being written: the machine, the process, and what keeps its files apart."""
FORGOTTEN_S = 86_400
"""Seconds of silence after which a process of another machine counts as gone: to write a file takes a few."""


class Output:
    """Files by their addresses, which are relative POSIX paths."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def prepare(self) -> None:
        """Make it; raises UsageError where it cannot be written to, before anything is analysed."""
        try:
            self.top.mkdir(parents=True, exist_ok=True)
            trial = self.top / begun_name()
            trial.open("xb").close()
            trial.unlink()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return  # there may be room by and by; each capture that meets it says so
            reason = error.strerror or str(error)
            message = phrase("{folder}: {reason}; give another directory to -o", folder=str(self.top), reason=reason)
            raise UsageError(message) from error

    def keep(self, last: bool = False) -> None:
        """See to it that the record outlives this machine, if it is to; `last`: no other chance comes."""

    @contextmanager
    def surveyed(self) -> Iterator[None]:
        """Within it stamps are asked for of many files of which none changes."""
        yield

    def address(self, name: str) -> str:
        """What people call a file in it."""
        return str(self.top / name)

    def write(self, address: str, pieces: Iterable[bytes]) -> None:
        """Write a file so that it is there whole or not at all; what was there before stands until then."""
        target = self.top / address
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(begun_name())
        try:
            with beside.open("xb") as file:
                file.writelines(pieces)
            beside.replace(target)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        finally:
            beside.unlink(missing_ok=True)

    def stamp(self, address: str) -> tuple[int, int] | None:
        """Size and time of change, by which a file is known again; None if it is not there."""
        try:
            status = os.stat(self.top / address)
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def settle(self, addresses: Iterable[str]) -> None:
        """Return when no power cut can take these files any more."""
        for address in addresses:
            try:
                handle = os.open(self.top / address, os.O_RDONLY)
            except OSError:
                continue
            try:
                os.fsync(handle)
            except OSError:
                pass  # not every file system can
            finally:
                os.close(handle)

    def remove(self, address: str) -> None:
        """Remove a file, and the folders that are empty without it."""
        path = self.top / address
        path.unlink(missing_ok=True)
        for folder in PurePosixPath(address).parents:
            try:
                (self.top / folder).rmdir() if folder.name else None
            except OSError:
                return

    def sweep(self) -> None:
        """Remove what processes that are gone had begun to write."""
        for folder, _, names in os.walk(self.top):
            for name in names:
                found = BEGUN.fullmatch(name)
                if found and _is_left(Path(folder, name), found[1], int(found[2])):
                    Path(folder, name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """What is in it, not looking into folders."""
        return os.listdir(self.top)

    def addresses(self) -> Iterator[str]:
        """Of all files in it."""
        for folder, _, names in os.walk(self.top):
            yield from (Path(folder, name).relative_to(self.top).as_posix() for name in names)


def output_at(out: Path | Url) -> Output:
    """The place that `--output` names."""
    if isinstance(out, Path):
        return Output(out)
    from pcapreport.batch.remote_output import RemoteOutput

    return RemoteOutput(out)


def begun_name() -> str:
    return f".pcapreport-{machine()}-{os.getpid()}-{secrets.token_hex(4)}.part"


@cache
def machine() -> str:
    """Where process numbers mean the same processes: a host, and of its containers this one."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _is_left(path: Path, where: str, process: int) -> bool:
    try:
        return is_gone(where, process, path.stat().st_mtime)
    except OSError:
        return False


def is_gone(where: str, process: int, since: float) -> bool:
    """A process of some machine has ended, as far as can be told; `since`: when it was last heard of."""
    if where == machine() and os.name == "posix":
        return not _is_alive(process)
    return time.time() - since > FORGOTTEN_S


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
