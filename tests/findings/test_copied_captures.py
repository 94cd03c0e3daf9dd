"""A capture that holds frames twice, as mirror ports and two taps make it, tells of no more loss than without them."""

from __future__ import annotations

import gzip
import io
import random
import struct
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from pcapreport.pipeline import analyze
from pcapreport.report.build import DocumentOptions

RUNS = Path(__file__).parents[1] / "kernel_lab" / "runs"
CAPTURES = sorted(path for path in RUNS.glob("*/middle.pcap.gz") if "options_off" not in path.parts[-2])
"""Without SACK, timestamps and an IP ID an empty segment looks the same when it is sent again."""
BLAMED = frozenset({
    "retransmission", "fast_retransmission", "spurious_retransmission", "tail_loss_probe", "syn_retransmission",
    "syn_ack_retransmission", "fin_retransmission", "duplicate_ack", "out_of_order", "old_duplicate", "keep_alive",
    "zero_window_probe", "peer_silent", "lost_segment", "ack_lost_segment",
})  # fmt: skip
AFTER_NS = 2_000
HEADER = {1: 14, 101: 0}
"""Bytes before the IP header by link type."""


class Record(NamedTuple):
    time: int
    """In units of the file's own."""
    size: int
    data: bytes


class Pcap(NamedTuple):
    header: bytes
    order: str
    second: int
    """Of those units."""
    records: Sequence[Record]

    @property
    def link(self) -> int:
        return int(struct.unpack_from(self.order + "I", self.header, 20)[0] & 0xFFFF)


def read(data: bytes) -> Pcap:
    order = "<" if data[0] in (0x4D, 0xD4) else ">"
    second = 10**9 if 0x4D in (data[0], data[3]) and 0x3C in data[1:3] else 10**6
    records, at = [], 24
    while at < len(data):
        seconds, rest, kept, size = struct.unpack_from(order + "IIII", data, at)
        records.append(Record(seconds * second + rest, size, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return Pcap(data[:24], order, second, records)


def write(pcap: Pcap, records: Sequence[Record]) -> bytes:
    parts = [pcap.header]
    for record in records:
        time = divmod(record.time, pcap.second)
        parts += [struct.pack(pcap.order + "IIII", *time, len(record.data), record.size), record.data]
    return b"".join(parts)


def one_hop_further(data: bytes, start: int) -> bytes:
    """The IP packet with its TTL or hop limit one less."""
    changed = bytearray(data)
    if data[start] >> 4 == 6:
        changed[start + 7] -= 1
        return bytes(changed)
    stop = start + 4 * (data[start] & 15)
    changed[start + 8] -= 1
    changed[start + 10 : start + 12] = bytes(2)
    total = sum(struct.unpack_from(f">{(stop - start) // 2}H", changed, start))
    total = (total & 0xFFFF) + (total >> 16)
    changed[start + 10 : start + 12] = struct.pack(">H", 0xFFFF - ((total & 0xFFFF) + (total >> 16)))
    return bytes(changed)


def blamed(data: bytes) -> dict[str, list[int]]:
    """Rule -> its frames."""
    found: dict[str, list[int]] = {}
    for connection in analyze(io.BytesIO(data), name="a.pcap", options=DocumentOptions(details=0)).connections:
        for finding in connection.findings:
            if finding.rule in BLAMED:
                found.setdefault(finding.rule, []).extend(finding.frames)
    return found


@cache
def captured_once(path: Path) -> tuple[Pcap, dict[str, list[int]]]:
    """A capture as it was recorded, and what is blamed in it."""
    data = gzip.decompress(path.read_bytes())
    return read(data), blamed(data)


@pytest.mark.skipif(not CAPTURES, reason="the laboratory's recorded runs are not here")
@pytest.mark.parametrize("share", [1.0, 0.1], ids=["every frame twice", "one in ten"])
@pytest.mark.parametrize("further", [False, True], ids=["as it was", "one hop further"])
@pytest.mark.parametrize("part", range(4))
def test_frames_captured_twice_are_no_retransmissions_and_no_duplicate_acks(
    share: float, further: bool, part: int
) -> None:
    chance, told = random.Random(part), 0
    for path in CAPTURES[part::4]:
        pcap, before = captured_once(path)
        records: list[Record] = []
        first: dict[int, int] = {}
        for number, record in enumerate(pcap.records, 1):
            records.append(record)
            first[len(records)] = number
            if chance.random() < share:
                data = one_hop_further(record.data, HEADER[pcap.link]) if further else record.data
                records.append(Record(record.time + AFTER_NS * pcap.second // 10**9, record.size, data))
        after = blamed(write(pcap, records))
        for rule, frames in after.items():
            here = Counter(first.get(frame, 0) for frame in frames)
            assert not here[0], f"{path.parent.name}: {rule} about {here[0]} copies"
            assert len(frames) <= len(before.get(rule, ())), f"{path.parent.name}: {rule}"
            told += len(frames)
    assert told
