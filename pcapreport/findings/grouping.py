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
    """Positions in the table, ascending."""
    numbers: list[int]
    """Their frames, ascending."""
    time_ns: int
    """Of the first frame."""
    values: tuple[list[int], ...]
    """By row, of the columns that were asked for."""


class Shown(NamedTuple):
    """Frames that show something."""

    numbers: list[int]
    """Ascending."""
    time_ns: int
    """Of the first."""

    @classmethod
    def of(cls, frames: Sequence[int], times: Sequence[int]) -> Shown:
        """At least one, in any order, and when each passed."""
        return cls(sorted(frames), min(zip(frames, times, strict=True))[1])


def groups(evidence: Evidence, chosen: Bools, *columns: npt.NDArray[np.generic]) -> Iterator[Group]:
    """The chosen rows, by connection and sender; `columns`: of the table's length, wanted as `values`.

    Groups are many and small, so that what can be is looked up for all together.
    """
    table = evidence.table
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return
    flow = evidence.passes.connection[rows] * 2 + table.side[rows]
    order = np.argsort(flow, kind="stable")
    rows, flow = rows[order], flow[order]
    bounds = np.flatnonzero(np.diff(flow, prepend=-1, append=-1))
    by_frame = rows[np.lexsort((table.frame[rows], flow))] if len(table.moved) else rows
    numbers, values = table.frame[by_frame].tolist(), [column[rows].tolist() for column in columns]
    of_first = zip(flow[bounds[:-1]].tolist(), table.time_ns[by_frame[bounds[:-1]]].tolist(), strict=True)
    limits = bounds.tolist()
    for start, stop, (where, time) in zip(limits[:-1], limits[1:], of_first, strict=True):
        own = tuple([value[start:stop] for value in values])
        yield Group(where // 2, where % 2, rows[start:stop], numbers[start:stop], time, own)


def finding(
    evidence: Evidence,
    rule: str,
    connection: int | None,
    side: Side,
    rows: Group | Shown | Sequence[int] | Ints,
    summary: str,
    severity: Severity | None = None,
    confidence: Confidence = Confidence.HIGH,
    alternatives: tuple[Alternative, ...] = (),
) -> Finding:
    """A finding about rows of the connection table; `severity` is the rule's own unless given."""
    time: int | None
    if isinstance(rows, Group | Shown):
        frames, time = rows.numbers, rows.time_ns
    else:
        frames, time = _numbered(evidence, rows)
    return Finding(
        rule=rule,
        severity=severity or RULES[rule].severity,
        confidence=confidence,
        side=side,
        frames=tuple(frames),
        time_ns=time,
        summary=summary,
        connection=connection,
        alternatives=alternatives,
    )


def _numbered(evidence: Evidence, rows: Sequence[int] | Ints) -> tuple[list[int], int | None]:
    """Their frames, ascending, and when the first passed."""
    table = evidence.table
    positions = sorted(set(rows.tolist() if isinstance(rows, np.ndarray) else rows))
    if len(positions) == 1:
        return [int(table.frame[positions[0]])], int(table.time_ns[positions[0]])
    numbered = sorted(zip(table.frame[positions].tolist(), positions, strict=True))
    return [frame for frame, _ in numbered], int(table.time_ns[numbered[0][1]]) if numbered else None
