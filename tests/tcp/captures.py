"""The captures that properties are checked over: the samples, and collections beside the checkout where present."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pcapreport.capture import Capture, read_capture
from pcapreport.errors import UnreadableCapture

ROOT = Path(__file__).parents[2]
COLLECTIONS = {
    "samples": ROOT / "sample_pcaps",
    "others": ROOT / ".." / "shared" / "captures" / "files",
    "kernels": ROOT / ".." / "shared" / "kernel_truth" / "runs",
}
SUFFIXES = (".pcap", ".pcapng", ".cap", ".pcap.gz")


@lru_cache
def captures(collection: str) -> tuple[tuple[str, Capture], ...]:
    """(name, capture) of each file that can be read and holds TCP; nothing if the collection is not here."""
    return tuple(_read(COLLECTIONS[collection]))


def _read(folder: Path) -> Iterator[tuple[str, Capture]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith(SUFFIXES):
            try:
                capture = read_capture(path)
            except UnreadableCapture:
                continue
            if len(capture.table):
                yield str(path.relative_to(folder)), capture
