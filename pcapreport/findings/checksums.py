"""Segments that were damaged on their way, as their checksums tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.checksums import Checksum, Verdicts, verify_checksums
from pcapreport.findings.grouping import finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.wording import The, frames
from pcapreport.language import counted


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
        summary = (
            f"{The(group.side)} sent {counted(len(numbers), '{n:,} segment', '{n:,} segments')} whose checksum does not fit ({frames(numbers)}); "
            f"{good:,} of this connection fit. Such a segment is thrown away by whom it reaches."
        )
        other = Alternative("The sender's network card fills the checksum in after the capture.", Confidence.LOW)
        yield finding(
            evidence, "bad_checksum", group.connection, Side.NETWORK, group, summary, None,
            Confidence.HIGH if good else Confidence.MEDIUM, (other,),
        )  # fmt: skip
