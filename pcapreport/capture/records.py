"""Files of plain records, each a header with the length of what follows: classic pcap and snoop share this walk."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pcapreport.capture import recovery, stretches
from pcapreport.capture.container import BLOCK_BYTES, BLOCK_RECORDS, Damage, Findings, RecordBlock, number_frames
from pcapreport.capture.gather import Buffer, Gather, Ints
from pcapreport.language import phrase

SECOND = 1_000_000_000
_RECENT = 1_000
"""Records whose times say what time it is."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the records of this file are written."""

    header: np.dtype[np.void]
    """Record header; has fields sec, fraction, cap and wire, and "size" where the record says its whole length."""
    length_at: int
    """Where in the header the number stands that leads to the next record."""
    extra: int
    """What is to be added to that number: the header, where it is not counted."""
    most: int
    """Captured length above which a record is damage."""
    scale: int
    """Nanoseconds in a unit of the time's fraction."""
    order: str
    swapped_at: int | None = None
    """Where the other of two lengths stands of which the smaller one was captured; None: they are never swapped."""

    @property
    def head(self) -> int:
        """Bytes from the start of a record to its packet."""
        return self.header.itemsize

    @property
    def longest(self) -> int:
        """Largest sound value of the number that leads to the next record."""
        return self.most if self.extra else self.most + self.head + 3

    @property
    def shortest(self) -> int:
        """Smallest value of that number which is sound for certain; a record without bytes is looked at twice."""
        return 1 if self.extra else self.head

    def lengths(self, gather: Gather, positions: Ints) -> Ints:
        """The number that leads to the next record, of records at positions (n,)."""
        numbers = gather.numbers(self.order + "u4", positions + self.length_at)
        if self.swapped_at is not None:
            numbers = np.minimum(numbers, gather.numbers(self.order + "u4", positions + self.swapped_at))
        return numbers

    def reader(self) -> Callable[[Buffer, int], tuple[int, ...]]:
        """Function of buffer and position of a record: (the number that leads to the next record,)."""
        if self.swapped_at is None:
            at = self.length_at
            unpack = struct.Struct(self.order + f"{at}xI").unpack_from
            return unpack
        both = struct.Struct(self.order + f"{min(self.length_at, self.swapped_at)}xII").unpack_from
        return lambda buffer, position: (min(both(buffer, position)),)


def walk(buffer: Buffer, found: Findings, layout: Layout, start: int) -> Iterator[RecordBlock]:
    """Blocks of records from `start` on; what is damaged goes to `found` and is stepped over where that is safe."""
    gather = Gather(buffer)
    position, size, last_s, many_from = start, len(buffer), None, start
    while position < size:
        begun, positions, fault = position, stretches.NONE, None
        if begun >= many_from:
            positions, position = stretches.follow(gather, begun, layout)
            if position - begun < stretches.STRETCH // 8:
                many_from = begun + stretches.STRETCH  # it costs the whole stretch, however little comes out of it
        if position < begun + stretches.STRETCH:
            offsets, position, fault = _chase(buffer, position, layout)
            positions = np.concatenate([positions, np.array(offsets, np.int64)])
        for first in range(0, len(positions), BLOCK_RECORDS):
            block = _records(gather, positions[first : first + BLOCK_RECORDS], layout, found)
            # A record or two right before a damage may be misread already, the middle of many is not.
            last_s = int(np.median(block.time_ns[-_RECENT:])) // SECOND
            yield block
        if fault:
            if last_s is None and fault.code == "record_cut":  # at least its header is there, with the time
                last_s = int(gather.headers(layout.header, np.array([position]))["sec"][0])
            resumed = recovery.next_record(gather, position, layout, last_s, fault.code != "absurd_length")
            if not found.damage(fault, position, resumed, size) or resumed is None:
                return
            position = resumed


def _chase(buffer: Buffer, position: int, layout: Layout) -> tuple[list[int], int, Damage | None]:
    """Follow the lengths over up to BLOCK_RECORDS records, or BLOCK_BYTES.

    Returns the positions of whole records, where reading stopped, and the damage there. The loop is the only Python of
    the common path that runs once a record: it reads one number and nothing else, and long stretches do without it.
    """
    offsets: list[int] = []
    append, read = offsets.append, layout.reader()
    header, extra, most, least = layout.head, layout.extra, layout.longest, layout.shortest
    size = len(buffer)
    last = size - header
    enough = min(last, position + BLOCK_BYTES)
    for _ in range(BLOCK_RECORDS):
        if position > enough:
            break
        length = read(buffer, position)[0]
        if length > most or length < least:
            fault = _absurd(length, buffer, position, layout)
            if fault:
                return offsets, position, fault
        append(position)
        position += extra + length
    if position > size:
        lacking, position = position - size, offsets.pop()
        message = phrase("the last record lacks {lacking} bytes; it is not counted", lacking=lacking)
        return offsets, position, Damage("record_cut", message)
    if last < position < size:
        message = phrase("{there} of {whole} bytes of a record header", there=size - position, whole=header)
        return offsets, position, Damage("record_header_cut", message)
    return offsets, position, None


_ZEROED = 4
"""Record headers in a row that hold nothing but zeros where a file was not written: real ones have a time."""


def _absurd(length: int, buffer: Buffer, position: int, layout: Layout) -> Damage | None:
    """What is wrong with a record of such a length; None if it merely holds no bytes."""
    if not length and layout.extra:
        if any(buffer[position : position + _ZEROED * layout.head]):
            return None
        return Damage("zeros", phrase("zeros stand where a record should, as after a crash or on a full disk"))
    if length <= layout.longest:
        form, bound = phrase("record claims {length} bytes in all, under {bound}"), layout.head
    elif layout.extra:
        form, bound = phrase("record claims {length} captured bytes, over {bound}"), layout.longest
    else:
        form, bound = phrase("record claims {length} bytes in all, over {bound}"), layout.longest
    return Damage("absurd_length", phrase(str(form), length=length, bound=bound))


def _records(gather: Gather, offsets: Ints, layout: Layout, found: Findings) -> RecordBlock:
    headers = gather.headers(layout.header, offsets)
    fraction = headers["fraction"].astype(np.int64) * layout.scale
    cap_len, wire_len = (headers[name].astype(np.int64) for name in ("cap", "wire"))
    if layout.swapped_at is not None:
        cap_len, wire_len = np.minimum(cap_len, wire_len), np.maximum(cap_len, wire_len)
    frame = number_frames(found, len(offsets))
    if not layout.extra:
        room = headers["size"].astype(np.int64) - layout.head
        overrun = phrase("more bytes captured than their record holds")
        found.oddity("captured_above_block", overrun, frame[cap_len > room])
        found.complete &= not bool((cap_len > room).any())
        cap_len = np.minimum(cap_len, room)
    late = phrase("time stamps whose fraction is a second or more")
    found.oddity("time_fraction_overflow", late, frame[fraction >= SECOND])
    above = phrase("more bytes captured than were on the wire")
    found.oddity("captured_above_wire", above, frame[cap_len > wire_len])
    if "drops" in (headers.dtype.names or ()):
        found.drops[0] = int(headers["drops"].max())
    return RecordBlock(
        frame=frame,
        offset=offsets + layout.head,
        cap_len=cap_len,
        wire_len=wire_len,
        time_ns=headers["sec"].astype(np.int64) * SECOND + fraction,
        interface=np.zeros(len(offsets), np.int64),
        fcs_len=np.full(len(offsets), found.interfaces[0].fcs_len, np.int64),
    )
