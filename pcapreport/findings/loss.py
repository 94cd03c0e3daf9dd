"""Loss: what was sent again and why, what came out of order, what was asked for again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.arrived import answers_to_missed_syns, arrived_before, arrived_only_then
from pcapreport.findings.columns import sack_permitted
from pcapreport.findings.grouping import SIDES, Bools, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.old_duplicates import last_with_these_numbers
from pcapreport.findings.passes import FAR, Passes
from pcapreport.findings.segmented import NONE
from pcapreport.findings.wording import The, count, duration, first_of, frames, side_name, times
from pcapreport.settings import MILLISECOND, SECOND
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.host_profile import LINUX, systems_of_ends

Ints = npt.NDArray[np.int64]

SHORTEST_TIMEOUT_NS = 200 * MILLISECOND
"""Linux's least retransmission timeout; others wait longer (RFC 6298: 1 s)."""


def retransmissions(evidence: Evidence) -> Iterator[Finding]:
    """Each frame that sends bytes, SYN or FIN again, under exactly one rule."""
    for rule, chosen in classify(evidence).items():
        for group in groups(evidence, chosen):
            yield _retransmission(evidence, rule, group)


def classify(evidence: Evidence) -> dict[str, Bools]:
    """Rule -> the rows that fall under it."""
    table, passes = evidence.table, evidence.passes
    left = sent_again(evidence)
    syn, fin = (table.flags & Flag.SYN) != 0, (table.flags & Flag.FIN) != 0
    ack = (table.flags & Flag.ACK) != 0
    repeated_fin = fin & ((table.length == 0) | (table.end <= passes.sent_before))
    prompted = _prompted(evidence)
    kinds = (
        ("syn_ack_retransmission", syn & ack),
        ("syn_retransmission", syn),
        ("fin_retransmission", repeated_fin),
        ("spurious_retransmission", table.end <= passes.acked_before),
        ("fast_retransmission", prompted),
        ("tail_loss_probe", _tail_loss_probe(evidence)),
        ("retransmission", np.ones(len(left), bool)),
    )
    rules = {}
    for rule, mask in kinds:
        rules[rule] = left & mask
        left = left & ~mask
    return rules


def sent_again(evidence: Evidence) -> Bools:
    """Rows that carry numbers their sender had sent before, as far as this tap can tell."""
    passes = evidence.passes
    repeated = passes.live & ~passes.keep_alive & (passes.known > 0)
    repeated |= passes.gaps.resent | passes.hidden | passes.overtook
    repeated &= ~passes.wandered & ~_crossing_syn_ack(evidence)
    return np.asarray(repeated | _strange_syns_again(evidence))


def _strange_syns_again(evidence: Evidence) -> Bools:
    """SYNs with numbers of no part in this connection (an answer to an old SYN) that the same side sent before."""
    table, passes = evidence.table, evidence.passes
    strange = ~passes.live & (passes.original < 0) & ((table.flags & (Flag.SYN | Flag.RST)) == Flag.SYN)
    if not strange.any():
        return np.zeros(len(strange), bool)
    before = last_with_these_numbers(table, passes.connection * 2 + table.side, strange)
    late = table.time_ns - table.time_ns[before] >= evidence.settings.shortest_rto_ns
    return np.asarray(strange & (before >= 0) & late)


def _crossing_syn_ack(evidence: Evidence) -> Bools:
    """The SYN that goes out once more as SYN-ACK in a simultaneous open (RFC 9293 MUST-10): an answer, if it
    comes before the first timeout (RFC 6298 section 2.1)."""
    table, passes = evidence.table, evidence.passes
    both = Flag.SYN | Flag.ACK
    syn_ack: Bools = passes.live & ((table.flags & both) == both) & (passes.known > 0)
    for row in np.flatnonzero(syn_ack):
        before = slice(table.bounds[passes.connection[row]], row)
        mine, kind = table.side[before] == table.side[row], table.flags[before] & both
        asked = table.time_ns[before][~mine & (kind == Flag.SYN)]
        prompt = not len(asked) or table.time_ns[row] - asked[-1] < SECOND - evidence.settings.jitter_ns
        syn_ack[row] = prompt and not np.any(mine & (kind == both))
    return syn_ack


