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
