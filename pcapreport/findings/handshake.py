"""How connections open, or fail to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.filters import FilterSigns
from pcapreport.findings.grouping import SIDES, Ints, finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.wording import address, duration, first_of, times
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import ACK, RST, SYN

BOTH = SYN | ACK


def openings(evidence: Evidence) -> Iterator[Finding]:
    """Connections that were refused, not answered or not completed."""
    for opening, told in (("refused", _refused), ("incomplete", _incomplete)):
        for connection in evidence.histories.opened(opening):
            yield from told(evidence, connection)
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


def _refused(evidence: Evidence, connection: int) -> Iterator[Finding]:
    table = evidence.table
    syns = _rows(evidence, connection, CLIENT, BOTH, SYN)
    resets = _rows(evidence, connection, SERVER, RST, RST)
    server = table.endpoints(connection)[1]
    rows = np.concatenate([syns, resets])
    if not len(resets):  # its RST stands with the next connection on these ports
        return
    answer = int(table.frame[resets[0]])
    waited = f" after {duration(max(int(table.time_ns[resets[0]] - table.time_ns[syns[0]]), 0))}" if len(syns) else ""
    summary = f"The server refused: {address(server)} answered the SYN with a RST (frame {answer}){waited}."
    other = Alternative("A firewall on the way sent the RST in the server's name.", Confidence.LOW)
    yield finding(
        evidence, "connection_refused", connection, Side.SERVER, rows, summary, None, Confidence.HIGH, (other,)
    )


def _unanswered(evidence: Evidence, connection: int, signs: FilterSigns | None) -> Iterator[Finding]:
    table = evidence.table
    syns = _rows(evidence, connection, CLIENT, BOTH, SYN)
    waited = (evidence.capture.last_ns or 0) - int(table.time_ns[syns[0]]) if len(syns) else 0
    if waited < evidence.settings.unanswered_ns:
        return
    server = table.endpoints(connection)[1]
    numbers = table.frame[syns].tolist()
    summary = (
        f"The client sent its SYN to {address(server)} {times(len(numbers))} ({first_of(numbers)}) and got no TCP "
        f"answer in {duration(waited)}."
    )
    sign = signs.of(connection) if signs is not None else None
    if sign is not None:
        told = f"{summary[:-1]}; {sign.words}."
        yield finding(
            evidence, "syn_filtered", connection, sign.side, syns, told, None, sign.confidence, sign.alternatives
        )
        return
    others = (
        Alternative("A firewall drops the SYN or its answer silently.", Confidence.MEDIUM),
        Alternative("The server's host is down, or its queue of waiting connections is full.", Confidence.MEDIUM),
        Alternative("The answers took a way that this capture does not see.", Confidence.LOW),
    )
    yield finding(evidence, "syn_unanswered", connection, Side.SERVER, syns, summary, None, Confidence.MEDIUM, others)


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
    if len(resets):
        ending = f"the client answered the SYN, ACK with a RST (frame {int(table.frame[resets[0]])})"
        side = Side.CLIENT
    elif not len(answers):
        ending = "no SYN, ACK was captured"
        side = Side.SERVER
    else:
        ending = f"the server sent its SYN, ACK {times(len(answers))} and the handshake was never completed"
        side = Side.CLIENT
    summary = f"The connection was begun but not opened: {ending}."
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
        summary = (
            f"{address(table.endpoints(new)[side])} opened a new connection on the addresses and ports of an earlier "
            f"one (frame {int(table.frame[syns[0]])}), {duration(pause)} after that one's last segment "
            f"(frame {int(table.frame[table.bounds[old + 1] - 1])})."
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
            summary = (
                f"{address(table.endpoints(new)[side])} began this connection (frame {int(table.frame[syns[0]])}) with "
                f"the same initial sequence number, {int(table.isn[new, side])}, as the one before on these addresses "
                "and ports."
            )
            replayed = Alternative("The segments were replayed or generated, not sent by a TCP.", Confidence.MEDIUM)
            yield finding(evidence, "isn_reused", new, SIDES[side], syns, summary, None, Confidence.HIGH, (replayed,))