def _prompted(evidence: Evidence) -> Bools:
    """Duplicate or selective ACKs had just named the gap."""
    table, passes, settings = evidence.table, evidence.passes, evidence.settings
    named = (passes.duplicates_before >= settings.fast_retransmit_acks) | (passes.sacked_before > table.seq)
    round_trip = np.maximum(passes.round_trip_ns, 0)[passes.connection]
    since = table.time_ns - table.time_ns[passes.previous_peer]
    prompt = since <= round_trip + settings.jitter_ns
    return np.asarray(named & (passes.previous_peer >= 0) & prompt)


def _tail_loss_probe(evidence: Evidence) -> Bools:
    """The last segment once more, earlier than a timeout could, or while older data waits (a timeout sends that).

    Linux probes before each first timeout where SACK is in use (tcp_schedule_loss_probe in net/ipv4/tcp_output.c); with
    one segment on its way it waits as long as the timeout.
    """
    table, passes = evidence.table, evidence.passes
    last = (table.end == passes.sent_before) & (passes.known == table.end - table.seq)
    first_time = passes.known[passes.previous_send] == 0
    older_waits = (passes.acked_before != NONE) & (passes.acked_before < table.seq)
    early = table.time_ns - table.time_ns[passes.previous_send] < SHORTEST_TIMEOUT_NS
    return np.asarray(last & first_time & (passes.previous_send >= 0) & (older_waits | early | _probes(table, passes)))


def _probes(table: ConnectionTable, passes: Passes) -> Bools:
    """Rows of Linux in a connection in which both sides permitted SACK."""
    permitted = sack_permitted(table)
    both = permitted[:, CLIENT] & permitted[:, SERVER]
    return np.asarray(both[passes.connection] & (systems_of_ends(table)[passes.connection, table.side] == LINUX))


_WHY = {
    "retransmission": "after waiting for an acknowledgment in vain",
    "fast_retransmission": "because duplicate or selective acknowledgments showed a gap",
    "spurious_retransmission": "although it had been acknowledged already",
    "tail_loss_probe": "to find out whether the end of the data had arrived",
}


def _retransmission(evidence: Evidence, rule: str, group: Group) -> Finding:
    numbers = group.frames(evidence)
    where = first_of(numbers)
    who, many = The(group.side), len(numbers)
    unseen = evidence.passes.known[group.rows] == 0
    if rule in ("syn_retransmission", "syn_ack_retransmission", "fin_retransmission"):
        what = {"syn_r": "SYN", "syn_a": "SYN, ACK", "fin_r": "FIN"}[rule[:5]]
        summary = f"{who} sent its {what} again {times(many)} ({where}){_delay(evidence, group)}."
    else:
        length = int(evidence.table.length[group.rows].sum())
        what = f"{count(many, 'segment')} again ({where}; {count(length, 'byte')})"
        summary = f"{who} sent {what} {_WHY[rule]}{_delay(evidence, group)}."
    alternatives: tuple[Alternative, ...] = ()
    confidence, severity = Confidence.HIGH, None
    if rule == "fin_retransmission" and _sooner_than_a_timeout(evidence, group):
        summary = f"{summary[:-1]}: sooner than after a timeout, so that nothing need have been lost."
        severity = Severity.NOTE
    if unseen.any():
        summary += _first_transmissions(evidence, group.rows[unseen])
        if (evidence.passes.gaps.by_time | evidence.passes.hidden)[group.rows].any():
            confidence = Confidence.MEDIUM
            alternatives = (Alternative("The network delivered the first transmission late.", Confidence.LOW),)
    return finding(
        evidence, rule, group.connection, SIDES[group.side], group.rows, summary, severity, confidence, alternatives
    )


