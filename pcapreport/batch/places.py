"""Captures and reports at addresses that fsspec knows (`s3://`, `sftp://` ...): the only module that imports it.

What is at a place is listed, fetched whole to a temporary file (analysis maps its file) and written whole. Names in a
listing are another machine's word: they are used there as they are, and nowhere else.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pcapreport.batch.urls import safe_name, shown
from pcapreport.errors import UsageError
from pcapreport.language import phrase

AT_ONCE = 8 << 20
"""Bytes up to which a file is written out of memory."""
STORES = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory"))
"""Object stores: they have no folders, a file in them is there whole or not at all, and to move one is to copy it."""
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "modified", "created")
"""What kinds of places call that which changes with a file, the best first."""
_CLOSED = "closed"
"""Instead of a type of fsspec's."""
RECENT_S = 5.0
"""Seconds by which clocks of servers may be wrong as well."""
LONGEST = 300
"""Characters of a foreign message that are told."""


class Remote(NamedTuple):
    """A file at an address."""

    url: str
    """As the user gave it, perhaps with a password: the place that the path is in."""
    path: str
    """As the place itself calls it."""
    size: int = 0
    mark: int | None = None
    """Another number when its bytes are others; None: the place does not tell."""


class Listed(NamedTuple):
    """A file below an address."""

    remote: Remote
    name: str
    """Relative to the address, with no step upwards."""
    closed: bool = False
    """A folder that cannot be listed: to fetch it fails and says why."""


class Listing(NamedTuple):
    """What is at an address."""

    files: list[Listed]
    one: bool = False
    """It is the address of that file."""


def require() -> Any:
    """The library; raises UsageError where it is not installed."""
    try:
        return importlib.import_module("fsspec.core")
    except ImportError as error:
        message = phrase("addresses such as s3:// need the library fsspec: pip install 'pcapreport[remote]'")
        raise UsageError(message) from error


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Whatever fsspec raises becomes a UsageError in one line; a full disk here stays what it is."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # each kind of place has error classes of its own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        message = phrase("{place}: {reason}; {advice}", place=shown(url), reason=reason(error), advice=_advice(error))
        raise UsageError(message) from error


def reason(error: BaseException) -> str:
    """What a foreign error says, in one line and without secrets."""
    if isinstance(error, FileNotFoundError) and "bucket" not in str(error):
        return phrase("no such file or directory")
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = " ".join(shown(said).split()).rstrip(".")
    return (line if len(line) <= LONGEST else f"{line[:LONGEST]}...") or type(error).__name__


def _advice(error: BaseException) -> str:
    if isinstance(error, ImportError):
        return phrase("install with pip what is named there")
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return phrase("check what stands before ://")
    if isinstance(error, FileNotFoundError):
        return phrase("check the address")
    if isinstance(error, PermissionError) or any(word in type(error).__name__ for word in ("Credential", "Auth")):
        return phrase("check the credentials and what they allow")
    return phrase("check the address, the network and the credentials")


def _opened(url: str) -> tuple[Any, str]:
    """The file system of an address and what that calls the place."""
    system, path = require().url_to_fs(url)
    return system, path if path in ("", "/") else path.rstrip("/")


def _is_store(system: Any) -> bool:
    kinds = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    return any(kind in STORES for kind in kinds)


def listed(url: str) -> Listing:
    """The file at an address, or all files below it; raises UsageError if there is no such place."""
    with _asking(url):
        system, top = _opened(url)
        system.invalidate_cache()
        info = system.info(top)
        if info["type"] != "directory":
            return Listing([Listed(_remote(url, info), safe_name(_last(top)))], one=True)
        found = _flat(system, top) if _is_store(system) else _below(system, top)
        infos = sorted(found, key=lambda one: str(one["name"]))
        name = [safe_name(_relative(str(one["name"]), top)) for one in infos]
        return Listing([Listed(_remote(url, one), name[n], one["type"] == _CLOSED) for n, one in enumerate(infos)])


def _flat(system: Any, top: str) -> list[dict[str, Any]]:
    """A store lists all that begins alike at once, whatever slashes mean in it; one of size 0 stands for a folder."""
    found = system.find(top, detail=True).values()
    return [info for info in found if info["type"] == "file" and not info["name"].endswith("/")]


def _below(system: Any, top: str) -> Iterator[dict[str, Any]]:
    """File by file, folder by folder, each once."""
    folders, seen = [top], {top}
    while folders:
        folder = folders.pop()
        try:
            infos = system.ls(folder, detail=True)
        except Exception:
            if folder == top:
                raise
            yield {"name": folder, "type": _CLOSED, "size": 0}
            continue
        for info in infos:
            name = str(info["name"]).rstrip("/")
            if info["type"] == "directory" and name not in seen:
                seen.add(name)
                folders.append(name)
            elif info["type"] in ("file", "link"):
                yield info


def _last(path: str) -> str:
    """The name of a file; where a path is itself an address it may end in a signature."""
    return (path.split("?")[0] if "://" in path else path).rsplit("/", 1)[-1]


