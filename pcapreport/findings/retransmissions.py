"""Retransmissions in words: what was sent again, why, how long after, and what became of the first transmission."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pcapreport.findings.arrived import arrived_before, arrived_only_then
from pcapreport.findings.columns import Bools, Ints
from pcapreport.findings.grouping import SIDES, Group, finding, groups
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity
from pcapreport.findings.sent_again import SHORTEST_TIMEOUT_NS, classify
from pcapreport.findings.wording import The, duration, first_of, frames, listed, times
from pcapreport.language import counted

STEPS_BACK = 64
"""Most rows stand this close to the transmission before."""
ARRIVED, LOST, EITHER, TWICE, BEHIND, MISSED, SEEN = range(7)
"""What became of a first transmission: did not pass the tap (the first three), passed it, nothing more (SEEN)."""
_WHY = {
    "retransmission": "after waiting for an acknowledgment in vain",
    "fast_retransmission": "because duplicate or selective acknowledgments showed a gap",
    "spurious_retransmission": "although it had been acknowledged already",
    "tail_loss_probe": "to find out whether the end of the data had arrived",
}
_CONTROL = {"syn_retransmission": "SYN", "syn_ack_retransmission": "SYN, ACK", "fin_retransmission": "FIN"}
_FATES = {
    ARRIVED: "did not pass this tap but arrived: the capture missed it",
    LOST: "did not pass this tap: lost before it, as the other side had these bytes only afterwards",
    EITHER: "did not pass this tap: lost before it, or not captured",
    TWICE: "passed this tap and arrived: the other side says that it has these bytes twice (D-SACK)",
    BEHIND: "passed this tap: what was lost, data or acknowledgment, was lost behind it",
    MISSED: "passed this tap and was lost behind it",
}
_SEEN = {"retransmission": BEHIND, "fast_retransmission": MISSED}
"""What must have become of a first transmission that passed the tap, by the rule that its repetition falls under."""
_LATE = (Alternative("The network delivered the first transmission late.", Confidence.LOW),)


def retransmissions(evidence: Evidence) -> Iterator[Finding]:
    """Each frame that sends bytes, SYN or FIN again, under exactly one rule."""
    table, gaps = evidence.table, evidence.passes.gaps
    for rule, chosen in classify(evidence).items():
        rows = np.flatnonzero(chosen)
        if not len(rows):
            continue
        fate, before = _fates(evidence, rows, _SEEN.get(rule, SEEN)), transmission_before(evidence, rows)
        waited = np.maximum(table.time_ns[rows] - table.time_ns[before], 0)
        fate, before, waited = (_by_row(chosen, column) for column in (fate, before, waited))
        doubtful = gaps.by_time | evidence.passes.hidden
        for group in groups(evidence, chosen, table.length, fate, before, waited, doubtful):
            yield _retransmission(evidence, rule, group)


def transmission_before(evidence: Evidence, rows: Ints) -> Ints:
    """For each of `rows` the last live row before of its flow that brought its first number, or -1."""
    table, passes = evidence.table, evidence.passes
    found, open_ones = np.full(len(rows), -1), np.arange(len(rows))
    candidates = passes.previous[rows]
    for _ in range(STEPS_BACK):
        open_ones, candidates = open_ones[candidates >= 0], candidates[candidates >= 0]
        wanted = table.seq[rows[open_ones]]
        brings = (table.seq[candidates] <= wanted) & (wanted < table.end[candidates])
        found[open_ones[brings]] = candidates[brings]
        open_ones, candidates = open_ones[~brings], passes.previous[candidates[~brings]]
    for at in open_ones.tolist():
        found[at] = _far_back(evidence, int(rows[at]))
    return found


def _far_back(evidence: Evidence, row: int) -> int:
    table, passes = evidence.table, evidence.passes
    start, wanted = int(table.bounds[passes.connection[row]]), table.seq[row]
    earlier = slice(start, row)
    brings = (table.side[earlier] == table.side[row]) & passes.live[earlier]
    brings &= (table.seq[earlier] <= wanted) & (table.end[earlier] > wanted)
    at = np.flatnonzero(brings)
    return start + int(at[-1]) if len(at) else -1


def _fates(evidence: Evidence, rows: Ints, seen: int) -> Ints:
    """For each of `rows` what became of its first transmission; `seen`: if it passed the tap."""
    fate = np.where(evidence.reported_twice[rows], TWICE, seen)
    unseen = np.flatnonzero(evidence.passes.known[rows] == 0)
    if len(unseen):
        arrived, then = arrived_before(evidence, rows[unseen]), arrived_only_then(evidence, rows[unseen])
        fate[unseen] = np.select([arrived, then], [ARRIVED, LOST], EITHER)
    return fate


def _by_row(chosen: Bools, values: Ints) -> Ints:
    """The values of the chosen rows as a column."""
    column = np.full(len(chosen), -1)
    column[chosen] = values
    return column


def _retransmission(evidence: Evidence, rule: str, group: Group) -> Finding:
    lengths, fates, _, _, doubtful = group.values
    where, who, many = first_of(group.numbers), The(group.side), len(group.numbers)
    if rule in _CONTROL:
        summary = f"{who} sent its {_CONTROL[rule]} again {times(many)} ({where}){_delay(evidence, group)}."
    else:
        what = f"{counted(many, '{n:,} segment', '{n:,} segments')} again ({where}; {counted(sum(lengths), '{n:,} byte', '{n:,} bytes')})"
        summary = f"{who} sent {what} {_WHY[rule]}{_delay(evidence, group)}."
    alternatives: tuple[Alternative, ...] = ()
    confidence, severity = Confidence.HIGH, None
    if rule == "fin_retransmission" and _sooner_than_a_timeout(evidence, group):
        summary = f"{summary[:-1]}: sooner than after a timeout, so that nothing need have been lost."
        severity = Severity.NOTE
    if min(fates) < SEEN:
        summary += _first_transmissions(evidence, group, fates)
        if min(fates) <= EITHER and any(doubtful):
            confidence, alternatives = Confidence.MEDIUM, _LATE
    return finding(
        evidence, rule, group.connection, SIDES[group.side], group, summary, severity, confidence, alternatives
    )


def _sooner_than_a_timeout(evidence: Evidence, group: Group) -> bool:
    """It is a probe, as Linux sends them while the acknowledgment is delayed."""
    table, passes, row = evidence.table, evidence.passes, int(group.rows[0])
    before = int(passes.previous_send[row])
    if len(group.rows) > 1 or before < 0 or passes.known[row] == 0:
        return False
    return bool(table.time_ns[row] - table.time_ns[before] < SHORTEST_TIMEOUT_NS)


def _first_transmissions(evidence: Evidence, group: Group, fates: Sequence[int]) -> str:
    """What became of the first transmissions."""
    if min(fates) == max(fates):
        return f" The first transmission{' of each' if len(fates) > 1 else ''} {_FATES[fates[0]]}."
    told = ""
    for kind, words in _FATES.items():
        named = sorted(
            int(evidence.table.frame[row]) for row, fate in zip(group.rows, fates, strict=True) if fate == kind
        )
        if named:
            told += f" For {frames(named)} {'its' if len(named) == 1 else 'their'} first transmission {words}."
    return told


def _delay(evidence: Evidence, group: Group) -> str:
    """How long after the transmission before: ", 300 ms after frame 9", or "" if that is not known.

    Of several that repeat one another each wait is told: the back-off of RFC 6298 section 5.5.
    """
    before, waits = group.values[2:4]
    if before[0] < 0:
        return ""
    told = f" {duration(waits[0])} after frame {int(evidence.table.frame[before[0]])}"
    if len(before) == 1:
        return f",{told}"
    if before[1:] != group.rows[:-1].tolist():
        return f", the first{told}"
    return f",{told}, then after {listed([duration(wait) for wait in waits[1:]], 5)}"
