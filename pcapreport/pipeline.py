"""The line, as one function: capture file -> packet table -> connections -> histories -> findings -> document."""

from __future__ import annotations

import os
from typing import BinaryIO

from pcapreport import memory
from pcapreport.capture import Capture, read_capture
from pcapreport.capture.spill import Budget
from pcapreport.findings import find_in
from pcapreport.findings.capture_quality import CaptureQuality
from pcapreport.findings.ephemeral_ports import running_out
from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.findings.scans import Scans
from pcapreport.findings.suppression import Suppression
from pcapreport.report.baseline import Baseline
from pcapreport.report.build import DocumentBuilder, DocumentOptions, Report
from pcapreport.report.host_records import host_records
from pcapreport.report.model import Document
from pcapreport.settings import DEFAULT_READING, Reading, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.host_habits import HostHabits
from pcapreport.tcp.host_profile import Hosts
from pcapreport.tcp.time_wait_population import TimeWaitPopulation
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


def read_within(most: int | None, source: Source, name: str | None, reading: Reading) -> Capture:
    """A capture for `report_on`, which takes about so many bytes of memory for it at `most` (None: any number)."""
    budget = None if most is None else Budget(most, endpoint_hash)
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
    capture: Capture, settings: Settings, options: DocumentOptions, baseline: Baseline | None = None
) -> Report:
    """What is to be said of a capture, part by part where it was too large for memory; `baseline`: what an earlier run
    said of it."""
    quality, scans, hosts = CaptureQuality(), Scans(), Hosts(capture.openings)
    habits, population = HostHabits(), TimeWaitPopulation()
    builder, suppression = DocumentBuilder(capture, settings, options, baseline), Suppression(settings)
    for packets in capture.tables():
        table = find_connections(packets, settings)
        histories = reconstruct_all(table, capture.last_ns or 0, settings, hosts)
        evidence = Evidence(capture, table, histories, Passes.of(table, settings), settings)
        quality.add(evidence)
        scans.add(evidence)
        habits.add(table)
        population.add(table, histories)
        builder.add(evidence, suppression.of(find_in(evidence)))
        del packets, table, histories, evidence
        if capture.spilled is not None:
            memory.give_back()
    waits = population.hosts()
    overall = quality.findings(capture) + scans.findings(capture, settings)
    overall += running_out(population, waits, hosts, settings, capture.first_ns or 0)
    told_hosts = host_records(population, waits, hosts, habits, settings, capture.first_ns or 0)
    return builder.finish(suppression.of(overall), told_hosts, suppression.told())
