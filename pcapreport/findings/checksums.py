"""Segments that were damaged on their way, as their checksums tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.checksums import Checksum, Verdicts, verify_checksums
from pcapreport.findings.grouping import finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.wording import The, frames
from pcapreport.language import counted, phrase, sentences


def checksum_states(evidence: Evidence) -> Verdicts | None:
    """A Checksum for each row of the connection table (UNKNOWN for copies); None if they were not looked at."""
    offloading = evidence.capture.offloading
    if offloading is None:
        return None
    states = verify_checksums(evidence.table.packets, offloading)[evidence.table.row]
    states[evidence.passes.original >= 0] = Checksum.UNKNOWN
    return states


def bad_checksums(evidence: Evidence) -> Iterator[Finding]:
    """Segments that a receiver throws away because their checksum does not fit."""
    states = checksum_states(evidence)
    if states is None:
        return
    for group in groups(evidence, states == Checksum.BAD):
        numbers = group.numbers
        good = np.count_nonzero(states[evidence.table.rows_of(group.connection)] == Checksum.GOOD)
        sent = counted(
            len(numbers),
            "{side} sent {n:,} segment whose checksum does not fit ({frames}); {good:,} of this connection fit.",
            "{side} sent {n:,} segments whose checksum does not fit ({frames}); {good:,} of this connection fit.",
            side=The(group.side),
            frames=frames(numbers),
            good=good,
        )
        summary = sentences(sent, phrase("Such a segment is thrown away by whom it reaches."))
        later = phrase("The sender's network card fills the checksum in after the capture.")
        yield finding(
            evidence, "bad_checksum", group.connection, Side.NETWORK, group, summary, None,
            Confidence.HIGH if good else Confidence.MEDIUM, (Alternative(later, Confidence.LOW),),
        )  # fmt: skip
