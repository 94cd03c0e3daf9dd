"""Resets that a box in the path sent in a side's name: firewalls, filters, translators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.columns import column
from pcapreport.findings.forged_resets import Signs
from pcapreport.findings.grouping import finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.wording import The, duration, first_of, side_name
from pcapreport.language import counted

OWN = Alternative("It is that side's own after all: some hosts reset with another hop limit.", Confidence.LOW)


def forged_resets(evidence: Evidence) -> Iterator[Finding]:
    """RSTs that do not look like the side that they are from, by connection and side."""
    signs = evidence.forgery
    forged = signs.forged
    if not forged.any():
        return
    chosen = np.zeros(len(evidence.table.row), bool)
    chosen[signs.rows[forged]] = True
    agreement = signs.agreeing
    place = dict(zip(signs.rows.tolist(), range(len(signs.rows)), strict=True))
    for group in groups(evidence, chosen):
        at = max((place[row] for row in group.rows.tolist()), key=lambda one: int(agreement[one]))
        agreeing = int(agreement[at])
        went_on = signs.goes_on[at] >= 0 and not signs.believed[at]
        outcome = "; the connection went on all the same" if went_on else ""
        summary = (
            f"A box in the path, not the {side_name(group.side)}, sent {counted(len(group.rows), '{n:,} RST', '{n:,} RSTs')} in its name "
            f"({first_of(group.numbers)}): {'; '.join(_words(evidence, signs, at, group.side))}{outcome}."
        )
        yield finding(
            evidence,
            "reset_by_middlebox",
            group.connection,
            Side.NETWORK,
            group,
            summary,
            Severity.WARNING if went_on else Severity.ERROR,
            _confidence(agreeing),
            () if agreeing > 2 else (OWN,),
        )


def _confidence(agreeing: int) -> Confidence:
    if agreeing >= 3:
        return Confidence.HIGH
    return Confidence.MEDIUM if agreeing == 2 else Confidence.LOW


def _words(evidence: Evidence, signs: Signs, at: int, side: int) -> Iterator[str]:
    """Each sign of one RST, in words."""
    table, row = evidence.table, int(signs.rows[at])
    if signs.off_route[at]:
        low, high = int(signs.lowest[at]), int(signs.highest[at])
        came = str(low) if low == high else f"{low} to {high}"
        yield (
            f"its TTL is {int(signs.ttl[at])} where all {int(signs.others[at]):,} other segments of the "
            f"{side_name(side)} came with {came}"
        )
    if signs.off_count[at]:
        mine, last = column(table, "ip_id", np.array([row, evidence.passes.previous[row]])).tolist()
        yield f"its IP ID is {mine} though that side counts up and was at {last}"
    if signs.unstamped[at]:
        yield "it has no timestamps though that side's segments do"
    if signs.other_window[at]:
        yield "its window is 0 though that side had room"
    if signs.stray_window[at]:
        yield "it has a window but no ACK, as no answer to a stray segment has"
    if signs.untimely[at]:
        prompt = int(evidence.passes.previous_peer[row])
        since = duration(max(int(table.time_ns[row] - table.time_ns[prompt]), 0)) if prompt >= 0 else ""
        yield f"it answers nothing: the last segment to it came {since} before" if since else "it answers nothing"
    later = int(signs.goes_on[at])
    if later >= 0:
        pause = duration(max(int(table.time_ns[later] - table.time_ns[row]), 0))
        yield f"{The(side).lower()} went on {pause} later (frame {int(table.frame[later])}) as it knew of no reset"
