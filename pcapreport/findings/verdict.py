"""What happened in this capture, whose doing it was, how we know, and what the capture cannot tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.model import Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.rules import RULES
from pcapreport.findings.story import RANK, tell
from pcapreport.findings.wording import address, count, duration, flag_words, side_name
from pcapreport.tcp.connections import OpenerEvidence

__all__ = ["Verdict", "judge", "tell"]

GRAVEST_FIRST = (
    "peer_silent",
    "syn_unanswered",
    "connection_refused",
    "fin_unanswered",
    "data_after_close",
    "close_with_unread_data",
    "reset",
    "zero_window",
    "time_wait_collision",
    "half_open_connection",
    "handshake_incomplete",
    "half_closed",
    "retransmission",
    "fast_retransmission",
    "syn_retransmission",
    "syn_ack_retransmission",
    "fin_retransmission",
    "lost_segment",
    "reset_ignored",
    "old_duplicate",
    "keep_alive",
)
"""Among findings of equal severity, what explains more comes first."""
NETWORK = frozenset(
    {
        "retransmission",
        "fast_retransmission",
        "tail_loss_probe",
        "syn_retransmission",
        "syn_ack_retransmission",
        "fin_retransmission",
        "duplicate_ack",
        "out_of_order",
        "old_duplicate",
    }
)
"""Sent by a side, but caused by the network."""
UNDECIDABLE = frozenset(
    {
        "peer_silent",
        "syn_unanswered",
        "fin_unanswered",
        "reset_ignored",
    }
)
"""A dead host and a dead path look the same."""
PHRASES = {
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
    "time_wait_collision": "met TIME-WAIT when they opened",
    "half_open_connection": "met an older connection when they opened",
}
ORDERLY = ("client-first", "server-first", "simultaneous")
EVIDENCE_SHOWN = 6
SEGMENTS_SHOWN = 3


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
    """The verdict on a capture."""
    limits = tuple(_cannot_know(evidence, findings))
    if not len(evidence.table):
        text = "The capture holds no TCP segment." if evidence.capture.packets else "The capture holds no packet."
        return Verdict(text, "none", Confidence.HIGH, (), (), limits)
    serious = sorted((f for f in findings if f.severity is not Severity.NOTE), key=_gravity)
    if not serious:
        return _all_well(evidence, findings, limits)
    lead = serious[0]
    alike = [f for f in serious if f.rule == lead.rule]
    second = next((f for f in serious if f.rule != lead.rule and f.rule in GRAVEST_FIRST), None)
    text = _headline(evidence, lead, alike)
    if second is not None and not _tells_the_same(lead, second):
        text += f" {_also(evidence, second, serious)}"
    text += _all_the_same(evidence, lead)
    shown = _first_of_each_rule(serious)
    return Verdict(
        text=text,
        side=_side(alike),
        confidence=lead.confidence,
        rules=tuple(dict.fromkeys(f.rule for f in serious)),
        evidence=tuple(_proofs(evidence, shown[:EVIDENCE_SHOWN], text)),
        cannot_know=limits,
    )


def _proofs(evidence: Evidence, shown: Sequence[Finding], text: str) -> Iterator[str]:
    """What each finding rests on: its sentence, or its first segments where the verdict has said the sentence."""
    for finding in shown:
        segments = list(_segments(evidence, finding))
        if finding.summary not in text or not segments:
            yield f"{_where(evidence, finding)}{finding.summary}"
        else:
            yield f"{_where(evidence, finding)}{RULES[finding.rule].title}: {'; '.join(segments)}."


def _segments(evidence: Evidence, finding: Finding) -> Iterator[str]:
    """The first segments that a finding names, as the capture holds them."""
    if finding.connection is None:
        return
    table, zero = evidence.table, evidence.capture.first_ns or 0
    at = table.rows_of(finding.connection)
    for frame in finding.frames[:SEGMENTS_SHOWN]:
        position = at.start + int(np.searchsorted(table.frame[at], frame))
        if position >= at.stop or table.frame[position] != frame:
            continue  # it belongs to the next connection on these ports
        flags, length = int(table.flags[position]), int(table.length[position])
        numbers = [f"seq {table.seq[position]}"] + [f"ack {table.ack[position]}"] * bool(flags & Flag.ACK)
        numbers += [f"{length:,} bytes"] * bool(length)
        when = duration(int(table.time_ns[position]) - zero)
        sender = side_name(int(table.side[position]))
        yield f"frame {frame} after {when} is the {sender}'s {flag_words(flags)} ({', '.join(numbers)})"


def _gravity(finding: Finding) -> tuple[int, int, int, int]:
    order = GRAVEST_FIRST.index(finding.rule) if finding.rule in GRAVEST_FIRST else len(GRAVEST_FIRST)
    return RANK[finding.severity], order, -len(finding.frames), finding.time_ns or 0


def _first_of_each_rule(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest of each rule first, then the rest."""
    heads: dict[str, int] = {}
    for place, finding in enumerate(findings):
        heads.setdefault(finding.rule, place)
    first = set(heads.values())
    others = [place for place in range(min(len(findings), 10 * EVIDENCE_SHOWN)) if place not in first]
    return [findings[place] for place in (*heads.values(), *others[:EVIDENCE_SHOWN])]