def _sooner_than_a_timeout(evidence: Evidence, group: Group) -> bool:
    """All of them are probes, as Linux sends them while the acknowledgment is delayed."""
    table, passes = evidence.table, evidence.passes
    before = passes.previous_send[group.rows]
    sooner = (before >= 0) & (table.time_ns[group.rows] - table.time_ns[before] < SHORTEST_TIMEOUT_NS)
    return bool(sooner.all() and (passes.known[group.rows] > 0).all() and len(group.rows) == 1)


def _first_transmissions(evidence: Evidence, rows: Ints) -> str:
    """What became of the first transmission of these rows, which did not pass the tap."""
    arrived, lost = arrived_before(evidence, rows), arrived_only_then(evidence, rows)
    fates = (
        (arrived, "did not pass this tap but arrived: the capture missed it"),
        (lost, "did not pass this tap: lost before it, as the other side had these bytes only afterwards"),
        (~arrived & ~lost, "did not pass this tap: lost before it, or not captured"),
    )
    told = ""
    for chosen, fate in fates:
        if chosen.any():
            named = np.sort(evidence.table.frame[rows[chosen]]).tolist()
            told += f" For {frames(named)} {'its' if len(named) == 1 else 'their'} first transmission {fate}."
    return told


def _delay(evidence: Evidence, group: Group) -> str:
    """How long after the transmission before: ", 300 ms after frame 9", or "" if that is not known."""
    table, row = evidence.table, int(group.rows[0])
    start = int(table.bounds[group.connection])
    earlier = slice(start, row)
    same = (table.side[earlier] == group.side) & evidence.passes.live[earlier]
    same &= (table.seq[earlier] <= table.seq[row]) & (table.end[earlier] > table.seq[row])
    at = np.flatnonzero(same)
    if not len(at):
        return ""
    waited = int(table.time_ns[row] - table.time_ns[start + at[-1]])
    which = ", the first" if len(group.rows) > 1 else ","
    return f"{which} {duration(max(waited, 0))} after frame {int(table.frame[start + at[-1]])}"


def old_duplicates(evidence: Evidence) -> Iterator[Finding]:
    """Segments that the network delivered once more long after they were sent."""
    for group in groups(evidence, evidence.passes.wandered):
        numbers = group.frames(evidence)
        summary = (
            f"{count(len(numbers), 'old segment')} of the {side_name(group.side)} passed the tap once more "
            f"({first_of(numbers)}) though sent no later than what had brought its bytes: not sent again, but "
            "long on its way, doubled by the network or forged."
        )
        yield finding(
            evidence, "old_duplicate", group.connection, Side.NETWORK, group.rows, summary, None, Confidence.MEDIUM
        )


def out_of_order(evidence: Evidence) -> Iterator[Finding]:
    """Segments that the network delivered after ones sent later."""
    gaps = evidence.passes.gaps
    for group in groups(evidence, gaps.reordered):
        numbers = group.frames(evidence)
        one = len(numbers) == 1
        summary = (
            f"{count(len(numbers), 'segment')} of the {side_name(group.side)} passed the tap after "
            f"{'one' if one else 'some'} sent later ({first_of(numbers)}): the network changed the order."
        )
        unsure = bool(gaps.by_time[group.rows].any())
        other = Alternative("Sent again after a loss before the tap.", Confidence.LOW)
        yield finding(
            evidence,
            "out_of_order",
            group.connection,
            Side.NETWORK,
            group.rows,
            summary,
            None,
            Confidence.MEDIUM if unsure else Confidence.HIGH,
            (other,) if unsure else (),
        )


def duplicate_acks(evidence: Evidence) -> Iterator[Finding]:
    """The same acknowledgment once more while data is on its way: something before it is missing at the receiver."""
    table = evidence.table
    for group in groups(evidence, evidence.passes.duplicate_ack):
        numbers = group.frames(evidence)
        others = len(np.unique(table.ack[group.rows])) - 1
        also = f", later in {count(others, 'other place')}" if others else ""
        summary = (
            f"{The(group.side)} repeated its acknowledgment {times(len(numbers))} ({first_of(numbers)}): "
            f"it lacked bytes from {int(table.ack[group.rows[0]])} on{also}."
        )
        yield finding(evidence, "duplicate_ack", group.connection, SIDES[group.side], group.rows, summary)


