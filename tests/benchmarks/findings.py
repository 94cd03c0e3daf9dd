"""Times all findings against reading, grouping and all histories of one capture, in one process: prints the ratio.

    python tests/benchmarks/findings.py CAPTURE [--runs 5]

The medians of wall time, with the memory settings of the program. Run by hand; asserts nothing. `make_capture.py`
makes a capture of a million packets.
"""

from __future__ import annotations

import argparse
import collections
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


def one_run(path: str, settings: Settings) -> tuple[float, float, float, int]:
    """Seconds (until the state machine is done, for the histories, for the findings); how many findings."""
    start = time.perf_counter()
    capture = read_capture(path)
    table = find_connections(capture.table, settings)
    histories = reconstruct_all(table, capture.last_ns or 0, settings, Hosts(capture.openings))
    judged = time.perf_counter()
    collections.deque(histories, maxlen=0)  # each is made when it is asked for; findings are made here as well
    known = time.perf_counter()
    found = find_in(Evidence(capture, table, histories, Passes.of(table, settings), settings))
    return judged - start, known - judged, time.perf_counter() - known, len(found)


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with for_analysis():
        states, told, added, counts = zip(*(one_run(args.capture, Settings()) for _ in range(args.runs)), strict=True)
    a, b, c = (statistics.median(times) for times in (states, told, added))
    print(
        f"reading, grouping and state machine {a:.3f} s, histories {b:.3f} s, {counts[0]:,} findings {c:.3f} s: "
        f"{100 * c / (a + b):.0f} % ({100 * c / a:.0f} % without the histories; medians of {args.runs} runs)"
    )


if __name__ == "__main__":
    main()
