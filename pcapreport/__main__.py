"""The `pcapreport` command, also as `python -m pcapreport`."""

from __future__ import annotations

import os
import sys

from pcapreport.cli import main


def run() -> None:
    """Run the command and leave at once.

    The operating system takes back the memory of a large document faster than Python takes it apart, which costs a
    second for a million packets. Not so while worker processes are still to be seen off.
    """
    try:
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    workers = sys.modules.get("multiprocessing")
    if workers is None or not workers.active_children():
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = code or 1
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
