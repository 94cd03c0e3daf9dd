"""Histories found once a shape and stamped equal those found one by one; ranks may stand for sequence numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.capture import Capture
from pcapreport.settings import Settings
from pcapreport.tcp import candidates, histories, shapes
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable, find_connections
from pcapreport.tcp.evidence import FOREIGN, View
from pcapreport.tcp.foreign import ELSEWHERE
from pcapreport.tcp.history import ConnectionHistory
from pcapreport.tcp.reconstructor import Surroundings
from pcapreport.tcp.shapes import canonical_numbers

from .captures import captures
from .talks import Step, gaps, on_the_wire, scripts, talks
from .wire import A, B, Wire, connections_of

HUGE = 1 << 60


def reconstructed(table: ConnectionTable, end: int, stamped: bool) -> list[ConnectionHistory]:
    """All histories of a table: every one stamped, or every one by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "LEAST_ALIKE", 1 if stamped else HUGE)
        patch.setattr(shapes, "LEAST_CAUGHT", 0)
        return list(histories.reconstruct_all(table, end, Settings()))


def the_same(table: ConnectionTable, end: int) -> None:
    one_by_one, stamped = (reconstructed(table, end, how) for how in (False, True))
    for index, (plain, stamp) in enumerate(zip(one_by_one, stamped, strict=True)):
        assert stamp == plain, f"connection {index}, frames {table.frame[table.rows_of(index)].tolist()[:20]}"


@st.composite
def families(draw: st.DrawFn) -> list[list[Wire]]:
    """Connections of one script, each with its own times and initial numbers."""
    script = draw(scripts(8))
    pauses = draw(st.lists(gaps(len(script)), min_size=2, max_size=5))
    number = st.integers(0, (1 << 32) - 1)
    return [
        on_the_wire(script, each, (A._replace(port=2000 + n), B), (draw(number), draw(number)))
        for n, each in enumerate(pauses)
    ]


@settings(max_examples=150, deadline=None)
@given(families())
def test_stamped_histories_equal_those_found_one_by_one(family: list[list[Wire]]) -> None:
    wires = [wire for each in family for wire in each]
    the_same(connections_of(wires), max(wire.time_ns for wire in wires))


@settings(max_examples=100, deadline=None)
@given(families(), st.sampled_from((0, 1, 30 * 10**9, 62 * 10**9, 62_100_000_000, 70 * 10**9)))
def test_how_long_the_capture_goes_on_is_guarded_as_well(family: list[list[Wire]], more: int) -> None:
    """2MSL runs out in some of the connections and not in others."""
    wires = [wire for each in family for wire in each]
    the_same(connections_of(wires), max(each[-1].time_ns for each in family) + more)


@pytest.mark.parametrize("collection", ["samples", "others", "kernels"])
def test_stamped_histories_equal_those_found_one_by_one_in_real_captures(collection: str) -> None:
    found = captures(collection)
    if not found:
        pytest.skip(f"the captures of collection {collection!r} are not here")
    for name, capture in found:
        try:
            the_same(find_connections(capture.table), capture.last_ns or 0)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_many_connections_of_one_shape_are_reconstructed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it saves work at all: 200 alike connections need only a few runs."""
    wires = []
    for n in range(200):
        hosts = (A._replace(port=2000 + n), B)
        script = [Step(CLIENT, *rest) for rest in ((2, 0, 0), (16, 1, 1))]
        script.insert(1, Step(SERVER, 18, 0, 1))  # type: ignore[arg-type]
        wires += on_the_wire(script, [n * 1000, 20_000_000 + n, 20_000_000 + 3 * n], hosts, (n, 7 * n))
    runs = []
    plain = histories.reconstruct

    def counted(view: View, around: Surroundings) -> object:
        runs.append(view.side)
        return plain(view, around)

    monkeypatch.setattr(histories, "reconstruct", counted)
    table = connections_of(wires)
    assert len(histories.reconstruct_all(table, wires[-1].time_ns, Settings())) == 200
    assert len(runs) < 40


# -- ranks instead of numbers --------------------------------------------------------------------------------------

VALUES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 8) | st.integers(-FOREIGN // 2, FOREIGN // 2)), min_size=1, max_size=30
)


@given(VALUES)
def test_ranks_keep_order_neighbourhood_and_zero(values: list[tuple[int, int]]) -> None:
    space, number = (np.array([pair[i] for pair in values], np.int64) for i in (0, 1))
    rank = canonical_numbers(space, number)
    for flow in set(space.tolist()):
        before = [0, *number[space == flow].tolist()]
        after = [0, *rank[space == flow].tolist()]
        for i, (a, x) in enumerate(zip(before, after, strict=True)):
            for b, y in zip(before[i + 1 :], after[i + 1 :], strict=True):
                assert np.sign(a - b) == np.sign(x - y)
                assert (abs(a - b) == 1) == (abs(x - y) == 1) or abs(a - b) > 1 and abs(x - y) > 1


@given(VALUES)
def test_ranks_of_ranks_are_themselves(values: list[tuple[int, int]]) -> None:
    space, number = (np.array([pair[i] for pair in values], np.int64) for i in (0, 1))
    rank = canonical_numbers(space, number)
    assert canonical_numbers(space, rank).tolist() == rank.tolist()


def test_numbers_of_another_incarnation_stay_far_away() -> None:
    rank = canonical_numbers(np.zeros(3, np.int64), np.array([1, ELSEWHERE + 5, -ELSEWHERE - 5]))
    assert rank[0] == 1 and rank[1] >= FOREIGN and rank[2] <= -FOREIGN


def ranks_change_nothing(table: ConnectionTable, end: int) -> None:
    found = histories.reconstruct_all(table, end, Settings())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "canonical_numbers", lambda space, values: values)
        by_true_numbers = histories.reconstruct_all(table, end, Settings())
    for index, (ranked, true) in enumerate(zip(found, by_true_numbers, strict=True)):
        assert ranked == true, f"connection {index}"


@settings(max_examples=150, deadline=None)
@given(talks(10), talks(6), st.integers(0, (1 << 32) - 1))
def test_ranks_in_place_of_numbers_change_no_history(
    first: tuple[list[Step], list[int]], second: tuple[list[Step], list[int]], isn: int
) -> None:
    """Neither within a connection nor between it and the next one on the same ports."""
    wires = on_the_wire(*first)
    wires += on_the_wire(*second, isn=(isn, isn), start=wires[-1].time_ns + 10**9)
    ranks_change_nothing(connections_of(wires), wires[-1].time_ns)


@pytest.mark.parametrize("collection", ["samples", "others", "kernels"])
def test_ranks_in_place_of_numbers_change_no_history_in_real_captures(collection: str) -> None:
    found: Sequence[tuple[str, Capture]] = captures(collection)
    if not found:
        pytest.skip(f"the captures of collection {collection!r} are not here")
    for name, capture in found:
        try:
            ranks_change_nothing(find_connections(capture.table), capture.last_ns or 0)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
