"""Which rows are copies: one segment that the capture, or the network, delivered more than once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.settings import SECOND, Settings

Ints = npt.NDArray[np.int64]

COPYING_SHARE = 0.2
"""From this share of copies among the segments that can be told apart, the capture itself copies."""

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
    where the capture evidently copies other segments.
    """
    columns = _columns(sent)
    mixed = _mix(columns)
    order = np.argsort(mixed, kind="stable")
    ordered = mixed[order]
    pairs = np.flatnonzero(ordered[1:] == ordered[:-1])
    earlier, later = order[pairs], order[pairs + 1]
    time = sent.packets["time_ns"]
    same = np.abs(time[sent.row[later]] - time[sent.row[earlier]]) <= _windows(sent, earlier, later, settings)
    for column in columns:
        same &= column[earlier] == column[later]
    copy = np.zeros(len(order), bool)
    copy[later[same]] = True
    first = np.arange(len(order))
    first[pairs[same] + 1] = 0
    original = np.full(len(order), -1)
    original[order] = order[np.maximum.accumulate(first)]
    named = (sent.packets["ip_id"][sent.row] != 0) & (sent.packets["ip_version"][sent.row] == 4)
    distinct = (sent.end > sent.seq) | named
    if copy.any() and copy[distinct].sum() < COPYING_SHARE * distinct.sum():
        copy &= distinct
    return np.where(copy, original, -1)


def _windows(sent: Sent, earlier: Ints, later: Ints, settings: Settings) -> Ints:
    """How close two equal rows must be to be copies: far less close where they were taken at two places."""
    packets, one, two = sent.packets, sent.row[earlier], sent.row[later]
    elsewhere = (packets["ttl"][one] != packets["ttl"][two]) | (packets["interface"][one] != packets["interface"][two])
    marked = (packets["ip_id"][two] != 0) | (packets["ts_val"][two] != 0)
    return np.where(elsewhere & marked, BETWEEN_TAPS_NS, settings.copy_window_ns)


def _columns(sent: Sent) -> list[Ints]:
    packets, row = sent.packets, sent.row
    flags = packets["flags"][row].astype(np.int64) & ~int(Flag.CWR | Flag.ECE)
    fields = ("window", "checksum", "ip_id", "ts_val", "ts_ecr")
    return [sent.flow, sent.seq, sent.end, sent.ack, flags, *(packets[name][row].astype(np.int64) for name in fields)]


def _mix(columns: list[Ints]) -> npt.NDArray[np.uint64]:
    """One 64-bit number of several columns; unequal rows may share one."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ column.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(31)
    return mixed
