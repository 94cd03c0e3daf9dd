"""Truths about any connection: what may be shifted, mirrored or cut without a change, and what never breaks."""

from __future__ import annotations

from collections.abc import Sequence

from findings.scenario import parse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.history import Certainty, ConnectionHistory, EndpointHistory, Transition
from pcapreport.tcp.states import EXTRA_RULES, TABLE, State

from .scenario import histories_of as reconstructed
from .talks import Step, garbage, on_the_wire, scripts, talks
from .wire import ACK, FIN, PSH, START, SYN, A, B, Wire, connections_of, histories_of, packets_of, states_of

Talk = tuple[list[Step], list[int]]
NUMBER = st.integers(0, (1 << 32) - 1)
MANY = settings(max_examples=150, deadline=None)


def moved(history: ConnectionHistory, by: int) -> ConnectionHistory:
    """The same history at another time."""

    def time(at: int | None) -> int | None:
        return None if at is None else at + by

    def end(one: EndpointHistory) -> EndpointHistory:
        wait = one.time_wait and one.time_wait._replace(
            entered=(time(one.time_wait.entered[0]), time(one.time_wait.entered[1])),
            expires=(time(one.time_wait.expires[0]), time(one.time_wait.expires[1])),
            restarts=tuple(r._replace(at=r.at + by) for r in one.time_wait.restarts),
            ended_at=time(one.time_wait.ended_at),
            later_syns=tuple(syn._replace(at=syn.at + by) for syn in one.time_wait.later_syns),
        )
        items = tuple(i._replace(earliest=time(i.earliest), latest=time(i.latest)) for i in one.transitions)
        return one._replace(transitions=items, time_wait=wait)

    return history._replace(client=end(history.client), server=end(history.server))


@st.composite
def orderly(draw: st.DrawFn) -> Talk:
    """A connection that opens, talks and closes as it should, with segments lost and sent again on the way."""
    script = [Step(0, SYN, 0, 0)] * draw(st.integers(1, 2)) + [Step(1, SYN | ACK, 0, 1), Step(0, ACK, 1, 1)]
    sent = [1, 1]
    for side in draw(st.lists(st.integers(0, 1), max_size=3)):
        data = Step(side, PSH | ACK, sent[side], sent[1 - side], 100)
        sent[side] += 100
        script += [data] * draw(st.integers(1, 2)) + [Step(1 - side, ACK, sent[1 - side], sent[side])]
    first = draw(st.integers(0, 1))
    second = 1 - first
    fin = Step(first, FIN | ACK, sent[first], sent[second])
    script += [fin] * draw(st.integers(1, 2))
    if draw(st.booleans()):
        script.append(Step(second, ACK, sent[second], sent[first] + 1))
        if draw(st.booleans()):
            script.append(Step(second, PSH | ACK, sent[second], sent[first] + 1, 100))
            sent[second] += 100
            script.append(Step(first, ACK, sent[first] + 1, sent[second]))
    script += [Step(second, FIN | ACK, sent[second], sent[first] + 1)] * draw(st.integers(1, 2))
    script.append(Step(first, ACK, sent[first] + 1, sent[second] + 1))
    gaps = []
    for before, after in zip([None, *script], script, strict=False):
        again = before == after
        gaps.append(draw(st.integers(250_000_000, 900_000_000) if again else st.integers(15_000_000, 25_000_000)))
    return script, gaps


# -- what changes nothing ------------------------------------------------------------------------------------------


@MANY
@given(talks(), NUMBER, NUMBER)
def test_initial_sequence_numbers_do_not_matter(talk: Talk, client: int, server: int) -> None:
    plain = histories_of(on_the_wire(*talk))
    assume(len(plain) == 1)
    assert plain == histories_of(on_the_wire(*talk, isn=(client, server)))


@MANY
@given(talks(), st.integers(0, 200), st.integers(0, 200))
def test_the_wrap_does_not_matter_wherever_it_falls(talk: Talk, client: int, server: int) -> None:
    top = 1 << 32
    plain = histories_of(on_the_wire(*talk))
    assume(len(plain) == 1)
    assert plain == histories_of(on_the_wire(*talk, isn=(top - client, top - server)))


@MANY
@given(talks(), st.integers(-(10**18), 10**18))
def test_the_time_of_day_does_not_matter(talk: Talk, by: int) -> None:
    here, there = (histories_of(on_the_wire(*talk, start=start)) for start in (START, START + by))
    assert [moved(history, by) for history in here] == there


@MANY
@given(talks())
def test_which_end_has_the_lower_address_does_not_matter(talk: Talk) -> None:
    swapped = (A._replace(address=B.address), B._replace(address=A.address))
    here, there = on_the_wire(*talk), on_the_wire(*talk, hosts=swapped)
    assert histories_of(here) == histories_of(there)
    names = [[[e.address for e in c] for c in connections_of(wires).all_endpoints] for wires in (here, there)]
    assert names[0] == [pair[::-1] for pair in names[1]]


