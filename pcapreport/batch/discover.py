"""Paths the user named -> captures to read and where their reports go."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from pcapreport.batch import places
from pcapreport.batch.index_names import is_index_stem
from pcapreport.batch.urls import is_url, shown
from pcapreport.errors import UsageError
from pcapreport.language import phrase

if TYPE_CHECKING:
    from pcapreport.pseudonyms import Pseudonyms

STANDARD_INPUT = "-"
CAPTURE_SUFFIXES = frozenset((".pcap", ".pcapng", ".cap", ".ntar", ".dmp", ".snoop", ".pcapgz"))
COMPRESSED_SUFFIXES = frozenset((".gz", ".bz2", ".xz", ".zst"))


class Job(NamedTuple):
    """One capture to analyse."""

    source: str
    """Path to open, or "-"; of a file elsewhere its address as it may be shown."""
    name: str
    """Relative POSIX path below the output directory, without ".html" or ".json"; also what the report calls it.
    Always text: bytes of a file name that are no UTF-8 are written as escapes. Where names are replaced, a
    pseudonym."""
    remote: places.Remote | None = None
    """The file elsewhere."""
    root: str = ""
    """What the user named and it was found by, in full."""


class Found(NamedTuple):
    """What the given paths hold."""

    jobs: list[Job]
    skipped: int
    """Files in directories that are no captures, by content and by name."""
    roots: list[str] = []
    """The directories that were searched, in full."""


def discover(paths: Sequence[str], pseudonyms: Pseudonyms | None = None) -> Found:
    """The captures that `paths` (files, directories, addresses of either, "-") name, each once, in a stable order.

    A file named by the user is always taken. In a directory a file is taken if its first bytes say it is a capture,
    or its name claims so (then its report says what is wrong with it); a pipe or a device never, for reading it might
    wait for ever. A directory that cannot be listed is a job of its own, so that it is reported. Raises UsageError for
    a path that is not there. `pseudonyms`: what replaces the jobs' names, folder by folder.
    """
    jobs: list[Job] = []
    roots: list[str] = []
    skipped = 0
    for path in paths:
        if path == STANDARD_INPUT:
            jobs.append(Job(path, "stdin"))
        elif is_url(path):
            there = _elsewhere(path)
            jobs.extend(there.jobs)
            roots.extend(there.roots)
            skipped += there.skipped
        elif os.path.isdir(path):
            found, others = _walk(Path(path))
            roots.append(os.path.realpath(path))
            jobs.extend(Job(os.path.join(path, name), _text(name), root=roots[-1]) for name in found)
            skipped += others
        elif os.path.exists(path):
            jobs.append(Job(path, _text(os.path.basename(os.path.abspath(path)))))
        else:
            raise UsageError(phrase("{path}: no such file or directory", path=path))
    jobs = _below_their_directories(_once(jobs))
    if pseudonyms:
        jobs = [job if job.source == STANDARD_INPUT else job._replace(name=pseudonyms.path(job.name)) for job in jobs]
    return Found(_numbered(jobs), skipped, roots)


def is_stream(source: str | Path) -> bool:
    """Standard input, a pipe, a device: it can be read once, and only by the process that was given it."""
    if source == STANDARD_INPUT:
        return True
    try:
        return not stat.S_ISREG(os.stat(source).st_mode)
    except OSError:
        return False


def _walk(top: Path) -> tuple[list[str], int]:
    found: list[str] = []
    others = 0

    def unlisted(error: OSError) -> None:
        found.append(Path(error.filename).relative_to(top).as_posix())

    for folder, folders, files in os.walk(top, onerror=unlisted):
        folders.sort()
        for file in sorted(files):
            full = Path(folder, file)
            if not is_stream(full) and (claims_to_be_capture(file) or looks_like_capture(full)):
                found.append(full.relative_to(top).as_posix())
            else:
                others += 1
    return found, others


ENOUGH = 1 << 20
"""Bytes that any compression gives some of the decompressed ones for."""


def _elsewhere(url: str) -> Found:
    """The same of an address."""
    from pcapreport.capture.source import SNIFFED

    listing = places.listed(url)
    sure = [listing.one or file.closed or claims_to_be_capture(file.name) for file in listing.files]
    unsure = [file.remote for file, known in zip(listing.files, sure, strict=True) if not known]
    taken = set(_capturing(unsure, SNIFFED))
    base = shown(url).rstrip("/")
    jobs = [
        Job(base if listing.one else f"{base}/{file.name}", file.name, file.remote, "" if listing.one else base)
        for file, known in zip(listing.files, sure, strict=True)
        if known or file.remote in taken
    ]
    return Found(jobs, len(listing.files) - len(jobs), [] if listing.one else [base])


def _capturing(remotes: list[places.Remote], length: int) -> Iterator[places.Remote]:
    """Those that begin as captures do; of what is compressed more is read than the first few bytes."""
    from pcapreport.capture.source import SNIFFED, beginning_of, compression_of

    packed = []
    for remote, start in zip(remotes, places.beginnings(remotes, length), strict=True):
        if length == SNIFFED and compression_of(start):
            packed.append(remote)
        elif begins_as_capture(beginning_of(start)):
            yield remote
    if packed:
        yield from _capturing(packed, ENOUGH)


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def claims_to_be_capture(name: str) -> bool:
    """The file name ends as captures' names do, compressed or not."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in CAPTURE_SUFFIXES


SMALLEST = 12
"""Bytes that it takes to tell a capture."""


def looks_like_capture(path: Path) -> bool:
    """The file's first bytes, decompressed where need be, are those of a capture."""
    from pcapreport.capture.source import beginning  # which takes its time, and most captures have their name

    return begins_as_capture(beginning(path))


def begins_as_capture(start: bytes) -> bool:
    from pcapreport.capture.recognition import is_capture

    return len(start) >= SMALLEST and is_capture(start)


def _once(jobs: Iterable[Job]) -> list[Job]:
    """Each file as it was named first."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(_identity(job), job)
    return list(first.values())


def _identity(job: Job) -> str:
    """The same for the same file."""
    if job.remote:
        return "/".join((*job.remote.url.split("/", 3)[:3], job.remote.path))  # with the host or bucket, if it has one
    return job.source if job.source == STANDARD_INPUT else os.path.realpath(job.source)


def _below_their_directories(jobs: list[Job]) -> list[Job]:
    """Names from several directories may meet: then each is put below the name of its directory."""
    taken: Counter[str] = Counter(job.name for job in jobs)
    out = []
    for job in jobs:
        name = job.name
        if taken[name] > 1:
            top = os.path.abspath(job.source.removesuffix(name).rstrip("/\\") or ".")
            name = f"{_text(os.path.basename(top))}/{name}".lstrip("/")
        out.append(job._replace(name=name))
    return out


def _numbered(jobs: list[Job]) -> list[Job]:
    """Names that meet even so are told apart by numbers."""
    used: set[str] = set()
    out = []
    for job in jobs:
        base = f"{job.name}-capture" if is_index_stem(job.name) else job.name
        name, number = base, 2
        while name in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name)
        out.append(job._replace(name=name))
    return out
