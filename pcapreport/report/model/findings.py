"""What went wrong or is worth knowing, compared with an earlier run, and the sum of it."""

from __future__ import annotations

from typing import Literal

from pcapreport.report.model.base import Confidence, Record, Severity, Side, Status

RETRANSMISSION_RULES = frozenset(
    (
        "retransmission",
        "fast_retransmission",
        "spurious_retransmission",
        "tail_loss_probe",
        "syn_retransmission",
        "syn_ack_retransmission",
        "fin_retransmission",
    )
)
"""Rules whose frames send bytes, SYN or FIN again; each such frame is under exactly one."""


class Alternative(Record, frozen=True, kw_only=True):
    """A competing explanation."""

    explanation: str
    confidence: Confidence


class Finding(Record, frozen=True, kw_only=True):
    """Something that went wrong or is worth knowing, with every frame that shows it."""

    rule: str
    severity: Severity
    confidence: Confidence
    side: Side
    frames: list[int]
    time_s: float | None
    summary: str
    alternatives: list[Alternative] = []
    title: str = ""
    """The rule's name in plain words."""
    filter: str = ""
    """Wireshark display filter that shows the frames."""
    id: str = ""
    """Rule, side and scope: the same in another run about the same hosts; several findings may share it."""
    status: Status | None = None
    """Compared with the baseline, if there is one."""


class Gone(Record, frozen=True, kw_only=True):
    """A finding of the baseline that is no more; the first of those that share its id."""

    id: str
    rule: str
    severity: Severity
    summary: str


class CountChange(Record, frozen=True, kw_only=True):
    """There are more or fewer findings of one id than in the baseline."""

    id: str
    before: int
    now: int


class Comparison(Record, frozen=True, kw_only=True):
    """With an earlier run."""

    file: str
    """Its document; "" where it knew no such capture."""
    new: int
    unchanged: int
    gone: list[Gone]
    new_by_severity: dict[Severity, int]
    counts_changed: list[CountChange]


class Page(Record, frozen=True, kw_only=True):
    """A rule's page of the manual."""

    title: str
    means: str
    why_it_matters: str
    likely_causes: str
    what_to_do: str
    known_problems: str
    references: list[str]
    wireshark: str
    """What Wireshark calls it (a display filter field), or ""."""


class Suppressed(Record, frozen=True, kw_only=True):
    """A rule that the project has switched off or lowered."""

    rule: str
    severity: Literal["off", "note", "warning"]
    reason: str
    findings: int
    """Left out, or told as less severe than they are."""


class Verdict(Record, frozen=True, kw_only=True):
    """One sentence that answers: what happened, who did it, how do we know."""

    text: str
    side: Side | Literal["none", "undecidable"]
    confidence: Confidence
    findings: list[str]
    """Rules it rests on."""
    evidence: list[str] = []
    """Facts with frame numbers, in words."""
    cannot_know: list[str] = []
    """What this capture cannot tell."""
