"""Histories and findings -> the result document: order, wording, and limits stated in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from pcapreport import memory
from pcapreport.capture.model import Capture
from pcapreport.findings import rules
from pcapreport.findings.model import Evidence, Finding, Severity
from pcapreport.findings.suppression import Suppressed
from pcapreport.findings.time_ledger import Part
from pcapreport.findings.verdict import Case
from pcapreport.findings.wireshark_comparison import Compared, WiresharkComparison
from pcapreport.language import messages_of
from pcapreport.report import model
from pcapreport.report.across import AcrossCaptures
from pcapreport.report.activity import CaptureActivity
from pcapreport.report.baseline import Baseline, Comparison
from pcapreport.report.connection_records import Records, finding_record
from pcapreport.report.connection_texts import connection_texts
from pcapreport.report.lab.lesson import Lesson, suitability
from pcapreport.report.lab.record import lab_record
from pcapreport.report.likeness import Likeness
from pcapreport.report.method import method
from pcapreport.report.selection import Examples, Foremost, Kept, Rank, Told
from pcapreport.report.store import ConnectionStore, Open
from pcapreport.report.time_records import times_spent
from pcapreport.report.times import Clock, iso_utc
from pcapreport.report.vantage_words import VantageSummary
from pcapreport.report.wireshark_records import wireshark_records
from pcapreport.settings import WORTH_SHARING, Settings
from pcapreport.tcp.states import rule_texts
from pcapreport.version import __version__, libraries

LESSONS = 5_000
"""Connections of a part that a laboratory report may be about: the first ones."""


@dataclass(frozen=True, slots=True)
class DocumentOptions:
    """What of the document the user may choose; `effective` is what the page prints of all options."""

    details: int | None = None
    """How many connections are told in detail; None: enough to show each kind (`selection.Examples`)."""
    only: int | None = None
    """Tell this connection (an index) in detail and no other."""
    listed: int | None = None
    """How many connections the document holds, the worst first, beside those in detail (None: all)."""
    effective: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)
    """What the user wants said of the case: number, examiner, course, as given."""
    lab: bool = False
    """With the laboratory report of the connection that is best to learn from."""
    lesson: int | None = None
    """Or of this one (an index; only for a capture in one part)."""


class Report(NamedTuple):
    """What came of a capture."""

    document: model.Document
    """With all its connections, or with those that a page shows."""
    connections: ConnectionStore
    detailed: Mapping[int, bytes]
    """By number the connections told in detail, encoded."""

    def json(self) -> Iterator[bytes]:
        """The result document with all connections, in pieces."""
        before, after = model.encode_around(self.document)
        yield before
        yield from self.connections.pieces(self.detailed)
        yield after


class _KeptLab(NamedTuple):
    """The laboratory report of a connection."""

    kept: Kept
    lab: model.Lab


class DocumentBuilder:
    """Makes the document of a capture that comes in parts, each of whole connections."""

    def __init__(
        self,
        capture: Capture,
        settings: Settings,
        options: DocumentOptions,
        baseline: Baseline | None,
        open_part: Open,
    ) -> None:
        """`open_part` gives the file that the encoded connections of one part are kept in."""
        self._comparison = Comparison(baseline)
        self._settings, self._options = settings, options
        self._clock = Clock(capture.first_ns or 0)
        self._case = Case()
        self._rules: set[str] = set()
        self._activity = CaptureActivity(capture)
        self._across = AcrossCaptures()
        self._retransmitted = 0
        self._spent = np.zeros(len(Part), np.int64)
        self._vantages = VantageSummary()
        self._wireshark = WiresharkComparison()
        self.store = ConnectionStore(open_part)
        self._listed = Foremost(options.listed)
        self._detailed = Examples(options.details if options.only is None else 1)
        self._lab: _KeptLab | None = None
        self._likeness = Likeness()

    def add(self, evidence: Evidence, findings: Sequence[Finding]) -> None:
        """Whole connections and the findings about them."""
        self._case.add(evidence, findings)
        compared = Compared.of(evidence, findings)
        self._wireshark.add(compared)
        self._rules.update(finding.rule for finding in findings)
        self._rules.update(evidence.histories.rules())
        self._activity.add(evidence)
        self._spent += evidence.ledger.spent.sum(axis=0)
        part = Records.of(compared, self._clock, findings, self._comparison)
        self._vantages.add(evidence.vantages, evidence.table.all_endpoints)
        self._retransmitted += int(part.sums.resent.sum())
        self._comparison.add(chain.from_iterable(part.told))
        listed = part.ordered_for_list(self._options.listed)
        notable = self._notable(part)
        lesson = self._lesson(evidence) if self._options.lab else None
        first, texts = self._keep(part, {*listed, *notable, *([lesson[1]] if lesson else [])})
        self._across.add(part, first)
        self._listed.add(Kept(part.list_rank(i), first + i, part.told_as(i, texts[i])) for i in listed)
        self._detailed.add(
            Kept(part.rank(i), first + i, part.told_in_detail(i, texts[i]), part.kinds[i]) for i in notable
        )
        if lesson:
            rank, index = lesson
            about = Lesson(evidence, index, evidence.histories[index], tuple(part.found[index]), self._clock)
            self._lab = _KeptLab(Kept(rank, first + index, part.told_in_detail(index, texts[index])), lab_record(about))

    def _notable(self, part: Records) -> list[int]:
        """The part's connections that may be told in detail."""
        only = self._options.only
        if only is None:
            return part.notable(self._detailed.among)
        return [only] if only < len(part.found) else []

    def _keep(self, part: Records, wanted: Set[int]) -> tuple[int, dict[int, bytes]]:
        """All connections go to the store; returns the place of the first, and those wanted as they are encoded."""
        texts: dict[int, bytes] = {}
        if len(part.evidence.table.row) > WORTH_SHARING:
            memory.give_back()  # what the analysis no longer needs, before the texts take as much

        def passing(connections: Sequence[int], each: Iterator[bytes]) -> Iterator[bytes]:
            for index, text in zip(connections, each, strict=True):
                if index in wanted:
                    texts[index] = text
                yield text

        told = ((some, passing(some.tolist(), each)) for some, each in connection_texts(part))
        return self.store.add(told, part.bounds.first_frame), texts

    def _lesson(self, evidence: Evidence) -> tuple[Rank, int] | None:
        """The part's connection to learn from: its rank, its index."""
        self._likeness.add(evidence)
        count, only = len(evidence.table), self._options.lesson
        candidates = range(min(count, LESSONS)) if only is None else range(only, min(only + 1, count))
        return min(((suitability(evidence, one), one) for one in candidates), default=None)

    def join(self, other: DocumentBuilder) -> None:
        """And what another made of later parts."""
        place = len(self.store)
        self.store.join(other.store)
        self._across.join(other._across, place)
        self._listed.join(other._listed, place)
        self._detailed.join(other._detailed, place)
        lab = other._lab
        if lab and (self._lab is None or lab.kept.rank < self._lab.kept.rank):
            self._lab = lab._replace(kept=lab.kept.moved(place))
        self._comparison.join(other._comparison)
        self._case.join(other._case)
        self._rules |= other._rules
        self._activity.join(other._activity)
        self._retransmitted += other._retransmitted
        self._spent += other._spent
        self._vantages.join(other._vantages)
        self._wireshark.join(other._wireshark)
        self._likeness.join(other._likeness)

    def finish(
        self,
        capture: Capture,
        overall: Sequence[Finding],
        hosts: Sequence[model.Host],
        suppressed: Sequence[Suppressed] = (),
    ) -> Report:
        """The document, given also the findings about the capture as a whole, what is said of hosts and what was not to
        be told; nothing can be added afterwards."""
        self._case.add_overall(overall)
        self._rules.update(finding.rule for finding in overall)
        kept, tally, verdict, clock = self._kept(), self._case.tally, self._case.verdict(capture), self._clock
        told = [finding_record(finding, clock, self._comparison) for finding in overall]
        self._comparison.add(told)
        document = model.Document(
            schema_version=model.SCHEMA_VERSION,
            tool=model.Tool(name="pcapreport", version=__version__, libraries=libraries()),
            options=dict(self._options.effective),
            capture=_capture(capture, clock),
            connections=[],
            findings=told,
            verdict=model.Verdict(
                text=verdict.text,
                side=model.spelled(verdict.side),
                confidence=model.spelled(verdict.confidence),
                findings=list(verdict.rules),
                evidence=list(verdict.evidence),
                cannot_know=list(verdict.cannot_know),
            ),
            totals=model.Totals(
                connections=tally.connections,
                openings=dict(sorted(tally.openings.items())),
                closings=dict(sorted(tally.closings.items())),
                findings={model.spelled(level): tally.severities[level] for level in Severity},
                time_waits=tally.time_waits,
                retransmitted=self._retransmitted,
                time_ledger=times_spent(self._spent),
                rules={
                    rule: model.RuleCount(findings=count, severity=model.spelled(tally.worst[rule]))
                    for rule, count in sorted(tally.rules.items())
                },
            ),
            hosts=list(hosts),
            connections_shown_in_detail=len(self._detailed.chosen()),
            lab=self._lab_of_document(),
            vantage=self._vantages.record(),
            method=method(self._settings, self._options.effective.get("set")),
            wireshark=wireshark_records(self._wireshark),
            activity=self._activity.traffic(),
            round_trips=self._activity.round_trips(),
            across=self._across.record(self.store.numbers()),
            baseline=self._comparison.record(),
            suppressed=[
                model.Suppressed(
                    rule=one.rule,
                    severity=model.spelled(one.change.severity),
                    reason=one.change.reason,
                    findings=one.findings,
                )
                for one in suppressed
            ],
            rules=_rules_used(self._rules),
            manual=_manual(self._rules),
            meta=dict(self._options.meta),
        )
        messages = messages_of(document)
        for one in kept.values():
            messages |= one.messages
        shown = [one.record(number) for number, one in kept.items()]
        detailed = {c.id: kept[c.id].numbered(c.id) for c in shown if c.detail is not None}
        return Report(replace(document, connections=shown, messages=messages), self.store, detailed)

    def _lab_of_document(self) -> model.Lab | None:
        """With the number that its connection has."""
        if self._lab is None:
            return None
        return replace(
            self._lab.lab,
            connection=int(self.store.numbers()[self._lab.kept.place]),
            segments=self._likeness.segments(),
            connections=self._likeness.connections(),
        )

    def _kept(self) -> dict[int, Told]:
        """Connections to be listed or told in detail, by number."""
        kept = {one.place: one.told for one in (*self._listed, *self._detailed.chosen())}
        if self._lab:
            kept[self._lab.kept.place] = self._lab.kept.told
        numbers = self.store.numbers()
        numbered = {int(numbers[place]): told for place, told in kept.items()}
        return dict(sorted(numbered.items()))


