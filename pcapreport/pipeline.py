"""The line, as one function: capture file -> packet table -> connections -> histories -> findings -> document."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from pcapreport.capture import Capture, read_capture
from pcapreport.findings import find_in
from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.report.build import DocumentOptions, build_document
from pcapreport.report.model import Document
from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all


def analyze(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    settings: Settings | None = None,
    options: DocumentOptions | None = None,
) -> Document:
    """The result document of a capture file, or of an open binary stream.

    `name` is what the document calls the file. Raises UnreadableCapture where the bytes are no capture at all; damage
    after a sound start is told in the document.
    """
    with without_cycle_collection():
        return analyze_capture(read_capture(source, name=name), settings or Settings(), options or DocumentOptions())


def analyze_capture(capture: Capture, settings: Settings, options: DocumentOptions) -> Document:
    """The result document of a capture that was read before."""
    table = find_connections(capture.table, settings)
    histories = list(reconstruct_all(table, capture.last_ns or 0, settings))
    evidence = Evidence(capture, table, histories, Passes.of(table, settings), settings)
    return build_document(evidence, find_in(evidence), options)


@contextmanager
def without_cycle_collection() -> Iterator[None]:
    """Histories and documents are trees of many small objects without cycles: looking for some takes half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor is what was built looked through later, while it lives
        if was_on:
            gc.enable()
