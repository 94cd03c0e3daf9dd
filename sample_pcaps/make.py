"""Make the sample captures again: ``python3 sample_pcaps/make.py [NAME ...]``, as root, on Linux."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lab.scenarios import SCENARIOS


def main() -> int:
    """Make all captures, or those named."""
    parser = argparse.ArgumentParser(description="Make sample captures from real TCP stacks (needs root).")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the captures to make; all without a name")
    parser.add_argument("--list", action="store_true", help="list the captures and stop")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, help="the folder to write to")
    arguments = parser.parse_args()
    if arguments.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.file_name:44} {scenario.summary}")
        return 0
    if unknown := [name for name in arguments.names if name not in SCENARIOS]:
        parser.error(f"no such capture: {', '.join(unknown)} (see --list)")
    if os.geteuid() != 0:
        parser.error("network namespaces need root")
    for name in arguments.names or SCENARIOS:
        target = arguments.into / SCENARIOS[name].file_name
        SCENARIOS[name].make(target)
        print(f"{target.name}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
