"""From a path or a stream to the bytes of a capture: read or map, hash, decompress."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import io
import lzma
import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Protocol, cast

from pcapreport.capture.gather import Buffer
from pcapreport.capture.limits import Limits
from pcapreport.capture.model import Problem
from pcapreport.errors import UnreadableCapture

CHUNK = 1 << 20
MAP_FROM = 32 << 20
"""Files from this size on are mapped; a smaller one is read, so that it cannot change under our hands."""

_MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one capture and what is known of the file that held them."""

    name: str
    sha256: str
    """Of the file as given."""
    size_bytes: int
    """Of the file as given."""
    compression: str
    buffer: Buffer
    """Decompressed."""
    problem: Problem | None
    """Why the decompressed bytes may be incomplete."""


def open_source(source: str | os.PathLike[str] | BinaryIO, name: str | None, limits: Limits) -> Source:
    """All bytes of a path or of a binary stream (which need not be seekable).

    Raises UnreadableCapture if there is no such file, it is no regular file, may not be read or is compressed in a
    way that this Python cannot undo.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        name = name or path
        given = _read_path(path, name)
    else:
        name = name or str(getattr(source, "name", "standard input"))
        given = _read_stream(source, name)
    start = bytes(given[:6])
    compression = next((kind for magic, kind in _MAGICS.items() if start.startswith(magic)), "")
    digest = hashlib.sha256(given).hexdigest()
    if not compression:
        return Source(name, digest, len(given), "", given, None)
    buffer, problem = _decompress(given, compression, name, limits)
    if problem and not buffer:
        raise UnreadableCapture(name, problem.message, "copy the file again from where it was captured")
    return Source(name, digest, len(given), compression, buffer, problem)


def _read_path(path: str, name: str) -> Buffer:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _map(file) if size >= MAP_FROM else file.read()
    except IsADirectoryError:
        raise UnreadableCapture(name, "is a directory", "give a capture file, or let the batch walk it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableCapture(name, f"cannot be read ({reason})", "check the path and its permissions") from error


def _read_stream(stream: BinaryIO, name: str) -> Buffer:
    try:
        return stream.read()
    except (OSError, ValueError) as error:
        raise UnreadableCapture(name, f"cannot be read ({error})", "check what feeds this stream") from error


def _map(file: IO[bytes]) -> mmap.mmap:
    """The file as memory; it lives as long as something refers to it."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _decompress(given: Buffer, compression: str, name: str, limits: Limits) -> tuple[Buffer, Problem | None]:
    """Decompressed bytes, in an unnamed temporary file so that memory stays small, and what went wrong."""
    packed = given if isinstance(given, mmap.mmap) else io.BytesIO(given)
    stream = _opened(packed, compression, name)
    allowed, written, problem = limits.allowed(len(given)), 0, None
    with tempfile.TemporaryFile() as spool:
        while problem is None:
            try:
                chunk = stream.read1(CHUNK)
            except Exception as error:  # each of the four has error classes of its own
                problem = Problem("compressed_data_damaged", f"{compression} stream breaks off: {error}", written)
                break
            if not chunk:
                break
            if written + len(chunk) > allowed:
                message = f"decompresses to more than the {allowed} bytes allowed; the rest is not read"
                problem, chunk = Problem("decompression_limit", message, allowed), chunk[: allowed - written]
            spool.write(chunk)
            written += len(chunk)
        spool.flush()
        return (_map(spool) if written else b""), problem


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
    try:
        zstd = importlib.import_module("compression.zstd")  # from Python 3.14 on
    except ImportError:
        advice = "decompress it with `zstd -d` first, or use Python 3.14 or later"
        raise UnreadableCapture(name, "is compressed with zstd", advice) from None
    return cast(_Decompressing, zstd.ZstdFile(packed))
