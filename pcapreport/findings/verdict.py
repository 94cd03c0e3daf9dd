"""What happened in this capture, whose doing it was, how we know, and what the capture cannot tell.

A capture may come in parts, each of whole connections. A Case takes one part after the other and keeps of each only
counts and the few findings that a verdict can name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcapreport.capture.model import Capture
from pcapreport.findings.exhibits import EVIDENCE_SHOWN, GRAVEST_FIRST, Exhibit, Shortlist, gravity
from pcapreport.findings.model import Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.rules import RULES
from pcapreport.findings.story import tell
from pcapreport.findings.tally import LIMITS, Tally
from pcapreport.findings.verdict_words import ALIKE, all_orderly, cannot_know, outcome
from pcapreport.language import (
    Text,
    counted,
    first_sentence,
    further_sentences,
    joined,
    lowered,
    phrase,
    sentences,
)

__all__ = ["Case", "Verdict", "judge", "tell"]

CROWDS = GRAVEST_FIRST[:2]
"""About many connections, whose single findings they explain."""
UNDECIDABLE = frozenset(
    {
        "peer_silent",
        "syn_unanswered",
        "fin_unanswered",
        "reset_ignored",
    }
)
"""A dead host and a dead path look the same."""
ONLY_IF_SURE = frozenset({"reset", "syn_filtered"})
"""A host that forgot its connection and one whose connection was reset unseen, behind the tap, answer alike; a filter
that says nothing may stand in the path or on the server's own host."""
ORDERLY = ("client-first", "server-first", "simultaneous")
FACTS = 3
"""Facts that a verdict should at least rest on, if there are as many."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence or two about the capture, with what they rest on."""

    text: str
    side: str
    """client, server, network, capture, none or undecidable."""
    confidence: Confidence
    rules: tuple[str, ...]
    evidence: tuple[str, ...]
    """Facts with frame numbers."""
    cannot_know: tuple[str, ...]
    """What this capture cannot tell."""


def judge(evidence: Evidence, findings: Sequence[Finding]) -> Verdict:
    """The verdict on a capture in one part."""
    case = Case()
    case.add(evidence, [finding for finding in findings if finding.connection is not None])
    case.add_overall([finding for finding in findings if finding.connection is None])
    return case.verdict(evidence.capture)