def _capture(capture: Capture, clock: Clock) -> model.Capture:
    first, last = capture.first_ns, capture.last_ns
    return model.Capture(
        file=capture.file,
        sha256=capture.sha256,
        content_sha256=capture.content_sha256,
        content_bytes=capture.content_bytes,
        size_bytes=capture.size_bytes,
        container=capture.container,
        compression=capture.compression,
        packets=capture.packets,
        tcp_packets=capture.tcp_packets,
        start=None if first is None else iso_utc(first),
        duration_s=0.0 if last is None else clock.seconds(last),
        complete=capture.complete,
        interfaces=[
            model.Interface(
                link_type=one.link_type,
                link_name=one.link_name,
                snaplen=one.snaplen,
                resolution=one.resolution,
                name=one.name,
                description=one.description,
                os=one.os,
                drops=one.drops,
            )
            for one in capture.interfaces
        ],
        problems=[
            model.Problem(code=p.code, message=p.message, offset=p.offset, frame=p.frame, skipped=p.skipped)
            for p in capture.problems
        ],
        byte_order=capture.byte_order,
        comments=[model.Comment(frame=frame, text=text) for frame, text in capture.comments],
        application=capture.application,
        os=capture.os,
        hardware=capture.hardware,
        other_packets=dict(sorted(capture.other_packets.items())),
        other_blocks=dict(sorted(capture.other_blocks.items())),
        encapsulations=list(capture.encapsulations),
    )


def _manual(named: Set[str]) -> dict[str, model.Page]:
    """The manual's pages on the rules of findings."""
    docs = [rules.RULES[rule] for rule in sorted(named & rules.RULES.keys())]
    return {
        doc.id: model.Page(
            title=doc.title,
            means=doc.means,
            why_it_matters=doc.why_it_matters,
            likely_causes=doc.likely_causes,
            what_to_do=doc.what_to_do,
            known_problems=doc.known_problems,
            references=list(doc.references),
            wireshark=doc.wireshark,
        )
        for doc in docs
    }


def _rules_used(named: Set[str]) -> dict[str, str]:
    """What the rules of transitions say, then those of findings."""
    texts = rule_texts()
    used = {rule: texts[rule] for rule in sorted(named & texts.keys(), key=lambda rule: int(rule[1:]))}
    return used | {rule: rules.RULES[rule].means for rule in sorted(named & rules.RULES.keys())}