def _relative(path: str, top: str) -> str:
    return path.removeprefix(top).removeprefix("/") if top else path.removeprefix("/")


def _remote(url: str, info: dict[str, Any]) -> Remote:
    key = _marking(info)
    recent = key is not None and _is_recent(info[key])
    return Remote(url, str(info["name"]), int(info.get("size") or 0), None if recent else _mark(info))


def _marking(info: dict[str, Any]) -> str | None:
    """The best of what changes with a file, if it has any."""
    return next((key for key in _MARKS if info.get(key)), None)


def _mark(info: dict[str, Any]) -> int | None:
    key = _marking(info)
    if key is None:
        return None
    return int.from_bytes(hashlib.sha256(f"{key} {_plain(info[key])}".encode()).digest()[:7])


def _plain(mark: Any) -> str:
    """In a listing and of one file alike."""
    return str(float(mark.timestamp()) if isinstance(mark, datetime) else mark)


def _is_recent(mark: Any) -> bool:
    """A time in whole seconds of which another change may have the same."""
    if not isinstance(mark, datetime) or mark.microsecond:
        return False
    return abs(time.time() - mark.timestamp()) < RECENT_S


def beginnings(remotes: Sequence[Remote], length: int) -> Iterator[bytes]:
    """The first bytes of each file of one address; none where they cannot be had."""
    together = max(1, AT_ONCE // length)  # are asked for at once, where the place can
    for first in range(0, len(remotes), together):
        some = remotes[first : first + together]
        with _asking(some[0].url):
            system, _ = _opened(some[0].url)
            ends = [min(length, remote.size) if remote.size else length for remote in some]
            parts = system.cat_ranges([remote.path for remote in some], [0] * len(some), ends, on_error="return")
        for part in parts:
            yield part if isinstance(part, bytes) else b""


@contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary file by its name, since other libraries are to open it."""
    handle, name = tempfile.mkstemp(prefix="pcapreport-")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def fetched(remote: Remote) -> Iterator[str]:
    """The path of a local copy, which is gone afterwards; raises UsageError if it cannot be had."""
    with _scratch() as copy:
        with _asking(remote.url):
            system, _ = _opened(remote.url)
            system.get_file(remote.path, str(copy))
        yield str(copy)


class Folder:
    """A folder at an address, in which files are whole or not there."""

    def __init__(self, url: str, begun: Callable[[], str]) -> None:
        """`begun` names a file that is not yet whole; raises UsageError where there can be no such place."""
        self.url, self._begun = url, begun
        with _asking(url):
            self._system, self._top = _opened(url)
        self.is_store = _is_store(self._system)
        self._made: set[str] = set()

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Of all files in it, by their relative names, the size and what changes with the file; none if there is no
        such folder yet."""
        with _asking(self.url):
            self._system.invalidate_cache()
            try:
                found = list((_flat if self.is_store else _below)(self._system, self._top))
            except FileNotFoundError:
                if self.is_store:
                    raise  # the bucket itself
                return {}
        return {_relative(str(info["name"]), self._top): _stamp(info) for info in found}

    def names(self) -> list[str]:
        """What is in it, not looking into folders."""
        with _asking(self.url):
            self._system.invalidate_cache()
            try:
                paths = self._system.ls(self._top, detail=False)
            except FileNotFoundError:
                return []
        return [_relative(str(path).rstrip("/"), self._top) for path in paths]

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Of one file; None if it is not there."""
        with _asking(self.url):
            self._system.invalidate_cache()
            try:
                return _stamp(self._system.info(self._path(name)))
            except FileNotFoundError:
                return None

    def read(self, name: str, target: Path) -> bool:
        """Copy a file from there to `target`; False if there is none."""
        with _asking(self.url):
            try:
                self._system.get_file(self._path(name), str(target))
            except FileNotFoundError:
                target.unlink(missing_ok=True)
                return False
            return True

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file; what was there before stands until then."""
        with _scratch() as whole:
            with whole.open("wb") as file:
                file.writelines(pieces)
            self.write_file(name, whole)

    def write_file(self, name: str, source: Path) -> None:
        """The same with a file of this machine."""
        target = self._path(name)
        with _asking(self.url):
            if self.is_store:
                self._put(source, target)
                return
            folder = target.rpartition("/")[0]
            if folder not in self._made:
                self._system.makedirs(folder, exist_ok=True)
                self._made.add(folder)
            beside = f"{folder}/{self._begun()}"
            try:
                self._put(source, beside)
                self._system.mv(beside, target)
            except BaseException:
                with suppress(Exception):
                    self._system.rm_file(beside)
                raise

    def _put(self, source: Path, target: str) -> None:
        if source.stat().st_size > AT_ONCE:
            self._system.put_file(str(source), target)
        else:
            self._system.pipe_file(target, source.read_bytes())

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with _asking(self.url), suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._top}/{name}" if self._top else name


def _stamp(info: dict[str, Any]) -> tuple[int, int]:
    """Of a file of ours, which has just been written more often than not: a recent time is as good as any."""
    return int(info.get("size") or 0), _mark(info) or 0
