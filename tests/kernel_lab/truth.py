"""From what was observed to each end's states: the kernel's states in RFC 9293's words, each with its moment.

The tracepoint misses three things. A passive opener waits in a request socket: SYN-RECEIVED begins when its SYN was
delivered and no later than its SYN-ACK left. At TIME-WAIT, and in an orphan's FIN-WAIT-2, a mini-socket replaces the
socket, which is traced as closed: the timer set just before tells which of the two it is. How a mini-socket or a
request ends is seen between two polls of the socket table, by what arrived there then.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .play import Run
from .segments import ACK, FIN, RST, SYN
from .tracing import RESOLUTION, StateChange, TimerEvent
from .wire import Packet

_COARSE_CLOCK = 6
JIFFIES_A_SECOND = round(1 / time.clock_getres(_COARSE_CLOCK))
_TIME_WAIT_JIFFIES = 60 * JIFFIES_A_SECOND
_BESIDE = 200_000
"""ns within which a TIME-WAIT timer is set before its socket is traced as closed, on the same CPU."""
_SOON = 20_000_000
NAMES = {"CLOSE": "CLOSED", "SYN_RECV": "SYN_RCVD", "FIN_WAIT1": "FIN_WAIT_1", "FIN_WAIT2": "FIN_WAIT_2"}
End = tuple[str, int]
Pair = tuple[End, End]
"""(client's end, server's end)."""


@dataclass
class Transition:
    """A state entered at some time in [low, high], and what brought it or shows it."""

    old: str
    new: str
    low: int
    high: int
    source: str
    packet: int | None = None
    evidence: int | None = None
    cause: str = ""
    transient: bool = False


@dataclass
class Connection:
    """One life of a four-tuple."""

    id: int
    pair: Pair
    life: int
    since: int
    start: dict[str, str] = field(default_factory=lambda: {"A": "CLOSED", "B": "CLOSED"})
    flags: list[str] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    sides: dict[str, list[Transition]] = field(default_factory=lambda: {"A": [], "B": []})


class Bracket(NamedTuple):
    """Something ended after ``low`` (last seen) and by ``high`` (first missed)."""

    low: int
    high: int | None


class Observed:
    """A run's observations, by pair and side."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.side_of = {address: side for side, both in run.addresses.items() for address in both.values()}
        self.changes: dict[tuple[Pair, str], list[StateChange]] = defaultdict(list)
        self.listening: list[tuple[End, int]] = []
        self.timers = [event for event in run.events if isinstance(event, TimerEvent)]
        for event in run.events:
            if isinstance(event, StateChange) and event.local[0] in self.side_of:
                self._note(event)
        self.packets: dict[Pair, list[Packet]] = defaultdict(list)
        for packet in run.ledger:
            segment = packet.segment
            ends = (segment.source, segment.source_port), (segment.target, segment.target_port)
            self.packets[ends if packet.sender == "A" else ends[::-1]].append(packet)
        self.delivered = {
            (pair, side): sorted(
                (p for p in packets if p.delivered and p.sender != side), key=lambda p: (p.delivered or (0, 0))[0]
            )
            for pair, packets in self.packets.items()
            for side in "AB"
        }

    def _note(self, event: StateChange) -> None:
        if "LISTEN" in (event.old, event.new) and not event.remote[1]:
            if event.new == "LISTEN":
                self.listening.append((event.local, event.at))
            return
        side = self.side_of[event.local[0]]
        pair = (event.local, event.remote) if side == "A" else (event.remote, event.local)
        self.changes[pair, side].append(event)

    def deliveries(self, pair: Pair, side: str, low: int, high: int) -> list[Packet]:
        """What was delivered to a side, wholly or partly, in a time."""
        packets = self.delivered.get((pair, side), ())
        return [p for p in packets if p.delivered and p.delivered[1] >= low and p.delivered[0] <= high]

    def sent(self, pair: Pair, side: str, since: int) -> list[Packet]:
        """What a side sent since a time."""
        mine = (p for p in self.packets.get(pair, ()) if p.sender == side and p.origin == "tx")
        return [p for p in mine if p.sent is not None and p.sent >= since]

    def listener(self, end: End, before: int) -> bool:
        """Whether someone had listened there before."""
        return any(at == end and since < before for at, since in self.listening)

    def seen(self, pair: Pair, side: str, states: set[str], since: int, until: int | None = None) -> Bracket:
        """When a socket of these states, in the table soon after ``since``, was no longer there."""
        mine, peer = pair if side == "A" else pair[::-1]
        low, cookie = since, None
        for sample in self.run.samples:
            if sample.side != side or sample.since < since:
                continue
            here = [e for e in sample.entries if e.local == mine and e.remote == peer and e.state in states]
            kept = [e for e in here if cookie in (None, e.cookie)]
            if not kept or until is not None and sample.since > until:
                return Bracket(low, sample.until)
            low, cookie = sample.since, kept[0].cookie
        return Bracket(low, None)


