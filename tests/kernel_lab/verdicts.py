"""How right the verdicts are on runs whose cause is known: the side named, at each tap.

``right``: the side at fault, or none where nothing went wrong. ``allowed``: undecidable where no one could tell at this
tap. ``missed``: undecided, or nothing said, though it was visible. ``WRONG``: a side that is not at fault.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcapreport import analyze
from pcapreport.findings.tally import NETWORK
from pcapreport.report.build import DocumentOptions

RUNS = Path(__file__).parent / "verdict_runs"
OUTCOMES = ("right", "allowed", "missed", "WRONG")
SIDES = ("client", "server", "network")


@dataclass(frozen=True)
class Judged:
    """A verdict on one capture of a run."""

    run: str
    tap: str
    truth: dict[str, Any]
    side: str
    text: str
    rules: tuple[str, ...]
    finding_sides: frozenset[str]
    """Of findings above the level of a note."""

    @property
    def outcome(self) -> str:
        """One of OUTCOMES."""
        if self.side == self.truth["cause"]:
            return "right"
        hidden = self.tap in self.truth["hidden_at"]
        if hidden and self.side in ("undecidable", "none"):
            return "allowed"
        return "WRONG" if self.side in SIDES else "missed"

    @property
    def blames_another(self) -> bool:
        """Some finding above a note names a side at fault that is not, or none the one that is."""
        named = self.finding_sides & set(SIDES)
        return bool(named) and self.truth["cause"] not in named


def judged(folder: Path = RUNS) -> Iterator[Judged]:
    """The verdict on every capture below a folder."""
    for path in sorted(folder.glob("*/truth.json")):
        truth = json.loads(path.read_text())
        for tap in truth["taps"]:
            document = analyze(path.with_name(f"{tap}.pcap.gz"), options=DocumentOptions(details=0))
            found = [*document.findings, *(f for c in document.connections for f in c.findings)]
            grave = [f for f in found if f.severity != "note"]
            sides = frozenset("network" if f.rule in NETWORK else str(f.side) for f in grave)
            rules = tuple(sorted({f.rule for f in found}))
            verdict = document.verdict
            yield Judged(path.parent.name, tap, truth, str(verdict.side), verdict.text, rules, sides)


def table(scores: Sequence[Judged]) -> str:
    """Families and causes with their outcomes."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for score in scores:
        for key in ((score.truth["family"], score.truth["name"]), ("", "all"), ("", "all but slow")):
            if key[1] != "all but slow" or score.truth["family"] != "slow":
                rows[key][score.outcome] += 1
                rows[key]["other"] += score.blames_another
    lines = [f"| family | cause | {' | '.join(OUTCOMES)} | findings blame only others |\n|{'---|' * 7}\n"]
    for (family, name), row in sorted(rows.items()):
        lines.append(f"| {family} | {name} | {' | '.join(str(row[o]) for o in OUTCOMES)} | {row['other']} |\n")
    return "".join(lines)


def report(folder: Path, verbose: bool) -> int:
    """Print the table, and what is not right."""
    scores = list(judged(folder))
    print(table(scores), end="")
    for score in scores:
        if score.outcome in ("missed", "WRONG") or verbose:
            print(f"{score.outcome}: {score.run} {score.tap}: {score.truth['cause']}, told {score.side}: {score.text}")
    return 1 if any(score.outcome == "WRONG" for score in scores) else 0
