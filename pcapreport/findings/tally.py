"""Counts over all connections of a capture, added up part by part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pcapreport.findings.model import Evidence, Finding, Severity, Side
from pcapreport.tcp.connections import OpenerEvidence

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
_LEVELS = tuple(Severity)
LIMITS = frozenset({"application_limited", "network_limited"})


@dataclass(slots=True)
class Serious:
    """What stands under one rule above the level of a note."""

    connections: int = 0
    frames: int = 0
    sides: set[Side] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """What can be said of a capture by counting alone."""

    connections: int = 0
    openings: Counter[str] = field(default_factory=Counter)
    closings: Counter[str] = field(default_factory=Counter)
    time_waits: int = 0
    """Endpoints that entered TIME-WAIT."""
    time_waits_open: int = 0
    """Of these, how many were still in it when the capture ended."""
    profile_guessed: bool = False
    """For some of them how long they last is a guess."""
    clients_guessed: int = 0
    """Connections of which only the port numbers or the first segment tell the client."""
    severities: Counter[Severity] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    worst: dict[str, Severity] = field(default_factory=dict)
    """Of each rule."""
    serious: defaultdict[str, Serious] = field(default_factory=lambda: defaultdict(Serious))
    waited_for: Counter[Side] = field(default_factory=Counter)
    """Connections that spent most of their time waiting for a side's application, or for the network."""

    def add(self, evidence: Evidence, findings: Sequence[Finding]) -> None:
        """Count whole connections and the findings about them."""
        self.connections += len(evidence.table)
        self.clients_guessed += int((evidence.table.opener >= OpenerEvidence.PORTS).sum())
        for family in evidence.histories.families:
            like, count = family.like, len(family.members)
            self.openings[like.opening] += count
            self.closings[like.closing] += count
            for end in (like.client, like.server):
                if end.time_wait is not None:
                    self.time_waits += count
                    self.time_waits_open += count * (end.time_wait.ended_by == "capture-end")
                    self.profile_guessed |= "guess" in end.time_wait.profile
        self.add_findings(findings)

    def join(self, other: Tally) -> None:
        """And what was counted elsewhere, of other connections."""
        self.connections += other.connections
        self.clients_guessed += other.clients_guessed
        self.time_waits += other.time_waits
        self.time_waits_open += other.time_waits_open
        self.profile_guessed |= other.profile_guessed
        self.openings.update(other.openings)
        self.closings.update(other.closings)
        self.severities.update(other.severities)
        self.rules.update(other.rules)
        self.waited_for.update(other.waited_for)
        for rule, severity in other.worst.items():
            self.worst[rule] = max(self.worst.get(rule, severity), severity, key=_LEVELS.index)
        for rule, more in other.serious.items():
            under = self.serious[rule]
            under.connections += more.connections
            under.frames += more.frames
            under.sides |= more.sides

    def add_findings(self, findings: Sequence[Finding]) -> None:
        """Count findings, all those of a connection in one call."""
        concerned: defaultdict[str, set[int | None]] = defaultdict(set)
        for finding in findings:
            self.severities[finding.severity] += 1
            self.rules[finding.rule] += 1
            if self.worst.get(finding.rule) is not finding.severity:
                known = self.worst.setdefault(finding.rule, finding.severity)
                self.worst[finding.rule] = max(known, finding.severity, key=_LEVELS.index)
            self.waited_for[finding.side] += finding.rule in LIMITS
            if finding.severity is not Severity.NOTE:
                concerned[finding.rule].add(finding.connection)
                under = self.serious[finding.rule]
                under.frames += len(finding.frames)
                under.sides.add(Side.NETWORK if finding.rule in NETWORK else finding.side)
        for rule, connections in concerned.items():
            self.serious[rule].connections += len(connections)
