"""Whether a capture is the one it was: cheaply by what its file has, surely by the bytes themselves."""

from __future__ import annotations

import hashlib
import os
import time
from typing import NamedTuple

from pcapreport.batch.discover import Job, is_stream

UNSURE = -1
"""Instead of a time of change."""
_RECENT_NS = 2_000_000_000
"""The coarsest times of change that file systems keep (FAT) are two seconds apart."""


class Stamp(NamedTuple):
    """What a file has as long as nobody changes it."""

    size: int
    mtime_ns: int
    inode: int


def stamp_of(job: Job) -> Stamp | None:
    """None if there is no telling whether the capture is the same next time."""
    if job.remote:
        return None if job.remote.mark is None else Stamp(job.remote.size, job.remote.mark, 0)
    if is_stream(job.source):
        return None
    try:
        status = os.stat(job.source)
    except OSError:
        return None
    recent = time.time_ns() - status.st_mtime_ns < _RECENT_NS
    return Stamp(status.st_size, UNSURE if recent else status.st_mtime_ns, status.st_ino)


def digest_of(job: Job) -> str:
    """SHA-256 of a capture's bytes; "" if they cannot be read, or not without fetching them."""
    if job.remote:
        return ""
    try:
        with open(job.source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
