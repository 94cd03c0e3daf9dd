"""The line, as one function: capture file -> packet table -> connections -> histories -> findings -> document."""

from __future__ import annotations

import os
from typing import BinaryIO

from pcapreport import memory
from pcapreport.analysis import Answer, Question, answer, part_file, report
from pcapreport.capture import Capture, read_capture
from pcapreport.capture.spill import Budget
from pcapreport.companion import Companion
from pcapreport.report.baseline import Baseline
from pcapreport.report.build import DocumentOptions, Report
from pcapreport.report.model import Document
from pcapreport.settings import DEFAULT_READING, Reading, Settings
from pcapreport.tcp.tuples import endpoint_hash

Source = str | os.PathLike[str] | BinaryIO


def analyze(
    source: Source,
    *,
    name: str | None = None,
    settings: Settings | None = None,
    options: DocumentOptions | None = None,
    reading: Reading = DEFAULT_READING,
) -> Document:
    """The result document of a capture file, or of an open binary stream.

    `name` is what the document calls the file; Raises UnreadableCapture where the bytes are no capture at all; damage
    after a sound start is told in the document. All of it is done in memory.
    """
    with memory.for_analysis():
        capture = read_within(None, source, name, reading)
        return report_on(capture, settings or Settings(), options or DocumentOptions()).document


def read_within(most: int | None, source: Source, name: str | None, reading: Reading, sharers: int = 1) -> Capture:
    """A capture for `report_on`, which takes about so many bytes of memory for it at `most` (None: any number).

    `sharers`: processes that are to share a large one.
    """
    budget = None if most is None and sharers < 2 else Budget(most, endpoint_hash, sharers)
    return read_capture(
        source,
        name=name,
        limits=reading.limits,
        checksums=reading.checksums,
        budget=budget,
        frames=reading.frames,
        pseudonyms=reading.pseudonyms,
    )


def report_on(
    capture: Capture,
    settings: Settings,
    options: DocumentOptions,
    baseline: Baseline | None = None,
    companion: Companion | None = None,
) -> Report:
    """What is to be said of a capture, part by part where it was too large for memory; `baseline`: what an earlier run
    said of it; `companion`: a second process that takes its share."""
    question = Question.about(capture, settings, options, baseline)
    if companion and capture.spilled is not None:
        return report(question, capture, companion.answer(question, capture.spilled))
    found: Answer | None = None
    for packets in capture.tables():
        more = answer(question, packets, part_file)
        if found is None:
            found = more
        else:
            found.join(more)
        del packets
        if capture.spilled is not None:
            memory.give_back()
    assert found
    return report(question, capture, found)