def connections(run: Run) -> list[Connection]:
    """All connections of a run, with both ends' transitions."""
    observed = Observed(run)
    found: list[Connection] = []
    for pair in sorted(observed.packets, key=lambda p: observed.packets[p][0].begun):
        lives = _lives(observed, pair, len(found))
        for packet in observed.packets[pair]:
            owner = max((c for c in lives if c.since <= packet.begun), key=lambda c: c.since, default=lives[0])
            owner.packets.append(packet)
        for connection in lives:
            _name_starts(observed, connection)
        for side in "AB":
            _read_side(observed, lives, side)
        found += lives
    return found


def _lives(observed: Observed, pair: Pair, known: int) -> list[Connection]:
    """A life begins when someone connects; two who connect to each other meanwhile share one."""
    opened = sorted(
        (e.at, side) for side in "AB" for e in observed.changes.get((pair, side), ()) if e.new == "SYN_SENT"
    )
    starts: list[tuple[int, set[str]]] = []
    for at, side in opened:
        if starts and side not in starts[-1][1] and not _over(observed, pair, side, starts[-1][0], at):
            starts[-1][1].add(side)
        else:
            starts.append((at, {side}))
    if not starts:
        starts = [(observed.packets[pair][0].begun, set())]
    return [Connection(known + i + 1, pair, i, at) for i, (at, _) in enumerate(starts)]


def _over(observed: Observed, pair: Pair, side: str, since: int, until: int) -> bool:
    """Between two times a socket of the pair came by accepting, closed, or was refused: no simultaneous open."""
    both = (event for end in "AB" for event in observed.changes.get((pair, end), ()))
    answers = observed.sent(pair, side, since)
    refused = any(p.segment.flags & RST and p.begun < until for p in answers)
    return refused or any(since < e.at < until and (e.old == "LISTEN" or e.new == "CLOSE") for e in both)


def _name_starts(observed: Observed, connection: Connection) -> None:
    first = min((p.begun for p in connection.packets), default=connection.since)
    for side, end in zip("AB", connection.pair, strict=True):
        changes = observed.changes.get((connection.pair, side), ())
        actively = any(e.new == "SYN_SENT" and connection.since <= e.at for e in changes)
        if not actively and observed.listener(end, first):
            connection.start[side] = "LISTEN"


def _read_side(observed: Observed, lives: Sequence[Connection], side: str) -> None:
    pair = lives[0].pair
    events = observed.changes.get((pair, side), [])
    sockets: list[list[StateChange]] = []
    for event in events:
        if event.new == "SYN_SENT" or event.old == "LISTEN" or not sockets:
            sockets.append([])
        sockets[-1].append(event)
    for socket_events in sockets:
        at = socket_events[0].at
        owner = max((c for c in lives if c.since <= at), key=lambda c: c.since, default=lives[0])
        owner.sides[side] += _of_socket(observed, owner, side, socket_events)
    if not any(e.new == "SYN_SENT" for e in events):
        for connection in lives:
            connection.sides[side] += _requests(observed, connection, side, events)
    for connection in lives:
        _finish(observed, connection, side)


# -- sockets -----------------------------------------------------------------------------------------------------------


