"""Times the state machine against reading and grouping on one capture, in one process, and prints the ratio.

    python tests/benchmarks/state_machine.py CAPTURE [--runs 5]

The medians of processor time: what the histories of all connections add to reading the file and finding them. Run by
hand; asserts nothing. `make_capture.py` makes a capture of a million packets.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time

from pcapreport.capture import read_capture
from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.host_profile import Hosts


def main() -> None:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    gc.disable()  # as the program does
    before, added = [], []
    for _ in range(args.runs):
        start = time.process_time()
        capture = read_capture(args.capture)
        table = find_connections(capture.table)
        found = time.process_time()
        histories = reconstruct_all(table, capture.last_ns or 0, Settings(), Hosts(capture.openings))
        before.append(found - start)
        added.append(time.process_time() - found)
    a, b = statistics.median(before), statistics.median(added)
    print(
        f"{len(histories):,} connections in {len(histories.families):,} families: reading and grouping {a:.3f} s, "
        f"state machine {b:.3f} s more, that is {100 * b / a:.0f} % (medians of {args.runs} runs)"
    )


if __name__ == "__main__":
    main()
