"""Times that remember how they were made: what was computed with some holds for all others that pass the guards."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pcapreport.tcp.moment import Moment, Trace, greatest, least, passing

SMALL = st.integers(-6, 6)
"""Small numbers, so that times often are equal or change their order."""
NAMES = st.sampled_from(["+", "-", "r-", "*", "min", "max", "least", "greatest", "<", "<=", "==", "!="])
Program = list[tuple[str, int, int]]
PROGRAM = st.lists(st.tuples(NAMES, st.integers(0, 99), SMALL), max_size=12)


def run(program: Program, times: list[int]) -> tuple[list[int], list[bool]]:
    """The values a program computes from times, and how its comparisons came out."""
    values, outcomes = list(times), []
    for name, index, constant in program:
        a, b = values[index % len(values)], values[(index + 1) % len(values)]
        if name == "*":
            values.append(a * constant)
        elif name == "r-":
            values.append(constant - a)
        elif name in "+-":
            values.append(a + constant if name == "+" else a - b)
        elif name in ("min", "max"):
            values.append(min(a, b) if name == "min" else max(a, b, constant))
        elif name in ("least", "greatest"):
            values.append(least([a, b, constant]) if name == "least" else greatest([constant + a, b]))
        else:
            compare: dict[str, Callable[[int, int], bool]] = {
                "<": lambda a, b: a < b,
                "<=": lambda a, b: a <= b,
                "==": lambda a, b: a == b,
                "!=": lambda a, b: a != b,
            }
            outcomes.append(compare[name](a, b + constant))
    return values, outcomes


def traced(program: Program, times: list[int]) -> tuple[list[int], list[bool], Trace]:
    trace = Trace(times)
    return *run(program, list(trace.moments)), trace


def column(times: list[int]) -> np.ndarray:
    return np.array(times, np.int64).reshape(-1, 1)


THREE = st.lists(SMALL, min_size=3, max_size=3)


@given(PROGRAM, THREE)
def test_a_moment_computes_as_the_number_it_is(program: Program, times: list[int]) -> None:
    values, outcomes, _ = traced(program, times)
    plain, expected = run(program, times)
    assert [int(value) for value in values] == plain
    assert outcomes == expected


@given(PROGRAM, THREE)
def test_the_times_that_were_traced_pass_their_own_guards(program: Program, times: list[int]) -> None:
    _, _, trace = traced(program, times)
    assert passing(trace, column(times)).tolist() == [True]


@given(PROGRAM, THREE, THREE)
def test_what_was_traced_holds_for_all_times_that_pass_the_guards(
    program: Program, times: list[int], others: list[int]
) -> None:
    values, outcomes, trace = traced(program, times)
    assume(passing(trace, column(others))[0])
    expected, same = run(program, others)
    assert outcomes == same
    rows = trace.with_chosen(column(others))
    stamped = [int(v.sum.over(rows)[0]) if isinstance(v, Moment) else v for v in values]
    assert stamped == expected


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(PROGRAM, THREE, THREE)
def test_times_for_which_a_comparison_comes_out_otherwise_do_not_pass(
    program: Program, times: list[int], others: list[int]
) -> None:
    _, outcomes, trace = traced(program, times)
    assume(run(program, others)[1] != outcomes)
    assert not passing(trace, column(others))[0]


def test_sorting_and_searching_are_guarded() -> None:
    """The reconstructor bisects lists of times."""
    trace = Trace((10, 20, 15))
    one, two, three = trace.moments
    assert bisect_left([one, two], three) == 1
    together = np.array([[10, 100, 10], [20, 200, 20], [15, 150, 25]])
    assert passing(trace, together).tolist() == [True, True, False]


def test_a_comparison_with_a_constant_is_guarded() -> None:
    trace = Trace((10,))
    assert trace.moments[0] < 12
    assert passing(trace, np.array([[11, 12, 13, -5]])).tolist() == [True, False, False, True]


def test_an_asked_for_strict_order_admits_no_tie_and_a_weak_one_does() -> None:
    for strict, ties_pass in ((True, False), (False, True)):
        trace = Trace((1, 2))
        a, b = trace.moments
        assert a < b if strict else a <= b
        assert passing(trace, np.array([[5], [5]])).tolist() == [ties_pass]


def test_which_of_several_is_the_least_may_differ_and_what_it_is_compared_with_may_not() -> None:
    trace = Trace((10, 30))
    one, two = trace.moments
    quickest = least([one, two])
    assert quickest < 25
    together = np.array([[10, 40, 30], [30, 20, 40]])
    assert passing(trace, together).tolist() == [True, True, False]
    assert isinstance(quickest, Moment)
    assert quickest.sum.over(trace.with_chosen(together)).tolist() == [10, 20, 30]


def test_a_moment_compared_with_itself_needs_no_guard() -> None:
    trace = Trace((10,))
    (one,) = trace.moments
    assert one == one + 5 - 5
    assert not trace.guards


def test_terms_that_cancel_leave_a_constant() -> None:
    one, two = Trace((10, 17)).moments
    assert (one + two - one - two + 3).sum.over(np.array([[1], [2]])).tolist() == [3]


ORDERED = st.lists(st.integers(0, 3), min_size=5, max_size=5)


@given(ORDERED, ORDERED)
def test_what_follows_from_the_order_of_rows_is_not_taken_for_granted_where_a_time_steps_back(
    times: list[int], others: list[int]
) -> None:
    """All orders of five rows were asked for; of others only those pass that have the same."""
    trace = Trace(times)
    asked = [a < b for i, a in enumerate(trace.moments) for b in trace.moments[i + 1 :]]
    same = [a < b for i, a in enumerate(others) for b in others[i + 1 :]]
    together = np.array([times, others]).T
    assert passing(trace, together).tolist() == [True, asked == same]
