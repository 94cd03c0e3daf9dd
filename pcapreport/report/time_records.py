"""Where the time of connections went, and how long their servers took to answer, as the document tells it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Evidence
from pcapreport.findings.time_ledger import Part
from pcapreport.report.model import Responses, TimeSpent
from pcapreport.report.stencil import Stencil
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import SERVER

Ints = npt.NDArray[np.int64]

FIELDS = tuple(f"{part.name.lower()}_s" for part in Part)
"""Of TimeSpent, in the order of the ledger's columns."""


class Times(NamedTuple):
    """Of each connection, encoded."""

    spent: list[bytes]
    longest_ns: Ints
    """The longest that its server took to answer; -1: it answered nothing."""
    responses: list[bytes]
    """All its answers; nothing where there was none."""

    @classmethod
    def of_all(cls, evidence: Evidence) -> Times:
        """Of those of a part."""
        return cls(_spent_texts(evidence.ledger.spent), *_response_texts(evidence))

    def of(self, connections: Ints) -> Times:
        """Those of some connections."""
        some = connections.tolist()
        spent, responses = ([texts[one] for one in some] for texts in (self.spent, self.responses))
        return Times(spent, self.longest_ns[connections], responses)


def times_spent(spent: Ints) -> TimeSpent:
    """The record of one row, (parts,) ns."""
    return TimeSpent(**{name: ns / SECOND for name, ns in zip(FIELDS, spent.tolist(), strict=True) if ns})


def _spent_texts(spent: Ints) -> list[bytes]:
    """The same of each row of (connections, parts)."""
    told = [b""] * len(spent)
    kinds = (spent != 0) @ (1 << np.arange(len(FIELDS)))  # those with the same parts are told together
    for kind in np.unique(kinds).tolist():
        some = np.flatnonzero(kinds == kind)
        stencil = Stencil(len(some))
        parts = {name: stencil.seconds(spent[some, column]) for column, name in enumerate(FIELDS) if kind >> column & 1}
        for at, text in zip(some.tolist(), stencil.fill(TimeSpent(**parts)), strict=True):
            told[at] = text
    return told


def _response_texts(evidence: Evidence) -> tuple[Ints, list[bytes]]:
    """How long each connection's server took to answer: at most, and in full."""
    turns, table = evidence.ledger.turns, evidence.table
    answers = np.flatnonzero(turns.side == SERVER)
    connection, took = turns.connection[answers], turns.took_ns[answers]
    order = np.lexsort((-answers, took, connection))  # of a connection's longest ones the first stands last
    start = np.flatnonzero(np.diff(connection, prepend=-1))
    count = np.diff(start, append=len(answers))
    texts, longest_ns = [b""] * len(table), np.full(len(table), -1)
    if not len(start):
        return longest_ns, texts
    last = order[start + count - 1]
    longest = answers[last]
    stencil = Stencil(len(start))
    record = Responses(
        count=stencil.numbers(count),
        median_s=stencil.seconds(took[order[start + count // 2]]),
        p95_s=stencil.seconds(took[order[start + (count * 95 - 1) // 100]]),
        longest_s=stencil.seconds(took[last]),
        longest_request_frame=stencil.numbers(table.frame[turns.asked[longest]]),
        longest_response_frame=stencil.numbers(table.frame[turns.answered[longest]]),
    )
    answering = connection[start]
    longest_ns[answering] = took[last]
    for one, text in zip(answering.tolist(), stencil.fill(record), strict=True):
        texts[one] = text
    return longest_ns, texts