@MANY
@given(talks())
def test_which_end_has_the_higher_port_does_not_matter_where_the_syn_was_captured(talk: Talk) -> None:
    script, pauses = talk
    if script[0].flags & SYN:
        low = (A._replace(port=20), B._replace(port=60_000))
        assert histories_of(on_the_wire(script, pauses)) == histories_of(on_the_wire(script, pauses, hosts=low))


@MANY
@given(talks(8), orderly())
def test_another_connection_beside_it_does_not_matter(one: Talk, other: Talk) -> None:
    """Beyond the frames' numbers and the time at which the capture ends. (Copies beside it would matter: they show
    that the capture makes copies.)"""
    mine, theirs = on_the_wire(*one), on_the_wire(*other, hosts=(A._replace(port=40_001), B))
    both = sorted([*mine, *theirs], key=lambda wire: wire.time_ns)
    end = both[-1].time_ns
    ports = [{each.port for each in pair} for pair in connections_of(both).all_endpoints]
    together = [h for h, pair in zip(histories_of(both, end), ports, strict=True) if A.port in pair]
    assume(not _has_copies(mine))
    assert [_told(h) for h in histories_of(mine, end)] == [_told(h) for h in together]


def _has_copies(wires: Sequence[Wire]) -> bool:
    return bool((connections_of(wires).original >= 0).any())


def _told(history: ConnectionHistory) -> list[list[tuple[str, int | None, int | None, str, str]]]:
    return [
        [(str(i.state), i.earliest, i.latest, i.rule, str(i.certainty)) for i in end.transitions]
        for end in (history.client, history.server)
    ]


# -- symmetry ------------------------------------------------------------------------------------------------------

CROSSING = [
    (SYN, 0, 0, 0),
    (SYN | ACK, 0, 1, 0),
    (PSH | ACK, 1, 1, 100),
    (ACK, 101, 101, 0),
    (FIN | ACK, 101, 101, 0),
    (ACK, 102, 102, 0),
]
"""What each end sends where both do the same at the same time: flags, seq, ack, length."""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1_000_000, 300_000_000), min_size=6, max_size=6), st.integers(1, 6), st.booleans())
def test_where_both_ends_do_the_same_both_have_the_same_history(gaps: list[int], steps: int, swap: bool) -> None:
    """Simultaneous open, exchange and close; which of two simultaneous segments is recorded first does not matter."""
    sides, wires, at = (1, 0) if swap else (0, 1), [], START
    for gap, (flags, seq, ack, length) in zip(gaps[:steps], CROSSING, strict=False):
        at += gap
        script = [Step(side, flags, seq, ack, length) for side in sides]
        wires += on_the_wire(script, [0, 0], start=at)
    (history,) = histories_of(wires)
    assert _told(history)[0] == _told(history)[1]
    assert history.opening == ("simultaneous" if steps > 1 else history.opening)
    if steps > 4:
        assert State.CLOSING in [item.state for item in history.client.transitions] or steps == 5
    if steps == 6:
        assert states_of(history.client) == [
            "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT",
        ]  # fmt: skip
        assert history.closing == "simultaneous"


# -- a capture that ends early -------------------------------------------------------------------------------------


def sure_part(end: EndpointHistory) -> list[Transition]:
    """The transitions up to the last proven one."""
    last = max((i for i, item in enumerate(end.transitions) if item.certainty is Certainty.PROVEN), default=-1)
    return list(end.transitions[: last + 1])


@settings(max_examples=200, deadline=None)
@given(orderly(), st.integers(1, 20))
def test_what_a_capture_that_ends_early_proves_the_whole_one_says_too(talk: Talk, frames: int) -> None:
    """The states up to the last proven one are a prefix of the whole history; what is only supposed may fall away."""
    wires = on_the_wire(*talk)
    (whole,) = histories_of(wires)
    (early,) = histories_of(wires[:frames])
    for short, long in ((early.client, whole.client), (early.server, whole.server)):
        sure = [item.state for item in sure_part(short)]
        assert [item.state for item in long.transitions[: len(sure)]] == sure


@settings(max_examples=200, deadline=None)
@given(orderly(), st.integers(1, 20))
def test_of_an_orderly_connection_an_early_end_mistakes_the_last_state_at_most(talk: Talk, frames: int) -> None:
    """And that one is no more than supposed: a FIN sent twice and not yet acknowledged is held to be lost."""
    wires = on_the_wire(*talk)
    (whole,) = histories_of(wires)
    (early,) = histories_of(wires[:frames])
    for short, long in ((early.client, whole.client), (early.server, whole.server)):
        told, later = states_of(short), states_of(long)
        same = told == later[: len(told)]
        assert same or told[:-1] == later[: len(told) - 1] and short.transitions[-1].certainty is Certainty.SUPPOSED


@MANY
@given(talks(), st.integers(1, 16))
def test_a_capture_that_ends_early_proves_no_later_moment(talk: Talk, frames: int) -> None:
    """No bound lies behind the last frame, except where it is a guess at what happens on the far side or a timer."""
    wires = on_the_wire(*talk)[:frames]
    end = wires[-1].time_ns
    for history in histories_of(wires):
        for one in history[:2]:
            for item in one.transitions:
                assert item.earliest is None or item.earliest <= end
                assert item.certainty is not Certainty.PROVEN or item.latest is None or item.latest <= end


