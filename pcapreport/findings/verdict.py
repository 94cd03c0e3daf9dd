"""What happened in this capture, whose doing it was, how we know, and what the capture cannot tell.

A capture may come in parts, each of whole connections. A Case takes one part after the other and keeps of each only
counts and the few findings that a verdict can name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcapreport.capture.model import Capture
from pcapreport.findings.exhibits import EVIDENCE_SHOWN, GRAVEST_FIRST, Exhibit, Shortlist, gravity
from pcapreport.findings.model import Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.rules import RULES
from pcapreport.findings.story import tell
from pcapreport.findings.tally import LIMITS, Tally
from pcapreport.language import counted

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
PHRASES = {
    "icmp_unreachable": "were told by ICMP that the other side cannot be reached",
    "icmp_time_exceeded": "had segments that went in circles until their hop limit ran out",
    "reset_by_middlebox": "were reset by a box in the path",
    "pmtu_black_hole": "lose large segments on the path",
    "excessive_retransmission": "had to send one segment again and again",
    "peer_silent": "lost the other side",
    "syn_unanswered": "got no answer to the SYN",
    "connection_refused": "were refused",
    "fin_unanswered": "had a FIN that was never acknowledged",
    "reset": "were reset",
    "data_after_close": "got data after one side had closed",
    "close_with_unread_data": "were closed with data unread",
    "zero_window": "were held up by a receiver without room",
    "handshake_incomplete": "were begun but never opened",
    "half_closed": "were closed on one side only",
    "close_wait_lingering": "stay in CLOSE-WAIT: one side never closed",
    "fin_wait_2_orphaned": "were closed too late for the other side",
    "syn_filtered": "met a filter",
    "time_wait_collision": "met TIME-WAIT when they opened",
    "half_open_connection": "met an older connection when they opened",
}
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
    case = Case(evidence.capture)
    case.add(evidence, [finding for finding in findings if finding.connection is not None])
    case.add_overall([finding for finding in findings if finding.connection is None])
    return case.verdict()


class Case:
    """What is known of a capture: taken part by part, then judged."""

    def __init__(self, capture: Capture) -> None:
        self.tally = Tally()
        self._capture = capture
        self._serious = Shortlist(gravity)
        self._notes = Shortlist(lambda finding: ())
        self._story = ""
        """Of the only connection."""

    def add(self, evidence: Evidence, findings: Sequence[Finding]) -> None:
        """Whole connections and the findings about them."""
        self.tally.add(evidence, findings)
        if len(evidence.table):
            self._story = tell(0, evidence, []) if self.tally.connections == 1 else ""
        self._serious.add((f for f in findings if f.severity is not Severity.NOTE), evidence)
        self._notes.add((f for f in findings if f.severity is Severity.NOTE), evidence)

    def add_overall(self, findings: Sequence[Finding]) -> None:
        """Findings about the capture as a whole."""
        self.tally.add_findings(findings)
        self._serious.add_overall(f for f in findings if f.severity is not Severity.NOTE)
        self._notes.add_overall(f for f in findings if f.severity is Severity.NOTE)

    def verdict(self) -> Verdict:
        """The verdict on all that was added."""
        limits = tuple(_cannot_know(self._capture, self.tally))
        if not self.tally.connections:
            text = "The capture holds no TCP segment." if self._capture.packets else "The capture holds no packet."
            return Verdict(text, "none", Confidence.HIGH, (), (), limits)
        serious = self._serious.chosen()
        return self._trouble(serious, limits) if serious else self._all_well(limits)

    def _trouble(self, serious: Sequence[Exhibit], limits: tuple[str, ...]) -> Verdict:
        lead = serious[0]
        second = next(
            (e for e in serious if e.finding.rule != lead.finding.rule and e.finding.rule in GRAVEST_FIRST), None
        )
        text = self._headline(lead)
        if second is not None and not _tells_the_same(lead.finding, second.finding):
            text += f" {self._also(second)}"
        text += self._all_the_same(lead.finding)
        if all(exhibit.finding.side is Side.CAPTURE for exhibit in serious):
            text += f" Nothing went wrong in what it shows: {self._outcome()}."
        side = self._side(lead.finding)
        if side == "undecidable":
            others = (f"Whether this is rather so: {other.explanation}" for other in lead.finding.alternatives)
            limits = (*others, *limits)
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
        return f"{self._where(exhibit)}{exhibit.finding.summary}"

    def _in_short(self, exhibit: Exhibit) -> str:
        """The first sentence of what was found."""
        return f"{self._where(exhibit)}{_first_sentence(exhibit.finding.summary)}"

    def _where(self, exhibit: Exhibit) -> str:
        return "" if self.tally.connections == 1 else exhibit.place

    def _proof(self, exhibit: Exhibit, text: str) -> str:
        """What a finding rests on: its sentence, or its first segments where the verdict has said the sentence."""
        said = _first_sentence(exhibit.finding.summary)
        if said not in text or not exhibit.segments:
            return self._told(exhibit)
        title, rest = RULES[exhibit.finding.rule].title, exhibit.finding.summary.removeprefix(said)
        return f"{self._where(exhibit)}{title}: {'; '.join(exhibit.segments)}.{rest}"

    def _headline(self, lead: Exhibit) -> str:
        rule, total = lead.finding.rule, self.tally.connections
        alike = self.tally.serious[rule]
        if lead.finding.connection is None or alike.connections == 1:
            return self._in_short(lead)
        several = f"{alike.connections:,} of {total:,} connections"
        if rule in PHRASES:
            return f"{several} {PHRASES[rule]}. For example {self._in_short(lead)}"
        title, frames = RULES[rule].title.lower(), counted(alike.frames, "{n:,} frame", "{n:,} frames")
        return f"{several} show: {title} ({frames}). Most in: {self._in_short(lead)}"

    def _also(self, second: Exhibit) -> str:
        more = self.tally.serious[second.finding.rule].connections - 1
        rest = f" (and so in {counted(more, '{n:,} other connection', '{n:,} other connections')})" if more else ""
        return f"Also{rest}: {self._in_short(second)}"

    def _all_the_same(self, lead: Finding) -> str:
        """Where the trouble was overcome, that is part of the verdict."""
        total = self.tally.connections
        orderly = sum(self.tally.closings[kind] for kind in ORDERLY) == total
        if not orderly or lead.side is Side.CAPTURE:
            return ""
        return " It closed in order all the same." if total == 1 else " All closed in order all the same."

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

    def _outcome(self) -> str:
        """How the connections fared, in numbers."""
        opened, orderly = self._counts()
        return _outcome(self.tally.openings, self.tally.closings, opened, orderly, self.tally.connections)

    def _all_well(self, limits: tuple[str, ...]) -> Verdict:
        tally = self.tally
        total = tally.connections
        opened, orderly = self._counts()
        if opened == total == orderly:
            start = "The connection opened, exchanged data and closed in order"
            if total > 1:
                all_of_them = "Both" if total == 2 else f"All {total:,}"
                start = f"{all_of_them} connections opened, exchanged data and closed in order"
            text = f"{start}; {_who_closed(tally.closings, total)}. Nothing went wrong that this capture shows."
        else:
            text = f"Nothing went wrong that this capture shows: {self._outcome()}."
        notes = self._notes.chosen()
        limit = self._limit(notes)
        if limit:
            text += f" {self._told(limit)}"
            notes = [limit, *(exhibit for exhibit in notes if exhibit is not limit)]
        if notes:
            names = ", ".join(dict.fromkeys(RULES[e.finding.rule].title.lower() for e in notes))
            text += f" Worth knowing: {names}."
        shown = tuple(self._told(exhibit) for exhibit in notes[:EVIDENCE_SHOWN])
        if total == 1 and self._story:
            shown = (self._story, *shown)
        level = Confidence.HIGH if self._capture.complete and opened == total else Confidence.MEDIUM
        side = limit.finding.side.value if limit else "none"
        return Verdict(text, side, level, tuple(dict.fromkeys(e.finding.rule for e in notes)), shown, limits)

    def _limit(self, notes: Sequence[Exhibit]) -> Exhibit | None:
        """What at least half of the connections waited for most of their time, if that is one side or the network."""
        waited = self.tally.waited_for.most_common(1)
        if not waited or 2 * waited[0][1] < self.tally.connections:
            return None
        return next((e for e in notes if e.finding.rule in LIMITS and e.finding.side is waited[0][0]), None)


def _first_sentence(summary: str) -> str:
    """All up to the first full stop that another sentence follows."""
    end = re.search(r"\.(?= [A-Z])", summary)
    return summary[: end.end()] if end else summary


def _tells_the_same(lead: Finding, second: Finding) -> bool:
    """The second concerns frames that the lead named already."""
    alike = (lead.connection is None) == (second.connection is None) or lead.rule in CROWDS
    return alike and bool(set(lead.frames) & set(second.frames))


def _who_closed(closings: Counter[str], total: int) -> str:
    names = {"client-first": "the client closed first", "server-first": "the server closed first"}
    both = "both sides closed at the same time"
    parts = [(names.get(kind, both), number) for kind, number in closings.most_common()]
    if len(parts) == 1:
        return parts[0][0] + (" in each" if total > 1 else "")
    return ", ".join(f"{text} in {number:,}" for text, number in parts)


def _outcome(openings: Counter[str], closings: Counter[str], opened: int, orderly: int, total: int) -> str:
    whole = "the connection" if total == 1 else f"of {total:,} connections"
    pieces = [(opened, "opened"), (openings["midstream"], "began before the capture")]
    pieces += [(openings["unanswered"] + openings["incomplete"], "not seen to open")]
    pieces += [(orderly, "closed in order"), (closings["open"], "not seen to end")]
    if total == 1:
        return f"{whole} " + " and ".join(text for number, text in pieces if number).replace("not seen", "was not seen")
    return f"{whole} " + ", ".join(f"{number:,} {text}" for number, text in pieces if number)


def _cannot_know(capture: Capture, tally: Tally) -> Iterator[str]:
    """The limits of this capture, in words."""
    total, rules = tally.connections, tally.rules
    late = tally.openings["midstream"]
    if late:
        yield f"How {_some(late, total)} opened: the capture starts later."
    still_open = tally.closings["open"] + tally.closings["half-closed"]
    if still_open:
        yield f"How {_some(still_open, total)} ended: the capture does not show it."
    if tally.time_waits_open:
        places = "in one place" if tally.time_waits_open == 1 else f"in {tally.time_waits_open:,} places"
        yield f"Whether TIME-WAIT really lasted as computed: the capture ends before it does {places}."
    if tally.profile_guessed:
        yield "How long these hosts keep TIME-WAIT: the profile used is a guess."
    if rules["one_sided"]:
        yield "What the side that was not captured sent and lost."
    if not capture.complete:
        yield "What stood in the damaged part of the file, and what it would change."
    if rules["capture_drops"] or rules["ack_lost_segment"]:
        yield "What the segments held that the capture missed."
    if tally.clients_guessed:
        yield f"For certain, which side is the client of {_some(tally.clients_guessed, total)}: that is a guess."
    if rules["peer_silent"] or rules["syn_unanswered"] or rules["fin_unanswered"]:
        yield "Whether the silent side was down or the path to it: both look the same from here."


def _some(number: int, total: int) -> str:
    if number == total:
        return "the connection" if total == 1 else f"all {total:,} connections"
    return counted(number, "{n:,} connection", "{n:,} connections") + f" of {total:,}"