def _tells_the_same(lead: Finding, second: Finding) -> bool:
    """The second concerns frames that the lead named already."""
    return lead.connection == second.connection and bool(set(lead.frames) & set(second.frames))


def _all_the_same(evidence: Evidence, lead: Finding) -> str:
    """Where the trouble was overcome, that is part of the verdict."""
    orderly = all(history.closing in ORDERLY for history in evidence.histories)
    if not orderly or lead.side is Side.CAPTURE:
        return ""
    return " It closed in order all the same." if len(evidence.table) == 1 else " All closed in order all the same."


def _where(evidence: Evidence, finding: Finding) -> str:
    """ "10.0.0.1:4000 to 10.0.0.2:80 (from frame 11): ", or "" for the capture as a whole or its only connection."""
    if finding.connection is None or len(evidence.table) == 1:
        return ""
    client, server = evidence.table.endpoints(finding.connection)
    first = int(evidence.table.frame[evidence.table.bounds[finding.connection]])
    return f"{address(client)} to {address(server)} (from frame {first}): "


def _headline(evidence: Evidence, lead: Finding, alike: Sequence[Finding]) -> str:
    concerned = len({f.connection for f in alike})
    if lead.connection is None or concerned == 1:
        return f"{_where(evidence, lead)}{lead.summary}"
    if lead.rule in PHRASES:
        what = PHRASES[lead.rule]
        example = f"For example {_where(evidence, lead)}{lead.summary}"
        return f"{concerned:,} of {len(evidence.table):,} connections {what}. {example}"
    segments = sum(len(f.frames) for f in alike)
    what = RULES[lead.rule].title.lower()
    return (
        f"{concerned:,} of {len(evidence.table):,} connections show: {what} ({count(segments, 'frame')}). "
        f"Most in: {_where(evidence, lead)}{lead.summary}"
    )


def _also(evidence: Evidence, second: Finding, serious: Sequence[Finding]) -> str:
    more = len({f.connection for f in serious if f.rule == second.rule}) - 1
    rest = f" (and so in {count(more, 'other connection')})" if more else ""
    return f"Also{rest}: {_where(evidence, second)}{second.summary}"


def _side(alike: Sequence[Finding]) -> str:
    if alike[0].rule in UNDECIDABLE:
        return "undecidable"
    sides = {Side.NETWORK if f.rule in NETWORK else f.side for f in alike}
    return sides.pop().value if len(sides) == 1 else "undecidable"


