"""How the process deals with memory while it analyses: what suits millions of small objects and large columns."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""glibc, malloc.h."""
_LARGEST_ON_HEAP, _KEPT = 32 << 20, 128 << 20
"""Bytes; the first is the most that glibc allows on 64-bit machines."""


@contextmanager
def for_analysis() -> Iterator[None]:
    """No search for cycles, and freed memory is kept for what comes next."""
    _keep_freed_memory()
    was_on = gc.isenabled()
    gc.disable()  # histories and documents are trees without cycles: looking for some takes half the time
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def limited(most: int | None) -> Iterator[None]:
    """Raise MemoryError where this process would have more than so many bytes of its own; Linux only."""
    if most is None or not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [most, *(bound for bound in before if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _usable() -> int | None:
    """Bytes of memory that this machine, or the container that this is, can give; None if it does not say."""
    bounds: list[int] = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        bounds.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(file) as told:
                bounds.append(int(told.read()))
        except (OSError, ValueError):  # no such group, or no limit
            continue
    return min(bounds, default=None)


@cache
def bearable() -> int | None:
    """Bytes of memory for one process that leave the machine some: where it runs out, the system kills at random."""
    most = _usable()
    return None if most is None else most * 4 // 5


def give_back() -> None:
    """What is free between objects that stay goes back to the system: it would add up from part to part."""
    library = _glibc()
    if library:
        library.malloc_trim(0)


@cache
def _keep_freed_memory() -> None:
    """Columns that come and go are taken from memory already had: to be given new pages each time costs a tenth."""
    library = _glibc()
    if library:
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_ON_HEAP)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_M_ARENA_MAX, 1)  # what one thread gave back is there for all


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library where it has glibc's functions: elsewhere all stays as it is."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
