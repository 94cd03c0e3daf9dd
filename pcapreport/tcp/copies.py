"""Which rows are copies: one segment that the capture, or the network, delivered more than once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp import hashing

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COPYING_SHARE, COPYING_SELDOM, COPYING_LEAST = 0.2, 0.04, 2
"""From this share (the second if they come at once), and number, of copies among a connection's segments that can be
told apart, the capture copies."""

BETWEEN_TAPS_NS = SECOND
"""Longest way between two places where one capture was taken."""


class Sent(NamedTuple):
    """The rows to compare, n each: whose flow they belong to and what their sender put into them."""

    packets: PacketTable
    row: Ints
    """Index into `packets`."""
    flow: Ints
    """Equal for rows of one sender in one connection."""
    seq: Ints
    end: Ints
    ack: Ints


def originals(sent: Sent, settings: Settings) -> Ints:
    """Per row the position of the first row that it is a copy of, or -1.

    Copies are equal in every field that a sender changes from one transmission to the next, and close in time. An
    empty segment without an IP ID looks the same when it is sent again (a duplicate ACK), so it counts as a copy only
    where the capture evidently copies other segments of the connection.
    """
    found = np.full(len(sent.row), -1, np.int64)
    alike = _with_likes(sent)
    likes = Sent(sent.packets, *(column[alike] for column in sent[1:]))
    columns = _columns(likes)
    order, differs = hashing.sorted_by(hashing.mixed([column.view(np.uint64) for column in columns]))
    pairs = np.flatnonzero(~differs)
    earlier, later = order[pairs], order[pairs + 1]
    time = sent.packets["time_ns"]
    same = np.abs(time[likes.row[later]] - time[likes.row[earlier]]) <= _windows(likes, earlier, later, settings)
    for column in columns:
        same &= column[earlier] == column[later]
    first = np.arange(len(order))
    first[pairs[same] + 1] = 0
    original = np.empty(len(order), np.int64)
    original[order] = alike[order[np.maximum.accumulate(first)]]
    copies = later[same]
    if not len(copies):
        return found
    at = alike[copies]
    certain = _distinct(sent, at)
    if not certain.all():
        gaps = np.abs(time[sent.row[at]] - time[sent.row[original[copies]]])
        certain |= _in_copied_connections(sent, at, certain, gaps, settings)
    found[at[certain]] = original[copies[certain]]
    return found


def _in_copied_connections(sent: Sent, at: Ints, certain: Bools, gaps: Ints, settings: Settings) -> Bools:
    """Which of the copies at these rows belong to a connection of which others, the certain ones, show copying.

    Fewer of them show it if they follow what they copy as closely as no network does, for rows as close. `gaps`: ns.
    """
    connection = sent.flow >> 1
    copied = np.bincount(connection[at[certain]], minlength=int(connection.max()) + 1)
    total = np.bincount(connection[_distinct(sent, np.arange(len(connection)))], minlength=len(copied))
    widest = np.zeros(len(copied), np.int64)
    np.maximum.at(widest, connection[at[certain]], gaps[certain])
    several = copied >= COPYING_LEAST
    often, seldom = several & (copied >= COPYING_SHARE * total), several & (copied >= COPYING_SELDOM * total)
    seldom &= widest <= settings.beside_tap_ns
    of = connection[at]
    return np.asarray(often[of] | seldom[of] & (gaps <= widest[of]))


def _with_likes(sent: Sent) -> Ints:
    """The rows that may be equal to another: a quick look at the most telling fields leaves few to compare in full."""
    numbers = sent.flow << 32
    numbers ^= sent.seq
    others = sent.packets["checksum"][sent.row].astype(np.int64) << 48
    others ^= sent.packets["ip_id"][sent.row].astype(np.int64) << 32
    others ^= sent.ack
    order, differs = hashing.sorted_by(hashing.mixed([numbers.view(np.uint64), others.view(np.uint64)]))
    have = np.zeros(len(order), bool)
    same = np.flatnonzero(~differs)
    have[order[same]] = True
    have[order[same + 1]] = True
    return np.flatnonzero(have)


def _distinct(sent: Sent, at: Ints) -> Bools:
    """Which of these rows look different when sent again: with an IP ID, or not likely to be sent again at once (what
    selective ACKs say changes with each segment that arrives)."""
    packets, row = sent.packets, sent.row[at]
    occupies = (packets["payload_len"][row] > 0) | (packets["flags"][row] & int(Flag.SYN | Flag.FIN) != 0)
    occupies |= packets["sack"][row] >= 0
    distinct: Bools = occupies | ((packets["ip_id"][row] != 0) & (packets["ip_version"][row] == 4))
    return distinct


def _windows(sent: Sent, earlier: Ints, later: Ints, settings: Settings) -> Ints:
    """How close two equal rows must be to be copies: far less close where they were taken at two places."""
    packets, one, two = sent.packets, sent.row[earlier], sent.row[later]
    elsewhere = np.zeros(len(one), bool)
    for name in ("ttl", "interface", "encapsulation"):
        elsewhere |= packets[name][one] != packets[name][two]
    marked = (packets["ip_id"][two] != 0) | (packets["ts_val"][two] != 0)
    return np.where(elsewhere & marked, BETWEEN_TAPS_NS, settings.copy_window_ns)


def _columns(sent: Sent) -> list[Ints]:
    packets, row = sent.packets, sent.row
    flags = packets["flags"][row].astype(np.int64) & ~int(Flag.CWR | Flag.ECE)
    fields = ("window", "checksum", "ip_id", "ts_val", "ts_ecr")
    return [sent.flow, sent.seq, sent.end, sent.ack, flags, *(packets[name][row].astype(np.int64) for name in fields)]
