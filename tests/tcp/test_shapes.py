"""Histories found once a shape and stamped equal those found one by one; ranks may stand for sequence numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.capture import Capture
from pcapreport.settings import Settings
from pcapreport.tcp import candidates, families, histories, shapes
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable, find_connections
from pcapreport.tcp.evidence import FOREIGN, View
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.foreign import ELSEWHERE
from pcapreport.tcp.history import ConnectionHistory
from pcapreport.tcp.reconstructor import Surroundings
from pcapreport.tcp.shapes import canonical_numbers

from .captures import captures
from .talks import Step, gaps, on_the_wire, scripts, talks
from .wire import ACK, RST, SYN, A, B, Wire, connections_of

HUGE = 1 << 60


def reconstructed(table: ConnectionTable, end: int, stamped: bool) -> Histories:
    """All histories of a table: every one of a traced family, or every one by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "LEAST_ALIKE", 1 if stamped else HUGE)
        patch.setattr(shapes, "LEAST_CAUGHT", 0)
        return histories.reconstruct_all(table, end, Settings())


def the_same(table: ConnectionTable, end: int) -> None:
    one_by_one, stamped = (reconstructed(table, end, how) for how in (False, True))
    for index, (plain, stamp) in enumerate(zip(one_by_one, stamped, strict=True)):
        assert stamp == plain, f"connection {index}, frames {table.frame[table.rows_of(index)].tolist()[:20]}"
        assert stamped[index] == plain, f"connection {index}, asked for alone"
    of_families = dict(pair for family in stamped.families for pair in stamped.of(family))
    assert [of_families[index] for index in range(len(table))] == list(one_by_one)
    for family in stamped.families:
        for index, history in stamped.of(family):
            the_family_has_it(family, family.members.tolist().index(index), history)


def the_family_has_it(family: Family, at: int, history: ConnectionHistory) -> None:
    """Its columns, and what its members have in common, are those of the member at `at`."""
    assert (family.like.opening, family.like.closing) == (history.opening, history.closing)
    for like, end in ((family.like.client, history.client), (family.like.server, history.server)):
        assert [item.state for item in like.transitions] == [item.state for item in end.transitions]
        assert like.possible_final == end.possible_final
        for common, own in zip(like.transitions, end.transitions, strict=True):
            assert own.latest == (None if common.latest is None else family.times(common.latest)[at])
            assert own.frame == (None if common.frame is None else family.frames(common.frame)[at])


@st.composite
def alike(draw: st.DrawFn) -> list[list[Wire]]:
    """Connections of one script, each with its own times and initial numbers."""
    script = draw(scripts(8))
    pauses = draw(st.lists(gaps(len(script)), min_size=2, max_size=5))
    number = st.integers(0, (1 << 32) - 1)
    return [
        on_the_wire(script, each, (A._replace(port=2000 + n), B), (draw(number), draw(number)))
        for n, each in enumerate(pauses)
    ]


@settings(max_examples=150, deadline=None)
@given(alike())
def test_stamped_histories_equal_those_found_one_by_one(family: list[list[Wire]]) -> None:
    wires = [wire for each in family for wire in each]
    the_same(connections_of(wires), max(wire.time_ns for wire in wires))


@settings(max_examples=100, deadline=None)
@given(alike(), st.sampled_from((0, 1, 30 * 10**9, 62 * 10**9, 62_100_000_000, 70 * 10**9)))
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


def test_a_key_parts_connections_of_one_shape() -> None:
    wires = []
    for n in range(6):
        script = [Step(CLIENT, SYN, 0, 0), Step(SERVER, SYN | ACK, 0, 1), Step(CLIENT, ACK, 1, 1)]
        wires += on_the_wire(script, [n, 5, 5], (A._replace(port=2000 + n), B))
    found = candidates.Candidates(connections_of(wires))
    assert [group.tolist() for group in found.groups()] == [[0, 1, 2, 3, 4, 5]]
    by_key = [group.tolist() for group in found.groups(np.array([0, 1, 0, 2, 1, 0]))]
    assert sorted(by_key) == [[0, 2, 5], [1, 4], [3]]


def test_histories_of_more_connections_than_are_made_together_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "AT_ONCE", 7)
    wires = []
    for n in range(40):
        script = [Step(CLIENT, SYN, 0, 0), Step(SERVER, SYN | ACK if n % 3 else RST | ACK, 0, 1)]
        wires += on_the_wire(script, [1000 * n, 5], (A._replace(port=2000 + n), B))
    found = histories.reconstruct_all(connections_of(wires), wires[-1].time_ns, Settings())
    assert list(found) == [found[n] for n in range(40)]
    assert found.opened("refused") == [n for n in range(40) if n % 3 == 0]


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


def test_what_one_part_taught_holds_in_the_next() -> None:
    wires = []
    for n in range(12):
        script = [Step(CLIENT, SYN, 0, 0), Step(SERVER, SYN | ACK, 0, 1), Step(CLIENT, ACK, 1, 1)]
        wires += on_the_wire(script, [1000 * n, 5 + n % 3, 7], (A._replace(port=2000 + n), B))
    table, patterns = connections_of(wires), shapes.Patterns()
    found = [histories.reconstruct_all(table, 10**9, Settings(), patterns=patterns) for _ in range(2)]
    assert list(found[0]) == list(found[1]) == list(reconstructed(table, 10**9, stamped=False))
    first, second = ([family.like for family in each.families] for each in found)
    assert all(any(like is other for other in first) for like in second)


def test_a_shape_met_in_one_capture_after_another_is_traced_once_and_too_many_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = [Step(CLIENT, SYN, 0, 0), Step(SERVER, SYN | ACK, 0, 1), Step(CLIENT, ACK, 1, 1)]
    table, patterns = connections_of(on_the_wire(script, [0, 5, 7], (A, B))), shapes.Patterns()
    found = [histories.reconstruct_all(table, 10**9, Settings(), patterns=patterns) for _ in range(10)]
    assert all(list(one) == list(reconstructed(table, 10**9, stamped=False)) for one in found)
    likes = [one.families[0].like for one in found]
    assert len({id(like) for like in likes[: shapes.LEAST_ALIKE]}) == shapes.LEAST_ALIKE
    assert len({id(like) for like in likes[shapes.LEAST_ALIKE :]}) == 1
    assert patterns.count == 1
    monkeypatch.setattr(shapes, "MOST_KNOWN", 1)
    histories.reconstruct_all(table, 10**9, Settings(), patterns=patterns)
    assert patterns.count == 0
