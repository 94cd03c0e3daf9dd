"""Wireshark's sequence analysis as array passes over all plain conversations at once.

The rules are those of `walk.py`. In a plain conversation each number that they keep of a direction has a closed form:
its last segment's, or a running maximum. Only what a peer may acknowledge beyond a hole needs a loop over the holes
(`unseen.py`). A conversation is plain if all that holds; for the others the words mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable
from pcapreport.findings.wireshark.conversations import Bools, Conversations, Ints
from pcapreport.findings.wireshark.handshakes import Handshakes, handshakes_of
from pcapreport.findings.wireshark.marks import Mark, numbered
from pcapreport.findings.wireshark.rows import FIN, RST, SYN, Numbers, Rows, rows_of
from pcapreport.findings.wireshark.unseen import Counts, acknowledged_unseen, below, beyond_all, closings, holes_of
from pcapreport.findings.wireshark.walk import (
    FAST_RETRANSMISSION_NS,
    MPTCP_SUBTYPES,
    REORDERING_NS,
    UNKNOWN_WINDOW,
)
from pcapreport.tcp import sequence

ONE = np.uint32(1)
QUARTER = np.uint32(sequence.QUARTER)


def plain_words(packets: PacketTable, conversations: Conversations) -> tuple[Numbers, Bools]:
    """(a word for each row of `conversations.order`; per conversation: it is not plain)."""
    rows, far = rows_of(packets, conversations)
    order, bounds = conversations.order, conversations.bounds
    handshakes = handshakes_of(rows, bounds, packets["window_scale"][order])
    words = np.zeros(len(order), np.uint32)
    far |= _as_sent(rows, handshakes, words)
    far |= (packets["mptcp"][order] & np.uint16(MPTCP_SUBTYPES)) != 0
    holes, beyond = holes_of(rows), beyond_all(rows)
    closing = closings(rows, bounds, holes)
    counts = Counts.of(
        rows,
        np.flatnonzero(words & np.uint32(Mark.DUPLICATE_ACK)),
        np.setdiff1d(beyond, closing, assume_unique=True),
    )
    _mark(words, acknowledged_unseen(counts, closing), Mark.ACK_LOST_SEGMENT)
    _number(counts, words)
    _sent_again(rows, handshakes, counts, words)
    odd = handshakes.odd
    for which in (np.flatnonzero(far), *_not_plain(rows, handshakes.repeated, holes, beyond)):
        odd[rows.conversation[which]] = True
    return words, odd


def _not_plain(rows: Rows, repeated: Ints, holes: Ints, beyond: Ints) -> Iterator[Ints]:
    """Rows behind which the numbers of a direction have no closed form, or may compare otherwise on the circle."""
    yield np.flatnonzero((rows.next == 0) & (rows.own >= 0) & ~rows.advances & (rows.end != 0))
    yield holes[rows.end[holes] - rows.next[holes] >= QUARTER]
    yield beyond[rows.ack[beyond] - rows.peer_next[beyond] >= QUARTER]
    last_hole = np.append(-1, holes)[np.searchsorted(holes, repeated)]
    yield repeated[last_hole >= rows.start[repeated]]  # such a SYN takes back the highest end


def _mark(words: Numbers, where: Bools | Ints, mark: Mark) -> None:
    words[where] |= np.uint32(mark)


def _as_sent(rows: Rows, handshakes: Handshakes, words: Numbers) -> Bools:
    """Mark what shows by comparing a segment with the one before it in either direction; returns the probes of a zero
    window, behind which the numbers of a direction have no closed form."""
    seq, window, plain = rows.seq, rows.window, ~rows.has(SYN | FIN | RST)
    last_window = _at_row(window, rows.own, UNKNOWN_WINDOW)
    probes: Bools = (rows.length == 1) & (seq == rows.next)
    probes &= _at_row(window, rows.peer, UNKNOWN_WINDOW) == 0
    _mark(words, (window == 0) & plain, Mark.ZERO_WINDOW)
    _mark(words, below(rows.next, seq) & (rows.next != 0) & ~rows.has(RST), Mark.LOST_SEGMENT)
    keep_alive = (seq == rows.next - ONE) & (rows.length < 2) & plain
    _mark(words, keep_alive, Mark.KEEP_ALIVE)
    repeats = (seq == rows.next) & (rows.ack == _at_row(rows.ack, rows.own, 0))
    repeats &= (rows.length == 0) & plain & (window != 0)
    at = np.flatnonzero(repeats)
    same = window[at] == last_window[at]
    answers = keep_alive[rows.peer[at]] & (rows.peer[at] >= 0)
    _mark(words, at[~same], Mark.WINDOW_UPDATE)
    _mark(words, at[same & answers], Mark.KEEP_ALIVE_ACK)
    _mark(words, at[same & ~answers], Mark.DUPLICATE_ACK)
    _mark(words, _fills_window(rows, handshakes, plain), Mark.WINDOW_FULL)
    return probes


def _at_row(column: npt.NDArray[np.uint32], row: Ints, unknown: int) -> Numbers:
    """The column at these rows; `unknown` where there is none."""
    return np.append(column, np.uint32(unknown))[row]


def _fills_window(rows: Rows, handshakes: Handshakes, plain: Bools) -> Ints:
    """Segments that end exactly where the window of the peer's last one ends."""
    data = np.flatnonzero((rows.length != 0) & plain)
    peer = rows.peer[data]
    of, other = rows.conversation[data], 1 - rows.side[data]
    scale = handshakes.scale[of, other]
    scale[(peer >= 0) & rows.has(SYN)[peer]] = 0
    edge = _at_row(rows.ack, peer, 0) + (_at_row(rows.window, peer, UNKNOWN_WINDOW) << scale)
    filling: Ints = data[(rows.end[data] == edge) & handshakes.told[of, other]]
    return filling


