"""Where the capture was taken, against where the kernels' runs were; the best estimates, against the kernels' clock."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from pcapreport.pipeline import analyze
from pcapreport.report.model import encode

from .test_against_kernels import TAPS, TRUTH, imported

pytestmark = pytest.mark.skipif(not (TRUTH / "runs").is_dir(), reason=f"the kernels' own records are not at {TRUTH}")

Told = dict[str, Any]


@lru_cache(maxsize=1)
def documents() -> list[tuple[Path, str, Told]]:
    """(run, capture's name without .pcap, document) of every capture."""
    return [
        (folder, path.name.removesuffix(".pcap"), json.loads(encode(analyze(path))))
        for folder in sorted((TRUTH / "runs").iterdir())
        for path in sorted(folder.glob("*.pcap"))
    ]


@lru_cache(maxsize=1)
def places() -> Counter[tuple[str, str, str]]:
    """(tap, whole or degraded, told place) of each connection; as the opener is the client, whichever host it is."""
    found: Counter[tuple[str, str, str]] = Counter()
    for folder, name, document in documents():
        tap, _, degraded = name.partition(".")
        first = json.loads((folder / "meta.json").read_text())["addr"]["A"]
        for connection in document["connections"]:
            place = connection["vantage"]["place"]
            if connection["client"]["address"] not in first:
                place = {"client": "server", "server": "client"}.get(place, place)
            found[tap, degraded or "whole", place] += 1
    return found


@pytest.mark.parametrize("tap", TAPS)
def test_the_place_of_the_tap_is_never_wrong(tap: str) -> None:
    assert {place for where, _, place in places() if where == tap} <= {tap, "unknown"}


@pytest.mark.parametrize("tap", TAPS)
def test_the_place_of_the_tap_is_mostly_told(tap: str) -> None:
    whole = {place: count for (where, kind, place), count in places().items() if (where, kind) == (tap, "whole")}
    assert whole[tap] >= 0.9 * sum(whole.values())


def errors(moment: str) -> dict[tuple[str, str], list[float]]:
    """(tap, near or far) -> by how many ns each transition's claimed moment misses the true one."""
    score, adapter = imported(TRUTH / "score.py"), imported(TRUTH / "adapters" / "pcapreport.py")
    found: dict[tuple[str, str], list[float]] = {}
    for folder, name, document in documents():
        if "." in name:
            continue
        for connection in document["connections"]:
            for end in connection["endpoints"].values():
                for entry in end["history"]:
                    entry["entered_s"] = _claimed(entry, moment)
        record = score.score_capture(score.Run(str(folder)), name, adapter.convert(document))
        for _, side, _, off, _ in record["l"].get("outside", ()):
            near = {("client", "A"): "near", ("server", "B"): "near"}.get((name, side), "far")
            found.setdefault((name, near), []).append(abs(off))
        for end in ("near", "mid", "far"):
            where = (name, "near" if end == "near" else "far")
            if inside := record["c"].get(f"tr_in_{end}", 0):
                found.setdefault(where, []).extend([0] * inside)
    return found


def _claimed(entry: Told, moment: str) -> list[float | None]:
    earliest, latest = entry.setdefault("interval", entry["entered_s"])
    if earliest is None or latest is None:
        return [None, None]
    at = entry["estimate_s"] if moment == "estimate" else (earliest + latest) / 2
    return [at, at]


def test_the_estimate_is_far_better_than_the_middle_of_the_interval() -> None:
    estimated, middles = errors("estimate"), errors("middle")
    assert len(estimated) == 5
    for where, off in estimated.items():
        naive = middles[where]
        assert len(off) == len(naive)
        assert median(off) < 0.85 * median(naive), where
        assert quantiles(off, n=10)[-1] < 0.5 * quantiles(naive, n=10)[-1], where


@pytest.mark.parametrize("tap", ["client", "server"])
def test_at_the_host_itself_the_estimate_is_right_to_some_ten_microseconds(tap: str) -> None:
    near = errors("estimate")[tap, "near"]
    assert median(near) < 30_000
    assert quantiles(near, n=10)[-1] < 100_000
