"""The recorded runs of known cause are complete and small, and what the verdicts score on them does not get worse."""

from __future__ import annotations

from functools import cache

from .causes import CAUSES
from .verdicts import RUNS, Judged, judged


@cache
def scores() -> tuple[Judged, ...]:
    return tuple(judged())


def of(family: str) -> list[Judged]:
    return [score for score in scores() if score.truth["family"] == family]


def test_every_cause_was_recorded_in_all_its_variants() -> None:
    names = {path.parent.name for path in RUNS.glob("*/truth.json")}
    assert names == {f"{name}-{number}" for name, cause in CAUSES.items() for number in range(cause.seeds)}
    assert sum(path.stat().st_size for path in RUNS.rglob("*") if path.is_file()) < 1_500_000


def test_no_side_is_named_where_nothing_went_wrong() -> None:
    clean = [score for score in scores() if score.truth["cause"] == "none"]
    assert len(clean) >= 15
    assert {score.outcome for score in clean} == {"right"}


def test_no_verdict_names_a_side_that_is_not_at_fault() -> None:
    wrong = [f"{score.run} {score.tap}: {score.text}" for score in scores() if score.outcome == "WRONG"]
    assert not wrong


def test_the_side_at_fault_is_named_wherever_it_can_be_seen() -> None:
    """Slowness apart."""
    visible = [s for s in scores() if s.truth["family"] != "slow" and s.outcome != "allowed"]
    right = [score for score in visible if score.outcome == "right"]
    assert len(visible) >= 150
    assert len(right) >= 0.95 * len(visible)


def test_forged_resets_are_told_at_every_tap_that_they_pass() -> None:
    seen = [s for s in of("reset") if s.truth["cause"] == "network" and s.tap not in s.truth["hidden_at"]]
    assert len(seen) >= 40
    assert all("reset_by_middlebox" in score.rules for score in seen)


def test_resets_of_the_sides_themselves_are_not_told_as_forged() -> None:
    own = [s for s in scores() if s.truth["family"] in ("reset", "refused") and s.truth["cause"] != "network"]
    assert len(own) >= 30
    assert not [score.run for score in own if "reset_by_middlebox" in score.rules]
