"""Paths the user named -> captures to read and where their reports go."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pcapreport.capture import pcap, pcapng
from pcapreport.errors import UsageError

STANDARD_INPUT = "-"
CAPTURE_SUFFIXES = frozenset((".pcap", ".pcapng", ".cap", ".ntar", ".dmp", ".snoop", ".pcapgz"))
COMPRESSED_SUFFIXES = frozenset((".gz", ".bz2", ".xz", ".zst"))


class Job(NamedTuple):
    """One capture to analyse."""

    source: str
    """Path to open, or "-"."""
    name: str
    """Relative POSIX path below the output directory, without ".html" or ".json"; also what the report calls it."""


class Found(NamedTuple):
    """What the given paths hold."""

    jobs: list[Job]
    skipped: int
    """Files in directories that are no captures, by content and by name."""


def discover(paths: Sequence[str]) -> Found:
    """The captures that `paths` (files, directories, "-") name, each once, in a stable order.

    A file named by the user is always taken. In a directory a file is taken if its first bytes say it is a capture,
    or its name claims so (then its report says what is wrong with it). Raises UsageError for a path that is not there.
    """
    jobs: list[Job] = []
    skipped = 0
    for path in paths:
        if path == STANDARD_INPUT:
            jobs.append(Job(path, "stdin"))
        elif os.path.isdir(path):
            found, others = _walk(Path(path))
            jobs.extend(Job(os.path.join(path, name), name) for name in found)
            skipped += others
        elif os.path.exists(path):
            jobs.append(Job(path, os.path.basename(os.path.abspath(path))))
        else:
            raise UsageError(f"{path}: no such file or directory")
    return Found(_with_unique_names(_once(jobs)), skipped)


def _walk(top: Path) -> tuple[list[str], int]:
    found, others = [], 0
    for folder, folders, files in os.walk(top):
        folders.sort()
        for file in sorted(files):
            full = Path(folder, file)
            if claims_to_be_capture(file) or looks_like_capture(full):
                found.append(full.relative_to(top).as_posix())
            else:
                others += 1
    return found, others


def claims_to_be_capture(name: str) -> bool:
    """The file name ends as captures' names do, compressed or not."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in CAPTURE_SUFFIXES


_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))


def looks_like_capture(path: Path) -> bool:
    """The file's first bytes, decompressed where need be, are those of a capture."""
    try:
        with open(path, "rb") as file:
            start = file.read(32)
        for magic, opener in _OPENERS:
            if start.startswith(magic):
                with opener(path, "rb") as packed:
                    start = packed.read(32)
                break
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return False
    return bool(pcap.byte_order(start) or pcapng.byte_order(start))


def _once(jobs: Iterable[Job]) -> list[Job]:
    return list(
        {os.path.realpath(job.source) if job.source != STANDARD_INPUT else job.source: job for job in jobs}.values()
    )


def _with_unique_names(jobs: list[Job]) -> list[Job]:
    """Names from several directories may meet: then each is put below the name of its directory, or numbered."""
    taken: Counter[str] = Counter(job.name for job in jobs)
    used: set[str] = set()
    out = []
    for job in jobs:
        name = job.name
        if taken[name] > 1:
            top = job.source.removesuffix(name).rstrip("/\\")
            name = f"{os.path.basename(os.path.abspath(top or '.'))}/{name}"
        base, number = name, 2
        while name in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name)
        out.append(job._replace(name=name))
    return out
