"""From a path or a stream to the bytes of a capture: read or map, hash, decompress."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import importlib
import io
import lzma
import mmap
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Protocol, cast

from pcapreport.capture.gather import Buffer, forget
from pcapreport.capture.model import Problem
from pcapreport.errors import UnreadableCapture
from pcapreport.language import Text, phrase
from pcapreport.settings import Limits

CHUNK = 1 << 20
MAP_FROM = 32 << 20
"""Files from this size on are mapped; a smaller one is read, so that it cannot change under our hands."""

_HASHED_AT_ONCE = 16 << 20

SNIFFED = 512
"""First bytes by which a file is recognised."""

_MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_AGAIN = phrase("copy the file again from where it was captured")


class Digest:
    """SHA-256 of some bytes; of many it is computed beside the reading, since hashlib lets other threads run."""

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._sha256 = ""
        self._thread: threading.Thread | None = None
        if len(data) >= CHUNK:
            self._thread = threading.Thread(target=self._compute, daemon=True)
            self._thread.start()

    def _compute(self) -> None:
        digest = hashlib.sha256()
        with memoryview(self._data) as data:
            for start in range(0, len(data), _HASHED_AT_ONCE):
                digest.update(data[start : start + _HASHED_AT_ONCE])
                forget(self._data, start, start + _HASHED_AT_ONCE)
        self._sha256 = digest.hexdigest()

    def sha256(self) -> str:
        """In hexadecimal digits; waits for it where need be."""
        if self._thread:
            self._thread.join()
        if not self._sha256:
            self._compute()
        return self._sha256


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one capture and what is known of the file that held them."""

    name: str
    digest: Digest
    """Of the file as given."""
    size_bytes: int
    """Of the file as given."""
    compression: str
    buffer: Buffer
    """Decompressed."""
    problem: Problem | None
    """Why the decompressed bytes may be incomplete."""
    content: Digest
    """Of the decompressed bytes."""


Sniff = Callable[[bytes], bool]
"""Whether a capture begins with these bytes; if not, the rest of an endless or compressed stream is not wanted."""


def open_source(source: str | os.PathLike[str] | BinaryIO, name: str | None, limits: Limits, sniff: Sniff) -> Source:
    """All bytes of a path or of a binary stream (which need not be seekable).

    Raises UnreadableCapture if there is no such file, it may not be read or is compressed in a way that this Python
    cannot undo.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        name = name or path
        given, problem = _read_path(path, name, limits, sniff)
    else:
        name = name or str(getattr(source, "name", "standard input"))
        given, problem = _read_stream(source, name, limits, sniff)
    compression = compression_of(bytes(given[:6]))
    digest = Digest(given)
    if not compression:
        return Source(name, digest, len(given), "", given, problem, digest)
    buffer, broken = _decompress(given, compression, name, limits, sniff)
    if broken and not buffer:
        raise UnreadableCapture(name, broken.message, _AGAIN)
    return Source(name, digest, len(given), compression, buffer, problem or broken, Digest(buffer))


def compression_of(start: bytes) -> str:
    """Name of the compression that these first bytes show; empty: none."""
    return next((kind for magic, kind in _MAGICS.items() if start.startswith(magic)), "")


def beginning(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file, decompressed where need be; none where they cannot be had."""
    try:
        with open(path, "rb") as file:
            return _beginning(file)
    except Exception:  # each kind of compression has error classes of its own
        return b""


def beginning_of(start: bytes) -> bytes:
    """The same of a file that begins so."""
    try:
        return _beginning(io.BytesIO(start))
    except Exception:
        return b""


def _beginning(file: BinaryIO) -> bytes:
    start = file.read(SNIFFED)
    compression = compression_of(start)
    if not compression:
        return start
    file.seek(0)
    return _opened(file, compression, "").read1(SNIFFED)


def _read_path(path: str, name: str, limits: Limits, sniff: Sniff) -> tuple[Buffer, Problem | None]:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return _read_stream(file, name, limits, sniff)
            return (_map(file) if status.st_size >= MAP_FROM else file.read()), None
    except IsADirectoryError:
        advice = phrase("give a capture file, or let the batch walk it")
        raise UnreadableCapture(name, phrase("is a directory"), advice) from None
    except (OSError, ValueError) as error:
        reason = phrase("cannot be read ({reason})", reason=getattr(error, "strerror", None) or str(error))
        raise UnreadableCapture(name, reason, phrase("check the path and its permissions")) from error


