"""Writes a large capture for timing: the sample captures' real connections, copied with addresses of their own.

    python tests/benchmarks/make_capture.py OUT.pcap [--packets N] [--at-once N]

Loss, resets, reordering and reused ports are as frequent as in the samples. Copies start one after the other so that
`--at-once` of them overlap. Raw IP, nanoseconds; the content is the same on every run. Checksums are not mended.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path
from typing import NamedTuple

import dpkt
import numpy as np

SAMPLES = Path(__file__).resolve().parents[2] / "sample_pcaps"
START_NS = 1_700_000_000 * 10**9


class Packet(NamedTuple):
    """An IP packet of a sample, its time since the sample's first one, and its length on the wire."""

    after_ns: int
    data: bytes
    wire_len: int


def samples() -> list[list[Packet]]:
    """The packets of every sample that is a classic pcap of IPv4 on raw IP or plain Ethernet."""
    found = []
    for path in sorted(SAMPLES.glob("*.pcap")):
        with path.open("rb") as file:
            reader = dpkt.pcap.Reader(file)
            skip = {1: 14, 101: 0, 12: 0}.get(reader.datalink(), -1)
            packets = [(int(float(ts) * 1e9), data[skip:]) for ts, data in reader] if skip >= 0 else []
        packets = [(ts, data) for ts, data in packets if len(data) >= 40 and data[0] >> 4 == 4]
        if packets:
            found.append([Packet(ts - packets[0][0], data, int.from_bytes(data[2:4])) for ts, data in packets])
    return found


def records(conversation: list[Packet], copy: int, start_ns: int) -> list[tuple[int, bytes]]:
    """(time, pcap record) of one copy; its two hosts get addresses that no other copy has."""
    out = []
    for packet in conversation:
        data = bytearray(packet.data[: max(packet.wire_len, 40)])
        to_client = data[12] == 198
        addresses = struct.pack(">I", 0x0A000000 + copy), struct.pack(">I", 0xAC100000 + copy % 5_000)
        data[12:16], data[16:20] = addresses[::-1] if to_client else addresses
        time = start_ns + packet.after_ns
        header = struct.pack("<IIII", time // 10**9, time % 10**9, len(data), max(packet.wire_len, len(data)))
        out.append((time, header + data))
    return out


def main() -> None:
    """Write the capture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--at-once", type=int, default=500)
    args = parser.parse_args()
    kinds = samples()
    step = int(np.mean([kind[-1].after_ns for kind in kinds])) // args.at_once
    rows: list[tuple[int, bytes]] = []
    copy = 0
    while len(rows) < args.packets:
        rows.extend(records(kinds[copy % len(kinds)], copy, START_NS + copy * step))
        copy += 1
    rows.sort(key=lambda row: row[0])
    with open(args.out, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 101))
        file.writelines(record for _, record in rows)


if __name__ == "__main__":
    main()
