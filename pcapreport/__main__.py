"""The `pcapreport` command, also as `python -m pcapreport`."""

from __future__ import annotations

import os
import sys

from pcapreport.cli import main
from pcapreport.errors import EXIT_INTERRUPTED


def run() -> None:
    """Run the command and leave at once.

    The operating system takes back the memory of a large document faster than Python takes it apart, which costs a
    second for a million packets. Not so while worker processes are still to be seen off, nor after an interrupt, which
    may have ended them before the pool could put its semaphores away.
    """
    try:
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    workers = sys.modules["multiprocessing"].active_children() if "multiprocessing" in sys.modules else []
    if code == EXIT_INTERRUPTED:
        for worker in workers:  # what one has begun is not waited for; it writes a file whole or not at all
            worker.terminate()
    if not workers and code != EXIT_INTERRUPTED:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = code or 1
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