def lost_segments(evidence: Evidence) -> Iterator[Finding]:
    """Gaps in what passed the tap that late delivery does not explain."""
    table, passes = evidence.table, evidence.passes
    fillers = np.flatnonzero(passes.gaps.resent)
    fillers = fillers[~arrived_before(evidence, fillers)]
    repaired = np.zeros(len(table.row), bool)
    openers = passes.opener[fillers]
    repaired[openers[table.seq[openers] >= table.end[fillers]]] = True
    missing = (passes.missing > 0) & (passes.missing < FAR)
    arrived = missing & (passes.acked_at_end >= table.seq)
    for group in groups(evidence, arrived):
        yield _lost(evidence, group, Side.CAPTURE)
    for group in groups(evidence, (repaired | missing) & ~arrived):
        yield _lost(evidence, group, Side.NETWORK)


def _lost(evidence: Evidence, group: Group, side: Side) -> Finding:
    numbers = group.frames(evidence)
    who = side_name(group.side)
    missing = int(evidence.passes.missing[group.rows].sum())
    before = frames(numbers)
    if side is Side.CAPTURE:
        summary = (
            f"{count(missing, 'byte')} of the {who} before {before} are not in the capture although the other side "
            "acknowledged them: the capture missed them, the network did not lose them."
        )
    else:
        outcome = f", {count(missing, 'byte')} of it never seen" if missing else " and sent again later"
        gaps = count(len(numbers), "gap")
        summary = f"{gaps} in what the {who} sent, before {before}: lost before this tap{outcome}."
    return finding(evidence, "lost_segment", group.connection, side, group.rows, summary)


def ack_lost_segments(evidence: Evidence) -> Iterator[Finding]:
    """Acknowledgments of bytes that never passed the tap: proof that the capture is not complete."""
    table, passes = evidence.table, evidence.passes
    beyond = passes.acks & (passes.peer_sent_before != NONE) & (table.ack > passes.peer_sent_before)
    beyond &= (table.ack > passes.own_ack_before) & (table.ack - passes.peer_sent_before < FAR)
    for row in np.flatnonzero(beyond).tolist():
        beyond[row] = not _comes_soon(evidence, row)
    for group in groups(evidence, beyond):
        numbers = group.frames(evidence)
        excess = int((table.ack[group.rows] - passes.peer_sent_before[group.rows]).sum())
        summary = (
            f"{The(group.side)} acknowledged {count(excess, 'byte')} that this capture does not hold "
            f"({first_of(numbers)}): the capture missed segments of the {side_name(1 - group.side)}."
        )
        yield finding(evidence, "ack_lost_segment", group.connection, Side.CAPTURE, group.rows, summary)


def missed_syns(evidence: Evidence) -> Iterator[Finding]:
    """Answers to a SYN, or SYN-ACK, that the capture lacks: what was answered had arrived."""
    table = evidence.table
    for group in groups(evidence, answers_to_missed_syns(evidence)):
        numbers = group.frames(evidence)
        missed = "SYN" if (table.flags[group.rows] & Flag.SYN).any() else "SYN, ACK"
        summary = (
            f"{The(group.side)} answered a {missed} that this capture does not hold ({frames(numbers)}): the capture "
            "missed it."
        )
        yield finding(evidence, "ack_lost_segment", group.connection, Side.CAPTURE, group.rows, summary)


def _comes_soon(evidence: Evidence, row: int) -> bool:
    """The acknowledged bytes stand a little further on in the capture: recorded late, not missed."""
    table, passes = evidence.table, evidence.passes
    stop = int(table.bounds[passes.connection[row] + 1])
    for other in range(row + 1, min(row + 16, stop)):
        if table.time_ns[other] - table.time_ns[row] > evidence.settings.jitter_ns:
            return False
        if (
            table.side[other] != table.side[row]
            and passes.live[other]
            and table.seq[other] < table.ack[row] <= table.end[other]
        ):
            return bool(passes.known[other] == 0)
    return False
