"""From a file to a Capture: open, walk the container, decode block by block, put the blocks together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from pcapreport.capture import pcap, pcapng
from pcapreport.capture.container import NO_INTERFACE, Findings, RecordBlock
from pcapreport.capture.decode import decode
from pcapreport.capture.dissect import Dissector
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Buffer, Gather
from pcapreport.capture.limits import DEFAULT_LIMITS, Limits
from pcapreport.capture.model import Capture, Interface
from pcapreport.capture.packet_table import COLUMNS, PacketTable
from pcapreport.capture.source import Source, open_source
from pcapreport.errors import UnreadableCapture


def read_capture(
    source: str | os.PathLike[str] | BinaryIO, *, name: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> Capture:
    """Read a capture file, or a binary stream (which need not be seekable), to its end or to its damage.

    `name` is what messages and the result call the file. Raises UnreadableCapture, and nothing else, if the bytes
    are no capture at all; damage after a sound start is a problem of the Capture.
    """
    opened = open_source(source, name, limits)
    container = _recognise(opened)
    found = Findings()
    if opened.problem:
        found.complete = False
        found.problems.append(opened.problem)
    walk = pcap.walk(opened.buffer, found, limits) if container == "pcap" else pcapng.walk(opened.buffer, found)
    table = _Table(opened.buffer, found)
    for block in walk:
        table.add(block)
    interfaces = tuple(replace(one, drops=found.drops.get(index)) for index, one in enumerate(found.interfaces))
    return Capture(
        file=opened.name,
        sha256=opened.sha256,
        size_bytes=opened.size_bytes,
        container=container,
        compression=opened.compression,
        byte_order="little" if found.order == "<" else "big",
        packets=found.frames,
        first_ns=table.first_ns,
        last_ns=table.last_ns,
        complete=found.complete,
        interfaces=interfaces,
        problems=found.all_problems(),
        comments=tuple(found.comments),
        application=found.application,
        os=found.os,
        hardware=found.hardware,
        other_packets=dict(table.others.most_common()),
        table=table.finish(),
        other_blocks=dict(found.other_blocks),
    )


@dataclass(slots=True)
class _Table:
    """The packet table in the making."""

    buffer: Buffer
    found: Findings
    gather: Gather = field(init=False)
    paths: Encapsulations = field(default_factory=Encapsulations)
    others: Counter[str] = field(default_factory=Counter)
    dissector: Dissector = field(init=False)
    parts: list[PacketTable] = field(default_factory=list)
    first_ns: int | None = None
    last_ns: int | None = None

    def __post_init__(self) -> None:
        self.gather = Gather(self.buffer)
        self.dissector = Dissector(self.buffer, self.paths, self.others)

    def add(self, block: RecordBlock) -> None:
        """Decode one block: the common path for each kind of interface, then dpkt for what is left of all."""
        if self.first_ns is None:
            self.first_ns = int(block.time_ns[0])
        latest = int(block.time_ns.max())
        self.last_ns = latest if self.last_ns is None else max(self.last_ns, latest)
        tables: list[PacketTable] = []
        left = []
        for interface, rows in self._by_link(block):
            whole = len(rows) == len(block)
            part = block if whole else block.pick(rows)
            decoded, undecided = decode(self.gather, part, interface, self.paths, self.others)
            tables += decoded
            left.append(rows[undecided])
        rest = block.pick(np.sort(np.concatenate(left))) if left else block.pick(np.empty(0, np.intp))
        if len(rest):
            tables.append(self.dissector.dissect(rest, self.found.interfaces))
        self.parts.append(_in_file_order(tables))

    def _by_link(self, block: RecordBlock) -> Iterator[tuple[Interface, np.ndarray]]:
        """An interface and the rows of the block that are decoded as its frames are."""
        first = int(block.interface[0])
        if first != NO_INTERFACE and (block.interface == first).all():
            yield self.found.interfaces[first], np.arange(len(block))
            return
        for index in np.unique(block.interface):
            rows = np.flatnonzero(block.interface == index)
            if index == NO_INTERFACE:
                self.others["unknown interface"] += len(rows)
            else:
                yield self.found.interfaces[index], rows

    def finish(self) -> PacketTable:
        return replace(PacketTable.concatenate(self.parts), encapsulations=self.paths.paths())


def _in_file_order(tables: list[PacketTable]) -> PacketTable:
    """One table of several over the same block, sorted by frame."""
    tables = [table for table in tables if len(table)]
    if len(tables) == 1:
        return tables[0]
    joined = PacketTable.concatenate(tables)
    order = np.argsort(joined["frame"], kind="stable")
    return PacketTable({name: joined[name][order] for name in COLUMNS}, joined.sack_blocks, ())


def _recognise(opened: Source) -> str:
    """ "pcap" or "pcapng"; raises UnreadableCapture with a reason for everything else."""
    start = bytes(opened.buffer[:512])
    if pcapng.byte_order(start):
        container, smallest = "pcapng", pcapng.SMALLEST_SECTION
    elif pcap.byte_order(start):
        container, smallest = "pcap", pcap.FILE_HEADER
    else:
        reason, advice = _foreign(start)
        raise UnreadableCapture(opened.name, reason, advice)
    size = len(opened.buffer)
    if size < smallest:
        reason = f"the {smallest}-byte {container} header is cut: there are only {size} bytes"
        raise UnreadableCapture(opened.name, reason, "copy the file again from where it was captured", size)
    return container


_FOREIGN = (
    (b"\x7fELF", "is an ELF program, no capture"),
    (b"MZ", "is a Windows program, no capture"),
    (b"PK\x03\x04", "is a zip archive", "unpack it and give the capture inside"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-zip archive", "unpack it and give the capture inside"),
    (b"Rar!", "is a RAR archive", "unpack it and give the capture inside"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4", "decompress it with `lz4 -d` first"),
    (b"snoop\0", "is a snoop capture", "convert it: editcap -F pcapng IN OUT"),
    (b"\x52\x54\x53\x53", "is a Network Monitor capture", "convert it: editcap -F pcapng IN OUT"),
    (b"GMBU", "is a Network Monitor capture", "convert it: editcap -F pcapng IN OUT"),
    (b"XCP\0", "is a NetXRay or Sniffer capture", "convert it: editcap -F pcapng IN OUT"),
    (b"TRSNIFF data", "is a Sniffer capture", "convert it: editcap -F pcapng IN OUT"),
    (b"%PDF", "is a PDF document, no capture"),
    (b"\x89PNG", "is a picture, no capture"),
    (b"\x0a\x0d\x0d\x0a", "begins like pcapng but has no byte-order magic", "copy it again from where it was captured"),
    (b"\xd4\xc3\xb2", "is cut within the first four bytes", "copy it again from where it was captured"),
)
"""First bytes, the reason, and the advice where it is not the usual one."""

_USUAL_ADVICE = "give a pcap or pcapng file, as tcpdump -w, dumpcap or Wireshark write them"


def _foreign(start: bytes) -> tuple[str, str]:
    """Why these first bytes are no capture, and what to do."""
    if not start:
        return "is empty (0 bytes)", "capture again; the capturing program may not have flushed or had no permission"
    for magic, reason, *advice in _FOREIGN:
        if start.startswith(magic):
            return reason, advice[0] if advice else _USUAL_ADVICE
    if start[257:262] == b"ustar":
        return "is a tar archive", "unpack it and give the capture inside"
    lowered = start.lstrip()[:64].lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "is an HTML page, no capture", "the download probably gave a login or error page; fetch the file again"
    if _is_text(start):
        return "is text, no capture", "record with tcpdump -w FILE, not by saving its printed output"
    return f"is no capture that is known here (it begins with {start[:4].hex(' ')})", _USUAL_ADVICE


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in start)
