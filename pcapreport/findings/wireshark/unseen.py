"""Acknowledgments of what was not captured, and the counts of duplicate ACKs that they take part in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapreport.findings.wireshark.conversations import Bools, Ints
from pcapreport.findings.wireshark.rows import ACK, Numbers, Rows

NEAR = 16
"""Rows behind each hole to look at for all holes at once; what closes one is seldom further away."""
FIRST_LOOK = 64
"""Rows to look at from there on, and four times as many each time nothing was found."""


def below(earlier: Numbers, later: Numbers) -> Bools:
    """Which come before on the circle, or are half of it away."""
    before: Bools = (earlier - later).view(np.int32) < 0
    return before


def holes_of(rows: Rows) -> Ints:
    """The rows that set a new highest end without beginning at the one before."""
    opening = rows.advances & (rows.seq != rows.next) & (rows.next != 0)
    return np.flatnonzero(opening & (rows.own >= 0))


def beyond_all(rows: Rows) -> Ints:
    """The rows that acknowledge more than the highest end of the other side."""
    return np.flatnonzero(below(rows.peer_next, rows.ack) & (rows.peer_next != 0) & rows.has(ACK))


def closings(rows: Rows, bounds: Ints, holes: Ints) -> Ints:
    """The rows whose acknowledgment closes a hole.

    A segment that begins where the hole begins closes it as well; what leaves gaps meanwhile opens no other one.
    """
    stops = bounds[rows.conversation[holes] + 1]
    near = _closing_near(rows, holes, stops)
    closed_until: dict[int, int] = {}
    found = []
    flows = rows.conversation[holes] * 2 + rows.side[holes]
    for hole, (row, flow, until) in enumerate(zip(holes.tolist(), flows.tolist(), near.tolist(), strict=True)):
        if row > closed_until.get(flow, -1):
            stop = int(stops[hole])
            if until < 0:
                until = _closing_far(rows, holes[hole : hole + 1], stop)
            closed_until[flow] = until
            if until < stop and rows.side[until] != rows.side[row]:
                found.append(until)
    return np.array(sorted(found), np.int64)


def _closing_near(rows: Rows, holes: Ints, stops: Ints) -> Ints:
    """Per hole the first row behind it that fills it or acknowledges beyond it; -1 if that is not near."""
    closing = np.where(holes + NEAR < stops, -1, stops)
    left = np.arange(len(holes))
    for step in range(1, NEAR + 1):
        at = holes[left] + step
        inside = at < stops[left]
        left, at = left[inside], at[inside]
        closes = _closes(rows, holes[left], at)
        closing[left[closes]] = at[closes]
        left = left[~closes]
    return closing


def _closing_far(rows: Rows, hole: Ints, stop: int) -> int:
    at, look = int(hole[0]) + NEAR + 1, FIRST_LOOK
    while at < stop:
        closes = _closes(rows, hole, np.arange(at, min(at + look, stop)))
        if closes.any():
            return at + int(np.argmax(closes))
        at, look = at + look, look * 4
    return stop


def _closes(rows: Rows, holes: Ints, at: Ints) -> Bools:
    covered = rows.next[holes]
    acknowledged = ((rows.flags[at] & ACK) != 0) & below(covered, rows.ack[at])
    closes: Bools = np.where(rows.side[at] == rows.side[holes], rows.seq[at] == covered, acknowledged)
    return closes


class Counts(NamedTuple):
    """Where the count of duplicate ACKs of each side changes: rows in ascending order."""

    starts: Ints
    """(n,) first row of each row's conversation."""
    news: tuple[Ints, Ints]
    """It acknowledged another number than before."""
    duplicates: tuple[Ints, Ints]
    said: tuple[Ints, Ints]
    """The other side acknowledged more than it had sent."""

    @classmethod
    def of(cls, rows: Rows, duplicates: Ints, said: Ints) -> Counts:
        """`duplicates`: rows that are duplicate ACKs; `said`: rows that acknowledge more than the highest end."""
        last_ack = np.where(rows.own >= 0, rows.ack[rows.own], 0)
        news = rows.ack != last_ack
        return cls(
            rows.start,
            (np.flatnonzero(news & (rows.side == 0)), np.flatnonzero(news & (rows.side == 1))),
            (duplicates[rows.side[duplicates] == 0], duplicates[rows.side[duplicates] == 1]),
            (said[rows.side[said] == 1], said[rows.side[said] == 0]),
        )

    def before(self, at: Ints, side: int, and_at: bool = False) -> Ints:
        """The count of this side in front of each of these rows (with `and_at` behind what the row has said of it);
        -1 where the last thing was that the other side acknowledged more."""
        floor = self.starts[at] - 1
        renewed = np.maximum(_last(self.news[side], at), floor)
        said = _last(self.said[side], at + and_at)
        since = np.maximum(renewed, said)
        count = np.searchsorted(self.duplicates[side], at) - np.searchsorted(self.duplicates[side], since, "right")
        return np.where((count == 0) & (said > renewed), -1, count)


def _last(rows: Ints, at: Ints) -> Ints:
    """The last of `rows` in front of each of `at`, or -1."""
    return np.append(-1, rows)[np.searchsorted(rows, at)]


def acknowledged_unseen(counts: Counts, closing: Ints) -> Ints:
    """The rows that Wireshark says acknowledge an unseen segment."""
    silent = [said[counts.before(said, side) == 0] for side, said in enumerate(counts.said)]
    return np.concatenate([closing, *silent])