def _all_well(evidence: Evidence, findings: Sequence[Finding], limits: tuple[str, ...]) -> Verdict:
    total = len(evidence.table)
    openings = Counter(history.opening for history in evidence.histories)
    closings = Counter(history.closing for history in evidence.histories)
    opened = sum(openings[kind] for kind in ("three-way", "fast-open", "simultaneous"))
    orderly = sum(closings[kind] for kind in ORDERLY)
    if opened == total == orderly:
        start = "The connection opened, exchanged data and closed in order"
        if total > 1:
            start = (
                f"{'Both' if total == 2 else f'All {total:,}'} connections opened, exchanged data and closed in order"
            )
        text = f"{start}; {_who_closed(closings, total)}. Nothing went wrong that this capture shows."
    else:
        text = f"Nothing went wrong that this capture shows: {_tally(openings, closings, opened, orderly, total)}."
    notes = _first_of_each_rule([f for f in findings if f.severity is Severity.NOTE])
    if notes:
        names = ", ".join(dict.fromkeys(RULES[f.rule].title.lower() for f in notes))
        text += f" Worth knowing: {names}."
    shown = tuple(f"{_where(evidence, f)}{f.summary}" for f in notes[:EVIDENCE_SHOWN])
    level = Confidence.HIGH if evidence.capture.complete and opened == total else Confidence.MEDIUM
    return Verdict(text, "none", level, tuple(dict.fromkeys(f.rule for f in notes)), shown, limits)


def _who_closed(closings: Counter[str], total: int) -> str:
    names = {"client-first": "the client closed first", "server-first": "the server closed first"}
    both = "both sides closed at the same time"
    parts = [(names.get(kind, both), number) for kind, number in closings.most_common()]
    if len(parts) == 1:
        return parts[0][0] + (" in each" if total > 1 else "")
    return ", ".join(f"{text} in {number:,}" for text, number in parts)


def _tally(openings: Counter[str], closings: Counter[str], opened: int, orderly: int, total: int) -> str:
    whole = "the connection" if total == 1 else f"of {total:,} connections"
    pieces = [(opened, "opened"), (openings["midstream"], "began before the capture")]
    pieces += [(openings["unanswered"] + openings["incomplete"], "not seen to open")]
    pieces += [(orderly, "closed in order"), (closings["open"], "not seen to end")]
    if total == 1:
        return f"{whole} " + " and ".join(text for number, text in pieces if number).replace("not seen", "was not seen")
    return f"{whole} " + ", ".join(f"{number:,} {text}" for number, text in pieces if number)


def _cannot_know(evidence: Evidence, findings: Sequence[Finding]) -> Iterator[str]:
    """The limits of this capture, in words."""
    by_rule: defaultdict[str, int] = defaultdict(int)
    for finding in findings:
        by_rule[finding.rule] += 1
    histories = evidence.histories
    total = len(histories)
    late = sum(history.opening == "midstream" for history in histories)
    if late:
        yield f"How {_some(late, total)} opened: the capture starts later."
    still_open = sum(history.closing in ("open", "half-closed") for history in histories)
    if still_open:
        yield f"How {_some(still_open, total)} ended: the capture does not show it."
    yield from _about_time_wait(evidence)
    if by_rule["one_sided"]:
        yield "What the side that was not captured sent and lost."
    if not evidence.capture.complete:
        yield "What came after the damage of the file."
    if by_rule["capture_drops"] or by_rule["ack_lost_segment"]:
        yield "What the segments held that the capture missed."
    guessed = int((evidence.table.opener >= OpenerEvidence.PORTS).sum())
    if guessed:
        yield f"For certain, which side is the client of {_some(guessed, total)}: that is a guess."
    if by_rule["peer_silent"] or by_rule["syn_unanswered"] or by_rule["fin_unanswered"]:
        yield "Whether the silent side was down or the path to it: both look the same from here."


def _about_time_wait(evidence: Evidence) -> Iterator[str]:
    waits = [
        end.time_wait
        for history in evidence.histories
        for end in (history.client, history.server)
        if end.time_wait is not None
    ]
    open_end = sum(wait.ended_by == "capture-end" for wait in waits)
    if open_end:
        places = "in one place" if open_end == 1 else f"in {open_end:,} places"
        yield f"Whether TIME-WAIT really lasted as computed: the capture ends before it does {places}."
    if any("guess" in wait.profile for wait in waits):
        yield "How long these hosts keep TIME-WAIT: the profile used is a guess."


def _some(number: int, total: int) -> str:
    if number == total:
        return "the connection" if total == 1 else f"all {total:,} connections"
    return count(number, "connection") + f" of {total:,}"
