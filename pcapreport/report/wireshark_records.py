"""What the document says of Wireshark's own words: in all, and frame by frame of one connection."""

from __future__ import annotations

from collections import defaultdict

from pcapreport.findings.wireshark_comparison import (
    COMPARED,
    COUNTERPARTS,
    REASONS,
    Compared,
    Difference,
    Reason,
    WiresharkComparison,
    spoken,
)
from pcapreport.report import model
from pcapreport.report.filters import frames_filter

MOST_WORDS = 100
"""Frames of a connection."""


def wireshark_records(comparison: WiresharkComparison) -> list[model.WiresharkField]:
    """Its fields that occur, or whose counterparts do."""
    by_field: dict[int, list[Difference]] = defaultdict(list)
    for difference in comparison.counts:
        by_field[difference.field].append(difference)
    return [
        model.WiresharkField(
            field=f"tcp.analysis.{str(mark.name).lower()}",
            wireshark=comparison.wireshark[mark],
            ours=comparison.ours[mark] if rules else None,
            differences=[
                _difference(comparison, one)
                for one in sorted(by_field[mark], key=lambda one: (-comparison.counts[one], one))
            ],
        )
        for mark, rules in COUNTERPARTS.items()
        if comparison.wireshark[mark] or comparison.ours[mark]
    ]


def _difference(comparison: WiresharkComparison, one: Difference) -> model.WiresharkDifference:
    frames = comparison.frames[one]
    return model.WiresharkDifference(
        wireshark=one.wireshark,
        called=one.called,
        reason=REASONS[one.reason],
        count=comparison.counts[one],
        frames=frames,
        filter=frames_filter(frames),
    )


def other_words(compared: Compared, connection: int) -> list[model.OtherWord]:
    """The first frames of a connection that are called otherwise, by the first of their differences; not those of which
    only Wireshark speaks because they are ordinary."""
    table = compared.evidence.table
    found: dict[int, Difference] = {}
    for difference, rows in compared.differences(table.rows_of(connection)):
        if difference.reason is not Reason.ORDINARY:
            for row in rows.tolist():
                found.setdefault(row, difference)
    return [
        model.OtherWord(
            frame=int(table.frame[row]),
            wireshark=spoken(int(compared.words[row])),
            called=[rule for place, rule in enumerate(COMPARED) if int(compared.ours[row]) >> place & 1],
            reason=REASONS[found[row].reason],
        )
        for row in sorted(found, key=lambda row: int(table.frame[row]))[:MOST_WORDS]
    ]
