"""Which connections are told in detail: some of every kind, the same however the capture is cut into parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pcapreport.report.selection import ALIKE, FEW, MOST, Examples, Kept, Told

NOTHING = Told(b"", {})
capture = st.lists(st.tuples(st.sampled_from("abcdefghijklmn"), st.integers(0, 3)), max_size=80)
"""Of each connection its kind, and how weighty it is."""
wanted = st.sampled_from([None, 0, 1, 5, 100])


def part_of(connections: list[tuple[str, int]], first: int, most: int | None) -> Examples:
    """What one part keeps, given where its connections begin in the capture; places count from its own first."""
    ranked = sorted(range(len(connections)), key=lambda at: (connections[at][1], first + at))
    examples = Examples(most)
    among = examples.among([connections[at][0] for at in ranked])
    kept = (ranked[one] for one in among)
    examples.add(Kept((connections[at][1], first + at), at, NOTHING, connections[at][0]) for at in kept)
    return examples


def chosen(connections: list[tuple[str, int]], most: int | None = None) -> list[int]:
    return sorted(one.place for one in part_of(connections, 0, most).chosen())


@given(capture, wanted, st.data())
def test_parts_choose_what_the_whole_would(
    connections: list[tuple[str, int]], most: int | None, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(connections)), max_size=4)))
    ends = [0, *cuts, len(connections)]
    joined = Examples(most)
    for first, end in zip(ends, ends[1:], strict=False):
        joined.join(part_of(connections[first:end], first, most), first)
    assert sorted(one.place for one in joined.chosen()) == chosen(connections, most)


@given(capture)
def test_each_kind_has_its_examples_and_no_more_than_the_page_bears(connections: list[tuple[str, int]]) -> None:
    shown = chosen(connections)
    kinds = {kind for kind, _ in connections}
    of = {kind: [at for at, (one, _) in enumerate(connections) if one == kind] for kind in kinds}
    assert len(shown) <= MOST
    if sum(min(len(each), ALIKE) for each in of.values()) <= MOST:
        assert all(len(set(shown).intersection(each)) >= min(len(each), ALIKE) for each in of.values())
    assert len(shown) >= min(len(connections), FEW)


def test_few_connections_are_all_told_in_detail_and_of_many_alike_the_first() -> None:
    assert chosen([("refused", 0)] * FEW) == list(range(FEW))
    assert chosen([("refused", 0)] * 40) == list(range(FEW))
    assert chosen([("refused", 0)] * 40 + [("orderly", 1)]) == [*range(FEW - 1), 40]


def test_the_user_says_how_many_and_gets_them_alike_or_not() -> None:
    assert chosen([("refused", 0)] * 40, 20) == list(range(20))
    assert chosen([("refused", 0)] * 40 + [("orderly", 1)], 4) == [0, 1, 2, 40]
    assert chosen([("refused", 0)] * 40, 0) == []
