"""What Wireshark calls each segment, what this report calls it, and why the two differ where they do.

Wireshark looks at a segment, what its direction had shown before, and the clock. This report also knows which frames
are copies, what the sender's own clock and count of packets say, and what the other side had.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.columns import column
from pcapreport.findings.model import Evidence, Finding
from pcapreport.findings.wireshark import Mark, analysis, fields_of
from pcapreport.findings.wireshark.silent import silent_connections
from pcapreport.language import Text, phrase

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]

MOST_FRAMES = 50
"""Named for each difference."""

SENT_AGAIN = (
    "retransmission", "fast_retransmission", "spurious_retransmission", "tail_loss_probe", "syn_retransmission",
    "syn_ack_retransmission", "fin_retransmission",
)  # fmt: skip
COUNTERPARTS: Mapping[Mark, Sequence[str]] = {
    Mark.RETRANSMISSION: SENT_AGAIN,
    Mark.FAST_RETRANSMISSION: ("fast_retransmission",),
    Mark.SPURIOUS_RETRANSMISSION: ("spurious_retransmission",),
    Mark.OUT_OF_ORDER: ("out_of_order",),
    Mark.DUPLICATE_ACK: ("duplicate_ack",),
    Mark.LOST_SEGMENT: ("lost_segment",),
    Mark.ACK_LOST_SEGMENT: ("ack_lost_segment",),
    Mark.ZERO_WINDOW: ("zero_window",),
    Mark.ZERO_WINDOW_PROBE: ("zero_window_probe",),
    Mark.KEEP_ALIVE: ("keep_alive",),
    Mark.REUSED_PORTS: ("reused_ports",),
    Mark.WINDOW_FULL: (),
    Mark.WINDOW_UPDATE: (),
    Mark.ZERO_WINDOW_PROBE_ACK: (),
    Mark.KEEP_ALIVE_ACK: (),
}
"""By Wireshark's field the rules that say the same, in the order of the report."""

_OTHERS = ("old_duplicate", "time_wait_reuse", "time_wait_collision", "half_open_connection")
COMPARED = tuple(dict.fromkeys([*(rule for rules in COUNTERPARTS.values() for rule in rules), *_OTHERS]))
_BIT = {rule: np.uint32(1 << place) for place, rule in enumerate(COMPARED)}


class Reason(IntEnum):
    """Why the two differ; the text is in REASONS."""

    COPY = 0
    OLD = 1
    RESET = 2
    STRANGE = 3
    PROBE = 4
    ANSWER = 5
    NOTHING_MISSING = 6
    NO_SACK = 7
    LATE = 8
    AGAIN = 9
    OTHER_KIND = 10
    UNSEEN = 11
    REPEATS = 12
    UNHEARD = 13
    CROSSING = 14
    ANEW = 15
    OLDER = 16
    PASSED = 17
    ORDINARY = 18
    UNDECIDED = 19
    OTHER = 20


REASONS: Mapping[Reason, Text] = {
    Reason.COPY: phrase("the frame is a copy: one segment, captured or delivered twice"),
    Reason.OLD: phrase("by its timestamp or IP ID it was sent before, not again"),
    Reason.RESET: phrase("a reset's numbers and window tell of no loss and no room"),
    Reason.STRANGE: phrase("its numbers are none of this connection's: an older connection's or a third party's"),
    Reason.PROBE: phrase("it only asks whether the other side, or room in its window, is there"),
    Reason.ANSWER: phrase("it answers a segment that came again, or a probe, as every receiver must"),
    Reason.NOTHING_MISSING: phrase(
        "nothing was on its way to its sender, so nothing can be missing (RFC 5681 section 2)"
    ),
    Reason.NO_SACK: phrase(
        "selective acknowledgments are in use and it carries none, so it tells of no gap (RFC 6675)"
    ),
    Reason.LATE: phrase("it was only delivered late: its timestamp, IP ID or the time say it was sent in order"),
    Reason.AGAIN: phrase(
        "it was sent again: its timestamp or IP ID is newer, or it came a round trip after the gap showed"
    ),
    Reason.OTHER_KIND: phrase(
        "sent again, but for another reason: Wireshark goes by the time since an ACK (20 ms) alone"
    ),
    Reason.UNSEEN: phrase(
        "its first transmission never passed here: a skipped IP ID, a late answer or a stalled write tells"
    ),
    Reason.REPEATS: phrase(
        "the first such acknowledgment is named, or the bytes stand a little further on: recorded late"
    ),
    Reason.UNHEARD: phrase("Wireshark marks none before it has seen a segment of the other side"),
    Reason.CROSSING: phrase("the SYN, ACK to a SYN that crossed its own is an answer (RFC 9293 section 3.5)"),
    Reason.ANEW: phrase("a SYN begins a connection anew: there is nothing before it to be lost"),
    Reason.OLDER: phrase(
        "none of it had passed in this connection: Wireshark counts on from an older one on these ports"
    ),
    Reason.PASSED: phrase(
        "what it lacks had passed, in a probe of the closed window or under numbers that it counts anew"
    ),
    Reason.ORDINARY: phrase("what it marks is part of ordinary TCP and told only where trouble comes of it"),
    Reason.UNDECIDED: phrase("whether it came late or was sent again, nothing in this capture tells"),
    Reason.OTHER: phrase("each keeps count in its own way here"),
}


