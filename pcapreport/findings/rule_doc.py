"""One page of the manual."""

from __future__ import annotations

from dataclasses import dataclass

from pcapreport.findings.model import Severity


@dataclass(frozen=True, slots=True)
class RuleDoc:
    """What a rule means."""

    id: str
    title: str
    severity: Severity
    """The usual one; a finding may be graver or milder."""
    means: str
    why_it_matters: str
    likely_causes: str
    what_to_do: str
    known_problems: str
    references: tuple[str, ...] = ()
    """Sections of RFCs."""
    wireshark: str = ""
    """What Wireshark calls it (a display filter field), or ""."""