# -- nonsense ------------------------------------------------------------------------------------------------------


def spoiled(wires: Sequence[Wire], rubbish: Sequence[tuple[int, Step]]) -> list[Wire]:
    """Garbage segments put in at places, at the time of the segment before."""
    out = list(wires)
    for place, step in rubbish:
        at = place % (len(out) + 1)
        time = out[at - 1].time_ns if at else START
        out[at:at] = on_the_wire([step], [0], start=time)
    return out


@settings(max_examples=300, deadline=None)
@given(talks(10), st.lists(st.tuples(st.integers(0, 20), garbage()), min_size=1, max_size=6))
def test_garbage_never_raises_and_histories_stay_sound(talk: Talk, rubbish: list[tuple[int, Step]]) -> None:
    for history in histories_of(spoiled(on_the_wire(*talk), rubbish)):
        _sound(history)


@settings(max_examples=100, deadline=None)
@given(st.lists(garbage(), min_size=1, max_size=20), st.data())
def test_nothing_but_garbage_never_raises_either(steps: list[Step], data: st.DataObject) -> None:
    """With a clock that steps back as well."""
    pauses = [data.draw(st.integers(-(10**9), 10**9)) for _ in steps]
    for history in histories_of(on_the_wire(steps, pauses)):
        for end in history[:2]:
            _legal(end)
            _of_one_mind(end)


@MANY
@given(talks())
def test_histories_are_sound(talk: Talk) -> None:
    found = histories_of(on_the_wire(*talk), START + 10**14)
    for history in found:
        _sound(history, steady=len(found) == 1)


@MANY
@given(talks(8), talks(8), NUMBER)
def test_histories_of_ports_used_again_are_sound(first: Talk, second: Talk, isn: int) -> None:
    wires = on_the_wire(*first)
    wires += on_the_wire(*second, isn=(isn, isn), start=wires[-1].time_ns)
    for history in histories_of(wires):
        _sound(history)


def _sound(history: ConnectionHistory, steady: bool = False) -> None:
    for end in history[:2]:
        _legal(end)
        _ordered(end, steady)
        _of_one_mind(end)


def _legal(end: EndpointHistory) -> None:
    """Every step is a cell of THE TABLE, under its rule."""
    cells = {(state, rule.to, rule.id) for (state, _), rule in TABLE.items()}
    for before, item in zip(end.transitions, end.transitions[1:], strict=False):
        assert (before.state, item.state, item.rule) in cells, (before, item)
    for item in end.transitions[:1]:
        assert item.rule in {rule.id for rule in TABLE.values()} | set(EXTRA_RULES)


def _ordered(end: EndpointHistory, steady: bool) -> None:
    """Each interval has its ends in order; if `steady`, neither end goes back from one state to the next."""
    for item in end.transitions:
        assert item.earliest is None or item.latest is None or item.earliest <= item.latest, item
    for name in ("earliest", "latest") if steady else ("latest",):
        bounds = [getattr(item, name) for item in end.transitions if getattr(item, name) is not None]
        assert bounds == sorted(bounds), (name, end.transitions)


def _of_one_mind(end: EndpointHistory) -> None:
    """The final state is possible, and the TIME-WAIT ledger is that of the state."""
    assert end.possible_final
    assert end.final is None or end.final in end.possible_final
    states = [item.state for item in end.transitions]
    assert (end.time_wait is not None) == (State.TIME_WAIT in states)
    if end.time_wait is None:
        return
    entered = end.transitions[states.index(State.TIME_WAIT)]
    assert (end.time_wait.ended_by == "capture-end") == (end.final is State.TIME_WAIT)
    assert end.time_wait.restarts == tuple(sorted(end.time_wait.restarts))
    assert entered.certainty is not Certainty.ASSUMED or end.transitions[0].rule == "E26"


def test_the_earliest_times_do_not_go_back_where_the_ports_are_used_again() -> None:
    frames = parse(
        """
        0.000 C > S S 0:0(0)
        0.020 S > C S. 0:0(0) ack 1
        0.040 C > S . 1:1(0) ack 1
        0.500 C > S R 0:0(0)
        0.600 C > S P. 1:101(100) ack 1
        1.000 C > S S 33554432:33554432(0)
        1.010 C > S F. 101:101(0) ack 1
        1.020 S > C S. 0:0(0) ack 1
        """,
        "made",
    )
    for history in reconstructed(frames.capture()):
        _sound(history, steady=True)


def test_no_segments_make_no_histories() -> None:
    assert histories_of([]) == []
    assert len(find_connections(packets_of([]))) == 0


@given(scripts(4))
def test_scripts_are_worth_reading(script: list[Step]) -> None:
    """The strategy itself: a script begins with a segment of the client."""
    assert script[0].side == 0
