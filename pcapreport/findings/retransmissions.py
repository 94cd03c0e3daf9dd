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
from pcapreport.language import Text, counted, phrase, sentences

STEPS_BACK = 64
"""Most rows stand this close to the transmission before."""
ARRIVED, LOST, EITHER, TWICE, BEHIND, MISSED, SEEN = range(7)
"""What became of a first transmission: did not pass the tap (the first three), passed it, nothing more (SEEN)."""
_WHY = {
    "retransmission": phrase("after waiting for an acknowledgment in vain"),
    "fast_retransmission": phrase("because duplicate or selective acknowledgments showed a gap"),
    "spurious_retransmission": phrase("although it had been acknowledged already"),
    "tail_loss_probe": phrase("to find out whether the end of the data had arrived"),
}
_CONTROL = {"syn_retransmission": "SYN", "syn_ack_retransmission": "SYN, ACK", "fin_retransmission": "FIN"}
_FATES = {
    ARRIVED: phrase("did not pass this tap but arrived: the capture missed it"),
    LOST: phrase("did not pass this tap: lost before it, as the other side had these bytes only afterwards"),
    EITHER: phrase("did not pass this tap: lost before it, or not captured"),
    TWICE: phrase("passed this tap and arrived: the other side says that it has these bytes twice (D-SACK)"),
    BEHIND: phrase("passed this tap: what was lost, data or acknowledgment, was lost behind it"),
    MISSED: phrase("passed this tap and was lost behind it"),
}
_SEEN = {"retransmission": BEHIND, "fast_retransmission": MISSED}
"""What must have become of a first transmission that passed the tap, by the rule that its repetition falls under."""
_LATE = (Alternative(phrase("The network delivered the first transmission late."), Confidence.LOW),)


def retransmissions(evidence: Evidence) -> Iterator[Finding]:
    """Each frame that sends bytes, SYN or FIN again, under exactly one rule."""
    table, gaps = evidence.table, evidence.passes.gaps
    for rule, rows in classify(evidence).items():
        if not len(rows):
            continue
        chosen = np.zeros(len(table.row), bool)
        chosen[rows] = True
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
        if not len(open_ones):
            break
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
    _, fates, _, _, doubtful = group.values
    alternatives: tuple[Alternative, ...] = ()
    confidence, severity = Confidence.HIGH, None
    if rule not in _CONTROL:
        summary = _data_again(evidence, rule, group)
    elif rule == "fin_retransmission" and _sooner_than_a_timeout(evidence, group):
        summary, severity = _fin_again_soon(evidence, group), Severity.NOTE
    else:
        summary = _control_again(evidence, rule, group)
    if min(fates) < SEEN:
        summary = sentences(summary, *_first_transmissions(evidence, group, fates))
        if min(fates) <= EITHER and any(doubtful):
            confidence, alternatives = Confidence.MEDIUM, _LATE
    return finding(
        evidence, rule, group.connection, SIDES[group.side], group, summary, severity, confidence, alternatives
    )


def _control_again(evidence: Evidence, rule: str, group: Group) -> Text:
    delay = _delay(evidence, group)
    parts = {
        "side": The(group.side),
        "flags": _CONTROL[rule],
        "times": times(len(group.numbers)),
        "where": first_of(group.numbers),
    }
    if delay is None:
        return phrase("{side} sent its {flags} again {times} ({where}).", **parts)
    return phrase("{side} sent its {flags} again {times} ({where}), {delay}.", delay=delay, **parts)


def _fin_again_soon(evidence: Evidence, group: Group) -> Text:
    delay = _delay(evidence, group)
    parts = {"side": The(group.side), "times": times(len(group.numbers)), "where": first_of(group.numbers)}
    if delay is None:
        return phrase(
            "{side} sent its FIN again {times} ({where}): sooner than after a timeout, so that nothing need have been "
            "lost.",
            **parts,
        )
    return phrase(
        "{side} sent its FIN again {times} ({where}), {delay}: sooner than after a timeout, so that nothing need have "
        "been lost.",
        delay=delay,
        **parts,
    )


def _data_again(evidence: Evidence, rule: str, group: Group) -> Text:
    number, delay = len(group.numbers), _delay(evidence, group)
    parts = {
        "side": The(group.side),
        "where": first_of(group.numbers),
        "bytes": counted(sum(group.values[0]), "{n:,} byte", "{n:,} bytes"),
        "why": _WHY[rule],
    }
    if delay is None:
        return counted(
            number,
            "{side} sent {n:,} segment again ({where}; {bytes}) {why}.",
            "{side} sent {n:,} segments again ({where}; {bytes}) {why}.",
            **parts,
        )
    return counted(
        number,
        "{side} sent {n:,} segment again ({where}; {bytes}) {why}, {delay}.",
        "{side} sent {n:,} segments again ({where}; {bytes}) {why}, {delay}.",
        delay=delay,
        **parts,
    )


def _sooner_than_a_timeout(evidence: Evidence, group: Group) -> bool:
    """It is a probe, as Linux sends them while the acknowledgment is delayed."""
    table, passes, row = evidence.table, evidence.passes, int(group.rows[0])
    before = int(passes.previous_send[row])
    if len(group.rows) > 1 or before < 0 or passes.known[row] == 0:
        return False
    return bool(table.time_ns[row] - table.time_ns[before] < SHORTEST_TIMEOUT_NS)


def _first_transmissions(evidence: Evidence, group: Group, fates: Sequence[int]) -> Iterator[Text]:
    """What became of the first transmissions, a sentence for each fate."""
    if min(fates) == max(fates):
        yield counted(
            len(fates),
            "The first transmission {fate}.",
            "The first transmission of each {fate}.",
            fate=_FATES[fates[0]],
        )
        return
    for kind, words in _FATES.items():
        named = sorted(
            int(evidence.table.frame[row]) for row, fate in zip(group.rows, fates, strict=True) if fate == kind
        )
        if named:
            yield counted(
                len(named),
                "For {frames} its first transmission {fate}.",
                "For {frames} their first transmission {fate}.",
                frames=frames(named),
                fate=words,
            )


def _delay(evidence: Evidence, group: Group) -> Text | None:
    """How long after the transmission before: "300 ms after frame 9", or None if that is not known.

    Of several that repeat one another each wait is told: the back-off of RFC 6298 section 5.5.
    """
    before, waits = group.values[2:4]
    if before[0] < 0:
        return None
    parts = {"time": duration(waits[0]), "frame": int(evidence.table.frame[before[0]])}
    if len(before) == 1:
        return phrase("{time} after frame {frame}", **parts)
    if before[1:] != group.rows[:-1].tolist():
        return phrase("the first {time} after frame {frame}", **parts)
    later = listed([duration(wait) for wait in waits[1:]], 5)
    return phrase("{time} after frame {frame}, then after {waits}", waits=later, **parts)
