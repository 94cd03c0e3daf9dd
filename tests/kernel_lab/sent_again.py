"""Scores what is said to be sent again, and why, against the senders' own record.

Which frames send something again the ledger knows. Why, the kernel counted for each host as a whole, so that causes
are compared by their numbers, where nothing but data was sent again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pcapreport.report import model

from .recorded import NEAR, Recorded, document_of

CONTROL = ("syn_retransmission", "syn_ack_retransmission", "fin_retransmission")
RULES = (*CONTROL, "retransmission", "fast_retransmission", "spurious_retransmission", "tail_loss_probe")
COUNTED = {
    "fast_retransmission": ("TCPFastRetrans",),
    "tail_loss_probe": ("TCPLossProbes",),
    "retransmission": ("TCPTimeouts", "TCPSlowStartRetrans"),
}
"""By rule the counters of the kernel; a loss probe may send new data as well."""


@dataclass
class Labels:
    """Frames of complete captures at one tap."""

    right: int = 0
    false: int = 0
    missed: int = 0
    """The first transmission is not in the capture either."""
    missed_seen: int = 0
    """It is."""

    def add(self, other: Labels) -> None:
        """Those of another run too."""
        self.right += other.right
        self.false += other.false
        self.missed += other.missed
        self.missed_seen += other.missed_seen

    @property
    def precision(self) -> float:
        """Share of what is said that is true."""
        return self.right / max(1, self.right + self.false)

    @property
    def recall(self) -> float:
        """Share of what is true that is said."""
        return self.right / max(1, self.right + self.missed + self.missed_seen)


@dataclass
class Causes:
    """Frames said to be sent again for one of COUNTED."""

    said: int = 0
    wrong: int = 0
    """More than the sender's kernel did so often."""


class Score(NamedTuple):
    """Labels by tap, causes at all taps."""

    labels: dict[str, Labels]
    causes: Causes


def score_run(folder: Path) -> Score:
    """Of the complete captures of a recorded run."""
    found, run = Score(defaultdict(Labels), Causes()), Recorded(folder)
    for tap, path in run.captures.items():
        if "." in tap:
            continue
        document = document_of(path)
        _compare(run, tap, _said(document), found.labels[tap])
        for side in (NEAR[tap],) if tap in NEAR else "AB":
            if "counters" in run.meta:
                _count(run.meta["counters"][side], document, side, found.causes)
    return found


def total(scores: Iterable[Score]) -> Score:
    """Of all these runs."""
    found = Score(defaultdict(Labels), Causes())
    for labels, causes in scores:
        for tap, more in labels.items():
            found.labels[tap].add(more)
        found.causes.said += causes.said
        found.causes.wrong += causes.wrong
    return found


def table(score: Score) -> str:
    """In words of Markdown: a row for each tap."""
    labels, causes = score
    heads = ("Tap", "Sent again", "said so", "falsely", "missed", "missed though the first transmission is captured")
    rows = [heads, tuple("---" for _ in heads)]
    for tap, found in labels.items():
        true = found.right + found.missed + found.missed_seen
        rows.append((tap, true, found.right, found.false, found.missed + found.missed_seen, found.missed_seen))
    told = "".join("| " + " | ".join(str(cell) for cell in row) + " |\n" for row in rows)
    return f"{told}\nWhy (timeout, fast, probe): {causes.wrong} of {causes.said} otherwise than the kernel counted.\n"


def _said(document: model.Document) -> set[int]:
    findings = (finding for connection in document.connections for finding in connection.findings)
    return {frame for finding in findings if finding.rule in RULES for frame in finding.frames}


def _compare(run: Recorded, tap: str, said: set[int], labels: Labels) -> None:
    present = {packet["id"] for packet in run.ledger if tap in packet["frames"]}
    for packet in run.ledger:
        frame = packet["frames"].get(tap)
        if frame is None or not packet.get("tcp"):
            continue
        true = packet["origin"] == "tx" and "retransmission" in packet.get("labels", ())
        if frame in said:
            labels.right += true
            labels.false += not true
        elif true and present & set(packet.get("retx_of", ())):
            labels.missed_seen += 1
        elif true:
            labels.missed += 1


def _count(counters: dict[str, int], document: model.Document, side: str, causes: Causes) -> None:
    name = {"A": "client", "B": "server"}[side]
    found: Counter[str] = Counter()
    for connection in document.connections:
        for finding in connection.findings:
            if finding.side == name:
                found[finding.rule] += len(finding.frames)
    if any(found[rule] for rule in CONTROL):
        return
    for rule, kinds in COUNTED.items():
        causes.said += found[rule]
        causes.wrong += max(0, found[rule] - sum(counters[kind] for kind in kinds))