def _of_socket(observed: Observed, owner: Connection, side: str, events: Sequence[StateChange]) -> list[Transition]:
    """Transitions of one socket, and of the mini-socket that took its place."""
    found: list[Transition] = []
    for event in events:
        old, new = (NAMES.get(state, state) for state in (event.old, event.new))
        here = Transition(old, new, event.at, event.at + RESOLUTION, "trace")
        if old == new:
            continue
        if old == "LISTEN":
            syns = observed.deliveries(owner.pair, side, event.at, event.at + RESOLUTION)
            if any(p.segment.only(SYN) for p in syns):
                owner.flags.append("tfo")
                found.append(here)
            continue
        timer = _timer_beside(observed, event) if new == "CLOSED" and old in ("FIN_WAIT_2", "CLOSING") else None
        if timer is None:
            found.append(here)
            continue
        if timer.timeout is not None and abs(timer.timeout - _TIME_WAIT_JIFFIES) <= 2:
            here.new = "TIME_WAIT"
            found.append(here)
        found += _of_mini_socket(observed, owner.pair, side, event.at, here.new, timer.timer)
    return found


def _timer_beside(observed: Observed, event: StateChange) -> TimerEvent | None:
    near = (t for t in observed.timers if t.cpu == event.cpu and 0 <= event.at - t.at < _BESIDE and t.timeout)
    return max(near, key=lambda t: t.at, default=None)


def _of_mini_socket(observed: Observed, pair: Pair, side: str, since: int, kind: str, timer: str) -> list[Transition]:
    """What a mini-socket went through: FIN-WAIT-2 -> TIME-WAIT at a FIN, and its end."""
    found: list[Transition] = []
    state = "TIME_WAIT" if kind == "TIME_WAIT" else "FIN_WAIT_2"
    gone = observed.seen(pair, side, {"TIME_WAIT", "FIN_WAIT2"}, since)
    until = gone.high if gone.high is not None else observed.run.ended
    own = [t for t in observed.timers if t.timer == timer and since < t.at <= until]
    expired = next((t for t in own if t.timeout is None), None)
    if state == "FIN_WAIT_2":
        # The address of a timer may soon be another mini-socket's: only a FIN makes this one a TIME-WAIT.
        fins = [p for p in observed.deliveries(pair, side, since, until) if p.segment.flags & FIN and p.delivered]
        anew = (t for t in own if t.timeout and abs(t.timeout - _TIME_WAIT_JIFFIES) <= 2)
        again = next((t for t in anew if any(0 <= t.at - (p.delivered or (0, 0))[0] < _SOON for p in fins)), None)
        if again is not None:
            found.append(Transition(state, "TIME_WAIT", again.at, again.at + RESOLUTION, "trace:tw_timer"))
            state = "TIME_WAIT"
    if gone.high is None:
        return found
    if expired is not None and expired.at >= gone.low:
        found.append(Transition(state, "CLOSED", expired.at, expired.at + RESOLUTION, "trace:tw_timer", cause="timer"))
        return found
    found.append(_end_of_mini_socket(observed, pair, side, state, since, gone))
    return found


