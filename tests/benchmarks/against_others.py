"""Times pcapreport beside tshark, tcptrace and a naive dpkt loop: whole processes, in turns, medians, peak memory.

    python tests/benchmarks/against_others.py CAPTURE [--runs 5] [--without tshark,dpkt] [--format json]
    python tests/benchmarks/against_others.py DIRECTORY --each [--runs 5]

With `--each` the others run once for each capture of the directory, one after the other, as an operator's loop would.
Memory is the most that a process and its children held at once, counting shared pages in each. Prints a table in
Markdown. Run by hand on a quiet machine; asserts nothing. `loopback.py`, `small_captures.py` make captures.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

Command = list[str]
EVERY = 0.02
"""Seconds between two looks at the memory."""
PAGE = 4096


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def resident(pids: Sequence[int]) -> int:
    """Bytes that they hold together."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return total


def measured(commands: Sequence[Command]) -> tuple[float, int]:
    """(seconds, most bytes held at once) of commands one after the other, their output thrown away."""
    most, done, current = [0], threading.Event(), [0]

    def watch() -> None:
        while not done.wait(EVERY):
            if current[0]:
                most[0] = max(most[0], resident(tree(current[0])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    for command in commands:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            current[0] = process.pid
        current[0] = 0
    took = time.perf_counter() - start
    done.set()
    watcher.join()
    return took, most[0]


def contestants(args: argparse.Namespace, out: str) -> dict[str, Callable[[list[str]], list[Command]]]:
    """By what a table calls each: the commands for these captures."""
    report = [sys.executable, "-m", "pcapreport", "report", "--quiet", "--force", "--format", args.format, "-o", out]
    loop = str(Path(__file__).with_name("naive_dpkt.py"))
    fields = ["-T", "fields", "-e", "tcp.analysis.flags"]
    conversations = ["-q", "-z", "conv,tcp"]
    found: dict[str, Callable[[list[str]], list[Command]]] = {
        f"pcapreport report --format {args.format}": lambda paths: [[*report, args.capture]],
        "tcptrace -n -l": lambda paths: [["tcptrace", "-n", "-l", path] for path in paths],
    }
    if args.each:
        found["tshark -q -z conv,tcp"] = lambda paths: [["tshark", "-n", "-r", p, *conversations] for p in paths]
    else:
        found["tshark -T fields -e tcp.analysis.flags"] = lambda paths: [
            ["tshark", "-n", "-r", p, *fields] for p in paths
        ]
    found["dpkt in a loop, no analysis"] = lambda paths: [[sys.executable, loop, *paths]]
    without = args.without.split(",") if args.without else []
    return {
        name: commands
        for name, commands in found.items()
        if not any(word in name for word in without) and (name[:4] in ("pcap", "dpkt") or shutil.which(name.split()[0]))
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--without", help="leave out what has one of these words in its name")
    parser.add_argument("--format", default="json")
    args = parser.parse_args()
    paths = sorted(map(str, Path(args.capture).rglob("*.pcap*"))) if args.each else [args.capture]
    times: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, list[int]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as out:
        for _ in range(args.runs):
            for name, commands in contestants(args, out).items():
                took, most = measured(commands(paths))
                times[name].append(took)
                memory[name].append(most)
    ours = statistics.median(next(iter(times.values())))
    print(f"Medians of {args.runs} runs in turns.\n\n| | seconds | against pcapreport | memory |\n|---|---|---|---|")
    for name, found in times.items():
        median, held = statistics.median(found), statistics.median(memory[name])
        print(f"| {name} | {median:.2f} | {median / ours:.2f} | {held / 1e6:,.0f} MB |")


if __name__ == "__main__":
    main()
