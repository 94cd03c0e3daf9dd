"""The records of one part's connections: findings, histories and details as the document tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np

from pcapreport.findings import rules
from pcapreport.findings.model import Evidence, Finding
from pcapreport.findings.retransmissions import transmission_before
from pcapreport.findings.verdict import tell
from pcapreport.findings.wireshark_comparison import Compared
from pcapreport.report import measures, model
from pcapreport.report.baseline import CAPTURE, Comparison, finding_id, scope_of
from pcapreport.report.curves import series
from pcapreport.report.filters import frames_filter
from pcapreport.report.ladder import RANK, Repeats, build_ladder, history_lanes, worst
from pcapreport.report.segments import told
from pcapreport.report.steps import handshake_steps, teardown_steps
from pcapreport.report.time_records import Times
from pcapreport.report.time_wait_records import time_wait_record
from pcapreport.report.times import Clock
from pcapreport.report.vantage_words import vantage_record
from pcapreport.report.wireshark_records import other_words
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, OPENER_TEXT, SERVER, ConnectionTable, Endpoint, OpenerEvidence
from pcapreport.tcp.estimate import estimates
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory
from pcapreport.tcp.states import State
from pcapreport.tcp.vantage import Vantage


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

    frames: list[tuple[int, int]]
    times: list[tuple[int, int]]
    encapsulation: list[str]
    opener: list[int]


def _bounds(table: ConnectionTable) -> _Bounds:
    first, last = table.bounds[:-1], table.bounds[1:] - 1
    if len(table.moved):
        both = (np.minimum, np.maximum)
        ends = [by.reduceat(column, first) for column in (table.frame, table.time_ns) for by in both]
    else:
        ends = [column[at] for column in (table.frame, table.time_ns) for at in (first, last)]
    begins, stops, since, until = (column.tolist() for column in ends)
    return _Bounds(
        list(zip(begins, stops, strict=True)),
        list(zip(since, until, strict=True)),
        table.paths,
        table.opener.tolist(),
    )


@dataclass(frozen=True, slots=True)
class Records:
    """The connections of one part of a capture."""

    evidence: Evidence
    clock: Clock
    found: Sequence[Sequence[Finding]]
    sums: measures.Totals
    bounds: _Bounds
    endpoints: Sequence[tuple[Endpoint, Endpoint]]
    vantages: Sequence[Vantage]
    comparison: Comparison
    compared: Compared
    times: Times

    @classmethod
    def of(cls, compared: Compared, clock: Clock, findings: Sequence[Finding], comparison: Comparison) -> Records:
        """Ready to make each connection's record."""
        evidence = compared.evidence
        table = evidence.table
        found, sums = _by_connection(findings, len(table)), measures.totals(table, findings)
        vantages = evidence.vantages.each()
        bounds, ends, times = _bounds(table), table.all_endpoints, Times.of(evidence)
        return cls(evidence, clock, found, sums, bounds, ends, vantages, comparison, compared, times)

    def notable(self, most: int, only: int | None) -> list[int]:
        """The connections worth a look: the worst first, then the first ones; or that one."""
        if only is not None:
            return [only] if only < len(self.found) else []
        return sorted(range(len(self.found)), key=self.rank)[:most]

    def rank(self, index: int) -> tuple[int, int, int, int]:
        """The lower the more worth a look."""
        found = self.found[index]
        worst_severity = max((RANK[f.severity] + 1 for f in found), default=0)
        return -worst_severity, -sum(len(f.frames) for f in found), self.bounds.frames[index][0], index

    def connections(self) -> Iterator[model.Connection]:
        """All connections in order, without details and numbers."""
        for index, history in enumerate(self.evidence.histories):
            connection = self._connection(index, history, False)
            self.comparison.add(connection.findings)
            yield connection

    def detailed(self, index: int) -> model.Connection:
        """One connection with its detail, without a number."""
        return self._connection(index, self.evidence.histories[index], True)

    def _connection(self, index: int, history: ConnectionHistory, detailed: bool) -> model.Connection:
        table, found = self.evidence.table, self.found[index]
        client, server = self.endpoints[index]
        first, last = self.bounds.frames[index]
        start, end = self.bounds.times[index]
        vantage, scope = self.vantages[index], scope_of(client.address, server.address, server.port)
        return model.Connection(
            id=0,
            client=model.Endpoint(address=client.address, port=client.port),
            server=model.Endpoint(address=server.address, port=server.port),
            start_s=self.clock.seconds(start),
            end_s=self.clock.seconds(end),
            packets=self.sums.packets[2 * index] + self.sums.packets[2 * index + 1],
            opening=history.opening,
            closing=history.closing,
            endpoints=model.Endpoints(
                client=self._endpoint(history.client, vantage.round_trip[CLIENT]),
                server=self._endpoint(history.server, vantage.round_trip[SERVER]),
            ),
            findings=[finding_record(finding, self.clock, self.comparison, scope) for finding in found],
            metrics=measures.metrics(table, index, self.sums, detailed, self.times),
            first_frame=first,
            last_frame=last,
            opener_known_by=OPENER_TEXT[OpenerEvidence(self.bounds.opener[index])],
            filter=_connection_filter(client, server, first, last),
            severity=worst(found),
            anchor=_anchor(client, server, self.sums.isn[index][0], first),
            encapsulation=self.bounds.encapsulation[index],
            vantage=vantage_record(vantage, detailed),
            detail=self._detail(index, history) if detailed else None,
        )

    def _endpoint(self, end: EndpointHistory, round_trip: int) -> model.EndpointHistory:
        clock = self.clock
        zero = clock.zero_ns
        ledger = end.time_wait
        return model.EndpointHistory(
            history=[
                model.Transition(
                    state=item.state,
                    entered_s=(  # clock.interval, spelled out: this is done a million times
                        None if item.earliest is None else (item.earliest - zero) / SECOND,
                        None if item.latest is None else (item.latest - zero) / SECOND,
                    ),
                    estimate_s=None if moment is None else (moment - zero) / SECOND,
                    frame=item.frame,
                    rule=item.rule,
                    certainty=cast(model.Certainty, item.certainty),
                    note=item.note,
                )
                for item, moment in zip(end.transitions, estimates(end.transitions, round_trip), strict=True)
            ],
            possible_final_states=_sorted_names(end.possible_final),
            time_wait=None if ledger is None else time_wait_record(ledger, clock),
            withdrawn=[note.told() for note in end.withdrawn],
        )

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


@lru_cache(maxsize=256)
def _names(states: frozenset[State]) -> tuple[str, ...]:
    return tuple(sorted(states))


def _sorted_names(states: frozenset[State]) -> list[str]:
    """States by name; there are few different sets of them."""
    return list(_names(states))


def _connection_filter(client: Endpoint, server: Endpoint, first: int, last: int) -> str:
    """A display filter that needs no stream index and tells incarnations of the same ports apart."""
    family = "ipv6" if ":" in client.address else "ip"
    return (
        f"{family}.addr == {client.address} && {family}.addr == {server.address}"
        f" && tcp.port == {client.port} && tcp.port == {server.port}"
        f" && frame.number >= {first} && frame.number <= {last}"
    )


def _anchor(client: Endpoint, server: Endpoint, isn: int, first: int) -> str:
    """A stable id from content: the same connection has it in every report on the same capture."""
    text = f"{client.address} {client.port} {server.address} {server.port} {isn} {first}"
    return "c-" + hashlib.sha256(text.encode()).hexdigest()[:12]