def _end_of_mini_socket(observed: Observed, pair: Pair, side: str, state: str, since: int, gone: Bracket) -> Transition:
    assert gone.high is not None
    connects = [e for e in observed.changes[pair, side] if e.new == "SYN_SENT" and gone.low <= e.at <= gone.high]
    if connects:
        at = connects[0].at
        return Transition(state, "CLOSED", at - _SOON // 100, at + RESOLUTION, "trace", cause="app:connect")
    arrived = observed.deliveries(pair, side, gone.low, gone.high)
    arrived = [p for p in arrived if p.delivered and p.delivered[0] > since]
    killers = [p for p in arrived if p.segment.flags & RST] or [p for p in arrived if p.segment.only(SYN)]
    killers = killers or (arrived if state == "FIN_WAIT_2" else [])
    if killers and killers[0].delivered:
        low, high = killers[0].delivered
        return Transition(state, "CLOSED", low, high, "ledger", packet=killers[0].id, cause="rx")
    return Transition(state, "CLOSED", gone.low, gone.high, "diag", cause="unknown")


# -- request sockets ---------------------------------------------------------------------------------------------------


def _requests(observed: Observed, connection: Connection, side: str, events: Sequence[StateChange]) -> list[Transition]:
    """SYN-RECEIVED of request sockets: from the SYN to the child socket, or to their end."""
    pair, found, alive_until = connection.pair, [], 0
    answers = [p for p in connection.packets if p.sender == side and p.origin == "tx" and p.segment.only(SYN | ACK)]
    for answer in answers:
        assert answer.sent is not None
        if answer.sent <= alive_until or "tfo" in connection.flags:
            continue
        asked = [p for p in observed.deliveries(pair, side, 0, answer.sent) if p.segment.only(SYN)]
        asked = [p for p in asked if (p.segment.seq + 1 + p.segment.length) % 2**32 >= answer.segment.ack] or asked
        if not asked or asked[-1].delivered is None:
            continue
        low = asked[-1].delivered[0]
        found.append(Transition("LISTEN", "SYN_RCVD", low, answer.sent, "ledger", asked[-1].id, answer.id, "rx"))
        child = next((e.at for e in events if e.old == "LISTEN" and e.at >= low), None)
        gone = observed.seen(pair, side, {"SYN_RECV"}, answer.sent + 1, child)
        if child is not None and (gone.high is None or child <= gone.high):
            break
        if gone.high is None:
            break
        alive_until = gone.high
        found.append(_end_of_request(observed, pair, side, gone))
    return found


def _end_of_request(observed: Observed, pair: Pair, side: str, gone: Bracket) -> Transition:
    assert gone.high is not None
    refusal = next((p for p in observed.sent(pair, side, gone.low) if p.segment.flags & RST), None)
    if refusal is not None and refusal.sent is not None and refusal.sent <= gone.high:
        arrived = [p for p in observed.deliveries(pair, side, gone.low, refusal.sent)]
        packet = arrived[-1] if arrived else None
        low = packet.delivered[0] if packet is not None and packet.delivered else gone.low
        cause = "rx" if packet is not None else "app"
        return Transition(
            "SYN_RCVD", "CLOSED", low, refusal.sent, "ledger", packet.id if packet else None, refusal.id, cause
        )
    for packet in observed.deliveries(pair, side, gone.low, gone.high):
        if packet.segment.flags & RST and packet.delivered:
            low, high = packet.delivered
            return Transition("SYN_RCVD", "CLOSED", low, high, "ledger", packet.id, cause="rx")
    return Transition("SYN_RCVD", "CLOSED", gone.low, gone.high, "diag", cause="timer")


# -- causes ------------------------------------------------------------------------------------------------------------


def _finish(observed: Observed, connection: Connection, side: str) -> None:
    """Sort, name causes and evidence, mark what was left again by the packet that brought it."""
    chain = sorted(connection.sides[side], key=lambda item: (item.low, item.high))
    for item in chain:
        if item.source.startswith("trace") and not item.cause:
            _attribute(observed, connection.pair, side, item)
    for item, after in zip(chain, chain[1:], strict=False):
        if item.packet is not None and item.packet == after.packet:
            item.transient = True
    connection.sides[side] = chain


def _attribute(observed: Observed, pair: Pair, side: str, item: Transition) -> None:
    arrived = observed.deliveries(pair, side, item.low, item.high)
    own_doing = item.new in ("SYN_SENT", "FIN_WAIT_1", "LAST_ACK")
    if item.new == "CLOSED":
        arrived = [p for p in arrived if _may_close(p, item.old)]
    if arrived and not own_doing:
        item.packet, item.cause = arrived[-1].id, "rx"
    elif item.new not in ("SYN_SENT", "FIN_WAIT_1", "LAST_ACK", "CLOSED"):
        before = [p for p in observed.deliveries(pair, side, item.low - _SOON, item.low)]
        item.packet, item.cause = (before[-1].id, "rx_backlog") if before else (None, "rx")
    else:
        item.cause = "app"
    if own_doing or item.cause == "app":
        wanted = {"SYN_SENT": SYN, "CLOSED": RST}.get(item.new, FIN)
        horizon = item.high + (_SOON if item.new == "CLOSED" else 120_000_000_000)
        shown = (p for p in observed.sent(pair, side, item.low) if p.segment.flags & wanted)
        item.evidence = next((p.id for p in shown if p.sent is not None and p.sent <= horizon), None)
        if item.new == "CLOSED":
            item.cause = "app:abort" if item.evidence is not None else "timer"
    elif item.new == "CLOSED" and item.packet is not None:
        answer = (p for p in observed.sent(pair, side, item.low) if p.segment.flags & RST)
        brought = next(p for p in arrived if p.id == item.packet)
        if not brought.segment.flags & RST:
            item.evidence = next((p.id for p in answer if p.sent is not None and p.sent <= item.high + _SOON), None)


def _may_close(packet: Packet, old: str) -> bool:
    segment = packet.segment
    if segment.flags & RST:
        return True
    return old in ("LAST_ACK", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSING") and bool(segment.flags & ACK)
