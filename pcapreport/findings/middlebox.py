"""Resets that a box in the path sent in a side's name: firewalls, filters, translators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.columns import column
from pcapreport.findings.forged_resets import Signs
from pcapreport.findings.grouping import finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.wording import duration, first_of, side_name
from pcapreport.language import Text, counted, joined, phrase

OWN = Alternative(phrase("It is that side's own after all: some hosts reset with another hop limit."), Confidence.LOW)


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
        words = list(_words(evidence, signs, at, group.side))
        if went_on:
            words.append(phrase("the connection went on all the same"))
        summary = counted(
            len(group.rows),
            "A box in the path, not the {side}, sent {n:,} RST in its name ({where}): {signs}.",
            "A box in the path, not the {side}, sent {n:,} RSTs in its name ({where}): {signs}.",
            side=side_name(group.side),
            where=first_of(group.numbers),
            signs=joined(words, "; "),
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


def _words(evidence: Evidence, signs: Signs, at: int, side: int) -> Iterator[Text]:
    """Each sign of one RST, in words."""
    table, row = evidence.table, int(signs.rows[at])
    if signs.off_route[at]:
        yield _off_route(signs, at, side)
    if signs.off_count[at]:
        mine, last = column(table, "ip_id", np.array([row, evidence.passes.previous[row]])).tolist()
        yield phrase("its IP ID is {mine} though that side counts up and was at {last}", mine=mine, last=last)
    if signs.unstamped[at]:
        yield phrase("it has no timestamps though that side's segments do")
    if signs.other_window[at]:
        yield phrase("its window is 0 though that side had room")
    if signs.stray_window[at]:
        yield phrase("it has a window but no ACK, as no answer to a stray segment has")
    if signs.untimely[at]:
        prompt = int(evidence.passes.previous_peer[row])
        if prompt >= 0:
            since = duration(max(int(table.time_ns[row] - table.time_ns[prompt]), 0))
            yield phrase("it answers nothing: the last segment to it came {time} before", time=since)
        else:
            yield phrase("it answers nothing")
    later = int(signs.goes_on[at])
    if later >= 0:
        yield phrase(
            "the {side} went on {time} later (frame {frame}) as it knew of no reset",
            side=side_name(side),
            time=duration(max(int(table.time_ns[later] - table.time_ns[row]), 0)),
            frame=int(table.frame[later]),
        )


def _off_route(signs: Signs, at: int, side: int) -> Text:
    """How its TTL differs from the others'."""
    low, high = int(signs.lowest[at]), int(signs.highest[at])
    parts = {"ttl": int(signs.ttl[at]), "others": int(signs.others[at]), "side": side_name(side), "low": low}
    if low == high:
        return phrase("its TTL is {ttl} where all {others:,} other segments of the {side} came with {low}", **parts)
    return phrase(
        "its TTL is {ttl} where all {others:,} other segments of the {side} came with {low} to {high}",
        high=high,
        **parts,
    )
