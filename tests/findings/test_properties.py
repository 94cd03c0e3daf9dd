"""What must not change a finding, and what the arrays must agree with."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.capture import read_capture
from pcapreport.findings import passes
from pcapreport.findings.gaps import Gaps
from pcapreport.findings.holes import coverage
from pcapreport.findings.passes import Passes
from pcapreport.findings.rules import RULES
from pcapreport.findings.segmented import NONE, Flows, latest_before
from pcapreport.findings.verdict import judge, tell
from pcapreport.tcp.connections import find_connections

from .scenario import START, Frame, Scenario, load

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
RESENDING = {rule for rule in RULES if "retransmission" in rule} | {"tail_loss_probe"}

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


COMPLAINED = {name for name in SCENARIOS if name.startswith("icmp_")}
"""An ICMP error twice is two errors."""


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - COPIED_ALREADY - COMPLAINED))
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


@given(NUMBERS, st.integers(1, 5), st.integers(1, 2**16))
def test_highest_before(values: list[list[int]], step: int, sides: int) -> None:
    flat, starts, group = groups(values)
    wanted = np.arange(len(flat)) % step != 0
    side = ((sides >> np.arange(len(flat)) % 16) & 1).astype(np.uint8)
    own, peer = Flows(side, starts).highest_before(flat, wanted)
    for at in range(len(flat)):
        earlier = [j for j in range(int(starts[group[at]]), at) if wanted[j]]
        assert own[at] == max((int(flat[j]) for j in earlier if side[j] == side[at]), default=NONE)
        assert peer[at] == max((int(flat[j]) for j in earlier if side[j] != side[at]), default=NONE)


@given(NUMBERS, st.integers(2, 4), st.integers(2, 4), st.integers(1, 2**16))
def test_latest_before_and_count_since(values: list[list[int]], one: int, two: int, sides: int) -> None:
    flat, starts, group = groups(values)
    counted, reset = np.arange(len(flat)) % one == 0, np.arange(len(flat)) % two == 1
    side = ((sides >> np.arange(len(flat)) % 16) & 1).astype(np.uint8)
    latest = latest_before(counted, starts[group]).tolist()
    counts = Flows(side, starts).count_since(counted, reset).tolist()
    for at in range(len(flat)):
        begin = int(starts[group[at]])
        assert latest[at] == max((j for j in range(begin, at) if counted[j]), default=-1)
        theirs = [j for j in range(begin, at) if side[j] != side[at]]
        since = max((j for j in theirs if reset[j]), default=begin - 1) + 1
        assert counts[at] == sum(bool(counted[j]) for j in theirs if j >= since)


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


FRAMES = st.lists(
    st.builds(
        Frame,
        time_ns=st.integers(0, 4 * 10**9),
        sender=st.sampled_from("CS"),
        flags=st.sampled_from([0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x01, 0x06, 0x13, 0x00]),
        seq=st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1)),
        length=st.integers(0, 4),
        ack=st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1)),
        window=st.sampled_from([0, 100]),
        ip_id=st.integers(0, 6),
        stamp=st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 9))),
        sack=st.one_of(st.just(()), st.just(((3, 5), (7, 9)))),
    ),
    max_size=24,
)


@settings(max_examples=200, deadline=None)
@given(FRAMES)
def test_any_frames_give_sound_findings(frames: list[Frame]) -> None:
    scenario = Scenario("any", [replace(frame, time_ns=START + frame.time_ns) for frame in frames])
    seen, found = scenario.evidence(), scenario.findings()
    resent = [number for f in found if f.rule in RESENDING for number in f.frames]
    assert len(resent) == len(set(resent))
    late = {number for f in found if f.rule == "out_of_order" for number in f.frames}
    assert not late & set(resent)
    for one in found:
        assert list(one.frames) == sorted(set(one.frames))
        assert all(1 <= number <= len(frames) for number in one.frames)
        assert one.rule in RULES
    assert judge(seen, found).text.endswith(".")
    assert all(tell(connection, seen, found) for connection in range(len(seen.table)))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.pcap*")), ids=lambda path: path.name)
def test_passes_over_parts_are_the_passes_over_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = find_connections(read_capture(path).table)
    whole = Passes.of(table)
    monkeypatch.setattr(passes, "ROWS_APIECE", 3)
    monkeypatch.setattr(passes, "_cores", lambda: 4)
    parted = Passes.of(table)
    for field in fields(Passes):
        if field.name == "gaps":
            pairs = [(getattr(whole.gaps, name), getattr(parted.gaps, name)) for name in Gaps.__slots__]
        else:
            pairs = [(getattr(whole, field.name), getattr(parted, field.name))]
        for one, other in pairs:
            assert one.dtype == other.dtype, field.name
            assert one.tolist() == other.tolist(), field.name
