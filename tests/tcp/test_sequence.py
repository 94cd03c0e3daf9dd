"""Arithmetic on the circle of 2^32 numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pcapreport.tcp.hashing import sorted_by
from pcapreport.tcp.sequence import HALF, MODULUS, distance, distances, relative, unwrap

NUMBERS = st.integers(0, MODULUS - 1)
STEPS = st.integers(-HALF, HALF - 1)


@given(NUMBERS, STEPS)
def test_a_step_of_less_than_half_the_circle_is_found_again(start: int, step: int) -> None:
    assert distance((start + step) % MODULUS, start) == step


@given(NUMBERS, NUMBERS)
def test_there_and_back_is_no_way(a: int, b: int) -> None:
    there, back = distance(a, b), distance(b, a)
    assert there == -back or there == back == -HALF


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_place_on_the_circle_does_not_matter(a: int, b: int, shift: int) -> None:
    assert distance((a + shift) % MODULUS, (b + shift) % MODULUS) == distance(a, b)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20))
def test_arrays_agree_with_single_numbers(pairs: list[tuple[int, int]]) -> None:
    later, earlier = (np.array([pair[i] for pair in pairs], np.uint32) for i in (0, 1))
    assert distances(later, earlier).tolist() == [distance(a, b) for a, b in pairs]


@given(st.lists(st.tuples(NUMBERS, st.lists(STEPS, max_size=30)), max_size=5))
def test_unwrapping_finds_each_flow_again(flows: list[tuple[int, list[int]]]) -> None:
    """However often a flow wraps, and whatever the flow before it did."""
    raw, starts, wanted = [], [], []
    for start, steps in flows:
        total = 0
        for index, step in enumerate([0, *steps]):
            total += step
            raw.append((start + total) % MODULUS)
            starts.append(index == 0)
            wanted.append(total)
    found = unwrap(np.array(raw, np.uint32), np.array(starts, bool))
    assert found.tolist() == wanted


def test_the_wrap_is_one_step_like_any_other() -> None:
    raw = np.array([MODULUS - 2, MODULUS - 1, 0, 1, MODULUS - 1], np.uint32)
    assert unwrap(raw, np.array([True, False, False, False, False])).tolist() == [0, 1, 2, 3, 1]


def test_exactly_half_the_circle_is_read_as_a_step_back() -> None:
    assert distance(HALF, 0) == -HALF
    assert distance(HALF - 1, 0) == HALF - 1


def test_nothing_unwraps_to_nothing() -> None:
    assert unwrap(np.empty(0, np.uint32), np.empty(0, bool)).tolist() == []


@given(st.lists(st.tuples(NUMBERS, st.lists(STEPS, max_size=20), st.integers(0, 20)), min_size=1, max_size=4))
def test_numbers_relative_to_a_base_are_those_unwrapped_from_the_anchor(
    flows: list[tuple[int, list[int], int]],
) -> None:
    """Flows take turns; the base is the number at the anchor, wherever in the flow that stands."""
    rows, anchors, wanted = [], [], {}
    for flow, (start, steps, at) in enumerate(flows):
        totals = np.cumsum([0, *steps])
        totals -= totals[at % len(totals)]
        rows += [(turn, flow, (start + int(total)) % MODULUS) for turn, total in enumerate(totals)]
        anchors.append(at % len(totals))
        wanted |= {(turn, flow): int(total) for turn, total in enumerate(totals)}
    rows.sort()
    anchor = [next(i for i, row in enumerate(rows) if row[:2] == (at, flow)) for flow, at in enumerate(anchors)]
    raw = np.array([row[2] for row in rows], np.uint32)
    found = relative(raw, raw[anchor], np.array([row[1] for row in rows]), np.array(anchor))
    assert found.tolist() == [wanted[row[:2]] for row in rows]


@given(st.lists(st.integers(0, MODULUS**2 - 1), max_size=30), st.sampled_from([0, 3, MODULUS**2 - 1]))
def test_rows_sorted_by_their_hash_keep_their_order_where_hashes_are_equal(numbers: list[int], mask: int) -> None:
    hashes = np.array([number & mask for number in numbers], np.uint64)
    order, differs = sorted_by(hashes)
    assert sorted(order.tolist()) == list(range(len(numbers)))
    for before, row, another in zip(order[:-1].tolist(), order[1:].tolist(), differs.tolist(), strict=True):
        assert hashes[before] < hashes[row] if another else before < row
        assert another or hashes[before] >> np.uint64(5) == hashes[row] >> np.uint64(5)
