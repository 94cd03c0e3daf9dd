"""Rules that a project has switched off or lowered, with its reasons, and what that hid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from pcapreport.findings.model import Finding, Severity
from pcapreport.settings import RuleChange, Settings

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What became of one rule's findings."""

    rule: str
    change: RuleChange
    findings: int
    """Left out, or told as less severe than they are."""


class Suppression:
    """Applied part by part."""

    def __init__(self, settings: Settings) -> None:
        self._changes = dict(settings.rules)
        self._counts: Counter[str] = Counter()

    def of(self, findings: Iterable[Finding]) -> list[Finding]:
        """Those that are left, with the severity they are left with."""
        if not self._changes:
            return list(findings)
        kept = []
        for finding in findings:
            change = self._changes.get(finding.rule)
            if change is None:
                kept.append(finding)
            elif change.severity == "off":
                self._counts[finding.rule] += 1
            else:
                most = Severity(change.severity)
                lowered = _ORDER.index(most) < _ORDER.index(finding.severity)
                self._counts[finding.rule] += lowered
                kept.append(replace(finding, severity=most) if lowered else finding)
        return kept

    def join(self, other: Suppression) -> None:
        """And what was hidden in later parts."""
        self._counts.update(other._counts)

    def told(self) -> list[Suppressed]:
        """All changes, those that concerned nothing too."""
        return [Suppressed(rule, change, self._counts[rule]) for rule, change in sorted(self._changes.items())]
