"""Damages real captures in every way that copying and storing them does, and makes a report of each.

    python tests/fuzz/damage_sweep.py [DIR] [--cuts 20] [--flips 2] [--seed 1]       from the top of the project

DIR (default: ../shared/captures, with its index.tsv) is read and never written to. Every file is reported as it is and
with 2 % of its bytes flipped; every file that the index calls whole also cut at 20 places. Each run is a child
forked from one warm process and goes through what the command `report` runs for a capture. It must end with exit
status 0, 3 or 4, in one line where there is a complaint, within 25 s and 500 MB (of which the warm process has
some 100 MB to begin with), and a cut copy must still give every packet that stands wholly before the cut. Prints each
run that did not, and the totals; exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pcapreport.batch import session  # noqa: E402
from pcapreport.batch.discover import Job  # noqa: E402
from pcapreport.batch.work import Order, carry_out  # noqa: E402

MOST_SECONDS, MOST_KILOBYTES, MEMORY = 25, 500_000, 1 << 30
CAPTURES = ROOT.parent / "shared" / "captures"


class Damaged(NamedTuple):
    """A capture to be reported on, and how many packets it must give (None: unknown)."""

    name: str
    data: bytes
    packets: int | None


class Run(NamedTuple):
    """How one report went."""

    status: int
    packets: int
    message: str
    seconds: float
    kilobytes: int


def packet_ends(data: bytes) -> list[int] | None:
    """Where each packet's record or block ends, by a walk of its own; None if this is no plain pcap or pcapng file."""
    ends: list[int] = []
    if data[:4] == b"\n\r\r\n":
        order, at = "<", 0
        while at + 12 <= len(data):
            if data[at : at + 4] == b"\n\r\r\n":
                order = "<" if data[at + 8] == 0x4D else ">"
            kind, length = struct.unpack_from(order + "II", data, at)
            if length < 12:
                return None
            at += length
            if kind in (2, 3, 6):
                ends.append(at)
        return ends
    order = "<" if data[:1] in (b"\xd4", b"\x4d", b"\x34") else ">"
    magic = struct.unpack_from(order + "I", data)[0] if len(data) >= 24 else 0
    head = {0xA1B2C3D4: 16, 0xA1B23C4D: 16, 0xA1B2CD34: 24}.get(magic)
    if head is None or struct.unpack_from(order + "HH", data, 4) < (2, 4):
        return None
    at = 24
    while at + head <= len(data):
        at += head + struct.unpack_from(order + "I", data, at + 8)[0]
        ends.append(at)
    return ends


def damaged(name: str, data: bytes, whole: bool, args: argparse.Namespace) -> Iterator[Damaged]:
    """The file itself, its cuts and its copy with flipped bytes; the same ones for the same seed."""
    source = random.Random(f"{args.seed} {name}")
    yield Damaged(name, data, None)
    flipped = bytearray(data)
    for _ in range(len(data) * args.flips // 100):
        flipped[source.randrange(len(data))] ^= source.randrange(1, 256)
    yield Damaged(f"{name} flipped", bytes(flipped), None)
    if whole and len(data) > 1:
        ends = packet_ends(data)
        for cut in sorted(source.randrange(1, len(data)) for _ in range(args.cuts)):
            packets = None if ends is None or cut < 24 else sum(end <= cut for end in ends)
            yield Damaged(f"{name} cut at {cut}", data[:cut], packets)


def report(capture: Damaged, folder: Path) -> Run:
    """One report in a forked child; status is that of the command, negative a signal's."""
    path = folder / "capture"
    path.write_bytes(capture.data)
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if not child:
        signal.alarm(4 * MOST_SECONDS)
        entry = carry_out(Job(str(path), "capture"), Order(folder, frozenset(("html", "json")), memory=MEMORY))
        status = session.exit_code([entry], "never")
        os.write(writing, json.dumps([entry.packets, entry.message]).encode())
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - start
    packets, message = json.loads(told) if told else (0, "told nothing")
    return Run(os.waitstatus_to_exitcode(status), packets, message, seconds, usage.ru_maxrss)


def complaint(capture: Damaged, run: Run) -> str:
    """What was wrong with a run; empty: nothing."""
    if run.status not in (0, 3, 4) or "internal error" in run.message or "\n" in run.message:
        return f"status {run.status}, {run.message!r}"
    if run.seconds > MOST_SECONDS or run.kilobytes > MOST_KILOBYTES:
        return f"{run.seconds:.1f} s, {run.kilobytes} KB"
    if capture.packets is not None and run.packets != capture.packets and not (run.status == 4 and not capture.packets):
        return f"{run.packets} packets for {capture.packets}"
    return ""


def main() -> int:
    """Report on all, print what went wrong and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="?", type=Path, default=CAPTURES)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--flips", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    statuses: Counter[int] = Counter()
    slowest, largest, counted, wrong = (0.0, ""), (0, ""), 0, 0
    with tempfile.TemporaryDirectory() as folder, (args.captures / "index.tsv").open(encoding="utf-8") as index:
        for row in csv.DictReader(index, delimiter="\t"):
            data = (args.captures / "files" / row["path"]).read_bytes()
            for capture in damaged(row["path"], data, row["kind"] == "whole", args):
                run = report(capture, Path(folder))
                statuses[run.status] += 1
                slowest = max(slowest, (run.seconds, capture.name))
                largest = max(largest, (run.kilobytes, capture.name))
                counted += capture.packets is not None
                words = complaint(capture, run)
                if words:
                    wrong += 1
                    print(f"{capture.name}: {words}", flush=True)
    print(
        f"{sum(statuses.values())} runs, exit statuses {dict(statuses)}, {counted} with packets counted, {wrong} wrong"
    )
    print(f"slowest {slowest[0]:.1f} s ({slowest[1]}); largest {largest[0] / 1e3:.0f} MB ({largest[1]})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
