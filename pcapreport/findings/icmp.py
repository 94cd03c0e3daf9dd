"""What routers and hosts said of a connection's segments: ICMP errors, matched to whom they concern.

Anyone can forge them, so each is judged by the sequence number it quotes: between what its addressee knew to be
acknowledged and what it had sent (RFC 5927 section 4), as far as this tap shows, it is to be believed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.packet_table import Option
from pcapreport.findings.grouping import SIDES, Ints
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.segmented import NONE
from pcapreport.findings.wording import address, first_of, side_name, times
from pcapreport.language import Text, counted, joined, phrase
from pcapreport.tcp.connections import CLIENT, SERVER, Endpoint
from pcapreport.tcp.sequence import MODULUS, distance

UNREACHABLE, TOO_LARGE, EXCEEDED, OTHER = (
    "icmp_unreachable", "icmp_fragmentation_needed", "icmp_time_exceeded", "icmp_other",
)  # fmt: skip
_RULES_4 = {3: UNREACHABLE, 11: EXCEEDED}
_RULES_6 = {1: UNREACHABLE, 2: TOO_LARGE, 3: EXCEEDED}
_FRAGMENTATION_NEEDED = (3, 4)
_NEVER_OPEN = ("refused", "unanswered", "incomplete")
_UNBELIEVED = (
    Alternative(phrase("It concerns an earlier connection on these ports, or was late."), Confidence.MEDIUM),
    Alternative(phrase("Someone forged it to disturb the connection."), Confidence.MEDIUM),
)
_TRACED = (Alternative(phrase("A tool traced the route with small hop limits on purpose."), Confidence.LOW),)
_NEXT_ROWS = 1_000
"""Segments behind an error that show what its addressee made of it."""


_RECENT = 4
"""Incarnations of the same ends, or paths that they share, that one error may concern."""


class _Complaint(NamedTuple):
    """Errors of one kind from one address about one side's segments of a connection."""

    connection: int
    side: int
    """Whose segments are quoted, to whom the errors are addressed."""
    errors: list[IcmpError]
    rows: list[int]
    """For each error: position of the first row of the connection behind it, or of the connection's end."""
    in_flight: list[bool | None]
    """For each error: the number quoted was in flight; None: the capture does not show what was."""

    @property
    def believed(self) -> bool:
        """At least one is not contradicted by the numbers."""
        return any(flag is not False for flag in self.in_flight)


def icmp_errors(evidence: Evidence) -> Iterator[Finding]:
    """Each connection that a router or host complained about, by kind of error and complaining address."""
    if not evidence.capture.icmp_errors or not len(evidence.table):
        return
    known = _Known(evidence)
    for complaint in _complaints(evidence, known):
        yield _finding(evidence, complaint, known)


class _Known:
    """What is asked for again and again, computed once for all connections."""

    def __init__(self, evidence: Evidence) -> None:
        table, passes = evidence.table, evidence.passes
        flow = (passes.connection * 2 + table.side)[passes.live]
        rows = np.flatnonzero(passes.live)
        self.last_row: Ints = np.full(2 * len(table), -1)
        """By connection and side: the last live row, or -1."""
        self.last_row[flow] = rows
        self.sent = np.full(2 * len(table), NONE)
        """By connection and side: the highest number sent."""
        np.maximum.at(self.sent, flow, table.end[rows])
        self.endpoints = evidence.table.all_endpoints


def _complaints(evidence: Evidence, known: _Known) -> Iterator[_Complaint]:
    found: dict[tuple[int, int, str, str], _Complaint] = {}
    incarnations = _incarnations(evidence, known)
    for error in evidence.capture.icmp_errors:
        ends = Endpoint(error.src, error.sport), Endpoint(error.dst, error.dport)
        candidates = incarnations.get(frozenset(ends))
        if not candidates:
            continue
        connection, side, row, in_flight = _meant(evidence, known, candidates, error)
        key = (connection, side, error.kind, error.sender)
        complaint = found.setdefault(key, _Complaint(connection, side, [], [], []))
        complaint.errors.append(error)
        complaint.rows.append(row)
        complaint.in_flight.append(in_flight)
    yield from found.values()


def _meant(
    evidence: Evidence, known: _Known, candidates: Sequence[int], error: IcmpError
) -> tuple[int, int, int, bool | None]:
    """Connection, side, row and in-flight of the connection that an error concerns, among those on its two ends.

    The last that had begun and in which the number fits, else simply the last that had begun, else the first.
    """
    table, quoted = evidence.table, Endpoint(error.src, error.sport)
    begun = bisect_right(candidates, error.frame, key=lambda one: int(table.frame[table.bounds[one]]))
    judged = []
    for connection in candidates[max(begun - _RECENT, 0) : max(begun, 1)][::-1]:
        side = CLIENT if known.endpoints[connection][CLIENT] == quoted else SERVER
        rows = table.rows_of(connection)
        row = rows.start + int(np.searchsorted(table.frame[rows], error.frame))
        judged.append((connection, side, row, _in_flight(evidence, connection, side, row, error.seq)))
        if judged[-1][-1]:
            return judged[-1]
    return judged[0]


