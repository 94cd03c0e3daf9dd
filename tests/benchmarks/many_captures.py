"""Writes many small captures for timing a batch: the samples' real connections, copied with own addresses.

    python tests/benchmarks/many_captures.py DIR [--captures N] [--connections N]

A thousand to a folder. One in a hundred is cut short, one in a thousand is no capture at all. The content is the same
on every run.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

from make_capture import START_NS, Packet, records, samples

FOLDER = 1_000
SPACING_NS = 60 * 10**9
"""Between the beginnings of two captures."""


def capture(kinds: list[list[Packet]], number: int, connections: int) -> bytes:
    """One capture of so many conversations."""
    rows: list[tuple[int, bytes]] = []
    for at in range(number * connections, (number + 1) * connections):
        rows += records(kinds[at % len(kinds)], at, START_NS + number * SPACING_NS)
    rows.sort(key=lambda row: row[0])
    header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 101)
    data = header + b"".join(record for _, record in rows)
    if number % 1_000 == 999:
        return b"These bytes are no capture."
    return data[:-5] if number % 100 == 99 else data


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--captures", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=1, help="in each capture")
    args = parser.parse_args()
    kinds = samples()
    for number in range(args.captures):
        folder = args.directory / f"{number // FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06}.pcap").write_bytes(capture(kinds, number, args.connections))


if __name__ == "__main__":
    main()
