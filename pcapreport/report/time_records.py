"""Where the time of connections went, and how long their servers took to answer, as the document tells it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Evidence
from pcapreport.findings.time_ledger import Part, Turns
from pcapreport.report.model import Responses, TimeSpent
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import SERVER

FIELDS = tuple(f"{part.name.lower()}_s" for part in Part)
"""Of TimeSpent, in the order of the ledger's columns."""


class Times(NamedTuple):
    """Of each connection."""

    spent: list[TimeSpent]
    responses: list[Responses | None]

    @classmethod
    def of(cls, evidence: Evidence) -> Times:
        """Of those of a part."""
        return cls(times_spent(evidence.ledger.spent), _response_times(evidence))


def times_spent(spent: npt.NDArray[np.int64]) -> list[TimeSpent]:
    """One record for each row of (connections, parts), ns."""
    return [
        TimeSpent(**{name: ns / SECOND for name, ns in zip(FIELDS, row, strict=True) if ns}) for row in spent.tolist()
    ]


def _response_times(evidence: Evidence) -> list[Responses | None]:
    """Of each connection."""
    turns, table = evidence.ledger.turns, evidence.table
    found: list[Responses | None] = [None] * len(table)
    answers = np.flatnonzero(turns.side == SERVER)
    starts = np.flatnonzero(np.diff(turns.connection[answers], prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(answers)]):
        of_one = answers[start:stop]
        found[int(turns.connection[of_one[0]])] = _responses(turns, of_one.tolist(), table.frame)
    return found


def _responses(turns: Turns, chosen: Sequence[int], frame: npt.NDArray[np.int64]) -> Responses:
    took = sorted((int(turns.took_ns[one]), -one) for one in chosen)
    longest, last = took[-1]
    return Responses(
        count=len(took),
        median_s=took[len(took) // 2][0] / SECOND,
        p95_s=took[(len(took) * 95 - 1) // 100][0] / SECOND,
        longest_s=longest / SECOND,
        longest_request_frame=int(frame[turns.asked[-last]]),
        longest_response_frame=int(frame[turns.answered[-last]]),
    )
