"""Times all findings against reading, grouping and the histories of one capture, in one process: prints the ratio.

    python tests/benchmarks/findings.py CAPTURE [--runs 5]

The medians of wall time, with the memory settings of the program. Run by hand; asserts nothing. `make_capture.py`
makes a capture of a million packets.
"""

from __future__ import annotations

import argparse
import statistics
import time

from pcapreport.capture import read_capture
from pcapreport.findings import find_in
from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.memory import for_analysis
from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.host_profile import Hosts


def one_run(path: str, settings: Settings) -> tuple[float, float, int]:
    """(seconds up to the histories, seconds for the findings, how many there are)."""
    start = time.perf_counter()
    capture = read_capture(path)
    table = find_connections(capture.table, settings)
    histories = reconstruct_all(table, capture.last_ns or 0, settings, Hosts(capture.openings))
    known = time.perf_counter()
    found = find_in(Evidence(capture, table, histories, Passes.of(table, settings), settings))
    return known - start, time.perf_counter() - known, len(found)


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with for_analysis():
        before, added, counts = zip(*(one_run(args.capture, Settings()) for _ in range(args.runs)), strict=True)
    a, b = statistics.median(before), statistics.median(added)
    print(
        f"reading, grouping and states {a:.3f} s, {counts[0]:,} findings {b:.3f} s more, that is {100 * b / a:.0f} % "
        f"(medians of {args.runs} runs)"
    )


if __name__ == "__main__":
    main()
