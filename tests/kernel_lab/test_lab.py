"""The laboratory works where the kernel lets it; what it recorded once is told right everywhere."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from .cli import record_one
from .play import unavailable
from .scoring import CaptureScore, score_run
from .tables import failures

RUNS = Path(__file__).parent / "runs"
FOLDERS = sorted(path.parent for path in RUNS.glob("*/meta.json"))
SLOT = os.getpid() * 7
"""The tracepoint sees all runs on this machine: addresses tell ours from those of tests beside us."""


def known() -> set[str]:
    """Failures that are known, by their first words; see the file for their causes."""
    lines = (RUNS / "known-wrong.txt").read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def serious(score: CaptureScore) -> list[str]:
    """What must not be: wrong states of a full capture, and what is called proven but false, in any capture."""
    found = list(failures([score]))
    if score.variant != "full":
        return [line for line in found if line.startswith("FALSE ")]
    return [line for line in found if not line.startswith("OUTSIDE ") or " proven [" in line]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_recorded_histories_are_told_right(folder: Path) -> None:
    expected = known()
    found = [line for score in score_run(folder) for line in serious(score)]
    assert not [line for line in found if line.partition(":")[0] not in expected]


def test_most_moments_lie_in_their_intervals() -> None:
    counts: Counter[str] = Counter()
    for score in (score for folder in FOLDERS[::3] for score in score_run(folder) if score.variant == "full"):
        for end in score.ends:
            counts["all"] += end.moments
            counts["outside"] += len(end.outside) + end.untold
    assert counts["all"] > 500
    assert counts["outside"] < 0.03 * counts["all"]


def test_the_recorded_set_is_small_and_spoiled_in_every_way() -> None:
    files = [path for path in RUNS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
    assert max(path.stat().st_size for path in files) < 100_000
    assert {path.stem.partition(".")[2] for path in RUNS.glob("*/*.pcap")} == {"", "caploss", "late", "early", "oneway"}


@pytest.mark.skipif("KERNEL_LAB" not in os.environ, reason="records fresh kernel runs only with KERNEL_LAB=1, as root")
@pytest.mark.skipif(unavailable() is not None, reason=f"no laboratory here: {unavailable()}")
@pytest.mark.parametrize("name", ["cclose", "simul_close", "refused", "linger0_abort"])
def test_a_fresh_run_is_recorded_without_contradiction_and_told_right(name: str, tmp_path: Path) -> None:
    meta = record_one(name, 0, 2, SLOT, tmp_path)
    assert meta["errors"] == []
    assert meta["warnings"] == [], "the truth contradicts itself or the socket tables"
    assert meta["connections"] >= 2
    scores = [score for score in score_run(tmp_path / f"{name}-0") if score.variant == "full"]
    assert [score.tap for score in scores] == ["client", "middle", "server"]
    told = [end for score in scores for end in score.ends]
    assert sum(end.right for end in told) >= 0.7 * len(told), list(failures(scores))
