"""The `tcp.analysis.*` fields of a packet table as a tshark of the version that the rules were read from shows them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pcapreport.capture.packet_table import PacketTable
from pcapreport.findings.wireshark.marks import FIELDS, NUMBER_SHIFT

VERSION = "4.0."
NUMBER = "tcp.analysis.duplicate_ack_num"
NANOSECONDS, RAW_IP = 0xA1B23C4D, 101


def _version() -> str:
    if shutil.which("tshark") is None:
        return ""
    first = subprocess.run(["tshark", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    return first.partition(" (Wireshark) ")[2].split(" ")[0]


needs_tshark = pytest.mark.skipif(not _version().startswith(VERSION), reason=f"no tshark {VERSION}* is installed")


def words_of_tshark(path: Path) -> dict[int, int]:
    """Frame -> its word, as `analysis` would have it."""
    fields = ["frame.number", NUMBER, *(field for _, field in FIELDS)]
    command = ["tshark", "-n", "-2", "-r", str(path), "-o", "tcp.desegment_tcp_streams:FALSE", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    found = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        frame, number, *present = line.split("\t")
        marks = sum(mark for (mark, _), value in zip(FIELDS, present, strict=True) if value)
        found[int(frame)] = int(marks) | int(number or 0) << NUMBER_SHIFT
    return found


NAMES = (
    "time_ns", "src_lo", "dst_lo", "sport", "dport", "seq", "ack", "flags", "window", "window_scale", "mptcp",
    "payload_len",
)  # fmt: skip
MPTCP = {2: b"\x1e\x08\x20\x01" + bytes(4), 5: b"\x1e\x04\x50\x01", 7: b"\x1e\x0c\x70\x00" + bytes(8)}
"""By subtype: a data sequence signal, a priority, a fast close (RFC 8684 section 3)."""


def write(packets: PacketTable, path: Path) -> None:
    """A capture of these IPv4 segments."""
    header = struct.pack("<IHHiIII", NANOSECONDS, 2, 4, 0, 0, 1 << 18, RAW_IP)
    rows = zip(*(packets[name].tolist() for name in NAMES), strict=True)
    path.write_bytes(header + b"".join(_record(*row) for row in rows))


def _record(
    time_ns: int, src: int, dst: int, sport: int, dport: int, seq: int, ack: int, flags: int, window: int, scale: int,
    mptcp: int, length: int,
) -> bytes:  # fmt: skip
    options = b"" if scale < 0 else struct.pack("BBB", 3, 3, scale)
    options += MPTCP[mptcp.bit_length() - 1] if mptcp else b""
    options += b"\x01" * (-len(options) % 4)
    words = 5 + len(options) // 4
    tcp = struct.pack(">HHIIHHHH", sport, dport, seq, ack, words << 12 | flags, window, 0, 0) + options + bytes(length)
    data = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, src, dst) + tcp
    return struct.pack("<IIII", *divmod(time_ns, 10**9), len(data), len(data)) + data


def by_frame(packets: PacketTable, words: np.ndarray) -> dict[int, int]:
    """Frame -> the words of its segments together."""
    found: dict[int, int] = {}
    for frame, word in zip(packets["frame"].tolist(), words.tolist(), strict=True):
        found[frame] = found.get(frame, 0) | word
    return found
