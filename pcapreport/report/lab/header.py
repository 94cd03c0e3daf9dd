"""The TCP header of one segment, field by field (RFC 9293 section 3.1): value, bytes, and what it means here.

The header is looked for in the frame's bytes by the numbers that the packet table has of it, which any tunnel around it
leaves as they are. Where the bytes were not captured the table's columns serve, without what they lack. No byte of the
payload is looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pcapreport.capture.frames import Frame
from pcapreport.capture.packet_table import Flag, Option
from pcapreport.findings.wording import side_name
from pcapreport.language import Text, counted, phrase
from pcapreport.pseudonyms import Pseudonyms
from pcapreport.report.filters import frames_filter
from pcapreport.report.lab.lesson import Lesson
from pcapreport.report.lab.ports import port_class
from pcapreport.report.model import LabField, LabPacket
from pcapreport.report.segments import SENDERS, Row

FIXED = 20
ETHERNET = 1
NO_OPERATION, END_OF_OPTIONS = 1, 0
OPTION_NAMES = {
    0: phrase("End of Option List"),
    1: phrase("No-Operation"),
    2: phrase("Maximum Segment Size"),
    3: phrase("Window Scale"),
    4: phrase("SACK Permitted"),
    5: phrase("SACK"),
    8: phrase("Timestamps"),
    28: phrase("User Timeout"),
    30: phrase("Multipath TCP"),
    34: phrase("Fast Open Cookie"),
}
"""RFC 9293 section 3.2 and IANA's registry of TCP option kinds."""
FLAG_MEANINGS = (
    (Flag.AE, "AE", phrase("accurate ECN (RFC 9768)")),
    (Flag.CWR, "CWR", phrase("congestion window reduced (RFC 3168)")),
    (Flag.ECE, "ECE", phrase("ECN echo (RFC 3168)")),
    (Flag.URG, "URG", phrase("the urgent pointer counts")),
    (Flag.ACK, "ACK", phrase("the acknowledgment number counts")),
    (Flag.PSH, "PSH", phrase("to be given to the application at once")),
    (Flag.RST, "RST", phrase("reset: ends the connection at once")),
    (Flag.SYN, "SYN", phrase("synchronize: the sequence number is the initial one")),
    (Flag.FIN, "FIN", phrase("the sender has no more data")),
)