def _incarnations(evidence: Evidence, known: _Known) -> dict[frozenset[Endpoint], list[int]]:
    """Connections by their two ends, of the ends that errors quote; earlier ones first."""
    quoted = {
        frozenset((Endpoint(error.src, error.sport), Endpoint(error.dst, error.dport)))
        for error in evidence.capture.icmp_errors
    }
    found: defaultdict[frozenset[Endpoint], list[int]] = defaultdict(list)
    for connection, ends in enumerate(known.endpoints):
        both = frozenset(ends)
        if both in quoted:
            found[both].append(connection)
    return found


def _in_flight(evidence: Evidence, connection: int, side: int, row: int, seq: int) -> bool | None:
    """Whether `side` had this raw number outstanding, or about to be used, when the row was still to come.

    As Linux does, the next number counts too: it is that of a segment without data. One below the first outstanding
    is that of a keep-alive.
    """
    table, passes, last = evidence.table, evidence.passes, row - 1
    if last < table.bounds[connection]:
        return None
    if table.side[last] == side:
        sent, acked = int(passes.sent_before[last]), int(passes.acked_before[last])
        sent = max(sent, int(table.end[last])) if passes.live[last] else sent
    else:
        sent, acked = int(passes.peer_sent_before[last]), int(passes.own_ack_before[last])
        acked = max(acked, int(table.ack[last])) if passes.acks[last] else acked
    if sent == NONE:
        return None
    quoted = sent + distance(seq, (int(table.isn[connection, side]) + sent) % MODULUS)
    if acked == NONE and quoted < 0 and not table.isn_seen[connection, side]:
        return None
    return max(acked, 0) - 1 <= quoted <= sent


def _finding(evidence: Evidence, complaint: _Complaint, known: _Known) -> Finding:
    rule = _rule(complaint.errors[0])
    frames = [error.frame for error in complaint.errors]
    outcome, severity = (None, Severity.NOTE) if rule == OTHER else _outcome(evidence, complaint, known)
    if rule == TOO_LARGE:
        obedience, ignored = _obedience(evidence, complaint)
        outcome = obedience or outcome
        severity = Severity.WARNING if ignored else severity
    confidence = Confidence.HIGH if True in complaint.in_flight else Confidence.MEDIUM
    return Finding(
        rule=rule,
        severity=severity if complaint.believed else Severity.NOTE,
        confidence=confidence if complaint.believed else Confidence.LOW,
        side=_side(complaint, rule),
        frames=tuple(sorted(frames)),
        time_ns=complaint.errors[0].time_ns,
        summary=_summary(complaint, _told(evidence, complaint, rule), outcome),
        connection=complaint.connection,
        alternatives=_alternatives(complaint, rule),
    )


def _summary(complaint: _Complaint, told: Text, outcome: Text | None) -> Text:
    """What was said, and what came of it or speaks against it."""
    if not complaint.believed:
        return phrase("{told}, but quoted a sequence number that was not in flight: it is stale or forged.", told=told)
    outcomes = [outcome] if outcome else []
    stale = complaint.in_flight.count(False)
    if stale:
        outcomes.append(
            phrase(
                "{stale:,} of the {all:,} quoted a sequence number that was not in flight",
                stale=stale,
                all=len(complaint.errors),
            )
        )
    if not outcomes:
        return phrase("{told}.", told=told)
    return phrase("{told}; {outcome}.", told=told, outcome=joined(outcomes, "; "))


def _rule(error: IcmpError) -> str:
    if ":" in error.src:
        return _RULES_6.get(error.type, OTHER)
    return TOO_LARGE if (error.type, error.code) == _FRAGMENTATION_NEEDED else _RULES_4.get(error.type, OTHER)


def _side(complaint: _Complaint, rule: str) -> Side:
    """The destination host where that answered itself, else the network."""
    error = complaint.errors[0]
    return SIDES[1 - complaint.side] if rule == UNREACHABLE and error.sender == error.dst else Side.NETWORK


def _told(evidence: Evidence, complaint: _Complaint, rule: str) -> Text:
    """Who said what to whom, and how often."""
    parts = {
        "who": _who(complaint),
        "side": side_name(complaint.side),
        "what": _what(evidence, complaint, rule),
        "where": first_of([error.frame for error in complaint.errors]),
    }
    if len(complaint.errors) == 1:
        return phrase("{who} told the {side} {what} ({where})", **parts)
    return phrase("{who} told the {side} {times} {what} ({where})", times=times(len(complaint.errors)), **parts)


