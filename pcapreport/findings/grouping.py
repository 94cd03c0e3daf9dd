"""From rows of the connection table to findings: one a connection and side, with all its frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.rules import RULES

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SIDES = (Side.CLIENT, Side.SERVER)


class Group(NamedTuple):
    """Rows of one connection that one side sent."""

    connection: int
    side: int
    rows: Ints

    def frames(self, evidence: Evidence) -> list[int]:
        """Their frame numbers, ascending."""
        return [int(frame) for frame in np.sort(evidence.table.frame[self.rows])]


def groups(evidence: Evidence, chosen: Bools) -> Iterator[Group]:
    """The chosen rows, by connection and sender."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return
    flow = evidence.passes.connection[rows] * 2 + evidence.table.side[rows]
    order = np.argsort(flow, kind="stable")
    rows, flow = rows[order], flow[order]
    bounds = np.flatnonzero(np.diff(flow, prepend=-1, append=-1))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        where = int(flow[start])
        yield Group(where // 2, where % 2, rows[start:stop])


def finding(
    evidence: Evidence,
    rule: str,
    connection: int | None,
    side: Side,
    rows: Sequence[int] | Ints,
    summary: str,
    severity: Severity | None = None,
    confidence: Confidence = Confidence.HIGH,
    alternatives: tuple[Alternative, ...] = (),
) -> Finding:
    """A finding about rows of the connection table; `severity` is the rule's own unless given."""
    table = evidence.table
    positions = sorted(set(rows.tolist() if isinstance(rows, np.ndarray) else rows))
    numbered = sorted(zip(table.frame[positions].tolist(), positions, strict=True))
    frames = tuple(frame for frame, _ in numbered)
    time = int(table.time_ns[numbered[0][1]]) if numbered else None
    return Finding(
        rule=rule,
        severity=severity or RULES[rule].severity,
        confidence=confidence,
        side=side,
        frames=frames,
        time_ns=time,
        summary=summary,
        connection=connection,
        alternatives=alternatives,
    )