class TcpBytes(NamedTuple):
    """A whole TCP header as captured."""

    header: bytes

    @classmethod
    def within(cls, frame: Frame | None, numbers: tuple[int, int, int, int]) -> TcpBytes | None:
        """The header with these ports, sequence and acknowledgment number; None where it was not captured whole."""
        data = frame.data if frame else b""
        at = data.rfind(struct.pack(">HHII", *numbers))
        if at < 0 or len(data) < at + FIXED:
            return None
        size = (data[at + 12] >> 4) * 4
        return cls(data[at : at + size]) if FIXED <= size <= len(data) - at else None

    def options(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(kind, value, all its bytes) in order, up to the end of the list or to what makes no sense."""
        at = FIXED
        while at < len(self.header):
            kind = self.header[at]
            single = kind in (NO_OPERATION, END_OF_OPTIONS)
            size = 1 if single else int.from_bytes(self.header[at + 1 : at + 2], "big")
            if (size < 2 and not single) or at + size > len(self.header):
                return
            yield kind, self.header[at + 2 : at + size], self.header[at : at + size]
            if kind == END_OF_OPTIONS:
                return
            at += size


def taken_apart(lesson: Lesson, index: int, title: str, frames: Mapping[int, Frame], hidden: bool) -> LabPacket:
    """The segment of a row; `hidden`: neither its bytes nor its checksum may be shown, since they tell addresses."""
    row = lesson.row(index)
    packet, columns = int(lesson.rows.packet[index]), lesson.rows.packets
    numbers = int(columns["sport"][packet]), int(columns["dport"][packet]), row.raw_seq, int(columns["ack"][packet])
    found = TcpBytes.within(frames.get(row.frame), numbers)
    client, server = lesson.states(index)
    return LabPacket(
        title=title,
        frame=row.frame,
        time_s=lesson.seconds(index),
        sender=SENDERS[row.side],
        filter=frames_filter([row.frame]),
        flags=row.words,
        length=row.length,
        fields=list(_fields(lesson, index, row, numbers, found, hidden)),
        client_state=client,
        server_state=server,
    )


def _fields(
    lesson: Lesson, index: int, row: Row, numbers: tuple[int, int, int, int], found: TcpBytes | None, hidden: bool
) -> Iterator[LabField]:
    """In the order of the header."""
    packet, columns = int(lesson.rows.packet[index]), lesson.rows.packets
    raw = found.header if found and not hidden else b""

    def field(name: str, bits: int, value: object, meaning: str, at: int = -1, size: int = 0) -> LabField:
        shown = raw[at : at + size].hex(" ") if raw and at >= 0 else ""
        return LabField(name=name, bits=bits, value=str(value), meaning=meaning, hex=shown)

    me, other = side_name(row.side), side_name(1 - row.side)
    ports = phrase("port of the {side}: {kind}", side=me, kind=port_class(numbers[0]))
    yield field(phrase("Source Port"), 16, numbers[0], ports, 0, 2)
    ports = phrase("port of the {side}: {kind}", side=other, kind=port_class(numbers[1]))
    yield field(phrase("Destination Port"), 16, numbers[1], ports, 2, 2)
    yield field(phrase("Sequence Number"), 32, row.raw_seq, _seq_meaning(row), 4, 4)
    yield field(phrase("Acknowledgment Number"), 32, numbers[3], _ack_meaning(row, other), 8, 4)
    if found:
        size = len(found.header)
        meaning = phrase(
            "in words of 4 bytes: a header of {size} bytes, {options} of them options", size=size, options=size - FIXED
        )
        yield field(phrase("Data Offset"), 4, size // 4, meaning, 12, 1)
        yield field(phrase("Reserved"), 3, found.header[12] >> 1 & 7, phrase("must be zero"))
    for flag, name, meaning in FLAG_MEANINGS:
        yield field(name, 1, int(bool(row.flags & flag)), meaning)
    yield field(phrase("Window"), 16, int(columns["window"][packet]), _window_meaning(lesson, row), 14, 2)
    if not hidden:
        meaning = phrase("over addresses, header and data; a capture at the sender may hold one not yet filled in")
        yield field(phrase("Checksum"), 16, f"0x{int(columns['checksum'][packet]):04x}", meaning, 16, 2)
    urgent = phrase("where urgent data ends") if row.flags & Flag.URG else phrase("not used: URG is 0")
    yield field(phrase("Urgent Pointer"), 16, int(columns["urgent"][packet]), urgent, 18, 2)
    if found:
        for kind, value, whole in found.options():
            told, what = _option(kind, value)
            name = phrase("Option: {name}", name=OPTION_NAMES.get(kind) or phrase("kind {kind}", kind=kind))
            yield LabField(name=name, bits=8 * len(whole), value=told, meaning=what, hex=whole.hex(" ") if raw else "")
    else:
        yield from _known_options(lesson, packet)


def _seq_meaning(row: Row) -> Text:
    if row.flags & Flag.SYN:
        return phrase("initial sequence number; relative 0; SYN itself takes this number")
    if row.length:
        last = row.seq + row.length - 1
        return phrase("number of its first byte; relative {seq}, its last byte is {last}", seq=row.seq, last=last)
    if row.flags & Flag.FIN:
        return phrase("relative {seq}; FIN itself takes this number", seq=row.seq)
    return phrase("next number to be sent; relative {seq}; no data, so none is taken", seq=row.seq)


def _ack_meaning(row: Row, other: Text) -> Text:
    if row.ack is None:
        return phrase("not used: ACK is 0")
    return phrase("next number expected from the {side}; relative {ack}", side=other, ack=row.ack)


def _window_meaning(lesson: Lesson, row: Row) -> Text:
    if row.flags & Flag.SYN:
        return phrase("{window:,} bytes offered; never scaled on a SYN", window=row.window)
    scale = lesson.rows.scales[row.side]
    if scale is None:
        return phrase("scale not known, since its SYN was not captured")
    raw = row.window >> scale
    return phrase(
        "{raw:,} x 2^{scale} = {window:,} bytes that the sender can take", raw=raw, scale=scale, window=row.window
    )


def _option(kind: int, value: bytes) -> tuple[str, Text]:
    """(value as written, what it says)."""
    number = int.from_bytes(value, "big")
    if kind == 2 and len(value) == 2:
        return str(number), phrase("it takes segments with at most {mss:,} bytes of data", mss=number)
    if kind == 3 and len(value) == 1:
        return str(number), phrase("windows of this sender are to be multiplied by 2^{shift}", shift=number)
    if kind == 4:
        return "", phrase("it understands selective acknowledgments (RFC 2018)")
    if kind == 8 and len(value) == 8:
        sent, echoed = struct.unpack(">II", value)
        return f"{sent}, {echoed}", phrase(
            "its own clock, and the clock that it last had from the other side (RFC 7323)"
        )
    if kind == 5:
        edges = [f"{a}-{b}" for a, b in struct.iter_unpack(">II", value[: len(value) // 8 * 8])]
        return ", ".join(edges), phrase("it has these bytes beyond the acknowledgment number (RFC 2018)")
    if kind == NO_OPERATION:
        return "", phrase("padding")
    if kind == END_OF_OPTIONS:
        return "", phrase("no more options follow")
    return value.hex(), counted(len(value), "{n} byte", "{n} bytes")


def _known_options(lesson: Lesson, packet: int) -> Iterator[LabField]:
    """What the packet table has of the options of a segment whose bytes cannot be had."""
    columns = lesson.rows.packets
    present = int(columns["options"][packet])
    values = {
        2: (Option.MSS, int(columns["mss"][packet]).to_bytes(2, "big")),
        3: (Option.WINDOW_SCALE, max(int(columns["window_scale"][packet]), 0).to_bytes(1, "big")),
        4: (Option.SACK_PERMITTED, b""),
        8: (
            Option.TIMESTAMP,
            struct.pack(">II", int(columns["ts_val"][packet]), int(columns["ts_ecr"][packet])),
        ),
    }
    for kind, (option, value) in values.items():
        if present & option:
            told, what = _option(kind, value)
            yield LabField(
                name=phrase("Option: {name}", name=OPTION_NAMES[kind]),
                bits=8 * (len(value) + 2),
                value=told,
                meaning=what,
            )


def hardware_addresses(frame: Frame | None, pseudonyms: Pseudonyms | None) -> tuple[str, str] | None:
    """(source, destination) of an Ethernet frame, or what replaces them; None for another link layer."""
    if frame is None or frame.link_type != ETHERNET or len(frame.data) < 12:
        return None
    destination, source = frame.data[:6], frame.data[6:12]
    if pseudonyms is not None:
        destination, source = pseudonyms.mac(destination), pseudonyms.mac(source)
    return source.hex(":"), destination.hex(":")