class Difference(NamedTuple):
    """Rows that Wireshark and this report call differently for one reason."""

    field: Mark
    wireshark: bool
    """Wireshark has the field; otherwise only this report has its counterpart."""
    called: str
    """The rule that this report names the rows by, or ""."""
    reason: Reason


@dataclass(frozen=True)
class Compared:
    """One part, by row of its connection table."""

    evidence: Evidence
    words: Numbers
    """See wireshark.analysis."""
    ours: Numbers
    """Bits of COMPARED."""

    @classmethod
    def of(cls, evidence: Evidence, findings: Sequence[Finding]) -> Compared:
        """Compare what Wireshark would say with these findings about the part."""
        return cls(evidence, _words(evidence), _named(evidence, findings))

    @cached_property
    def _differing(self) -> dict[Mark, Ints]:
        """By field the rows, ascending, that only one of the two names by it."""
        differing: dict[Mark, Ints] = {}
        for mark, rules in COUNTERPARTS.items():
            bits = np.bitwise_or.reduce([_BIT[rule] for rule in rules]) if rules else np.uint32(0)
            where = np.flatnonzero(((self.words & np.uint32(mark)) != 0) != ((self.ours & bits) != 0))
            if len(where):
                differing[mark] = where
        return differing

    def differences(self, rows: slice | None = None) -> Iterator[tuple[Difference, Ints]]:
        """What differs among these rows of the connection table, or all: (how, the rows)."""
        for mark, where in self._differing.items():
            if rows is not None:
                first, end = np.searchsorted(where, (rows.start, rows.stop)).tolist()
                where = where[first:end]
            if len(where):
                yield from self._explained(mark, where, (self.words[where] & np.uint32(mark)) != 0)

    def _explained(self, mark: Mark, rows: Ints, theirs: Bools) -> Iterator[tuple[Difference, Ints]]:
        named = self.ours[rows]
        called = np.where(named != 0, np.log2((named & -named.astype(np.int64)).clip(1)).astype(np.int64), -1)
        reasons = self._reasons(mark, rows, theirs)
        keys = ((called + 1) << 8 | reasons) << 1 | theirs
        for key in np.unique(keys).tolist():
            rule, reason = (key >> 9) - 1, Reason(key >> 1 & 0xFF)
            name = COMPARED[rule] if rule >= 0 else ""
            yield Difference(mark, bool(key & 1), name, reason), rows[keys == key]

    def _reasons(self, mark: Mark, rows: Ints, theirs: Bools) -> Ints:
        """The first that holds of each row."""
        table, passes = self.evidence.table, self.evidence.passes
        again = (self.ours[rows] & np.bitwise_or.reduce([_BIT[rule] for rule in SENT_AGAIN])) != 0
        peer = passes.previous_peer[rows]
        answers = (peer >= 0) & ((passes.known[peer] > 0) | passes.keep_alive[peer] | ~passes.live[peer])
        cases: list[tuple[Bools, Reason]] = [
            (np.full(len(rows), not COUNTERPARTS[mark]), Reason.ORDINARY),
            (passes.original[rows] >= 0, Reason.COPY),
            (passes.wandered[rows], Reason.OLD),
            ((table.flags[rows] & Flag.RST) != 0, Reason.RESET),
            (~passes.live[rows], Reason.STRANGE),
            (passes.keep_alive[rows], Reason.PROBE),
            (passes.gaps.reordered[rows], Reason.LATE),
            (passes.gaps.unknown[rows], Reason.UNDECIDED),
        ]
        if mark is Mark.DUPLICATE_ACK:
            sack = column(table, "sack", rows) >= 0
            cases += [
                (theirs & answers, Reason.ANSWER),
                (theirs & (passes.peer_sent_before[rows] <= table.ack[rows]), Reason.NOTHING_MISSING),
                (theirs & ~sack, Reason.NO_SACK),
            ]
        elif mark is Mark.LOST_SEGMENT:
            filled = np.zeros(len(table.row), bool)
            filled[passes.opener[passes.gaps.reordered]] = True
            anew = (table.flags[rows] & Flag.SYN) != 0
            passed = theirs & (table.seq[rows] <= passes.sent_before[rows])
            cases += [(anew, Reason.ANEW), (passed, Reason.PASSED)]
            cases += [(theirs & filled[rows], Reason.LATE), (~theirs, Reason.AGAIN)]
        elif mark is Mark.ACK_LOST_SEGMENT:
            passed = theirs & (table.ack[rows] <= passes.peer_sent_before[rows])
            cases += [(passed, Reason.PASSED), (theirs, Reason.REPEATS), (~theirs, Reason.UNHEARD)]
        elif mark in (Mark.ZERO_WINDOW, Mark.REUSED_PORTS):
            cases.append((theirs, Reason.ORDINARY))
        else:
            both = again & ((self.words[rows] & np.uint32(Mark.RETRANSMISSION)) != 0)
            unseen = again & (passes.known[rows] == 0)
            answer = (table.flags[rows] & (Flag.SYN | Flag.ACK)) == (Flag.SYN | Flag.ACK)
            cases += [
                (answer & ~again & (passes.known[rows] > 0), Reason.CROSSING),
                (both, Reason.OTHER_KIND),
                (unseen & ~passes.gaps.resent[rows], Reason.UNSEEN),
                (again, Reason.AGAIN),
                (theirs & (passes.known[rows] == 0), Reason.OLDER),
            ]
        conditions, choices = zip(*cases, strict=True)
        return np.select(conditions, [np.int64(choice) for choice in choices], np.int64(Reason.OTHER))


