"""Writes a large, valid capture for timing: interleaved connections of one request and a bulk answer each.

    python tests/benchmarks/make_capture.py OUT.pcap [--packets 1000000] [--connections 20000]

Ethernet, IPv4, TCP with timestamps; payloads are cut by a snaplen of 96 so that the file stays small. The content is
the same on every run.
"""

from __future__ import annotations

import argparse
import struct

import numpy as np

HEADERS = 14 + 20 + 32
SYN, ACK, FIN, PSH = 0x02, 0x10, 0x01, 0x08
MSS = 1448
REQUEST = 200
SNAPLEN = 96


def conversation(segments: int) -> list[tuple[int, int, int, int, int]]:
    """(side, flags, relative seq, relative ack, payload length) of a connection with `segments` data segments."""
    rows = [(0, SYN, 0, 0, 0), (1, SYN | ACK, 0, 1, 0), (0, ACK, 1, 1, 0), (0, ACK | PSH, 1, 1, REQUEST)]
    rows.append((1, ACK, 1, 1 + REQUEST, 0))
    for i in range(segments):
        rows.append((1, ACK | PSH, 1 + i * MSS, 1 + REQUEST, MSS))
        if i % 2 or i == segments - 1:
            rows.append((0, ACK, 1 + REQUEST, 1 + (i + 1) * MSS, 0))
    end = 1 + segments * MSS
    rows += [(0, ACK | FIN, 1 + REQUEST, end, 0), (1, ACK, end, 2 + REQUEST, 0)]
    rows += [(1, ACK | FIN, end, 2 + REQUEST, 0), (0, ACK, 2 + REQUEST, end + 1, 0)]
    return rows


def segments_for(packets: int) -> int:
    """How many data segments make a conversation of about `packets` packets."""
    return max(1, (packets - 9) * 2 // 3)


def main() -> None:
    """Write the capture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=20_000)
    args = parser.parse_args()
    rows = np.array(conversation(segments_for(args.packets // args.connections)), np.int64)
    count, total = len(rows), len(rows) * args.connections
    connection = np.repeat(np.arange(args.connections), count)
    side, flags, seq, ack, length = np.tile(rows, (args.connections, 1)).T
    step = np.tile(np.arange(count), args.connections)
    time = connection * 1_000 + step * 10_000 + side  # microseconds: about ten conversations at any time
    order = np.argsort(time, kind="stable")
    with open(args.out, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPLEN, 1))
        for start in range(0, total, 65_536):
            at = order[start : start + 65_536]
            file.write(records(connection[at], side[at], flags[at], seq[at], ack[at], length[at], time[at]))


def records(connection, side, flags, seq, ack, length, time) -> bytes:
    """pcap records; those with payload keep 30 bytes of it (SNAPLEN)."""
    n = len(connection)
    record = np.zeros((n, 16 + SNAPLEN), np.uint8)
    kept = np.where(length > 0, SNAPLEN, HEADERS)

    def put(at: int, width: int, values: np.ndarray, order: str = ">") -> None:
        data = np.asarray(values).astype(f"{order}u{width}")
        record[:, at : at + width] = np.broadcast_to(data, n).copy().view(np.uint8).reshape(n, width)

    start = 1_700_000_000_000_000
    put(0, 4, (start + time) // 1_000_000, "<")
    put(4, 4, (start + time) % 1_000_000, "<")
    put(8, 4, kept, "<")
    put(12, 4, HEADERS + length, "<")
    client, server = 0x0A000000 + connection % 60_000, 0xC0000201 + connection // 60_000
    port = 20_000 + connection % 40_000
    put(16 + 12, 2, np.full(n, 0x0800))
    put(30, 1, np.full(n, 0x45))
    put(32, 2, 52 + length)
    put(38, 1, np.full(n, 64))
    put(39, 1, np.full(n, 6))
    put(42, 4, np.where(side == 0, client, server))
    put(46, 4, np.where(side == 0, server, client))
    put(50, 2, np.where(side == 0, port, 80))
    put(52, 2, np.where(side == 0, 80, port))
    isn = (connection * 2_654_435_761 + side * 12_345_678) % (1 << 32)
    other = (connection * 2_654_435_761 + (1 - side) * 12_345_678) % (1 << 32)
    put(54, 4, (isn + seq) % (1 << 32))
    put(58, 4, np.where(flags & ACK, (other + ack) % (1 << 32), 0))
    put(62, 1, np.full(n, 8 << 4))
    put(63, 1, flags)
    put(64, 2, np.full(n, 64_000))
    put(70, 4, np.full(n, 0x0101080A))
    put(74, 4, time // 1_000)
    put(78, 4, np.where(flags & ACK, time // 1_000, 0))
    keep = np.arange(16 + SNAPLEN)[None, :] < (16 + kept)[:, None]
    return record[keep].tobytes()


if __name__ == "__main__":
    main()
