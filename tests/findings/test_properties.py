"""What must not change a finding, and what the arrays must agree with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.findings.holes import coverage
from pcapreport.findings.segmented import NONE, count_since, highest_before, latest_before

from .scenario import Scenario, load

SCENARIOS = {path.stem: load(path) for path in sorted((Path(__file__).parent / "scenarios").glob("*.pkt"))}
TWO_INCARNATIONS = {"probe_02_reuse_reset", "probe_08_time_wait_collision", "half_open_connection"}
COPIED_ALREADY = {"probe_10_captured_twice"}


def shown(scenario: Scenario) -> list[tuple[str, tuple[int, ...], str]]:
    return sorted((f.rule, f.frames, f.side.value) for f in scenario.findings())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(SCENARIOS)),
    st.integers(-(10**17), 10**17),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_time_and_initial_numbers_change_nothing(name: str, time: int, client: int, server: int) -> None:
    scenario = SCENARIOS[name]
    assert shown(scenario.shifted(time, client, server)) == shown(scenario)


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - COPIED_ALREADY))
def test_every_frame_twice_adds_only_copies(name: str) -> None:
    scenario = SCENARIOS[name]
    expected = {(rule, tuple(2 * n - 1 for n in frames), side) for rule, frames, side in shown(scenario)}
    expected = {one for one in expected if one[0] != "snaplen_cut"}
    copies = tuple(range(2, 2 * len(scenario.frames) + 1, 2))
    found = {one for one in shown(scenario.doubled(2_000)) if one[0] != "snaplen_cut"}
    assert found == expected | {("capture_duplicates", copies, "capture")}


def groups(draw_from: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts = np.cumsum([0] + [len(one) for one in draw_from[:-1]])
    group = np.repeat(np.arange(len(draw_from)), [len(one) for one in draw_from])
    return np.array([n for one in draw_from for n in one], np.int64), starts, group


NUMBERS = st.lists(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=6), min_size=1, max_size=6)


@given(NUMBERS, st.integers(1, 5))
def test_highest_before(values: list[list[int]], step: int) -> None:
    flat, starts, group = groups(values)
    wanted = np.arange(len(flat)) % step != 0
    found = highest_before(flat, wanted, starts, group).tolist()
    for at in range(len(flat)):
        earlier = [int(flat[j]) for j in range(int(starts[group[at]]), at) if wanted[j]]
        assert found[at] == max(earlier, default=NONE)


@given(NUMBERS, st.integers(2, 4), st.integers(2, 4))
def test_latest_before_and_count_since(values: list[list[int]], one: int, two: int) -> None:
    flat, starts, group = groups(values)
    counted, reset = np.arange(len(flat)) % one == 0, np.arange(len(flat)) % two == 1
    latest, counts = latest_before(counted, starts, group).tolist(), count_since(counted, reset, starts).tolist()
    for at in range(len(flat)):
        begin = int(starts[group[at]])
        assert latest[at] == max((j for j in range(begin, at) if counted[j]), default=-1)
        since = max((j for j in range(begin, at) if reset[j]), default=begin - 1) + 1
        assert counts[at] == sum(bool(counted[j]) for j in range(since, at))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), min_size=1, max_size=25))
def test_coverage_counts_each_number_once(segments: list[tuple[int, int]]) -> None:
    seq = np.array([start for start, _ in segments], np.int64)
    end = seq + np.array([length for _, length in segments], np.int64)
    live = np.ones(len(seq), bool)
    top = np.concatenate([[NONE], np.maximum.accumulate(end)[:-1]])
    result = coverage(seq, end, top, np.zeros(len(seq), np.int64), live)
    seen: set[int] = set()
    for at, (start, length) in enumerate(segments):
        numbers = set(range(start, start + length))
        assert int(result.known[at]) == len(numbers & seen)
        seen |= numbers
    skipped = [n for at in range(1, len(seq)) for n in range(int(top[at]), int(seq[at]))]
    assert int(result.missing.sum()) == len(set(skipped) - seen)