def _number(counts: Counts, words: Numbers) -> None:
    """Number the duplicate ACKs."""
    for side, own in enumerate(counts.duplicates):
        words[own] |= numbered(np.maximum(counts.before(own, side), 0) + 1)


def _sent_again(rows: Rows, handshakes: Handshakes, counts: Counts, words: Numbers) -> None:
    """Mark what kind of repetition a segment is that takes up sequence numbers."""
    acked = _at_row(rows.ack, rows.peer, 0)
    spurious = (acked != 0) & (rows.length != 0) & ~below(acked, rows.end)
    old = below(rows.seq, rows.next) & (rows.next != 0)
    at = np.flatnonzero((spurious | old) & ((rows.end != rows.seq) & (words & np.uint32(Mark.KEEP_ALIVE) == 0)))
    _mark(words, at[spurious[at]], Mark.SPURIOUS_RETRANSMISSION | Mark.RETRANSMISSION)
    at = at[~spurious[at]]
    at = at[(rows.length[at] <= 1) | (rows.seq[at] != rows.next[at] - ONE)]
    fast = _asked_for(rows, counts, at, acked)
    _mark(words, at[fast], Mark.FAST_RETRANSMISSION | Mark.RETRANSMISSION)
    at = at[~fast]
    late = _overtaken(rows, handshakes, at)
    _mark(words, at[late], Mark.OUT_OF_ORDER)
    _mark(words, at[~late], Mark.RETRANSMISSION)


def _asked_for(rows: Rows, counts: Counts, at: Ints, acked: Numbers) -> Bools:
    """Which of these rows answer duplicate ACKs."""
    since_ns = rows.time_ns[at] - rows.time_ns[rows.peer[at]]
    asked: Bools = (acked[at] == rows.seq[at]) & (rows.peer[at] >= 0)
    asked &= (since_ns >= 0) & (since_ns < FAST_RETRANSMISSION_NS)
    for side in (0, 1):
        which = np.flatnonzero(asked & (rows.side[at] != side))
        count = counts.before(at[which], side, and_at=True)
        asked[which] = (count >= 2) | (count < 0)
    return asked


def _overtaken(rows: Rows, handshakes: Handshakes, at: Ints) -> Bools:
    """Which of these rows come soon behind the one that set the highest end, and end elsewhere."""
    before = rows.reached[rows.own[at]]
    setter = np.empty(len(at), np.int64)
    for side in (0, 1):
        of_side = rows.side[at] == side
        setter[of_side] = np.searchsorted(rows.highest[side], before[of_side])
    late_ns = rows.time_ns[at] - rows.time_ns[setter]
    of = rows.conversation[at]
    limit_ns = np.where(handshakes.opened[of] < at, handshakes.round_trip_ns[of], REORDERING_NS)
    soon: Bools = late_ns.view(np.uint64) < limit_ns.view(np.uint64)
    soon &= rows.end[at] != rows.next[at]
    return soon