class Case:
    """What is known of a capture: taken part by part, then judged."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._serious = Shortlist(gravity)
        self._notes = Shortlist(_as_they_came)
        self._story = ""
        """Of the only connection."""

    def add(self, evidence: Evidence, findings: Sequence[Finding]) -> None:
        """Whole connections and the findings about them."""
        self.tally.add(evidence, findings)
        if len(evidence.table):
            self._story = tell(0, evidence, []) if self.tally.connections == 1 else ""
        self._serious.add((f for f in findings if f.severity is not Severity.NOTE), evidence)
        self._notes.add((f for f in findings if f.severity is Severity.NOTE), evidence)

    def join(self, other: Case) -> None:
        """And what later parts hold."""
        self.tally.join(other.tally)
        self._story = self._story or other._story if self.tally.connections == 1 else ""
        self._serious.join(other._serious)
        self._notes.join(other._notes)

    def add_overall(self, findings: Sequence[Finding]) -> None:
        """Findings about the capture as a whole."""
        self.tally.add_findings(findings)
        self._serious.add_overall(f for f in findings if f.severity is not Severity.NOTE)
        self._notes.add_overall(f for f in findings if f.severity is Severity.NOTE)

    def verdict(self, capture: Capture) -> Verdict:
        """The verdict on all that was added, which is the whole capture."""
        limits = tuple(cannot_know(capture, self.tally))
        if not self.tally.connections:
            text = phrase("The capture holds no TCP segment.")
            if not capture.packets:
                text = phrase("The capture holds no packet.")
            return Verdict(text, "none", Confidence.HIGH, (), (), limits)
        serious = self._serious.chosen()
        return self._trouble(serious, limits) if serious else self._all_well(limits, capture.complete)

    def _trouble(self, serious: Sequence[Exhibit], limits: tuple[str, ...]) -> Verdict:
        lead = serious[0]
        second = next(
            (e for e in serious if e.finding.rule != lead.finding.rule and e.finding.rule in GRAVEST_FIRST), None
        )
        told = list(self._headline(lead))
        if second is not None and not _tells_the_same(lead.finding, second.finding):
            told.append(self._also(second))
        told.append(self._all_the_same(lead.finding))
        if all(exhibit.finding.side is Side.CAPTURE for exhibit in serious):
            told.append(phrase("Nothing went wrong in what it shows: {outcome}.", outcome=self._outcome()))
        text, side = sentences(*told), self._side(lead.finding)
        if side == "undecidable":
            others = [one.explanation for one in lead.finding.alternatives]
            limits = (*(phrase("Whether this is rather so: {explanation}", explanation=one) for one in others), *limits)
        return Verdict(
            text=text,
            side=side,
            confidence=lead.finding.confidence,
            rules=tuple(dict.fromkeys(e.finding.rule for e in serious)),
            evidence=tuple(self._proof(exhibit, text) for exhibit in self._exhibits(lead, serious)),
            cannot_know=limits,
        )

    def _exhibits(self, lead: Exhibit, serious: Sequence[Exhibit]) -> list[Exhibit]:
        """What the verdict rests on; where that is little, what else was noted in the same connection as well."""
        shown = list(serious[:EVIDENCE_SHOWN])
        if lead.finding.connection is None:
            return shown
        same = [e for e in self._notes.chosen() if e.place == lead.place and e.finding.rule not in LIMITS]
        return shown + same[: max(FACTS - len(shown), 0)]

    def _told(self, exhibit: Exhibit) -> str:
        """What was found and, where there are several connections, in which."""
        return self._placed(exhibit, exhibit.finding.summary)

    def _in_short(self, exhibit: Exhibit) -> str:
        """The first sentence of what was found."""
        return self._placed(exhibit, _first_sentence(exhibit.finding.summary))

    def _placed(self, exhibit: Exhibit, text: str) -> str:
        if self.tally.connections == 1 or not exhibit.place:
            return text
        return phrase("{place}: {finding}", place=exhibit.place, finding=text)

    def _proof(self, exhibit: Exhibit, text: str) -> str:
        """What a finding rests on: its sentence, or its first segments where the verdict has said the sentence."""
        said = _first_sentence(exhibit.finding.summary)
        if said not in text or not exhibit.segments:
            return self._told(exhibit)
        title, rest = phrase(RULES[exhibit.finding.rule].title), _further_sentences(exhibit.finding.summary)
        segments = phrase("{title}: {segments}.", title=title, segments=joined(exhibit.segments, "; "))
        return self._placed(exhibit, sentences(segments, rest))

    def _headline(self, lead: Exhibit) -> Iterator[str]:
        rule, total = lead.finding.rule, self.tally.connections
        alike = self.tally.serious[rule]
        if lead.finding.connection is None or alike.connections == 1:
            yield self._in_short(lead)
        elif rule in ALIKE:
            yield phrase(ALIKE[rule], number=alike.connections, total=total)
            yield phrase("For example {finding}", finding=self._in_short(lead))
        else:
            yield phrase(
                "{number:,} of {total:,} connections show: {title} ({frames}).",
                number=alike.connections,
                total=total,
                title=lowered(RULES[rule].title),
                frames=counted(alike.frames, "{n:,} frame", "{n:,} frames"),
            )
            yield phrase("Most in: {finding}", finding=self._in_short(lead))

    def _also(self, second: Exhibit) -> Text:
        more, told = self.tally.serious[second.finding.rule].connections - 1, self._in_short(second)
        if not more:
            return phrase("Also: {finding}", finding=told)
        return counted(
            more,
            "Also (and so in {n:,} other connection): {finding}",
            "Also (and so in {n:,} other connections): {finding}",
            finding=told,
        )

    def _all_the_same(self, lead: Finding) -> str:
        """Where the trouble was overcome, that is part of the verdict."""
        total = self.tally.connections
        orderly = sum(self.tally.closings[kind] for kind in ORDERLY) == total
        if not orderly or lead.side is Side.CAPTURE:
            return ""
        if total == 1:
            return phrase("It closed in order all the same.")
        return phrase("All closed in order all the same.")

    def _side(self, lead: Finding) -> str:
        sides, rule = self.tally.serious[lead.rule].sides, lead.rule
        decided = len(sides) == 1 and rule not in UNDECIDABLE
        if lead.confidence is not Confidence.HIGH and rule in ONLY_IF_SURE:
            decided = False
        return next(iter(sides)).value if decided else "undecidable"

    def _counts(self) -> tuple[int, int]:
        """(connections seen to open, connections closed in order)."""
        openings, closings = self.tally.openings, self.tally.closings
        opened = sum(openings[kind] for kind in ("three-way", "fast-open", "simultaneous"))
        return opened, sum(closings[kind] for kind in ORDERLY)

    def _outcome(self) -> Text:
        """How the connections fared, in numbers."""
        opened, orderly = self._counts()
        return outcome(self.tally.openings, self.tally.closings, opened, orderly, self.tally.connections)

    def _all_well(self, limits: tuple[str, ...], complete: bool) -> Verdict:
        tally = self.tally
        total = tally.connections
        opened, orderly = self._counts()
        if opened == total == orderly:
            told: list[str] = [
                all_orderly(tally.closings, total),
                phrase("Nothing went wrong that this capture shows."),
            ]
        else:
            told = [phrase("Nothing went wrong that this capture shows: {outcome}.", outcome=self._outcome())]
        notes = self._notes.chosen()
        limit = self._limit(notes)
        if limit:
            told.append(self._told(limit))
            notes = [limit, *(exhibit for exhibit in notes if exhibit is not limit)]
        if notes:
            names = dict.fromkeys(lowered(RULES[e.finding.rule].title) for e in notes)
            told.append(phrase("Worth knowing: {names}.", names=joined(names)))
        text = sentences(*told)
        shown = tuple(self._told(exhibit) for exhibit in notes[:EVIDENCE_SHOWN])
        if total == 1 and self._story:
            shown = (self._story, *shown)
        level = Confidence.HIGH if complete and opened == total else Confidence.MEDIUM
        side = limit.finding.side.value if limit else "none"
        return Verdict(text, side, level, tuple(dict.fromkeys(e.finding.rule for e in notes)), shown, limits)

    def _limit(self, notes: Sequence[Exhibit]) -> Exhibit | None:
        """What at least half of the connections waited for most of their time, if that is one side or the network."""
        waited = self.tally.waited_for.most_common(1)
        if not waited or 2 * waited[0][1] < self.tally.connections:
            return None
        return next((e for e in notes if e.finding.rule in LIMITS and e.finding.side is waited[0][0]), None)


def _as_they_came(_finding: Finding) -> tuple[()]:
    return ()


def _first_sentence(summary: str) -> str:
    """Of a plain string all up to the first full stop that another sentence follows."""
    if isinstance(summary, Text):
        return first_sentence(summary)
    end = re.search(r"\.(?= [A-Z])", summary)
    return summary[: end.end()] if end else summary


def _further_sentences(summary: str) -> str:
    if isinstance(summary, Text):
        return further_sentences(summary)
    return summary.removeprefix(_first_sentence(summary)).lstrip()


def _tells_the_same(lead: Finding, second: Finding) -> bool:
    """The second concerns frames that the lead named already."""
    alike = (lead.connection is None) == (second.connection is None) or lead.rule in CROWDS
    return alike and bool(set(lead.frames) & set(second.frames))