def _words(evidence: Evidence) -> Numbers:
    """Per row of the connection table what Wireshark would say."""
    table, packets = evidence.table, evidence.table.packets
    silent = silent_connections(table, evidence.passes)
    told = np.sort(table.row[~silent[evidence.passes.connection]])
    if len(told) > len(packets) // 2:
        return analysis(packets)[table.row]
    words = np.zeros(len(packets), np.uint32)
    words[told] = analysis(packets.some(told))
    return words[table.row]


def _named(evidence: Evidence, findings: Sequence[Finding]) -> Numbers:
    """Per row of the connection table the rules that name its frame."""
    table = evidence.table
    ours = np.zeros(len(table.row), np.uint32)
    frames: list[int] = []
    bits: list[np.uint32] = []
    for finding in findings:
        if finding.rule in _BIT:
            frames += finding.frames
            bits += [_BIT[finding.rule]] * len(finding.frames)
    if not frames:
        return ours
    numbers = table.packets["frame"]  # ascending
    by_packet = np.zeros(len(numbers), np.uint32)
    wanted = np.array(frames, numbers.dtype)
    first, last = np.searchsorted(numbers, wanted), np.searchsorted(numbers, wanted, "right")
    np.bitwise_or.at(by_packet, first[first < last], np.array(bits, np.uint32)[first < last])
    for place in np.flatnonzero(last - first > 1).tolist():  # an 802.11 aggregate: a row a segment
        by_packet[first[place] : last[place]] |= bits[place]
    return by_packet[table.row]


class WiresharkComparison:
    """Counts over a capture that comes in parts."""

    def __init__(self) -> None:
        self.wireshark: Counter[Mark] = Counter()
        self.ours: Counter[Mark] = Counter()
        self.counts: Counter[Difference] = Counter()
        self.frames: defaultdict[Difference, list[int]] = defaultdict(list)
        """The first MOST_FRAMES of each."""

    def add(self, part: Compared) -> None:
        """Take note of a part."""
        for mark, rules in COUNTERPARTS.items():
            bits = np.uint32(sum(int(_BIT[rule]) for rule in rules))
            self.wireshark[mark] += int(np.count_nonzero(part.words & np.uint32(mark)))
            self.ours[mark] += int(np.count_nonzero(part.ours & bits))
        frame = part.evidence.table.frame
        for difference, rows in part.differences():
            self.counts[difference] += len(rows)
            first = np.sort(frame[rows])[:MOST_FRAMES].tolist()
            self.frames[difference] = sorted({*self.frames[difference], *first})[:MOST_FRAMES]

    def join(self, other: WiresharkComparison) -> None:
        """And what later parts showed."""
        self.wireshark.update(other.wireshark)
        self.ours.update(other.ours)
        self.counts.update(other.counts)
        for difference, frames in other.frames.items():
            self.frames[difference] = sorted({*self.frames[difference], *frames})[:MOST_FRAMES]


def spoken(word: int) -> list[str]:
    """Wireshark's fields without their prefix."""
    return [field.removeprefix("tcp.analysis.") for field in fields_of(word)]
