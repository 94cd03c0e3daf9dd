"""Rows that stand in the capture in an order that no network could have made, put right.

Several taps, interfaces or queues of a network card merged into one file can leave an answer before what it answers:
an ACK before the data, a SYN-ACK before the SYN. No network does that. Each direction for itself stays as it was
captured, since a network does change the order within one (RFC 5236), and the inference wants to see that; only how the
two directions interleave is mended: an answer goes right behind the segment that it acknowledges, if that follows
shortly. Where the stamps of the frames say that the file's order is wrong (they step back), the order of time is taken
if it contradicts causality less.

A late segment is not the cause if it was sent again after the capture had missed the first one. A moment later it
cannot have been; beyond that its timestamp must have been echoed by the answer (RFC 7323 section 4).

Frames keep their numbers and times. A capture in good order costs one comparison of neighboring rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, Option, PacketTable
from pcapreport.settings import MILLISECOND, Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.tuples import Grouping

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SOON_NS = MILLISECOND
"""No sender sends again so soon what is about to be acknowledged; queues and taps of one host differ by less."""

MOST_ANSWERS = 16
"""Rows in front of a SYN among which those that answer it are looked for."""

_SYN, _ACK, _RST = int(Flag.SYN), int(Flag.ACK), int(Flag.RST)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of whole connections, one behind the other; n each, relative numbers as in the ConnectionTable."""

    connection: Ints
    """Ascending."""
    row: Ints
    """Index into the packet table."""
    time_ns: Ints
    flags: npt.NDArray[np.uint16]
    side: npt.NDArray[np.uint8]
    seq: Ints
    end: Ints
    ack: Ints

    def at(self, positions: Ints) -> Rows:
        """These of the rows."""
        return Rows(*(getattr(self, column.name)[positions] for column in fields(self)))


def put_right(rows: Rows, packets: PacketTable, settings: Settings) -> Ints | None:
    """The order (n,) in which the rows must have happened; None if that is the one they are in."""
    suspects = _suspects(rows)
    if not len(suspects):
        return None
    order = np.arange(len(rows.row))
    suspected = np.zeros(int(rows.connection[-1]) + 1, bool)
    suspected[suspects] = True
    at = np.flatnonzero(suspected[rows.connection])
    found = _by_time(rows.at(at))
    found = found[_by_cause(rows.at(at[found]), packets, settings)]
    order[at] = at[found]
    return order if np.any(found[1:] < found[:-1]) else None


def behind_later(row: Ints, connection: Ints) -> Ints:
    """Positions of the rows that stand behind ones of their connection which the file has after them."""
    if not ((row[1:] < row[:-1]) & (connection[1:] == connection[:-1])).any():
        return np.empty(0, np.int64)
    lifted = row + connection * (int(row.max()) + 1)
    return np.flatnonzero(lifted < np.maximum.accumulate(lifted))


def openers_first(packets: PacketTable, groups: Grouping, lower: Bools) -> Grouping:
    """The rows of each 4-tuple with a SYN in front of what answered it, where that stands just before it.

    This comes first of all, since a SYN parts one connection of a 4-tuple from the next.
    """
    order = groups.order
    syns = np.flatnonzero((packets["flags"][order] & (_SYN | _ACK)) == _SYN)
    start = groups.bounds[np.searchsorted(groups.bounds, syns, side="right") - 1]
    syns, first = syns[syns > start], start[syns > start]
    before = syns.copy()
    for _ in range(MOST_ANSWERS):
        goes_on = before > first
        goes_on[goes_on] = _answers(packets, order[before[goes_on] - 1], order[syns[goes_on]], lower)
        if not goes_on.any():
            break
        before[goes_on] -= 1
    late = before < syns
    if late.any():
        late &= np.isin(syns, _first_copies(packets, groups, lower))
    if not late.any():
        return groups
    place = 2 * np.arange(len(order))
    place[syns[late]] = 2 * before[late] - 1
    return Grouping(order[np.argsort(place, kind="stable")], groups.bounds)


