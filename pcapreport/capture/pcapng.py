"""pcapng files: walk the blocks of all sections and interfaces.

Source: draft-ietf-opsawg-pcapng. A section may have either byte order; interface numbers start anew in each
section, here they run on over the whole file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from pcapreport.capture import recovery
from pcapreport.capture.clock import Clock
from pcapreport.capture.container import BLOCK_RECORDS, NO_INTERFACE, Damage, Findings, RecordBlock, number_frames
from pcapreport.capture.gather import Buffer, Gather
from pcapreport.capture.model import Interface
from pcapreport.capture.pcapng_options import (
    IF_DESCRIPTION,
    IF_FCSLEN,
    IF_HARDWARE,
    IF_NAME,
    IF_OS,
    IF_SPEED,
    IF_TSOFFSET,
    IF_TSRESOL,
    ISB_IFDROP,
    ISB_OSDROP,
    OPT_COMMENT,
    SHB_APPLICATION,
    SHB_HARDWARE,
    SHB_OS,
    capture_filter,
    fcs_bytes,
    number,
    read_options,
    text,
)
from pcapreport.capture.pcapng_packets import PACKET_BLOCKS, PacketBlocks, Section
from pcapreport.capture.protocols import link_name
from pcapreport.language import phrase
from pcapreport.settings import Limits

SECTION, INTERFACE, NAMES, STATISTICS, JOURNAL, SECRETS = 0x0A0D0D0A, 1, 4, 5, 9, 10
CUSTOM, CUSTOM_NOT_COPIED = 0xBAD, 0x4000_0BAD
_OTHER_BLOCKS = {
    NAMES: phrase("name resolution"),
    STATISTICS: phrase("interface statistics"),
    JOURNAL: phrase("systemd journal"),
    SECRETS: phrase("decryption secrets"),
    CUSTOM: phrase("custom"),
    CUSTOM_NOT_COPIED: phrase("custom"),
}

NUMBERED_BLOCKS = (JOURNAL, CUSTOM, CUSTOM_NOT_COPIED)
"""Blocks without a packet that Wireshark shows as a frame of their own: they take a number here too."""

BYTE_ORDER_MAGIC = 0x1A2B3C4D
SMALLEST_BLOCK = 12
SMALLEST_SECTION = 28
SMALLEST_INTERFACE = 20


def byte_order(start: bytes) -> str | None:
    """ "<" or ">" if these 12 bytes begin a Section Header Block, else None."""
    for order in "<>":
        if len(start) >= 12 and struct.unpack_from(order + "I4xI", start) == (SECTION, BYTE_ORDER_MAGIC):
            return order
    return None


def walk(buffer: Buffer, found: Findings, limits: Limits) -> Iterator[RecordBlock]:
    """Blocks of records; what is damaged goes to `found` and is stepped over where that is safe.

    The buffer starts with a Section Header Block.
    """
    return _Walk(buffer, found, limits).blocks()


class _Walk:
    """Reads section after section; `section` is the only thing that changes on the way, beside the findings."""

    def __init__(self, buffer: Buffer, found: Findings, limits: Limits) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.found = found
        self.limits = limits
        self.gather = Gather(buffer)
        self.packets = PacketBlocks(self.gather, found)
        found.order = byte_order(bytes(buffer[:12])) or "<"
        self.section = Section(found.order, 0)
        self.described = 0
        """Interfaces of all sections, also of those too many to be kept."""
        self.most = limits.block(0)
        """Bytes of a packet block above which it is damage."""

    def blocks(self) -> Iterator[RecordBlock]:
        position = 0
        while position < self.size:
            offsets: list[int] = []
            numbered: list[int] = []
            marks = [(0, self.section)]
            position, fault = self._chase(position, offsets, numbered, marks)
            first = number_frames(self.found, len(offsets), len(numbered))
            if offsets:
                # Every numbered block before a packet moves its number on by one.
                moved = np.searchsorted(np.array(numbered, np.int64), np.arange(len(offsets)), side="right")
                yield self.packets.read(np.array(offsets, np.int64), first + moved, marks)
            if fault:
                resumed = self._resume(position, fault)
                if not self.found.damage(fault, position, resumed, self.size) or resumed is None:
                    return
                position = resumed

    def _resume(self, position: int, fault: Damage) -> int | None:
        """Where to read on. Without its section header or all its interfaces a section is not understood."""
        kind = self._u32(self.section.order, position) if position + 4 <= self.size else 0
        sections_only = kind in (SECTION, INTERFACE)
        to_end = fault.code in ("block_cut", "block_header_cut")
        return recovery.next_block(self.gather, position, self.section.order, sections_only, to_end)

    def _chase(
        self, position: int, offsets: list[int], numbered: list[int], marks: list[tuple[int, Section]]
    ) -> tuple[int, Damage | None]:
        """Follow block lengths over up to BLOCK_RECORDS packet blocks, whose positions go to `offsets`.

        Returns where reading stopped, and the damage there. `numbered` gets how many packets were before each block
        that takes a number without a packet; `marks` each new section with the same.
        """
        buffer, size = self.buffer, self.size
        head, tail = (struct.Struct(self.section.order + code).unpack_from for code in ("II", "I"))
        append, most = offsets.append, self.most
        for _ in range(BLOCK_RECORDS):
            if position + SMALLEST_BLOCK > size:
                break
            kind, length = head(buffer, position)
            if kind == SECTION:
                try:
                    position += self._begin_section(position)
                except Damage as damage:
                    return position, damage
                marks.append((len(offsets), self.section))
                head, tail = (struct.Struct(self.section.order + code).unpack_from for code in ("II", "I"))
                continue
            end = position + length
            if length < SMALLEST_BLOCK or length & 3 or end > size or tail(buffer, end - 4)[0] != length:
                return position, self._fault(position, kind, length)
            if kind not in PACKET_BLOCKS:
                fault = self._describe(kind, position, length)
                if fault:
                    return position, fault
                most = self.most
                if kind in NUMBERED_BLOCKS:
                    numbered.append(len(offsets))
            elif length > most:
                message = phrase("packet block of {length} bytes, over {most}", length=length, most=most)
                return position, Damage("absurd_length", message)
            else:
                append(position)
            position = end
        if not size - SMALLEST_BLOCK < position < size:
            return position, None
        return position, Damage("block_header_cut", phrase("{left} bytes are left of a block", left=size - position))

    def _fault(self, position: int, kind: int, length: int) -> Damage:
        """What is wrong with a block whose length cannot be right."""
        if length < SMALLEST_BLOCK or length & 3:
            message = phrase("block of type 0x{kind:08x} claims {length} bytes", kind=kind, length=length)
            return Damage("bad_block_length", message)
        if position + length > self.size:
            message = phrase(
                "the last block (type 0x{kind:08x}) lacks {lacking} bytes; it is not counted",
                kind=kind,
                lacking=position + length - self.size,
            )
            return Damage("block_cut", message)
        message = phrase("block of {length} bytes does not repeat its length at its end", length=length)
        return Damage("bad_block_trailer", message)

    def _u32(self, order: str, position: int) -> int:
        return int(struct.unpack_from(order + "I", self.buffer, position)[0])

    def _begin_section(self, position: int) -> int:
        """Take in the section header here; returns its length."""
        order = byte_order(bytes(self.buffer[position : position + SMALLEST_BLOCK]))
        if order is None:
            raise Damage("bad_byte_order_magic", phrase("section header without byte-order magic"))
        length = self._u32(order, position + 4)
        end = position + length
        if length < SMALLEST_SECTION or length & 3 or end > self.size or self._u32(order, end - 4) != length:
            raise self._fault(position, SECTION, length)
        major, minor = struct.unpack_from(order + "HH", self.buffer, position + 12)
        if major != 1 or minor not in (0, 2):
            # Version 1.2 was written by mistake and means 1.0 (draft-ietf-opsawg-pcapng, section 4.1).
            message = phrase("section of pcapng version {major}.{minor}", major=major, minor=minor)
            raise Damage("unknown_version", message)
        self.section = Section(order, self.described)
        found = self.found
        for code, value in read_options(self.buffer, order, position + 24, end - 4):
            if code == OPT_COMMENT:
                found.comment(0, value)
            elif code == SHB_HARDWARE:
                found.hardware = found.hardware or text(value)
            elif code == SHB_OS:
                found.os = found.os or text(value)
            elif code == SHB_APPLICATION:
                found.application = found.application or text(value)
        return length

    def _describe(self, kind: int, position: int, length: int) -> Damage | None:
        """Take in a block without a packet."""
        if kind == INTERFACE:
            if length < SMALLEST_INTERFACE:
                return Damage("bad_block_length", phrase("interface description of {length} bytes", length=length))
            self._add_interface(position, position + length)
            return None
        self.found.other_blocks[_OTHER_BLOCKS.get(kind) or phrase("type 0x{kind:08x}", kind=kind)] += 1
        if kind == STATISTICS:
            self._statistics(position, length)
        return None

    def _add_interface(self, position: int, end: int) -> None:
        order = self.section.order
        link_type, snaplen = struct.unpack_from(order + "H2xI", self.buffer, position + 8)
        self.section.interfaces += 1
        self.described += 1
        if len(self.found.interfaces) >= NO_INTERFACE:
            return
        options: dict[int, bytes] = {}
        for code, value in read_options(self.buffer, order, position + 16, end - 4):
            if code == OPT_COMMENT:
                self.found.comment(0, value)
            options[code] = value
        clock = Clock.of_options(options.get(IF_TSRESOL, b""), options.get(IF_TSOFFSET, b""), order)
        fcs_len = fcs_bytes(options.get(IF_FCSLEN, b""))
        self.packets.clocks.add(clock, snaplen, fcs_len)
        self.most = max(self.most, self.limits.block(snaplen))
        self.found.interfaces.append(
            Interface(
                link_type=link_type,
                link_name=link_name(link_type),
                snaplen=snaplen,
                resolution=clock.resolution,
                name=text(options.get(IF_NAME, b"")),
                description=text(options.get(IF_DESCRIPTION, b"")),
                os=text(options.get(IF_OS, b"")),
                fcs_len=fcs_len,
                filter=capture_filter(options),
                hardware=text(options.get(IF_HARDWARE, b"")),
                speed=number(options.get(IF_SPEED, b""), order),
            )
        )

    def _statistics(self, position: int, length: int) -> None:
        """Counters are cumulative, so the last block of an interface is the one that counts."""
        if length < 24:
            return
        order = self.section.order
        options = dict(read_options(self.buffer, order, position + 20, position + length - 4))
        counts = [options[code] for code in (ISB_IFDROP, ISB_OSDROP) if len(options.get(code, b"")) == 8]
        if counts:
            index = self.section.first + self._u32(order, position + 8)
            self.found.drops[index] = sum(number(count, order) for count in counts)