def _who(complaint: _Complaint) -> Text:
    error = complaint.errors[0]
    if error.sender == error.dst:
        return phrase("The {side}'s host {host}", side=side_name(1 - complaint.side), host=error.sender)
    if error.sender == error.src:
        return phrase("The {side}'s own host {host}", side=side_name(complaint.side), host=error.sender)
    return phrase("The router {router}", router=error.sender)


def _what(evidence: Evidence, complaint: _Complaint, rule: str) -> Text:
    """What was said, of which segments, to where."""
    error, table = complaint.errors[0], evidence.table
    to = address(Endpoint(error.dst, error.dport))
    isn = int(table.isn[complaint.connection, complaint.side])
    of_syn = table.isn_seen[complaint.connection, complaint.side] and error.seq == isn
    if rule == TOO_LARGE:
        most = _largest_allowed(complaint)
        if not most:
            return phrase("that its packets are too large for the way to {to}", to=to)
        return counted(
            most,
            "that its packets are too large for the way to {to}, on which {n:,} byte is the most",
            "that its packets are too large for the way to {to}, on which {n:,} bytes are the most",
            to=to,
        )
    if rule == EXCEEDED and "hop" in error.kind:
        if of_syn:
            return phrase("that the hop limit of its SYN to {to} ran out there", to=to)
        return phrase("that the hop limit of its segments to {to} ran out there", to=to)
    if of_syn:
        return phrase('"{error}" of its SYN to {to}', error=error.kind, to=to)
    return phrase('"{error}" of its segments to {to}', error=error.kind, to=to)


def _outcome(evidence: Evidence, complaint: _Complaint, known: _Known) -> tuple[Text | None, Severity]:
    """How the connection fared behind the first error."""
    connection, side = complaint.connection, complaint.side
    if evidence.histories.like(connection).opening in _NEVER_OPEN:
        explains = _rule(complaint.errors[0]) in (UNREACHABLE, EXCEEDED)
        return phrase("the connection did not open"), Severity.ERROR if explains else Severity.WARNING
    own, other = connection * 2 + side, connection * 2 + 1 - side
    if known.last_row[other] >= complaint.rows[0]:
        return phrase("the connection went on all the same"), Severity.NOTE
    last = int(known.last_row[own])
    if last >= 0 and known.sent[own] > evidence.passes.acked_at_end[last] != NONE:
        return phrase("nothing more was heard of the {side}", side=side_name(1 - side)), Severity.WARNING
    return None, Severity.NOTE


def _obedience(evidence: Evidence, complaint: _Complaint) -> tuple[Text | None, bool]:
    """Whether what it sent behind the error got smaller, and whether it ignored the error.

    It is given a round trip to hear of it. Larger packets than the quoted one are not judged: those are offloaded
    segments, captured before they were cut.
    """
    table = evidence.table
    stop = int(table.bounds[complaint.connection + 1])
    rows = np.arange(complaint.rows[0], min(stop, complaint.rows[0] + _NEXT_ROWS))
    rows = rows[(table.side[rows] == complaint.side) & (table.length[rows] > 0) & evidence.passes.live[rows]]
    trip = int(evidence.passes.round_trip_ns[complaint.connection])
    heard = complaint.errors[0].time_ns + (trip if trip >= 0 else evidence.settings.unanswered_ns)
    size = _packet_bytes(evidence, rows)
    quoted = max(error.length for error in complaint.errors)
    limit = _largest_allowed(complaint) or quoted - 1
    too_large = rows[(size > limit) & (size <= quoted) & (table.time_ns[rows] > heard)]
    if len(too_large):
        numbers = [int(frame) for frame in table.frame[too_large]]
        largest = int(_packet_bytes(evidence, too_large).max())
        went_on = phrase(
            "it went on sending packets of {bytes:,} bytes all the same ({where})",
            bytes=largest,
            where=first_of(numbers),
        )
        return went_on, True
    smaller = rows[size <= limit]
    if len(smaller):
        frame = int(table.frame[smaller[0]])
        return phrase("its segments got smaller (first: frame {frame})", frame=frame), False
    return None, False


def _largest_allowed(complaint: _Complaint) -> int:
    """The smallest MTU told; 0: none was."""
    return min((error.mtu for error in complaint.errors if error.mtu), default=0)


def _packet_bytes(evidence: Evidence, rows: Ints) -> Ints:
    """The least size of the IP packets of these rows: payload, fixed headers, and timestamps where there are some."""
    table = evidence.table
    packets, row = table.packets, table.row[rows]
    headers = np.where(packets["ip_version"][row] == 4, 40, 60)
    headers += np.where(packets["options"][row] & Option.TIMESTAMP, 12, 0)
    return np.asarray(table.length[rows] + headers)


def _alternatives(complaint: _Complaint, rule: str) -> tuple[Alternative, ...]:
    if not complaint.believed:
        return _UNBELIEVED
    return _TRACED if rule == EXCEEDED else ()
