"""How connections open, or fail to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pcapreport.findings.filters import FilterSigns
from pcapreport.findings.grouping import SIDES, Ints, Shown, finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.wording import address, duration, first_of, times
from pcapreport.language import phrase
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import ACK, RST, SYN

BOTH = SYN | ACK
SILENCE = (
    Alternative(phrase("A firewall drops the SYN or its answer silently."), Confidence.MEDIUM),
    Alternative(phrase("The server's host is down, or its queue of waiting connections is full."), Confidence.MEDIUM),
    Alternative(phrase("The answers took a way that this capture does not see."), Confidence.LOW),
)
"""Why a SYN may have got no answer."""
FOR_THE_SERVER = (Alternative(phrase("A firewall on the way sent the RST in the server's name."), Confidence.LOW),)
"""Why a SYN may have been refused."""
REPLAYED = (Alternative(phrase("The segments were replayed or generated, not sent by a TCP."), Confidence.MEDIUM),)


def openings(evidence: Evidence) -> Iterator[Finding]:
    """Connections that were refused, not answered or not completed."""
    yield from _refused(evidence)
    for connection in evidence.histories.opened("incomplete"):
        yield from _incomplete(evidence, connection)
    unanswered = list(evidence.histories.opened("unanswered"))
    signs = FilterSigns(evidence, unanswered) if unanswered else None
    for connection in unanswered:
        yield from _unanswered(evidence, connection, signs)


def _rows(evidence: Evidence, connection: int, side: int, mask: int, value: int) -> Ints:
    """Rows of one side whose flags under `mask` are `value`, copies left out."""
    table = evidence.table
    rows = np.arange(table.bounds[connection], table.bounds[connection + 1])
    wanted = (table.side[rows] == side) & ((table.flags[rows] & mask) == value)
    return np.asarray(rows[wanted & (evidence.passes.original[rows] < 0)])


class _Sent(NamedTuple):
    """Rows that some connections have of one kind, and where those of each begin and end."""

    frame: list[int]
    time_ns: list[int]
    bounds: list[int]

    @classmethod
    def of(cls, evidence: Evidence, connections: Ints, side: int, mask: int, value: int) -> _Sent:
        """As `_rows` has them; `connections`: ascending."""
        table = evidence.table
        concerned = np.zeros(len(table), bool)
        concerned[connections] = True
        chosen = ((table.flags & mask) == value) & (table.side == side) & (evidence.passes.original < 0)
        rows = np.flatnonzero(chosen)
        rows = rows[concerned[evidence.passes.connection[rows]]]
        bounds = np.append(np.searchsorted(rows, table.bounds[connections]), len(rows))
        return cls(table.frame[rows].tolist(), table.time_ns[rows].tolist(), bounds.tolist())

    def of_each(self) -> Iterator[tuple[list[int], list[int]]]:
        """(frames, times) of each connection."""
        return ((self.frame[a:b], self.time_ns[a:b]) for a, b in pairwise(self.bounds))


def _refused(evidence: Evidence) -> Iterator[Finding]:
    connections = np.sort(np.array(evidence.histories.opened("refused"), np.int64))
    if not len(connections):
        return
    syns = _Sent.of(evidence, connections, CLIENT, BOTH, SYN).of_each()
    resets = _Sent.of(evidence, connections, SERVER, RST, RST).of_each()
    for connection, (asked, when), (answered, then) in zip(connections.tolist(), syns, resets, strict=True):
        if not answered:  # its RST stands with the next connection on these ports
            continue
        server = address(evidence.table.endpoints(connection)[1])
        if asked:
            summary = phrase(
                "The server refused: {server} answered the SYN with a RST (frame {frame}) after {time}.",
                time=duration(max(then[0] - when[0], 0)),
                server=server,
                frame=answered[0],
            )
        else:
            summary = phrase(
                "The server refused: {server} answered the SYN with a RST (frame {frame}).",
                server=server,
                frame=answered[0],
            )
        shown = Shown.of(asked + answered, when + then)
        side, sure = Side.SERVER, Confidence.HIGH
        yield finding(evidence, "connection_refused", connection, side, shown, summary, None, sure, FOR_THE_SERVER)


def _unanswered(evidence: Evidence, connection: int, signs: FilterSigns | None) -> Iterator[Finding]:
    table = evidence.table
    syns = _rows(evidence, connection, CLIENT, BOTH, SYN)
    waited = (evidence.capture.last_ns or 0) - int(table.time_ns[syns[0]]) if len(syns) else 0
    if waited < evidence.settings.unanswered_ns:
        return
    numbers = table.frame[syns].tolist()
    parts = {
        "server": address(table.endpoints(connection)[1]),
        "times": times(len(numbers)),
        "where": first_of(numbers),
        "time": duration(waited),
    }
    sign = signs.of(connection) if signs is not None else None
    if sign is not None:
        summary = phrase(
            "The client sent its SYN to {server} {times} ({where}) and got no TCP answer in {time}; {sign}.",
            sign=sign.words,
            **parts,
        )
        yield finding(
            evidence, "syn_filtered", connection, sign.side, syns, summary, None, sign.confidence, sign.alternatives
        )
        return
    summary = phrase("The client sent its SYN to {server} {times} ({where}) and got no TCP answer in {time}.", **parts)
    yield finding(evidence, "syn_unanswered", connection, Side.SERVER, syns, summary, None, Confidence.MEDIUM, SILENCE)


def _incomplete(evidence: Evidence, connection: int) -> Iterator[Finding]:
    table = evidence.table
    answers = _rows(evidence, connection, SERVER, BOTH, BOTH)
    resets = _rows(evidence, connection, CLIENT, RST, RST)
    syns = _rows(evidence, connection, CLIENT, BOTH, SYN)
    rows = np.concatenate([syns, answers, resets])
    if not len(rows):
        return
    last = int(table.time_ns[table.bounds[connection + 1] - 1])
    if not len(resets) and (evidence.capture.last_ns or 0) - last < evidence.settings.unanswered_ns:
        return
    side = Side.CLIENT
    if len(resets):
        summary = phrase(
            "The connection was begun but not opened: the client answered the SYN, ACK with a RST (frame {frame}).",
            frame=int(table.frame[resets[0]]),
        )
    elif not len(answers):
        summary = phrase("The connection was begun but not opened: no SYN, ACK was captured.")
        side = Side.SERVER
    else:
        summary = phrase(
            "The connection was begun but not opened: the server sent its SYN, ACK {times} and the handshake was never "
            "completed.",
            times=times(len(answers)),
        )
    yield finding(evidence, "handshake_incomplete", connection, side, rows, summary, None, Confidence.MEDIUM)


def reused_ports(evidence: Evidence) -> Iterator[Finding]:
    """The addresses and ports of an earlier connection of this capture serve again."""
    table = evidence.table
    for old in np.flatnonzero(table.successor >= 0).tolist():
        new = int(table.successor[old])
        rows = np.arange(table.bounds[new], table.bounds[new + 1])
        syns = rows[(table.flags[rows] & SYN) != 0][:1]
        if not len(syns):
            syns = rows[:1]
        side = int(table.side[syns[0]])
        last = int(table.time_ns[table.bounds[old + 1] - 1])
        pause = max(int(table.time_ns[syns[0]]) - last, 0)
        summary = phrase(
            "{end} opened a new connection on the addresses and ports of an earlier one (frame {frame}), {time} after "
            "that one's last segment (frame {last}).",
            end=address(table.endpoints(new)[side]),
            frame=int(table.frame[syns[0]]),
            time=duration(pause),
            last=int(table.frame[table.bounds[old + 1] - 1]),
        )
        yield finding(evidence, "reused_ports", new, SIDES[side], syns, summary)


def reused_numbers(evidence: Evidence) -> Iterator[Finding]:
    """A side begins a new connection on the same addresses and ports with the sequence number of the last one."""
    table = evidence.table
    for old in np.flatnonzero(table.successor >= 0).tolist():
        new = int(table.successor[old])
        swapped = table.endpoints(old)[0] != table.endpoints(new)[0]
        for side in (CLIENT, SERVER):
            before = side ^ swapped
            if not (table.isn_seen[new, side] and table.isn_seen[old, before]):
                continue
            if table.isn[new, side] != table.isn[old, before]:
                continue
            syns = _rows(evidence, new, side, SYN, SYN)[:1]
            summary = phrase(
                "{end} began this connection (frame {frame}) with the same initial sequence number, {number}, as the "
                "one before on these addresses and ports.",
                end=address(table.endpoints(new)[side]),
                frame=int(table.frame[syns[0]]),
                number=int(table.isn[new, side]),
            )
            yield finding(evidence, "isn_reused", new, SIDES[side], syns, summary, None, Confidence.HIGH, REPLAYED)
