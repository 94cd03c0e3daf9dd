"""From a file to a Capture: open, walk the container, decode block by block, put the blocks together.

Where the rows grow beyond what the memory allowed can take through the whole analysis, they go to files (spill.py).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from pcapreport.capture import pcap, pcapng, snoop
from pcapreport.capture.anonymize import Anonymizer
from pcapreport.capture.answers import Answers
from pcapreport.capture.checksums import Senders
from pcapreport.capture.clock import steps_back
from pcapreport.capture.container import BLOCK_BYTES, BLOCK_RECORDS, NO_INTERFACE, Findings, RecordBlock
from pcapreport.capture.decode import Decoder
from pcapreport.capture.dissect import Dissector
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.frames import Frames
from pcapreport.capture.gather import Buffer, Gather, forget, groups
from pcapreport.capture.growing import GrowingTable
from pcapreport.capture.model import Capture
from pcapreport.capture.openings import Openings
from pcapreport.capture.packet_table import PacketTable
from pcapreport.capture.recognition import is_capture, recognise
from pcapreport.capture.source import Source, open_source
from pcapreport.capture.spill import Budget, Meter, Parts
from pcapreport.language import phrase
from pcapreport.pseudonyms import Pseudonyms
from pcapreport.settings import DEFAULT_LIMITS, WORTH_SHARING, Limits


def read_capture(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    checksums: bool = False,
    budget: Budget | None = None,
    frames: bool = False,
    pseudonyms: Pseudonyms | None = None,
) -> Capture:
    """Read a capture file, or a binary stream (which need not be seekable), to its end or to its damage.

    `name` is what the result calls the file; `checksums`: look at TCP checksums too; `budget`: beyond it
    rows go to files (None: they never do); `frames`: keep the bytes at hand; `pseudonyms`: what replaces addresses and
    names, all but a given `name`. Raises UnreadableCapture, and nothing else, if the bytes are no capture at all
    (OSError if those files find no room); damage after a sound start is a problem of the Capture.
    """
    opened = open_source(source, name, limits, is_capture)
    container = recognise(opened)
    found = Findings.about(opened.problem)
    anonymizer = Anonymizer(pseudonyms) if pseudonyms else None
    table = _Table(opened.buffer, found, checksums, budget, anonymizer)
    table.add_all(_WALKS[container](opened.buffer, found, limits))
    capture = _capture(opened, container, found, table)
    if frames:
        capture = replace(capture, frames=Frames(opened.buffer, _WALKS[container], limits, pseudonyms))
    return capture if anonymizer is None else anonymizer.capture(capture, named=name is not None)


def _capture(opened: Source, container: str, found: Findings, table: _Table) -> Capture:
    return Capture(
        file=opened.name,
        sha256=opened.digest.sha256(),
        size_bytes=opened.size_bytes,
        container=container,
        compression=opened.compression,
        byte_order=found.byte_order(),
        packets=found.packets,
        first_ns=table.first_ns,
        last_ns=table.last_ns,
        complete=found.complete,
        interfaces=found.interfaces_with_drops(),
        problems=found.all_problems(),
        comments=tuple(found.comments),
        application=found.application,
        os=found.os,
        hardware=found.hardware,
        other_packets=dict(table.others.most_common()),
        table=table.finish(),
        spilled=table.spilled,
        steps_back=np.concatenate([np.empty((0, 3), np.int64), *table.steps_back]),
        other_blocks=dict(found.other_blocks),
        icmp_errors=tuple(table.dissector.icmp_errors),
        openings=table.openings.all(),
        answers=table.answers.all(),
        content_sha256=opened.content.sha256() if opened.compression else "",
        content_bytes=len(opened.buffer) if opened.compression else 0,
        offloading=table.senders.offloading() if table.senders else None,
    )


_WALKS = {"pcap": pcap.walk, "pcapng": pcapng.walk, "snoop": snoop.walk}


def _in_large_blocks(blocks: Iterable[RecordBlock]) -> Iterator[RecordBlock]:
    """Blocks put together to about BLOCK_RECORDS records, since each costs the decoders much the same."""
    waiting: list[RecordBlock] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= BLOCK_RECORDS // 2 or sum(part.span for part in waiting) >= BLOCK_BYTES // 2:
            yield RecordBlock.concatenate(waiting)
            waiting = []
    if waiting:
        yield RecordBlock.concatenate(waiting)


@dataclass(slots=True)
class _Table:
    """The packet table in the making."""

    buffer: Buffer
    found: Findings
    checked: bool
    budget: Budget | None = None
    anonymizer: Anonymizer | None = None
    gather: Gather = field(init=False)
    paths: Encapsulations = field(default_factory=Encapsulations)
    others: Counter[str] = field(default_factory=Counter)
    decoder: Decoder = field(init=False)
    dissector: Dissector = field(init=False)
    rows: GrowingTable = field(default_factory=GrowingTable)
    meter: Meter | None = None
    senders: Senders | None = None
    openings: Openings = field(default_factory=Openings)
    answers: Answers = field(default_factory=Answers)
    spilled: Parts | None = None
    """Where the rows went when there were too many."""
    steps_back: list[np.ndarray] = field(default_factory=list)
    """Of each block: see Capture."""
    latest_segment_ns: int | None = None
    kinds: list[int] = field(default_factory=list)
    """Interface -> its link type."""
    first_ns: int | None = None
    last_ns: int | None = None

    def __post_init__(self) -> None:
        if self.budget and self.budget.memory is not None:
            self.meter = Meter(self.budget.memory, self.budget.together)
        self.senders = Senders() if self.checked else None
        self.gather = Gather(self.buffer)
        self.decoder = Decoder(self.gather, self.paths, self.others, self.checked)
        self.dissector = Dissector(self.buffer, self.paths, self.others, self.checked)

    def add_all(self, blocks: Iterable[RecordBlock]) -> None:
        """Decode all blocks, small ones together."""
        for block in _in_large_blocks(blocks):
            self.add(block)

    def add(self, block: RecordBlock) -> None:
        """Decode one block: the common path for each kind of interface, then dpkt for what is left of all."""
        if self.first_ns is None:
            self.first_ns = int(block.time_ns[0])
        latest = int(block.time_ns.max())
        self.last_ns = latest if self.last_ns is None else max(self.last_ns, latest)
        tables: list[PacketTable] = []
        left = []
        for link_type, rows in self._by_link(block):
            whole = len(rows) == len(block)
            part = block if whole else block.pick(rows)
            decoded, undecided = self.decoder.decode(part, link_type)
            tables += decoded
            left.append(rows[undecided])
        rest = block.pick(np.sort(np.concatenate(left))) if left else block.pick(np.empty(0, np.intp))
        if len(rest):
            tables.append(self.dissector.dissect(rest, self.found.interfaces))
        self._keep(_in_file_order(tables), block)
        forget(self.buffer, int(block.offset[0]), int(block.offset[-1]))

    def _keep(self, table: PacketTable, block: RecordBlock) -> None:
        """Put the rows of a block to the others."""
        if not len(table):
            return
        self.steps_back.append(steps_back(table["frame"], table["time_ns"], self.latest_segment_ns))
        self.latest_segment_ns = int(table["time_ns"][-1])
        if self.anonymizer:
            table = self.anonymizer.table(table)
        self.openings.add(table)
        self.answers.add(table)
        if self.senders:
            self.senders.add(table)
        if self.spilled:
            self.spilled.add(table)
            return
        share = max(int(block.offset[-1]) / len(self.buffer), 1e-6)
        self.rows.add(table, share)
        if self.budget and self.meter:
            self.meter.add(table)
            if self.meter.shares() > 1:
                self._spill(self.budget, math.ceil(3 * self.meter.shares(share)))

    def _spill(self, budget: Budget, parts: int) -> None:
        """From here on rows go to files: enough of them that each takes about a third of the memory."""
        self.spilled = Parts(max(parts, budget.sharers), budget.together)
        for part in self.rows.blocks(BLOCK_RECORDS):
            self.spilled.add(part)
        self.rows = GrowingTable()

    def _by_link(self, block: RecordBlock) -> Iterator[tuple[int, np.ndarray]]:
        """A link type and the rows of the block that have it."""
        first = int(block.interface[0])
        if first != NO_INTERFACE and (block.interface == first).all():
            yield self.found.interfaces[first].link_type, np.arange(len(block))
            return
        self.kinds += [one.link_type for one in self.found.interfaces[len(self.kinds) :]]
        kinds = np.full(NO_INTERFACE + 1, -1, np.int64)
        kinds[: len(self.kinds)] = self.kinds
        for link_type, rows in groups(kinds[block.interface]):
            if link_type < 0:
                self.others[phrase("unknown interface")] += len(rows)
            else:
                yield link_type, rows

    def finish(self) -> PacketTable:
        """The whole table, without rows if they went to files, as they do where several processes share them."""
        if self.budget and self.budget.sharers > 1 and not self.spilled and len(self.rows) >= WORTH_SHARING:
            self._spill(self.budget, self.budget.sharers)
        paths = self.paths.paths()
        if self.spilled:
            self.spilled.encapsulations = paths
        return self.rows.table(paths)


def _in_file_order(tables: list[PacketTable]) -> PacketTable:
    """One table of several over the same block, sorted by frame."""
    tables = [table for table in tables if len(table)]
    if len(tables) == 1:
        return tables[0]
    whole = PacketTable.concatenate(tables)
    order = np.argsort(whole["frame"], kind="stable")
    return PacketTable({name: column[order] for name, column in whole.columns.items()}, whole.sack_blocks, ())
