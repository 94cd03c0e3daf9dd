"""Reads what was recorded of a run."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pcapreport.pipeline import analyze
from pcapreport.report import model
from pcapreport.report.build import DocumentOptions

from .wire import other

NEAR = {"client": "A", "server": "B"}
"""The side at whose interface a tap is."""


class Recorded:
    """A run as it was recorded, compressed or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        lines = [json.loads(line) for line in read_text(folder / "truth.jsonl").splitlines()]
        self.connections = {line["conn"]: line for line in lines if line["type"] == "conn"}
        self.transitions: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for line in lines:
            if line["type"] == "transition":
                self.transitions[line["conn"], line["side"]].append(line)
        self.ledger = [json.loads(line) for line in read_text(folder / "ledger.jsonl").splitlines()]
        self.by_id = {packet["id"]: packet for packet in self.ledger}

    @property
    def captures(self) -> dict[str, Path]:
        """Their files by their names without the ending."""
        files = [capture["file"] for capture in self.meta["captures"]]
        return {file.partition(".pcap")[0]: self.folder / file for file in files}

    @property
    def round_trip(self) -> int:
        """ns that the way there and back takes without jitter."""
        return round(1e9 * sum(hop["delay"] for hops in self.meta["path"].values() for hop in hops))

    def distance(self, capture: str, side: str) -> int:
        """ns from the tap to a side."""
        return way(self.meta["path"], capture.partition(".")[0], side)

    def frames(self, capture: str) -> dict[int, list[tuple[int, int, int]]]:
        """Per connection what the capture holds."""
        near = NEAR.get(capture.partition(".")[0])
        found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for packet in self.ledger:
            number = packet["frames"].get(capture)
            if number is None or "conn" not in packet:
                continue
            if near is None:
                at = packet["t_mid"]
            else:
                at = packet["t_send"] if packet["dir"] == near else packet["t_deliver"][0]
            found[packet["conn"]].append((number, at, packet["id"]))
        return {connection: sorted(frames) for connection, frames in found.items()}


@lru_cache(maxsize=16)
def document_of(path: Path) -> model.Document:
    """What is told of a capture, without the ladders, which nothing here asks for; the last few are kept.

    So each is analysed once if all that is asked of a run is asked at a time.
    """
    return analyze(path, options=DocumentOptions(details=0))


def read_text(path: Path) -> str:
    """A file, or what it was before it was compressed."""
    if path.exists():
        return path.read_text()
    return gzip.decompress(path.with_name(path.name + ".gz").read_bytes()).decode()


def way(hops: dict[str, Sequence[dict[str, float]]], tap: str, side: str) -> int:
    """ns from a tap to a side."""
    ahead = [hop["delay"] for hop in hops[other(side)]]
    passed = {"client": 0, "middle": 1, "server": 2}[tap]
    return round(1e9 * sum(ahead[passed:] if side == "B" else ahead[2 - passed :]))