def _answers(packets: PacketTable, answers: Ints, syns: Ints, lower: Bools) -> Bools:
    """Which of these rows acknowledge, to the other end, the SYN of the same place, and passed about when it did."""
    acked = packets["ack"][answers] - packets["seq"][syns] - np.uint32(1)
    fits = (acked <= packets["payload_len"][syns]) & (packets["flags"][answers] & _ACK != 0)
    fits &= np.abs(packets["time_ns"][syns] - packets["time_ns"][answers]) <= SOON_NS
    return np.asarray(fits & (lower[answers] != lower[syns]))


def _first_copies(packets: PacketTable, groups: Grouping, lower: Bools) -> Ints:
    """Places of the SYNs that stand before all with the same number of the same end: no copies, nor sent again."""
    order = groups.order
    places = np.flatnonzero(packets["flags"][order] & _SYN != 0)
    flow = np.searchsorted(groups.bounds, places, side="right") * 2 + lower[order[places]]
    _, first = np.unique(flow << 32 | packets["seq"][order[places]].astype(np.int64), return_index=True)
    return np.asarray(places[first])


def _suspects(rows: Rows) -> Ints:
    """Connections in which time steps back, or an acknowledgment is followed by what its sender had already had.

    If an answer stands before its cause, then so does the last row of its side before that cause; and behind this one
    comes a row of the other side with a number below what it acknowledges.
    """
    wrong = (rows.seq[1:] < rows.ack[:-1]) & (rows.side[1:] != rows.side[:-1])
    wrong |= rows.time_ns[1:] < rows.time_ns[:-1]
    at = np.flatnonzero(wrong)
    at = at[rows.connection[at] == rows.connection[at + 1]]
    back = rows.time_ns[at + 1] < rows.time_ns[at]
    found = at[back | (rows.flags[at] & _ACK != 0)]
    return np.unique(rows.connection[np.concatenate([found, _before_the_third_segment(rows)[0]])])


def _by_time(rows: Rows) -> Ints:
    """The order of time for the connections that contradict themselves less in it, for the others as they are.

    Where both contradict themselves as little, steps back as small as those between queues are taken for such.
    """
    stay = np.arange(len(rows.row))
    by_time = np.lexsort((stay, rows.time_ns, rows.connection))
    if (by_time == stay).all():
        return stay
    (early, back), in_file = _disorder(rows.at(by_time)), np.add(*_disorder(rows))
    steps = (rows.time_ns[:-1] - rows.time_ns[1:]) * (rows.connection[1:] == rows.connection[:-1])
    clock_set = np.bincount(rows.connection[1:][steps > SOON_NS], minlength=len(early)) > 0
    better = (early + back < in_file) | (early + back == in_file) & (early == 0) & ~clock_set
    return np.where(better[rows.connection], by_time, stay)


def _disorder(rows: Rows) -> tuple[Ints, Ints]:
    """Per connection: (how many answers stand before their cause, how often a sender's numbers go back)."""
    count = int(rows.connection.max(initial=-1)) + 1
    answers, _ = _before_their_cause(rows)
    flow = rows.connection * 2 + rows.side
    order = np.argsort(flow, kind="stable")
    back = (rows.seq[order[1:]] < rows.seq[order[:-1]]) & (flow[order[1:]] == flow[order[:-1]])
    early, backwards = (np.bincount(rows.connection[at], minlength=count) for at in (answers, order[1:][back]))
    return early, backwards


