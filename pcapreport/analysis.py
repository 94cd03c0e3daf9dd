"""From packet tables to a report: what is found in each part of a capture, added up over the parts.

A part holds whole connections, so that it can be finished by itself: after another where memory is short, or beside
another in a second process (`companion`). What came of the parts is joined in their order.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from io import BytesIO
from typing import IO

from pcapreport.capture import Capture
from pcapreport.capture.packet_table import PacketTable
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
from pcapreport.report.store import Open
from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.host_habits import HostHabits
from pcapreport.tcp.host_profile import Hosts
from pcapreport.tcp.shapes import Patterns
from pcapreport.tcp.time_wait_population import TimeWaitPopulation

FILE_BUFFER = 1 << 20
HELD_IN_MEMORY = 10_000
"""Connections, of some 3 kB each."""


@dataclass(frozen=True)
class Question:
    """What is asked of every part of a capture."""

    capture: Capture
    """Without rows."""
    settings: Settings
    options: DocumentOptions
    baseline: Baseline | None
    """What an earlier run said of the capture."""
    threads: int | None = None
    """That go over one part, where other parts are gone over at the same time; None: as many as pay."""

    @cached_property
    def hosts(self) -> Hosts:
        """Looked at once, for all parts."""
        return Hosts(self.capture.openings)

    @property
    def patterns(self) -> Patterns:
        """Of the parts so far, and of the captures before."""
        return _patterns_with(self.settings)

    @classmethod
    def about(
        cls, capture: Capture, settings: Settings, options: DocumentOptions, baseline: Baseline | None = None
    ) -> Question:
        """A capture's rows are no part of the question."""
        bare = replace(capture, table=PacketTable.empty(), spilled=None)
        return cls(bare, settings, options, baseline)


@lru_cache(maxsize=2)
def _patterns_with(settings: Settings) -> Patterns:
    """What captures read with these settings have taught."""
    return Patterns()


@dataclass
class Answer:
    """What was found in one part, and then in all."""

    builder: DocumentBuilder
    suppression: Suppression
    quality: CaptureQuality = field(default_factory=CaptureQuality)
    scans: Scans = field(default_factory=Scans)
    habits: HostHabits = field(default_factory=HostHabits)
    population: TimeWaitPopulation = field(default_factory=TimeWaitPopulation)

    def join(self, other: Answer) -> None:
        """And what was found in the next part."""
        self.builder.join(other.builder)
        self.suppression.join(other.suppression)
        self.quality.join(other.quality)
        self.scans.join(other.scans)
        self.habits.join(other.habits)
        self.population.join(other.population)


def answer(question: Question, packets: PacketTable, open_part: Open) -> Answer:
    """What one part says; its connections are kept, encoded, in what `open_part` gives."""
    capture, settings = question.capture, question.settings
    table = find_connections(packets, settings)
    histories = reconstruct_all(table, capture.last_ns or 0, settings, question.hosts, question.patterns)
    evidence = Evidence(capture, table, histories, Passes.of(table, settings, question.threads), settings)
    builder = DocumentBuilder(capture, settings, question.options, question.baseline, open_part)
    found = Answer(builder, Suppression(settings))
    found.quality.add(evidence)
    found.scans.add(evidence)
    found.habits.add(table)
    found.population.add(table, histories)
    found.builder.add(evidence, found.suppression.of(find_in(evidence)))
    return found


def report(question: Question, capture: Capture, found: Answer) -> Report:
    """The report on a capture, given what was found in all its parts."""
    settings, hosts, waits = question.settings, question.hosts, found.population.hosts()
    overall = found.quality.findings(capture) + found.scans.findings(capture, settings)
    overall += running_out(found.population, waits, hosts, settings, capture.first_ns or 0)
    told_hosts = host_records(found.population, waits, hosts, found.habits, settings, capture.first_ns or 0)
    return found.builder.finish(capture, found.suppression.of(overall), told_hosts, found.suppression.told())


def part_file(connections: int) -> IO[bytes]:
    """For the connections of one part: in memory if they are few."""
    return BytesIO() if connections <= HELD_IN_MEMORY else disk_file()


def disk_file() -> IO[bytes]:
    """For those of a part that is large, or that another process writes. It vanishes with the process, however that
    ends."""
    return tempfile.TemporaryFile(buffering=FILE_BUFFER)
