"""Times `pcapreport report` against `tcptrace -n -l` on one capture, in turns, and prints the ratio of the medians.

    python tests/benchmarks/against_tcptrace.py CAPTURE [--runs 5]

Run by hand on a quiet machine; asserts nothing. tcptrace must be installed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time


def seconds(command: list[str]) -> float:
    """Wall time of one run of a command, its output thrown away."""
    start = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as out:
        report = [sys.executable, "-m", "pcapreport", "report", args.capture, "-o", out, "--force", "--quiet"]
        for _ in range(args.runs):
            theirs.append(seconds(["tcptrace", "-n", "-l", args.capture]))
            ours.append(seconds(report))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"pcapreport {a:.2f} s, tcptrace {b:.2f} s, ratio {a / b:.2f} (medians of {args.runs} runs in turns)")


if __name__ == "__main__":
    main()
