"""Options of pcapng blocks, and what those of an interface say about it. Source: draft-ietf-opsawg-pcapng."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from pcapreport.capture.gather import Buffer
from pcapreport.language import phrase

OPT_END, OPT_COMMENT = 0, 1
SHB_HARDWARE, SHB_OS, SHB_APPLICATION = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_SPEED, IF_TSRESOL, IF_FILTER, IF_OS = 2, 3, 8, 9, 11, 12
IF_FCSLEN, IF_TSOFFSET, IF_HARDWARE = 13, 14, 15
ISB_IFDROP, ISB_OSDROP = 5, 7
EPB_FLAGS, EPB_DROPCOUNT = 2, 4

_MAX_TEXT = 4_096


def read_options(buffer: Buffer, order: str, position: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(code, value) of an option list, up to its end or its first overrun."""
    while position + 4 <= end:
        code, length = struct.unpack_from(order + "HH", buffer, position)
        if code == OPT_END or position + 4 + length > end:
            return
        yield code, bytes(buffer[position + 4 : position + 4 + length])
        position += 4 + length + (-length & 3)


def text(raw: bytes) -> str:
    """An option's text, whatever its bytes."""
    return raw[: 4 * _MAX_TEXT].decode("utf-8", "replace").rstrip("\0")[:_MAX_TEXT]


def number(raw: bytes, order: str, size: int = 8) -> int:
    """An option's number; 0 where it has another size."""
    return int.from_bytes(raw, "little" if order == "<" else "big") if len(raw) == size else 0


def fcs_bytes(option: bytes) -> int:
    """The draft counts bits but its example, and Wireshark, count bytes; no check sequence is longer than 8 bytes."""
    length = option[0] if option else 0
    return length if length <= 8 else length // 8


def capture_filter(options: Mapping[int, bytes]) -> str:
    """The capture filter; its first byte says how it is written: 0 as text, 1 as a program for the BPF machine."""
    raw = options.get(IF_FILTER, b"")
    if not raw:
        return ""
    return text(raw[1:]) if raw[0] == 0 else phrase("a filter program")
