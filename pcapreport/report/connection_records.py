"""The records of one part's connections: findings, histories and details as the document tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pcapreport.findings import rules, time_wait_words
from pcapreport.findings.model import Evidence, Finding
from pcapreport.findings.retransmissions import transmission_before
from pcapreport.findings.verdict import tell
from pcapreport.findings.wireshark_comparison import Compared
from pcapreport.language import messages_of
from pcapreport.report import measures, model
from pcapreport.report.baseline import CAPTURE, Comparison, finding_id, scope_of
from pcapreport.report.curves import series
from pcapreport.report.filters import frames_filter
from pcapreport.report.ladder import RANK, Repeats, build_ladder, history_lanes
from pcapreport.report.segments import told
from pcapreport.report.selection import Told
from pcapreport.report.steps import handshake_steps, teardown_steps
from pcapreport.report.time_records import Times
from pcapreport.report.times import Clock
from pcapreport.report.vantage_words import reason
from pcapreport.report.wireshark_records import other_words
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable, Endpoint
from pcapreport.tcp.history import ConnectionHistory

Ints = npt.NDArray[np.int64]

_encode = model.encoder().encode
_decode = msgspec.json.Decoder(model.Connection).decode


def _by_connection(findings: Sequence[Finding], count: int) -> list[list[Finding]]:
    grouped: list[list[Finding]] = [[] for _ in range(count)]
    for finding in findings:
        if finding.connection is not None:
            grouped[finding.connection].append(finding)
    return grouped


def finding_record(finding: Finding, clock: Clock, comparison: Comparison, scope: str = CAPTURE) -> model.Finding:
    """A finding as the document tells it."""
    doc = rules.RULES.get(finding.rule)
    name = finding_id(finding.rule, finding.side, scope)
    return model.Finding(
        rule=finding.rule,
        severity=model.spelled(finding.severity),
        confidence=model.spelled(finding.confidence),
        side=model.spelled(finding.side),
        frames=list(finding.frames),
        time_s=clock.maybe(finding.time_ns),
        summary=finding.summary,
        alternatives=[
            model.Alternative(explanation=a.explanation, confidence=model.spelled(a.confidence))
            for a in finding.alternatives
        ],
        title=doc.title if doc else finding.rule,
        filter=frames_filter(finding.frames),
        id=name,
        status=comparison.status(name),
    )


class _Bounds(NamedTuple):
    """Of each connection: first and last frame and time, and what stands once in it."""

    first_frame: Ints
    last_frame: Ints
    start_ns: Ints
    end_ns: Ints

    @classmethod
    def of(cls, table: ConnectionTable) -> _Bounds:
        """Where rows were moved, the first by number and by time need not be the first row."""
        first, last = table.bounds[:-1], table.bounds[1:] - 1
        if len(table.moved) and len(table):
            both = (np.minimum, np.maximum)
            return cls(*(by.reduceat(column, first) for column in (table.frame, table.time_ns) for by in both))
        return cls(*(column[at] for column in (table.frame, table.time_ns) for at in (first, last)))


@dataclass(frozen=True)
class Records:
    """The connections of one part of a capture."""

    evidence: Evidence
    clock: Clock
    found: Sequence[Sequence[Finding]]
    told: Sequence[list[model.Finding]]
    """`found`, as the document tells it."""
    sums: measures.Totals
    bounds: _Bounds
    comparison: Comparison
    compared: Compared

    @classmethod
    def of(cls, compared: Compared, clock: Clock, findings: Sequence[Finding], comparison: Comparison) -> Records:
        """Ready to make each connection's record."""
        table = compared.evidence.table
        found, sums = _by_connection(findings, len(table)), measures.totals(table, findings)
        told: list[list[model.Finding]] = [[]] * len(table)
        for index in {finding.connection for finding in findings if finding.connection is not None}:
            told[index] = _told(found[index], table.endpoints(index), clock, comparison)
        return cls(compared.evidence, clock, found, told, sums, _Bounds.of(table), comparison, compared)

    @cached_property
    def times(self) -> Times:
        """Where each connection's time went."""
        return Times.of_all(self.evidence)

    @cached_property
    def ranks(self) -> list[Ints]:
        """Keys by which connections are ordered, the least weighty first: the lower the more worth a look."""
        worst_of, frames = np.zeros((2, len(self.found)), np.int64)
        for index, each in enumerate(self.found):
            if each:
                worst_of[index] = max(RANK[f.severity] + 1 for f in each)
                frames[index] = sum(len(f.frames) for f in each)
        return [self.bounds.first_frame, -frames, -worst_of]

    def rank(self, index: int) -> tuple[int, ...]:
        """The lower the more worth a look."""
        return (*(int(key[index]) for key in reversed(self.ranks)), index)

    @cached_property
    def kinds(self) -> list[str]:
        """What each connection is an example of: its gravest finding, or else the way it opened and closed."""
        kinds = [""] * len(self.found)
        for family in self.evidence.histories.families:
            kind = f"{family.like.opening} {family.like.closing}"
            for index in family.members.tolist():
                kinds[index] = kind
        for index, each in enumerate(self.found):
            if each:
                kinds[index] = min(each, key=lambda one: (-RANK[one.severity], one.rule)).rule
        return kinds

    def notable(self, among: Callable[[Sequence[str]], Sequence[int]]) -> list[int]:
        """The connections worth a look, as `among` takes them from the kinds of all, the worst first."""
        ranked = np.lexsort(self.ranks)
        return [int(ranked[place]) for place in among([self.kinds[index] for index in ranked.tolist()])]

    def ordered_for_list(self, most: int | None) -> list[int]:
        """The connections that a list begins with: by the worst finding, then as they began."""
        first, _, worst_of = self.ranks
        return [int(index) for index in np.lexsort([first, worst_of])[:most]]

    def list_rank(self, index: int) -> tuple[int, ...]:
        """The order of that list."""
        first, _, worst_of = self.ranks
        return int(worst_of[index]), int(first[index])

    def told_as(self, index: int, text: bytes) -> Told:
        """One connection, given what `connection_texts` has of it, and how its texts were made."""
        histories, words = self.evidence.histories, list[str]()
        if histories.has_words(index):
            for end in (histories[index].client, histories[index].server):
                words += [note.told() for note in end.withdrawn]
                words += [time_wait_words.told(syn) for syn in (end.time_wait.later_syns if end.time_wait else ())]
        return Told(text, messages_of([words, self.told[index], self.evidence.table.paths[index]]))

    def told_in_detail(self, index: int, text: bytes) -> Told:
        """The same with its detail."""
        plain, vantage = _decode(text), self.evidence.vantages.of(index)
        assert plain.vantage
        detailed = replace(
            plain,
            metrics=measures.with_detail(plain.metrics, self.evidence.table, index, self.sums),
            vantage=replace(plain.vantage, reason=reason(vantage)),
            detail=self._detail(index, self.evidence.histories[index]),
        )
        return Told(_encode(detailed), self.told_as(index, text).messages | messages_of(detailed))

    def _repeats(self, index: int) -> Repeats:
        """What repeats what; lost for sure is what the other side asked for again and did not get twice."""
        evidence, table = self.evidence, self.evidence.table
        at = table.rows_of(index)
        rows = at.start + np.flatnonzero(evidence.sent_again[at])
        before = transmission_before(evidence, rows)
        rows, before = rows[before >= 0], before[before >= 0]
        again, first = table.frame[rows].tolist(), table.frame[before].tolist()
        asked_for = {f for one in self.found[index] if one.rule == "fast_retransmission" for f in one.frames}
        twice = evidence.reported_twice[rows].tolist()
        lost = {f for f, a, t in zip(first, again, twice, strict=True) if a in asked_for and not t}
        return Repeats(dict(zip(again, first, strict=True)), lost)

    def _detail(self, index: int, history: ConnectionHistory) -> model.Detail:
        evidence, found = self.evidence, self.found[index]
        rows = told(evidence.table, index)
        lanes = history_lanes(rows, history)
        repeats, end = self._repeats(index), evidence.capture.last_ns or 0
        ladder, omitted = build_ladder(rows, lanes, history, found, self.clock, end, repeats)
        client, server = (measures.round_trips(evidence.table, index, side) for side in (CLIENT, SERVER))
        trips = client, server
        return model.Detail(
            ladder=ladder,
            handshake=handshake_steps(rows, lanes.after, self.clock),
            teardown=teardown_steps(rows, lanes.after, self.clock),
            series=series(rows, measures.resent_rows(rows.frame, found), self.clock, trips),
            ladder_omitted=omitted,
            wireshark=other_words(self.compared, index),
            reading=tell(index, evidence, found),
        )


def _told(
    found: Sequence[Finding], ends: tuple[Endpoint, Endpoint], clock: Clock, comparison: Comparison
) -> list[model.Finding]:
    """The findings about one connection as the document tells them."""
    client, server = ends
    scope = scope_of(client.address, server.address, server.port)
    return [finding_record(finding, clock, comparison, scope) for finding in found]