def _by_cause(rows: Rows, packets: PacketTable, settings: Settings) -> Ints:
    """The order with each answer, and what its side sent after it, behind what it acknowledges."""
    stay = np.arange(len(rows.row))
    answers, causes = _before_their_cause(rows)
    sound = _can_have_caused(rows, causes, answers, packets, settings)
    answers, causes = answers[sound], causes[sound]
    if not len(answers):
        return stay
    place = 2 * stay
    place[answers] = 2 * causes + 1
    flow = rows.connection * 2 + rows.side
    by_flow = np.argsort(flow, kind="stable")
    step = 2 * len(stay) + 2
    place[by_flow] = np.maximum.accumulate(place[by_flow] + flow[by_flow] * step) - flow[by_flow] * step
    order = np.argsort(place, kind="stable")
    better: Bools = np.add(*_disorder(rows.at(order))) < np.add(*_disorder(rows))
    return np.where(better[rows.connection], order, stay)


def _before_their_cause(rows: Rows) -> tuple[Ints, Ints]:
    """(rows that acknowledge what only later rows bring, the first of these for each)."""
    flow = rows.connection * 2 + rows.side
    brings = np.flatnonzero((rows.flags & _RST == 0) & (rows.end > rows.seq))
    brings = brings[np.argsort(flow[brings], kind="stable")]
    answers = np.flatnonzero(rows.flags & _ACK != 0)
    if not len(brings):
        return answers[:0], answers[:0]
    low = min(int(rows.end.min()), int(rows.ack.min()))
    step = max(int(rows.end.max()), int(rows.ack.max())) - low + 2
    reached = np.maximum.accumulate(rows.end[brings] - low + 1 + flow[brings] * step)
    wanted = rows.ack[answers] - low + 1 + (flow[answers] ^ 1) * step
    found = np.searchsorted(reached, wanted)
    answers, found = answers[found < len(brings)], found[found < len(brings)]
    causes = brings[found]
    late = (flow[causes] == flow[answers] ^ 1) & (causes > answers) & (rows.seq[causes] < rows.ack[answers])
    spoken, allowed = _before_the_third_segment(rows)
    return np.concatenate([answers[late], spoken]), np.concatenate([causes[late], allowed])


def _before_the_third_segment(rows: Rows) -> tuple[Ints, Ints]:
    """(data right behind a SYN-ACK, the third segment, without which a listener sends none, shortly behind it).

    After a SYN with data it may (RFC 7413); there the SYN-ACK acknowledges more than the SYN.
    """
    both = _SYN | _ACK
    syn_acks = np.flatnonzero(((rows.flags & both) == both) & (rows.ack == 1))
    syn_acks = syn_acks[syn_acks + 2 < len(rows.row)]
    spoken = syn_acks + 1
    same = (rows.connection[spoken] == rows.connection[syn_acks]) & (rows.side[spoken] == rows.side[syn_acks])
    spoken = spoken[same & (rows.flags[spoken] & (_SYN | _RST) == 0) & (rows.end[spoken] > rows.seq[spoken])]
    third = spoken + 1
    for _ in range(MOST_ANSWERS):
        goes_on = (rows.side[third] == rows.side[spoken]) & (third + 1 < len(rows.row))
        third = third + goes_on
    found = (rows.connection[third] == rows.connection[spoken]) & (rows.side[third] != rows.side[spoken])
    found &= ((rows.flags[third] & (both | _RST)) == _ACK) & (rows.ack[third] == 1)
    found &= np.abs(rows.time_ns[third] - rows.time_ns[spoken]) <= SOON_NS
    return spoken[found], third[found]


def _can_have_caused(rows: Rows, causes: Ints, answers: Ints, packets: PacketTable, settings: Settings) -> Bools:
    """Whether each cause follows so closely, or so evidently came first, that it is the one which was answered."""
    apart = np.abs(rows.time_ns[causes] - rows.time_ns[answers])
    cause, answer = rows.row[causes], rows.row[answers]
    options = packets["options"]
    stamped = (options[cause] & options[answer] & int(Option.TIMESTAMP)) != 0
    echo = sequence.distances(packets["ts_ecr"][answer], packets["ts_val"][cause])
    echoed = stamped & (rows.flags[answers] & _ACK != 0) & (echo >= 0)
    return np.asarray((apart <= SOON_NS) | echoed & (apart <= settings.jitter_ns))
