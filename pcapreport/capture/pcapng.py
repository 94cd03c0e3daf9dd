"""pcapng files: walk the blocks of all sections and interfaces.

Source: draft-ietf-opsawg-pcapng. A section may have either byte order; interface numbers start anew in each
section, here they run on over the whole file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pcapreport.capture.container import BLOCK_RECORDS, NO_INTERFACE, Damage, Findings, RecordBlock, number_frames
from pcapreport.capture.gather import Buffer, Gather, Ints
from pcapreport.capture.model import Interface
from pcapreport.capture.protocols import link_name

SECTION, INTERFACE, PACKET, SIMPLE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
_OTHER_BLOCKS = {NAMES: "name resolution", 10: "decryption secrets", 0xBAD: "custom", 0x4000_0BAD: "custom"}

BYTE_ORDER_MAGIC = 0x1A2B3C4D
SMALLEST_BLOCK = 12
SMALLEST_SECTION = 28
SMALLEST_INTERFACE = 20

OPT_END, OPT_COMMENT = 0, 1
SHB_HARDWARE, SHB_OS, SHB_APPLICATION = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_OS, IF_FCSLEN, IF_TSOFFSET = 2, 3, 9, 12, 13, 14
ISB_IFDROP, ISB_OSDROP = 5, 7

_MAX_SECONDS = 9_223_372_035
"""Whole seconds since the epoch that still fit 63 bits of nanoseconds (the year 2262)."""


def byte_order(start: bytes) -> str | None:
    """ "<" or ">" if these 12 bytes begin a Section Header Block, else None."""
    for order in "<>":
        if len(start) >= 12 and struct.unpack_from(order + "I4xI", start) == (SECTION, BYTE_ORDER_MAGIC):
            return order
    return None


@dataclass(frozen=True, slots=True)
class _Clock:
    """Time stamps of one interface: ticks of 10^-exponent or 2^-exponent seconds, and an offset in seconds."""

    exponent: int = 6
    binary: bool = False
    offset_s: int = 0

    @property
    def resolution(self) -> str:
        return f"2^-{self.exponent}" if self.binary else f"1e-{self.exponent}"

    def nanoseconds(self, ticks: npt.NDArray[np.uint64]) -> Ints:
        """Ticks (n,) -> ns since the epoch (n,), rounded down; clipped to what 63 bits hold."""
        if self.binary:
            seconds, fraction = self._split_binary(ticks)
        else:
            seconds, fraction = self._split_decimal(ticks)
        whole = np.minimum(seconds, np.uint64(_MAX_SECONDS)).astype(np.int64)
        offset = max(-_MAX_SECONDS, min(self.offset_s, _MAX_SECONDS))
        return np.clip(whole + offset, -_MAX_SECONDS, _MAX_SECONDS) * 1_000_000_000 + fraction.astype(np.int64)

    def _split_binary(self, ticks: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        if self.exponent > 63:
            return np.zeros_like(ticks), np.zeros_like(ticks)
        fraction = ticks & np.uint64((1 << self.exponent) - 1)
        # 10^9 * fraction must fit 64 bits, so of a finer clock only 34 bits of the fraction are used.
        kept = min(self.exponent, 34)
        fraction = (fraction >> np.uint64(self.exponent - kept)) * np.uint64(10**9) >> np.uint64(kept)
        return ticks >> np.uint64(self.exponent), fraction

    def _split_decimal(self, ticks: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        if self.exponent > 19:
            return np.zeros_like(ticks), np.zeros_like(ticks)
        seconds, fraction = np.divmod(ticks, np.uint64(10**self.exponent))
        if self.exponent <= 9:
            return seconds, fraction * np.uint64(10 ** (9 - self.exponent))
        return seconds, fraction // np.uint64(10 ** (self.exponent - 9))


@dataclass(slots=True)
class _Section:
    """State of one section; interfaces are numbered from `first`."""

    order: str
    first: int
    clocks: list[_Clock] = field(default_factory=list)


def walk(buffer: Buffer, found: Findings) -> Iterator[RecordBlock]:
    """Blocks of records up to the end or to the first damage, which goes to `found`.

    The buffer starts with a Section Header Block.
    """
    return _Walk(buffer, found).blocks()


class _Walk:
    """Reads section after section; `section` is the only thing that changes on the way, beside the findings."""

    def __init__(self, buffer: Buffer, found: Findings) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.found = found
        self.gather = Gather(buffer)
        found.order = byte_order(bytes(buffer[:12])) or "<"
        self.section = _Section(found.order, 0)
        self.last_time = 0

    def blocks(self) -> Iterator[RecordBlock]:
        position = 0
        try:
            while position < self.size:
                offsets, position, fault = self._chase(position)
                if offsets:
                    yield self._records(np.array(offsets, np.int64))
                if fault:
                    raise fault
                if position < self.size and len(offsets) < BLOCK_RECORDS:
                    position += self._describe(position)
        except Damage as damage:
            self.found.damage(damage, position)

    def _chase(self, position: int) -> tuple[list[int], int, Damage | None]:
        """Follow block lengths over up to BLOCK_RECORDS packet blocks.

        Returns their positions, where reading stopped, and the damage there; stops without damage before a block that
        changes how packets are read (section, interface).
        """
        offsets: list[int] = []
        order, buffer, size = self.section.order, self.buffer, self.size
        head, tail = struct.Struct(order + "II").unpack_from, struct.Struct(order + "I").unpack_from
        while position + SMALLEST_BLOCK <= size and len(offsets) < BLOCK_RECORDS:
            kind, length = head(buffer, position)
            if kind in (SECTION, INTERFACE):
                return offsets, position, None
            end = position + length
            if length < SMALLEST_BLOCK or length & 3 or end > size or tail(buffer, end - 4)[0] != length:
                return offsets, position, self._fault(position, kind, length)
            if kind in _PACKET_BLOCKS:
                offsets.append(position)
            elif kind == STATISTICS:
                self._statistics(position, length)
            else:
                self.found.other_blocks[_OTHER_BLOCKS.get(kind, f"type 0x{kind:08x}")] += 1
            position = end
        if size - SMALLEST_BLOCK < position < size:
            return offsets, position, Damage("block_header_cut", f"{size - position} bytes are left of a block")
        return offsets, position, None

    def _fault(self, position: int, kind: int, length: int) -> Damage:
        """What is wrong with a block whose length cannot be right."""
        if length < SMALLEST_BLOCK or length & 3:
            return Damage("bad_block_length", f"block of type 0x{kind:08x} claims {length} bytes")
        if position + length > self.size:
            lacking = position + length - self.size
            return Damage("block_cut", f"the last block (type 0x{kind:08x}) lacks {lacking} bytes; it is not counted")
        return Damage("bad_block_trailer", f"block of {length} bytes does not repeat its length at its end")

    def _describe(self, position: int) -> int:
        """Take in the section or interface block here; returns its length."""
        start = bytes(self.buffer[position : position + SMALLEST_BLOCK])
        is_section = start[:4] == b"\x0a\x0d\x0d\x0a"
        order = byte_order(start) if is_section else self.section.order
        if order is None:
            raise Damage("bad_byte_order_magic", "section header without byte-order magic")
        kind, length = struct.unpack_from(order + "II", start)
        end = position + length
        smallest = SMALLEST_SECTION if is_section else SMALLEST_INTERFACE
        if length < smallest or length & 3 or end > self.size or self._u32(order, end - 4) != length:
            raise self._fault(position, kind, length)
        if is_section:
            self._begin_section(order, position, end)
        else:
            self._add_interface(position, end)
        return int(length)

    def _u32(self, order: str, position: int) -> int:
        return int(struct.unpack_from(order + "I", self.buffer, position)[0])

    def _begin_section(self, order: str, position: int, end: int) -> None:
        major, minor = struct.unpack_from(order + "HH", self.buffer, position + 12)
        if major != 1 or minor not in (0, 2):
            # Version 1.2 was written by mistake and means 1.0 (draft-ietf-opsawg-pcapng, section 4.1).
            raise Damage("unknown_version", f"section of pcapng version {major}.{minor}")
        self.section = _Section(order, len(self.found.interfaces))
        for code, value in _options(self.buffer, order, position + 24, end - 4):
            if code == OPT_COMMENT:
                self.found.comment(0, value)
            elif code == SHB_HARDWARE:
                self.found.hardware = self.found.hardware or _text(value)
            elif code == SHB_OS:
                self.found.os = self.found.os or _text(value)
            elif code == SHB_APPLICATION:
                self.found.application = self.found.application or _text(value)

    def _add_interface(self, position: int, end: int) -> None:
        order = self.section.order
        link_type, snaplen = struct.unpack_from(order + "H2xI", self.buffer, position + 8)
        options: dict[int, bytes] = {}
        for code, value in _options(self.buffer, order, position + 16, end - 4):
            if code == OPT_COMMENT:
                self.found.comment(0, value)
            options[code] = value
        clock = _clock(options, order)
        self.section.clocks.append(clock)
        self.found.interfaces.append(
            Interface(
                link_type=link_type,
                link_name=link_name(link_type),
                snaplen=snaplen,
                resolution=clock.resolution,
                name=_text(options.get(IF_NAME, b"")),
                description=_text(options.get(IF_DESCRIPTION, b"")),
                os=_text(options.get(IF_OS, b"")),
                fcs_len=_fcs_bytes(options.get(IF_FCSLEN, b"")),
            )
        )

    def _statistics(self, position: int, length: int) -> None:
        """Counters are cumulative, so the last block of an interface is the one that counts."""
        if length < 24:
            return
        order = self.section.order
        options = dict(_options(self.buffer, order, position + 20, position + length - 4))
        counts = [options[code] for code in (ISB_IFDROP, ISB_OSDROP) if len(options.get(code, b"")) == 8]
        if counts:
            index = self.section.first + self._u32(order, position + 8)
            self.found.drops[index] = sum(struct.unpack(order + "Q", count)[0] for count in counts)

    def _records(self, offsets: Ints) -> RecordBlock:
        """The packet blocks at these positions."""
        clocks = self.section.clocks
        fields = self._fields(offsets)
        frame = number_frames(self.found, len(offsets))
        known = (fields.interface < len(clocks)) & (fields.interface + self.section.first < NO_INTERFACE)
        fields.interface[~known] = len(clocks)
        overrun = fields.cap_len > fields.room
        self.found.oddity("unknown_interface", "packets of an interface that is not described", frame[~known])
        self.found.oddity("captured_above_block", "more bytes captured than their block holds", frame[overrun])
        self.found.complete &= bool(known.all() and not overrun.any())
        cap_len = np.minimum(fields.cap_len, fields.room)
        above = cap_len > fields.wire_len
        self.found.oddity("captured_above_wire", "more bytes captured than were on the wire", frame[above])
        self._comments(offsets, frame, fields)
        return RecordBlock(
            frame=frame,
            offset=offsets + fields.data_at,
            cap_len=cap_len,
            wire_len=fields.wire_len,
            time_ns=self._times(fields, frame),
            interface=np.where(known, fields.interface + self.section.first, NO_INTERFACE),
        )

    def _fields(self, offsets: Ints) -> _Fields:
        kinds, lengths = (self.gather.numbers(self.section.order + "u4", offsets + at) for at in (0, 4))
        fields = _Fields.blank(len(offsets))
        for kind, (names, data_at) in _PACKET_BLOCKS.items():
            rows = np.flatnonzero(kinds == kind)
            if not len(rows):
                continue
            dtype = np.dtype([(name, self.section.order + code) for name, code in names])
            header = self.gather.headers(dtype, offsets[rows])
            # A block too short for its own fields reads as an empty packet that claims a byte.
            header["wire"][lengths[rows] < data_at + 4] = 0
            fields.wire_len[rows] = header["wire"]
            fields.data_at[rows] = data_at
            fields.room[rows] = np.maximum(lengths[rows] - data_at - 4, 0)
            if kind == SIMPLE:
                # A Simple Packet Block does not say what it holds; it stands for the section's first interface.
                snaplen = self.found.interfaces[self.section.first].snaplen if self.section.clocks else 0
                fields.cap_len[rows] = np.minimum(header["wire"], snaplen or 0xFFFF_FFFF)
                fields.cap_len[rows] = np.minimum(fields.cap_len[rows], fields.room[rows])
                continue
            fields.timed[rows] = True
            fields.interface[rows] = header["interface"]
            fields.cap_len[rows] = np.where(lengths[rows] < data_at + 4, 1, header["cap"])
            fields.ticks[rows] = header["high"].astype(np.uint64) << np.uint64(32) | header["low"]
        return fields

    def _times(self, fields: _Fields, frame: Ints) -> Ints:
        """Simple Packet Blocks have no time: they take that of the packet before them."""
        times = np.zeros(len(frame), np.int64)
        for index in np.unique(fields.interface):
            rows = fields.interface == index
            clocks = self.section.clocks
            clock = clocks[index] if index < len(clocks) else _Clock()
            times[rows] = clock.nanoseconds(fields.ticks[rows])
        if not fields.timed.all():
            untimed = frame[~fields.timed]
            self.found.oddity("no_time", "packets without a time stamp; each took that of the one before", untimed)
            latest = np.maximum.accumulate(np.where(fields.timed, np.arange(len(frame)), -1))
            times = np.where(latest >= 0, times[latest], self.last_time)
        self.last_time = int(times[-1])
        return times

    def _comments(self, offsets: Ints, frame: Ints, fields: _Fields) -> None:
        """Comments among the options behind the packet bytes; most packets have no options."""
        padded = fields.cap_len + (-fields.cap_len & 3)
        for row in np.flatnonzero((fields.room >= padded + 4) & fields.timed):
            start = int(offsets[row] + fields.data_at[row])
            options = _options(self.buffer, self.section.order, start + int(padded[row]), start + int(fields.room[row]))
            for code, value in options:
                if code == OPT_COMMENT:
                    self.found.comment(int(frame[row]), value)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Packet block fields of any kind, each of shape (n,)."""

    interface: Ints
    """Numbered within the section."""
    ticks: npt.NDArray[np.uint64]
    timed: npt.NDArray[np.bool_]
    cap_len: Ints
    wire_len: Ints
    data_at: Ints
    """Position of the packet bytes within the block."""
    room: Ints
    """Bytes between there and the trailer."""

    @classmethod
    def blank(cls, count: int) -> _Fields:
        zeros = [np.zeros(count, np.int64) for _ in range(5)]
        return cls(zeros[0], np.zeros(count, np.uint64), np.zeros(count, np.bool_), *zeros[1:])


