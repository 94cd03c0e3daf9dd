"""The packet table -> a word a row: array passes for the plain conversations, the walk for the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable, RowNote
from pcapreport.findings.wireshark.conversations import Bools, Conversations, conversations_of
from pcapreport.findings.wireshark.marks import Mark
from pcapreport.findings.wireshark.passes import plain_words
from pcapreport.findings.wireshark.walk import Segment, walk

Words = npt.NDArray[np.uint32]


def analysis(packets: PacketTable) -> Words:
    """(n,) for each row the bits of Mark, and above them the number of a duplicate ACK (`duplicate_ack_number`).

    An 802.11 aggregate has a row a segment; Wireshark shows the fields of all of them on one frame.
    """
    words = np.zeros(len(packets), np.uint32)
    if not len(packets):
        return words
    conversations = conversations_of(packets)
    ordered, odd = plain_words(packets, conversations)
    odd[conversations.undivided] = True
    walked = np.repeat(odd, np.diff(conversations.bounds))
    segments = _segments(packets, conversations, walked)
    sizes = np.diff(conversations.bounds)[odd].tolist()
    ordered[walked] = [word for size in sizes for word in walk(islice(segments, size))]
    ordered[conversations.bounds[conversations.begun]] |= np.uint32(Mark.REUSED_PORTS)
    words[conversations.order] = ordered
    return words


def _segments(packets: PacketTable, conversations: Conversations, which: Bools) -> Iterator[Segment]:
    """These rows of `conversations.order`."""
    rows = conversations.order[which]
    names = ("seq", "ack", "flags", "payload_len", "window", "window_scale", "mptcp")
    columns = [packets["time_ns"][rows].tolist(), conversations.side[which].tolist()]
    columns += [packets[name][rows].tolist() for name in names]
    columns.append(((packets["notes"][rows] & np.uint8(RowNote.BAD_DATA_OFFSET)) == 0).tolist())
    return map(Segment, *columns)
