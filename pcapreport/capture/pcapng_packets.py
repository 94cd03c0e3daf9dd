"""Packet blocks of pcapng, many at once: their fields, times and options. Source: draft-ietf-opsawg-pcapng."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pcapreport.capture.clock import MAX_SECONDS, Clock
from pcapreport.capture.container import NO_INTERFACE, Findings, RecordBlock
from pcapreport.capture.gather import Bools, Gather, Ints, groups
from pcapreport.capture.pcapng_options import EPB_DROPCOUNT, EPB_FLAGS, OPT_COMMENT, number, read_options
from pcapreport.language import phrase

PACKET, SIMPLE, ENHANCED = 2, 3, 6

_HEAD = [("kind", "u4"), ("length", "u4")]
_TIME_AND_LENGTHS = [("high", "u4"), ("low", "u4"), ("cap", "u4"), ("wire", "u4")]
PACKET_BLOCKS: dict[int, tuple[list[tuple[str, str]], int]] = {
    ENHANCED: ([*_HEAD, ("interface", "u4"), *_TIME_AND_LENGTHS], 28),
    PACKET: ([*_HEAD, ("interface", "u2"), ("drops", "u2"), *_TIME_AND_LENGTHS], 28),
    SIMPLE: ([*_HEAD, ("wire", "u4")], 12),
}
"""Block type -> its fields (without byte order) and where its packet bytes begin."""

_DROPS_UNKNOWN = 0xFFFF
"""Drop count of the obsolete Packet Block when it is not known."""

_FLAGS_ONLY = EPB_FLAGS << 16 | 4
"""Code and length of the flags option, which is the only one of most packets that have any."""


@dataclass(slots=True)
class Section:
    """One section; its interfaces are numbered from `first` in the whole file."""

    order: str
    first: int
    interfaces: int = 0


@dataclass(slots=True)
class Clocks:
    """Time, length limit and check sequence of every interface of the file, for looking up by its number."""

    kinds: dict[Clock, int] = field(default_factory=lambda: {Clock(): 0})
    """Distinct clocks: a file of very many interfaces has few."""
    clock: list[int] = field(default_factory=list)
    snaplen: list[int] = field(default_factory=list)
    fcs_len: list[int] = field(default_factory=list)
    _arrays: tuple[Ints, Ints, Ints] | None = None

    def add(self, clock: Clock, snaplen: int, fcs_len: int) -> None:
        """The next interface."""
        self.clock.append(self.kinds.setdefault(clock, len(self.kinds)))
        self.snaplen.append(snaplen or 0xFFFF_FFFF)
        self.fcs_len.append(fcs_len)
        self._arrays = None

    def arrays(self) -> tuple[Ints, Ints, Ints]:
        """Clock number, snaplen and check sequence by interface; one more entry stands for an unknown one."""
        if self._arrays is None:
            columns = (self.clock, self.snaplen, self.fcs_len)
            clock, snaplen, fcs_len = (
                np.array([*column, default], np.int64)
                for column, default in zip(columns, (0, 0xFFFF_FFFF, 0), strict=True)
            )
            self._arrays = (clock, snaplen, fcs_len)
        return self._arrays


@dataclass(frozen=True, slots=True)
class _Fields:
    """Packet block fields of any kind, each of shape (n,)."""

    interface: Ints
    """Numbered within the section."""
    ticks: npt.NDArray[np.uint64]
    timed: Bools
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


class PacketBlocks:
    """Reads packet blocks of any section; remembers the last time, which Simple Packet Blocks take over."""

    def __init__(self, gather: Gather, found: Findings) -> None:
        self.gather = gather
        self.found = found
        self.clocks = Clocks()
        self.last_time = 0

    def read(self, offsets: Ints, frame: Ints, marks: Sequence[tuple[int, Section]]) -> RecordBlock:
        """The packet blocks at these positions; `marks` says from which of them on which section holds them."""
        counts = np.diff([start for start, _ in marks] + [len(offsets)])
        sections = [(section.first, section.interfaces, section.order == ">") for _, section in marks]
        first, known, big = np.repeat(np.array(sections, np.int64), counts, axis=0).T
        fields = _Fields.blank(len(offsets))
        for order, rows in (("<", np.flatnonzero(big == 0)), (">", np.flatnonzero(big == 1))):
            if len(rows):
                self._fields(order, offsets, rows, first, fields)
        described = (fields.interface < known) & (fields.interface + first < len(self.found.interfaces))
        self._note_odd(frame, fields, described)
        unknown = len(self.clocks.clock)
        interface = np.where(described, fields.interface + first, unknown)
        clock, snaplen, fcs_len = (column[interface] for column in self.clocks.arrays())
        held = np.where(fields.timed, fields.cap_len, np.minimum(fields.cap_len, snaplen))
        fcs_len = self._options(offsets, frame, interface, big, fields, fcs_len)
        return RecordBlock(
            frame=frame,
            offset=offsets + fields.data_at,
            cap_len=np.minimum(held, fields.room),
            wire_len=fields.wire_len,
            time_ns=self._times(fields, clock, frame),
            interface=np.where(described, interface, NO_INTERFACE),
            fcs_len=fcs_len,
        )

    def _fields(self, order: str, offsets: Ints, chosen: Ints, first: Ints, fields: _Fields) -> None:
        """Fill in the fields of the chosen blocks, all of one byte order."""
        kinds, lengths = (self.gather.numbers(order + "u4", offsets[chosen] + at) for at in (0, 4))
        for kind, (names, data_at) in PACKET_BLOCKS.items():
            of_kind = kinds == kind
            rows = chosen[of_kind]
            if not len(rows):
                continue
            header = self.gather.headers(np.dtype([(name, order + code) for name, code in names]), offsets[rows])
            # A block too short for its own fields reads as an empty packet that claims a byte.
            short = lengths[of_kind] < data_at + 4
            header["wire"][short] = 0
            fields.wire_len[rows] = header["wire"]
            fields.data_at[rows] = data_at
            fields.room[rows] = np.maximum(lengths[of_kind] - data_at - 4, 0)
            if kind == SIMPLE:
                # It does not say what it holds, and stands for the section's first interface.
                fields.cap_len[rows] = np.minimum(header["wire"], fields.room[rows])
                continue
            fields.timed[rows] = True
            fields.interface[rows] = header["interface"]
            fields.cap_len[rows] = np.where(short, 1, header["cap"])
            fields.ticks[rows] = header["high"].astype(np.uint64) << np.uint64(32) | header["low"]
            if kind == PACKET and header["drops"].any():
                drops = np.where(header["drops"] == _DROPS_UNKNOWN, 0, header["drops"])
                for index, of_one in groups(fields.interface[rows] + first[rows]):
                    self.found.packet_drops[index] += int(drops[of_one].sum())

    def _note_odd(self, frame: Ints, fields: _Fields, described: Bools) -> None:
        overrun = fields.cap_len > fields.room
        above = np.minimum(fields.cap_len, fields.room) > fields.wire_len
        for code, message, odd in (
            ("unknown_interface", phrase("packets of an interface that is not described"), ~described),
            ("captured_above_block", phrase("more bytes captured than their block holds"), overrun),
            ("captured_above_wire", phrase("more bytes captured than were on the wire"), above),
        ):
            self.found.oddity(code, message, frame[odd])
        self.found.complete &= bool(described.all() and not overrun.any())

    def _times(self, fields: _Fields, clock: Ints, frame: Ints) -> Ints:
        """Simple Packet Blocks have no time: they take that of the packet before them."""
        times = np.zeros(len(clock), np.int64)
        kinds = list(self.clocks.kinds)
        for index, rows in groups(clock):
            times[rows] = kinds[index].nanoseconds(fields.ticks[rows])
        if not fields.timed.all():
            untimed = frame[~fields.timed]
            message = phrase("packets without a time stamp; each took that of the one before")
            self.found.oddity("no_time", message, untimed)
            latest = np.maximum.accumulate(np.where(fields.timed, np.arange(len(clock)), -1))
            times = np.where(latest >= 0, times[latest], self.last_time)
        clipped = np.abs(times) >= MAX_SECONDS * 1_000_000_000
        message = phrase("time stamps beyond the year 2262 or 1677, set to that")
        self.found.oddity("time_out_of_range", message, frame[clipped])
        self.last_time = int(times[-1])
        return times

    def _options(self, offsets: Ints, frame: Ints, interface: Ints, big: Ints, fields: _Fields, fcs_len: Ints) -> Ints:
        """Comments, drop counts and check sequences among the options behind the packet bytes; returns the last."""
        padded = fields.cap_len + (-fields.cap_len & 3)
        rows = np.flatnonzero((fields.room >= padded + 4) & fields.timed)
        if not len(rows):
            return fcs_len
        fcs_len, start = fcs_len.copy(), offsets + fields.data_at
        for order, chosen in (("<", rows[big[rows] == 0]), (">", rows[big[rows] == 1])):
            at = start[chosen] + padded[chosen]
            end = start[chosen] + fields.room[chosen]
            code, length, flags = (
                self.gather.numbers(order + kind, at + shift) for kind, shift in (("u2", 0), ("u2", 2), ("u4", 4))
            )
            last = (at + 8 == end) | (self.gather.numbers(order + "u4", at + 8) == 0)
            plain = (code << 16 | length == _FLAGS_ONLY) & (at + 8 <= end) & last
            said = flags >> 5 & 0xF
            fcs_len[chosen] = np.where(plain & (said > 0), said, fcs_len[chosen])
            for row, begin, stop in zip(*(part[~plain].tolist() for part in (chosen, at, end)), strict=True):
                for option, value in read_options(self.gather.buffer, order, begin, stop):
                    if option == OPT_COMMENT:
                        self.found.comment(int(frame[row]), value)
                    elif option == EPB_DROPCOUNT:
                        self.found.packet_drops[int(interface[row])] += number(value, order)
                    elif option == EPB_FLAGS:
                        fcs_len[row] = number(value, order, 4) >> 5 & 0xF or fcs_len[row]
        return fcs_len
