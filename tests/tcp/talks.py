"""Hypothesis strategies: connections that real ends might have had, with all that a path and a capture do to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from .wire import ACK, FIN, PSH, RST, START, SYN, A, B, Host, Wire

MS = 10**6
CLIENT, SERVER = 0, 1


class Step(NamedTuple):
    """One segment; numbers relative to the initial ones."""

    side: int
    flags: int
    seq: int
    ack: int
    length: int = 0
    window: int = 512


class _Ends:
    """What both ends have sent, so that the next segment can go on from there."""

    def __init__(self) -> None:
        self.next = [0, 0]
        self.steps: list[Step] = []

    def send(self, side: int, flags: int, length: int = 0, behind: int = 0, window: int = 512) -> None:
        """`behind`: how far its acknowledgment lags behind what the other side sent."""
        ack = max(0, self.next[1 - side] - behind) if flags & ACK else 0
        self.steps.append(Step(side, flags, self.next[side], ack, length, window))
        if not flags & RST:
            self.next[side] += length + bool(flags & SYN) + bool(flags & FIN)


OPENINGS = ("three-way",) * 3 + ("repeated", "simultaneous", "fast-open", "midstream", "refused", "lost")
EVENTS = ("data", "data", "ack", "ack", "fin", "fin", "reset", "again", "keep-alive", "window", "stray-syn", "forged")


@st.composite
def scripts(draw: st.DrawFn, most: int = 14) -> list[Step]:
    """The segments of one connection, in the order of the tap."""
    ends = _Ends()
    _open(ends, draw(st.sampled_from(OPENINGS)))
    for _ in range(draw(st.integers(0, most))):
        side, event = draw(st.integers(0, 1)), draw(st.sampled_from(EVENTS))
        behind = draw(st.sampled_from((0, 0, 0, 1, 100)))
        if event == "data":
            ends.send(side, PSH | ACK, 100, behind)
        elif event == "ack":
            ends.send(side, ACK, 0, behind)
        elif event == "fin":
            ends.send(side, FIN | ACK, draw(st.sampled_from((0, 0, 50))), behind)
        elif event == "reset":
            ends.send(side, draw(st.sampled_from((RST, RST | ACK))))
        elif event == "window":
            ends.send(side, ACK, 0, behind, 0)
        elif event == "again":
            ends.steps.append(draw(st.sampled_from(ends.steps)))
        elif event == "keep-alive":
            ends.steps.append(Step(side, ACK, max(0, ends.next[side] - 1), ends.next[1 - side]))
        elif event == "stray-syn":
            ends.steps.append(Step(side, SYN, draw(st.integers(1 << 25, 1 << 30)), 0))
        else:
            ends.steps.append(Step(side, RST, draw(st.integers(0, 1 << 31)), 0))
    return ends.steps


def _open(ends: _Ends, how: str) -> None:
    if how == "midstream":
        ends.next = [1, 1]
        ends.send(CLIENT, PSH | ACK, 100)
        return
    ends.send(CLIENT, SYN, 100 if how == "fast-open" else 0)
    if how == "lost":
        ends.steps.append(ends.steps[0])
    elif how == "refused":
        ends.send(SERVER, RST | ACK)
    elif how == "simultaneous":
        ends.send(SERVER, SYN)
        ends.steps += [Step(CLIENT, SYN | ACK, 0, 1), Step(SERVER, SYN | ACK, 0, 1)]
    else:
        ends.send(SERVER, SYN | ACK)
        if how == "repeated":
            ends.steps += ends.steps[:2]
        ends.send(CLIENT, ACK)


GAPS = (0, 4_000, MS // 2, 5 * MS, 20 * MS, 45 * MS, 80 * MS, 250 * MS, 1_100 * MS, 61_000 * MS, 7_200_000 * MS)


def gaps(count: int) -> st.SearchStrategy[list[int]]:
    """`count` pauses between segments, ns: of all the orders of magnitude that settings and timers tell apart."""
    one = st.tuples(st.sampled_from(GAPS), st.integers(0, 2 * MS)).map(sum)
    return st.lists(one, min_size=count, max_size=count)


def on_the_wire(
    script: Sequence[Step],
    pauses: Sequence[int],
    hosts: tuple[Host, Host] = (A, B),
    isn: tuple[int, int] = (1000, 5000),
    start: int = START,
) -> list[Wire]:
    """A script at given times, between given hosts, with given initial numbers."""
    wires = []
    for step, pause in zip(script, pauses, strict=True):
        start += pause
        seq, ack = step.seq + isn[step.side], step.ack + isn[1 - step.side] if step.flags & ACK else 0
        src, dst = hosts if step.side == CLIENT else hosts[::-1]
        wires.append(Wire(start, src, dst, step.flags, seq % (1 << 32), ack % (1 << 32), step.length, step.window))
    return wires


@st.composite
def talks(draw: st.DrawFn, most: int = 14) -> tuple[list[Step], list[int]]:
    """A script and its pauses."""
    script = draw(scripts(most))
    return script, draw(gaps(len(script)))


@st.composite
def garbage(draw: st.DrawFn) -> Step:
    """A segment without sense."""
    number = st.integers(0, (1 << 32) - 1)
    flags = draw(st.integers(0, 511))
    length = draw(st.sampled_from((0, 1, 1460, 70_000)))
    return Step(draw(st.integers(0, 1)), flags, draw(number), draw(number), length, draw(st.integers(0, 65_535)))