def _read_stream(stream: BinaryIO, name: str, limits: Limits, sniff: Sniff) -> tuple[Buffer, Problem | None]:
    """A stream may have no end: what is no capture is left at once, the rest is bounded."""

    def wanted(start: bytes) -> bool:
        return sniff(start) or bool(compression_of(start))

    def read() -> bytes:
        try:
            return stream.read(CHUNK) or b""
        except (OSError, ValueError) as error:
            reason = phrase("cannot be read ({reason})", reason=str(error))
            raise UnreadableCapture(name, reason, phrase("check what feeds this stream")) from error

    most = limits.decompressed_bytes
    message = phrase("the stream has more than the {most} bytes allowed; the rest is not read", most=most)
    return _collect(read, Problem("size_limit", message, most), name, wanted)


def _map(file: IO[bytes]) -> mmap.mmap:
    """The file as memory; it lives as long as something refers to it."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _collect(read: Callable[[], bytes], over: Problem, name: str, sniff: Sniff) -> tuple[Buffer, Problem | None]:
    """All that `read` gives, in memory while it is little, else in an unnamed temporary file that is mapped.

    `over` tells of more than `over.offset` bytes, which is where reading ends then. If the first bytes are nothing
    wanted there is no more than them.
    """
    allowed, written, start = over.offset or 0, 0, b""
    with tempfile.SpooledTemporaryFile(MAP_FROM) as spool:
        try:
            while chunk := read():
                if written < SNIFFED:
                    start += chunk
                    if len(start) < min(SNIFFED, allowed):
                        continue
                    if not written and not sniff(start):
                        return start, None
                    chunk = start[written:]
                spool.write(chunk[: allowed - written])
                written += len(chunk)
                if written > allowed:
                    return _spooled(spool), over
            if not written:
                return start, None
            return _spooled(spool), None
        except OSError as error:
            reason = phrase(
                "does not fit into {folder} ({reason})",
                folder=tempfile.gettempdir(),
                reason=error.strerror or str(error),
            )
            raise UnreadableCapture(name, reason, phrase("free some space there, or set TMPDIR")) from error


def _spooled(spool: tempfile.SpooledTemporaryFile[bytes]) -> Buffer:
    if spool.tell() < MAP_FROM:
        spool.seek(0)
        return spool.read()
    spool.flush()
    return mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)


def _decompress(
    given: Buffer, compression: str, name: str, limits: Limits, sniff: Sniff
) -> tuple[Buffer, Problem | None]:
    """Decompressed bytes and what went wrong."""
    packed = given if isinstance(given, mmap.mmap) else io.BytesIO(given)
    stream = _opened(packed, compression, name)
    broken: list[Text] = []

    def read() -> bytes:
        try:
            return stream.read1(CHUNK)
        except Exception as error:  # each of the four has error classes of its own
            reason = " ".join(str(error).split())
            broken.append(phrase("{program} stream breaks off: {reason}", program=compression, reason=reason))
            return b""

    allowed = limits.allowed(len(given))
    message = phrase(
        "decompresses to more than {allowed} bytes, the most allowed for {given} ({ratio} times as many, or {free}); "
        "the rest is not read; if this is no bomb, decompress it first and give that",
        allowed=allowed,
        given=len(given),
        ratio=limits.ratio,
        free=limits.ratio_free_bytes,
    )
    buffer, problem = _collect(read, Problem("decompression_limit", message, allowed), name, sniff)
    if broken:
        problem = problem or Problem("compressed_data_damaged", broken[0], len(buffer))
    return buffer, problem


class _Decompressing(Protocol):
    """What the decompressing files of the standard library have in common."""

    def read1(self, size: int, /) -> bytes: ...


def _opened(packed: Any, compression: str, name: str) -> _Decompressing:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=packed)
    if compression == "bzip2":
        return bz2.BZ2File(packed)
    if compression == "xz":
        return lzma.LZMAFile(packed)
    for module in ("compression.zstd", "backports.zstd"):  # the first from Python 3.14 on
        with contextlib.suppress(ImportError):
            return cast(_Decompressing, importlib.import_module(module).ZstdFile(packed))
    with contextlib.suppress(ImportError):
        zstandard = importlib.import_module("zstandard")
        stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        return cast(_Decompressing, stream.stream_reader(packed, read_across_frames=True))
    advice = phrase(
        "install the Python package zstandard, use Python 3.14 or later, or decompress it with `zstd -d` first"
    )
    raise UnreadableCapture(name, phrase("is compressed with zstd, which this Python cannot undo"), advice) from None


_ZSTD_WINDOW = 128 << 20
"""Memory that a zstd file may ask for: what `zstd --long` needs, and no more (RFC 8878 section 3.1.1.1.2)."""
