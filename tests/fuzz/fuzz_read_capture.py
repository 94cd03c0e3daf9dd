"""Any bytes give a table with notes or one UnreadableCapture, never another exception, within time and memory limits.

Coverage-guided fuzzing of that promise, from the capture's bytes to the document and, for one input in four, to the
finished page, with atheris (`pip install '.[fuzz]'`, Linux). From the top of the project:

    python tests/fuzz/fuzz_read_capture.py CORPUS [--minutes 60] [libFuzzer options]
    python tests/fuzz/fuzz_read_capture.py crash-0123abcd        runs what was found once more

CORPUS, a directory, is filled with the seeds of `seeds.py` if it is empty, and keeps what was found of interest. An
input that takes over 10 s or 2 GB is a finding like a crash: libFuzzer writes each to a file `crash-*`, `timeout-*` or
`oom-*` and stops. Code that atheris 3.0 has instrumented loses up to 100 KB an input, so every 10,000 inputs a new
process goes on with the same corpus.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import atheris

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent), str(_TESTS)]

with atheris.instrument_imports(include=["pcapreport"]):
    from fuzz.mutations import mutate
    from fuzz.promise import Depth, keep_for
    from fuzz.seeds import write_seeds

LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=65536")
INPUTS_A_PROCESS = 10_000
DEPTHS = (Depth.PAGE, Depth.DOCUMENT, Depth.DOCUMENT, Depth.TABLE)


def one_input(data: bytes) -> None:
    """The harness. How far it goes is said by the content and not by turns: the same input always does the same."""
    keep_for(data, DEPTHS[sum(data[-64:]) % len(DEPTHS)], checksums=len(data) % 2 == 0)


def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """One time in two a mutation that knows captures, else libFuzzer's own."""
    random = Random(seed)
    if random.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))
    return mutate(data, random, max_size)


def fuzz(places: list[str]) -> None:
    """Run libFuzzer in this process, with these options, corpora or single inputs."""
    atheris.Setup([sys.argv[0], *LIMITS, *places], one_input, custom_mutator=custom_mutator)
    atheris.Fuzz()


def main() -> int:
    """Fuzz in one process after the other until the time is over or something is found; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    args, options = parser.parse_known_args()
    if args.corpus.is_file():
        fuzz([str(args.corpus), *options])
    if not (args.corpus.is_dir() and any(args.corpus.iterdir())):
        write_seeds(args.corpus)
    end = time.monotonic() + 60 * args.minutes
    while (left := int(end - time.monotonic())) > 0:
        turn = [f"-runs={INPUTS_A_PROCESS}", f"-max_total_time={left}", *options, str(args.corpus)]
        status = subprocess.run([sys.executable, __file__, "--turn", *turn], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--turn"]:
        fuzz(sys.argv[2:])
    sys.exit(main())
