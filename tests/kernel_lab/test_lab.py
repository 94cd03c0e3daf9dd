"""The laboratory works where the kernel lets it; what it recorded once is told as right as the README says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from . import sent_again
from .accuracy import ACCURACY, FOLDERS, KNOWN, README, RUNS, by_scenario, known_wrong, readme, serious
from .cli import record_one
from .play import unavailable
from .scoring import CaptureScore, score_run
from .tables import failures
from .tally import Tally

SLOT = os.getpid() * 7
"""The tracepoint sees all runs on this machine: addresses tell ours from those of tests beside us."""
TAPS = ("client", "middle", "server")
SPOILED = ("caploss", "late", "early", "oneway")


@cache
def looked_at(folder: Path) -> tuple[list[CaptureScore], sent_again.Score]:
    """Both at a time, so that each capture is analysed once."""
    return score_run(folder), sent_again.score_run(folder)


def scored(folder: Path) -> list[CaptureScore]:
    return looked_at(folder)[0]


def told_again() -> sent_again.Score:
    return sent_again.total(looked_at(folder)[1] for folder in FOLDERS)


def everything() -> Iterator[CaptureScore]:
    return (score for folder in FOLDERS for score in scored(folder))


def chosen(variant: str, tap: str | None = None) -> Tally:
    return Tally.of(score for score in everything() if score.variant == variant and tap in (None, score.tap))


def known() -> set[str]:
    lines = KNOWN.read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


# -- the recorded set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_nothing_is_told_wrong_but_what_is_known(folder: Path) -> None:
    """States of complete captures, what is proven or possible, TIME-WAIT and its end, states made up: see _CAUSES."""
    assert not [line for line in serious(scored(folder)) if line not in known()]


@pytest.mark.parametrize("tap", TAPS)
def test_complete_captures_are_told_right(tap: str) -> None:
    tally = chosen("full", tap)
    assert tally.connections >= 1000
    assert tally.right - tally.hidden_right >= 0.98 * (tally.connections - tally.hidden)
    assert tally.within >= 0.98 * tally.moments
    assert tally.among >= 0.98 * tally.connections


@pytest.mark.parametrize("variant", SPOILED)
def test_spoiled_captures_are_told_right_where_they_can_tell(variant: str) -> None:
    """One direction alone seldom can; where it could, it is told right less often."""
    tally = chosen(variant)
    assert tally.connections >= 300
    least = 0.75 if variant == "oneway" else 0.95
    assert tally.right - tally.hidden_right >= least * (tally.connections - tally.hidden)


def test_moments_seen_from_the_middle_are_known_to_a_round_trip() -> None:
    trips = chosen("full", "middle").width_in_trips
    assert trips is not None and trips <= 1.1


def test_what_was_sent_again_is_told_from_what_came_twice_or_late() -> None:
    """Missed are those of which neither the first transmission nor a trace was captured: half of them SYNs."""
    labels, causes = told_again()
    assert sorted(labels) == sorted(TAPS)
    for found in labels.values():
        assert found.right >= 700
        assert found.precision >= 0.99
        assert found.recall >= 0.90
        assert found.missed_seen == 0
    assert causes.wrong <= 0.05 * causes.said


def test_the_tables_tell_what_the_scores_come_to() -> None:
    """After a change of what is told: python -m tests.kernel_lab accuracy."""
    scores = list(everything())
    text = README.read_text()
    assert readme(text, scores, sent_again.table(told_again())) == text, "run python -m tests.kernel_lab accuracy"
    assert by_scenario(scores) == ACCURACY.read_text(), "run python -m tests.kernel_lab accuracy"
    assert known_wrong(scores) == KNOWN.read_text(), "run python -m tests.kernel_lab accuracy"


def test_the_recorded_set_is_large_small_in_bytes_and_spoiled_in_every_way() -> None:
    files = [path for path in RUNS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    assert len({folder.name.rpartition("-")[0] for folder in FOLDERS}) >= 25
    variants = {path.name.removesuffix(".pcap.gz").partition(".")[2] for path in RUNS.glob("*/*.pcap.gz")}
    assert variants == {"", *SPOILED}


# -- fresh runs --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("KERNEL_LAB" not in os.environ, reason="records fresh kernel runs only with KERNEL_LAB=1, as root")
@pytest.mark.skipif(unavailable() is not None, reason=f"no laboratory here: {unavailable()}")
@pytest.mark.parametrize("name", ["cclose", "simul_close", "refused", "linger0_abort", "late_in_close"])
def test_a_fresh_run_is_recorded_without_contradiction_and_told_right(name: str, tmp_path: Path) -> None:
    meta = record_one(name, 0, 2, SLOT, tmp_path)
    assert meta["errors"] == []
    assert meta["warnings"] == [], "the truth contradicts itself or the socket tables"
    assert meta["connections"] >= 2
    scores = [score for score in score_run(tmp_path / f"{name}-0") if score.variant == "full"]
    assert [score.tap for score in scores] == ["client", "middle", "server"]
    told = [end for score in scores for end in score.ends]
    assert sum(end.right for end in told) >= 0.7 * len(told), list(failures(scores))