_HEAD = [("kind", "u4"), ("length", "u4")]
_TIME_AND_LENGTHS = [("high", "u4"), ("low", "u4"), ("cap", "u4"), ("wire", "u4")]
_PACKET_BLOCKS: dict[int, tuple[list[tuple[str, str]], int]] = {
    ENHANCED: ([*_HEAD, ("interface", "u4"), *_TIME_AND_LENGTHS], 28),
    PACKET: ([*_HEAD, ("interface", "u2"), ("drops", "u2"), *_TIME_AND_LENGTHS], 28),
    SIMPLE: ([*_HEAD, ("wire", "u4")], 12),
}
"""Block type -> its fields (without byte order) and where its packet bytes begin."""


def _options(buffer: Buffer, order: str, position: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(code, value) of an option list, up to its end or its first overrun."""
    while position + 4 <= end:
        code, length = struct.unpack_from(order + "HH", buffer, position)
        if code == OPT_END or position + 4 + length > end:
            return
        yield code, bytes(buffer[position + 4 : position + 4 + length])
        position += 4 + length + (-length & 3)


def _clock(options: dict[int, bytes], order: str) -> _Clock:
    """The interface's clock; a malformed option counts as absent."""
    resolution = options.get(IF_TSRESOL, b"")
    offset = options.get(IF_TSOFFSET, b"")
    code = resolution[0] if resolution else 6
    offset_s = int.from_bytes(offset, "little" if order == "<" else "big", signed=True) if len(offset) == 8 else 0
    return _Clock(code & 0x7F, bool(code & 0x80), offset_s)


def _fcs_bytes(option: bytes) -> int:
    """The draft counts bits but its example, and Wireshark, count bytes; no check sequence is longer than 8 bytes."""
    length = option[0] if option else 0
    return length if length <= 8 else length // 8


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").rstrip("\0")
