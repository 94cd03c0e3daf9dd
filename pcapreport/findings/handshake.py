"""How connections open, or fail to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.filters import FilterSigns
from pcapreport.findings.grouping import SIDES, Ints, finding
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
REPLAYED = (Alternative(phrase("The segments were replayed or generated, not sent by a TCP."), Confidence.MEDIUM),)


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
    parts = {"server": address(server), "frame": int(table.frame[resets[0]])}
    if len(syns):
        summary = phrase(
            "The server refused: {server} answered the SYN with a RST (frame {frame}) after {time}.",
            time=duration(max(int(table.time_ns[resets[0]] - table.time_ns[syns[0]]), 0)),
            **parts,
        )
    else:
        summary = phrase("The server refused: {server} answered the SYN with a RST (frame {frame}).", **parts)
    other = Alternative(phrase("A firewall on the way sent the RST in the server's name."), Confidence.LOW)
    yield finding(
        evidence, "connection_refused", connection, Side.SERVER, rows, summary, None, Confidence.HIGH, (other,)
    )


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
