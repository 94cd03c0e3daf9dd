"""One 4-tuple on several encapsulation paths: one connection, or several that share their addresses.

Private addresses come again in every VNI, VLAN and VRF, so the same 4-tuple on two paths may be two connections. But
one connection has several paths where its directions are routed differently, where it is captured twice (tagged and
untagged, inside and outside of a tunnel), and where it is moved to another VLAN or label midway. The path alone cannot
tell; the numbers can, since initial sequence numbers are random (RFC 9293 section 3.4.1).

The rule: a segment says of both byte streams how far they are, of its sender's by its sequence number, of the
other's by its acknowledgment number. Two paths of a 4-tuple belong together if each has a segment of which both
numbers belong to the same run, a run being numbers of one stream that follow each other closely on any of the paths.
Copies, answers and continued numbers all agree like that; what has nothing to do with each other does so by chance once
in a hundred thousand 4-tuples. A path that tells of one stream only (nothing but SYNs, or resets without ACK) is judged
by that. What is not linked, be it over others, is parted. Time has no say, since clocks differ between taps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable
from pcapreport.tcp.evidence import ACK
from pcapreport.tcp.sequence import MODULUS
from pcapreport.tcp.tuples import Grouping

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CONTINUES = 1 << 22
"""Numbers of two paths closer than this (4 MiB) follow each other: few windows, and few gaps of a move, are wider.

The more paths there are, the closer they must be, so that chance stays the same.
"""


def part_by_path(packets: PacketTable, groups: Grouping, lower: Bools) -> Grouping:
    """Groups of one 4-tuple, but those on unlinked paths each a group of its own.

    `lower`: per row of the packet table, which end sent it. Costs two looks at a column where no 4-tuple has several
    paths, and a few sorts of their rows where some have.
    """
    at, group = _on_several_paths(packets, groups)
    if not len(at):
        return groups
    rows = groups.order[at]
    strand, path_of = _strands(group, packets["encapsulation"][rows])
    close = 2 * CONTINUES // np.bincount(path_of >> 16)[group]
    linked = _linked(strand, *_evidence(packets, rows, group * 2 + lower[rows], close, strand))
    first = np.full(len(path_of), len(at), np.int64)
    np.minimum.at(first, linked[strand], np.arange(len(at)))
    part = first[linked[strand]]  # the same for rows that stay together, ascending with their first row
    arranged = np.lexsort([part, group])
    groups.order[at] = rows[arranged]
    begins = at[np.diff(part[arranged], prepend=-1) != 0]
    return Grouping(groups.order, np.union1d(groups.bounds, begins))


def _on_several_paths(packets: PacketTable, groups: Grouping) -> tuple[Ints, Ints]:
    """(places in `groups.order` of the rows of groups with several paths, their groups)."""
    nothing = np.empty(0, np.int64)
    if len(packets.encapsulations) < 2:
        return nothing, nothing
    path = packets["encapsulation"][groups.order]
    changes = np.flatnonzero(path[1:] != path[:-1]) + 1
    group = np.searchsorted(groups.bounds, changes, side="right") - 1
    several = np.unique(group[groups.bounds[group] != changes])
    sizes = np.diff(groups.bounds)[several]
    behind = np.cumsum(sizes)
    at = np.repeat(groups.bounds[several] - behind + sizes, sizes) + np.arange(sizes.sum())
    return at, np.repeat(several, sizes)


def _strands(group: Ints, path: npt.NDArray[np.uint16]) -> tuple[Ints, Ints]:
    """(per row the number of its strand, which is what of one group is on one path; per strand its key)."""
    keys, strand = np.unique(group << 16 | path, return_inverse=True)
    return strand.reshape(-1), keys


def _evidence(packets: PacketTable, rows: Ints, own: Ints, close: Ints, strand: Ints) -> tuple[Ints, Ints]:
    """(strands, what each of them shows): strands that show the same belong together.

    A segment with ACK shows a pair of runs. Of a strand without any, a segment shows the first pair its run is in.
    Per row: `own`, the stream that it is a segment of (the other one is own ^ 1); `close`, how near its numbers count.
    """
    acks = np.flatnonzero(packets["flags"][rows] & ACK != 0)
    numbers = np.concatenate([packets["seq"][rows], packets["ack"][rows[acks]]]).astype(np.int64)
    both = _runs(np.concatenate([own, own[acks] ^ 1]), numbers, np.concatenate([close, close[acks]]))
    sent, told = np.split(both, [len(rows)])
    first_stream = own[acks] & 1 == 0
    runs = np.where(first_stream, sent[acks], told), np.where(first_stream, told, sent[acks])
    pair = runs[0] * len(numbers) + runs[1]
    complete = np.zeros(len(strand), bool)
    complete[strand[acks]] = True
    lone = np.flatnonzero(~complete[strand])
    pair_of = np.full(len(numbers), -1, np.int64)
    for run in runs:
        pair_of[run[::-1]] = pair[::-1]
    first = pair_of[sent[lone]]
    shown = np.where(first >= 0, first, -1 - sent[lone])
    return np.concatenate([strand[acks], strand[lone]]), np.concatenate([pair, shown])


def _runs(stream: Ints, number: Ints, close: Ints) -> Ints:
    """Per row the run of its stream that its number belongs to, on the circle; closer than `close` is the same run."""
    order = np.argsort(stream * MODULUS + number)
    streams, numbers, close = stream[order], number[order], close[order]
    begins = np.diff(streams, prepend=-1) != 0
    parted = begins.copy()
    parted[1:] |= np.diff(numbers) >= close[1:]
    run = np.cumsum(parted) - 1
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(order)) - 1
    over_the_wrap = numbers[first] + MODULUS - numbers[last] < close[first]
    same = np.arange(len(order))
    same[run[last[over_the_wrap]]] = run[first[over_the_wrap]]
    found = np.empty(len(order), np.int64)
    found[order] = same[run]
    return found


def _linked(strand: Ints, strands: Ints, shown: Ints) -> Ints:
    """Per strand the least strand that it is linked to, directly or over others."""
    _, shown = np.unique(shown, return_inverse=True)
    shown = shown.reshape(-1)
    label = np.arange(int(strand.max()) + 1)
    while True:
        least = np.full(len(shown), len(label), np.int64)
        np.minimum.at(least, shown, label[strands])
        found = label.copy()
        np.minimum.at(found, label[strands], least[shown])
        while (found[found] != found).any():
            found = found[found]
        found = found[label]
        if (found == label).all():
            return label
        label = found
