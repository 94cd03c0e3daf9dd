"""The connection that a laboratory report is about, and the segments that its steps turn on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.model import Evidence, Finding
from pcapreport.report.ladder import Lanes, history_lanes
from pcapreport.report.segments import Row, Rows, told
from pcapreport.report.times import Clock
from pcapreport.tcp.connections import CLIENT, SERVER, Endpoint
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

OPENED = ("three-way", "fast-open", "simultaneous")
ORDERLY = ("client-first", "server-first", "simultaneous")


class Landmarks(NamedTuple):
    """Rows of the connection, None where there is no such segment; copies are never meant."""

    syn: int | None
    """The client's SYN."""
    other_syn: int | None
    """The server's SYN without ACK: both opened at once."""
    syn_ack: int | None
    client_syn_ack: int | None
    """Of a simultaneous opening."""
    third: int | None
    """The client's first segment that acknowledges the server's SYN."""
    refusal: int | None
    """The server's RST that answers the SYN."""
    fin: int | None
    """The first FIN."""
    fin_ack: int | None
    """The first segment that acknowledges it; perhaps the other side's FIN."""
    other_fin: int | None
    other_fin_ack: int | None
    reset: int | None
    """The first RST."""


@dataclass(frozen=True)
class Lesson:
    """All that the sections of the report look at."""

    evidence: Evidence
    connection: int
    """Index into the connection table."""
    history: ConnectionHistory
    findings: tuple[Finding, ...]
    """Of this connection."""
    clock: Clock

    @cached_property
    def rows(self) -> Rows:
        return told(self.evidence.table, self.connection)

    @cached_property
    def genuine(self) -> Bools:
        """Which rows are no copies made by the capture."""
        table = self.evidence.table
        return np.asarray(table.original[table.rows_of(self.connection)] < 0)

    @cached_property
    def lanes(self) -> Lanes:
        return history_lanes(self.rows, self.history)

    @cached_property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Client and server."""
        client, server = self.evidence.table.endpoints(self.connection)
        return client, server

    def end(self, side: int) -> EndpointHistory:
        """The history of a side."""
        return self.history.client if side == CLIENT else self.history.server

    def row(self, index: int) -> Row:
        """A segment."""
        return self.rows[index]

    def seconds(self, index: int) -> float:
        """When it passed the tap, since the first packet of the capture."""
        return self.clock.seconds(int(self.rows.time_ns[index]))

    def frame(self, index: int) -> int:
        """Its number."""
        return int(self.rows.frame[index])

    def states(self, index: int) -> tuple[str, str]:
        """The (client's, server's) state after it; "" where unknown."""
        return self.lanes.after(index)

    def state(self, index: int, side: int) -> str:
        """The state of one side after it."""
        return self.states(index)[side]

    def first(
        self, side: int | None, has: int, lacks: int = 0, since: int = 0, ack_from: int | None = None
    ) -> int | None:
        """The first row from `since` on, of a side, with all flags of `has` and none of `lacks`, acknowledging that."""
        rows = self.rows
        flags = rows.flags[since:]
        fits = self.genuine[since:] & ((flags & (has | lacks)) == has)
        if side is not None:
            fits &= rows.side[since:] == side
        if ack_from is not None:
            fits &= ((flags & Flag.ACK) != 0) & (rows.ack[since:] >= ack_from)
        found = np.flatnonzero(fits)
        return since + int(found[0]) if len(found) else None

    @cached_property
    def landmarks(self) -> Landmarks:
        syn, other_syn = (self.first(side, Flag.SYN, Flag.ACK) for side in (CLIENT, SERVER))
        answers = [self.first(side, Flag.SYN | Flag.ACK) for side in (CLIENT, SERVER)]
        answer = answers[SERVER]
        third = None if answer is None else self.first(CLIENT, Flag.ACK, Flag.SYN | Flag.RST, answer + 1, 1)
        fins = [(row, side) for side in (CLIENT, SERVER) if (row := self.first(side, Flag.FIN)) is not None]
        fins.sort()
        closing: list[int | None] = []
        for row, side in fins:
            end = int(self.rows.end[row])
            closing += [row, self.first(1 - side, Flag.ACK, Flag.RST, row + 1, end)]
        closing += [None] * (4 - len(closing))
        refused = self.history.opening == "refused"
        return Landmarks(
            syn=syn,
            other_syn=other_syn,
            syn_ack=answers[SERVER],
            client_syn_ack=answers[CLIENT],
            third=third,
            refusal=self.first(SERVER, Flag.RST) if refused else None,
            fin=closing[0],
            fin_ack=closing[1],
            other_fin=closing[2],
            other_fin_ack=closing[3],
            reset=None if refused else self.first(None, Flag.RST),
        )

    @cached_property
    def closer(self) -> int | None:
        """The side that sent the first FIN."""
        fin = self.landmarks.fin
        return None if fin is None else int(self.rows.side[fin])

    def carrying(self, side: int) -> Ints:
        """Rows with data of a side, copies left out."""
        rows = self.rows
        return np.flatnonzero((rows.side == side) & (rows.length > 0) & self.genuine & ((rows.flags & Flag.RST) == 0))

    def frames_of(self, *rules: str) -> list[int]:
        """Frames that findings of these rules name."""
        return sorted({frame for one in self.findings if one.rule in rules for frame in one.frames})

    @cached_property
    def parts(self) -> dict[str, bool]:
        """What of the textbook it shows."""
        return {
            "handshake": self.history.opening in OPENED,
            "data": any(len(self.carrying(side)) for side in (CLIENT, SERVER)),
            "teardown": self.history.closing in ORDERLY or self.history.closing.startswith("reset-by-"),
            "time_wait": any(end.time_wait is not None for end in (self.history.client, self.history.server)),
        }


def suitability(evidence: Evidence, connection: int) -> tuple[int, ...]:
    """The lower the better is a connection to learn from: whole ones first, then those with more of the textbook."""
    history, table = evidence.histories[connection], evidence.table
    at = table.rows_of(connection)
    opened = 0 if history.opening == "three-way" else 1 if history.opening in OPENED else 2
    closed = 0 if history.closing in ORDERLY else 1 if history.closing.startswith("reset-by-") else 2
    waits = history.client.time_wait is None and history.server.time_wait is None
    data = not bool((table.length[at] > 0).any())
    return opened + closed + data, opened, closed, int(waits), int(table.frame[at.start])
