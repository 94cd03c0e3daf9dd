"""Times `pcapreport report` on a directory of small captures against one tshark process per capture.

    python tests/benchmarks/small_captures.py [--captures 500] [--packets 300] [--jobs 2] [--into DIR]

The captures are the samples' real conversations, copied with addresses of their own: from three long connections with
loss to forty short ones in each. Prints captures a second of the first run (HTML and JSON), how long a second one takes
that finds nothing changed, what one capture and `--help` take as whole processes, and the ratio to
`tshark -q -z conv,tcp`. Run by hand on a quiet machine; asserts nothing. `--into` keeps captures and reports there;
captures that are there already are used.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from make_capture import START_NS, Packet, records, samples

HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 101)
BETWEEN_NS = 50_000_000
"""From one conversation's beginning to the next one's."""
APART = 1_000
"""More conversations than one capture holds, so that no two captures have an address in common."""
SAMPLED = 50
"""Captures that tshark is timed on: it takes as long for each."""


def write(path: Path, number: int, packets: int, kinds: Sequence[list[Packet]]) -> None:
    """A capture of so many packets or a few more: conversations of one to five kinds, some begun at once."""
    dice = random.Random(number)
    chosen = dice.sample(kinds, dice.choice([1, 2, 3, 5]))
    rows: list[tuple[int, bytes]] = []
    start, copy = START_NS, number * APART
    while len(rows) < packets:
        rows.extend(records(dice.choice(chosen), copy, start))
        start += dice.randrange(2 * BETWEEN_NS)
        copy += 1
    rows.sort(key=lambda row: row[0])
    path.write_bytes(HEADER + b"".join(record for _, record in rows))


def write_all(folder: Path, captures: int, packets: int) -> list[Path]:
    """That many captures, made where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = samples()
    paths = [folder / f"{number:05}.pcap" for number in range(captures)]
    for number, path in enumerate(paths):
        if not path.exists():
            write(path, number, packets, kinds)
    return paths


def seconds(command: Sequence[str]) -> float:
    """Wall time of one run of a command, its output thrown away."""
    start = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def median(command: Sequence[str], runs: int = 5) -> float:
    """Of some runs' wall times."""
    return statistics.median(seconds(command) for _ in range(runs))


def measure(folder: Path, args: argparse.Namespace) -> None:
    """Print the figures."""
    paths = write_all(folder / "captures", args.captures, args.packets)
    out = folder / "reports"
    shutil.rmtree(out, ignore_errors=True)
    program = [sys.executable, "-m", "pcapreport"]
    report = [*program, "report", "--quiet", "--jobs", str(args.jobs), "-o", str(out)]
    first, again = (seconds([*report, str(folder / "captures")]) for _ in range(2))
    print(f"{len(paths)} captures: {first:.1f} s, {len(paths) / first:.1f} captures/s; again, unchanged: {again:.2f} s")
    one = median([*report, "--force", str(paths[0])])
    print(f"one capture: {one:.2f} s; --help: {median([*program, '--help']):.3f} s (medians of 5, whole processes)")
    if shutil.which("tshark"):
        sampled = paths[:: max(1, len(paths) // SAMPLED)]
        each = statistics.mean(seconds(["tshark", "-q", "-z", "conv,tcp", "-r", str(path)]) for path in sampled)
        ratio = each * len(paths) / first
        print(f"tshark -q -z conv,tcp: {each:.3f} s a capture, one after the other; {ratio:.1f} times as long")


def main() -> None:
    """Make the captures and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=500)
    parser.add_argument("--packets", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--into")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(args.into or folder), args)


if __name__ == "__main__":
    main()
