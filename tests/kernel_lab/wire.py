"""The wire: moves packets between two TUN interfaces in two hops, spoils some, and keeps a ledger of all."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from .segments import Segment, forge, read

SIDES = ("A", "B")
"""A is the client's host, B the server's."""
_LONGEST_SLEEP = 0.02
Match = Callable[[Segment], bool]


def other(side: str) -> str:
    """The opposite side."""
    return "B" if side == "A" else "A"


@dataclass(frozen=True)
class Hop:
    """Half of the path in one direction; times in seconds, the rest are probabilities."""

    delay: float
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    late_by: float = 0.004
    """How much later a reordered packet, or the copy of a duplicated one, comes."""


@dataclass
class Packet:
    """A line of the ledger; times are ns of the monotonic clock."""

    id: int
    sender: str
    origin: str
    data: bytes
    segment: Segment
    sent: int | None = None
    injected: int | None = None
    middle: int | None = None
    delivered: tuple[int, int] | None = None
    drop: str = ""
    copy_of: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def begun(self) -> int:
        """When it came into being."""
        moment = self.sent if self.sent is not None else self.injected
        assert moment is not None
        return moment


@dataclass
class Rule:
    """Loses (or holds for a time) those of one sender's segments that match: after ``skip``, ``times`` of them."""

    name: str
    sender: str
    match: Match
    times: float = 1
    skip: int = 0
    hop: int = 0
    hold: float | None = None
    hits: int = 0

    def applies(self, packet: Packet) -> bool:
        """Tell whether this packet is hit, counting those it was asked about."""
        if packet.sender != self.sender or not self.match(packet.segment):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.hits >= self.times:
            return False
        self.hits += 1
        return True


class Wire:
    """A thread between two TUN file descriptors."""

    def __init__(self, tuns: dict[str, int], hops: dict[str, tuple[Hop, Hop]], chance: random.Random) -> None:
        self.ledger: list[Packet] = []
        self.rules: list[Rule] = []
        self.last_activity = time.monotonic()
        self._tuns, self._hops, self._chance = tuns, hops, chance
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free_from = {(side, hop): 0 for side in SIDES for hop in (0, 1)}
        self._apart = dict.fromkeys(SIDES, 0)
        self._orders: list[Callable[[], None]] = []
        self._running = True
        for tun in tuns.values():
            os.set_blocking(tun, False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, rule: Rule) -> Rule:
        """From now on apply a rule."""
        self.rules.append(rule)
        return rule

    def inject(self, sender: str, segment: Segment, payload: bytes = b"", note: str = "") -> None:
        """Send a forged packet from the middle, in the name of ``sender``, to the other side."""
        self._orders.append(partial(self._inject, sender, segment, payload, note))

    def insert(self, sender: str, packet: bytes, segment: Segment, hop: int, note: str) -> None:
        """Send a packet made on the path: in the first half of it (hop 0) or behind the middle (hop 1).

        ``sender``: in whose name, or from whose direction. ``segment``: what it holds; of an ICMP error what it quotes.
        """
        self._orders.append(partial(self._insert, sender, packet, segment, hop, note))

    def pace(self, sender: str, apart_ns: int) -> None:
        """From now on let a sender's segments pass the first half of the path no closer than so many ns."""
        self._apart[sender] = apart_ns

    @property
    def idle(self) -> float:
        """Seconds since something last moved; 0 while packets are under way."""
        return 0.0 if self._events or self._orders else time.monotonic() - self.last_activity

    def stop(self) -> None:
        """End the thread and give the interfaces back; no harm in doing it twice."""
        self._running = False
        self._thread.join()
        while self._tuns:
            os.close(self._tuns.popitem()[1])

    def _run(self) -> None:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        poll = select.poll()
        for tun in self._tuns.values():
            poll.register(tun, select.POLLIN)
        while self._running:
            pause = _LONGEST_SLEEP
            if self._events:
                pause = min(max(self._events[0][0] - time.monotonic_ns(), 0) / 1e9, _LONGEST_SLEEP)
            if pause > 0.0005:
                poll.poll(int(pause * 1000) or 1) if pause >= 0.001 else time.sleep(0.0002)
            for side in SIDES:
                self._drain(side)
            while self._orders:
                self._orders.pop(0)()
            while self._events and self._events[0][0] <= time.monotonic_ns():
                self.last_activity = time.monotonic()
                heapq.heappop(self._events)[2]()

    def _drain(self, side: str) -> None:
        """Take all that a host has sent, so that the ledger has it before what the host is sent next."""
        while True:
            try:
                data = os.read(self._tuns[side], 65536)
            except BlockingIOError:
                return
            now = time.monotonic_ns()
            segment = read(data)
            if segment is not None:
                self.last_activity = time.monotonic()
                self._take(side, data, segment, now)

    def _take(self, sender: str, data: bytes, segment: Segment, now: int) -> None:
        packet = self._enter(Packet(len(self.ledger), sender, "tx", data, segment, sent=now))
        hold = 0.0
        drop_at: int | None = None
        for rule in self.rules:
            if rule.applies(packet):
                packet.notes.append(f"rule:{rule.name}#{rule.hits}")
                if rule.hold is not None:
                    hold = rule.hold
                else:
                    drop_at = rule.hop
                    packet.drop = f"seg{rule.hop + 1}:rule:{rule.name}"
                    break
        if drop_at != 0:
            self._travel(packet, 0, now, hold, drop_at == 1)

    def _enter(self, packet: Packet) -> Packet:
        self.ledger.append(packet)
        return packet

    def _travel(self, packet: Packet, hop: int, now: int, hold: float = 0.0, doomed: bool = False) -> None:
        """Send a packet over a hop: by chance it is lost, doubled or late; otherwise in order."""
        nature, chance = self._hops[packet.sender][hop], self._chance
        if packet.origin == "tx" and chance.random() < nature.loss:
            packet.drop = f"seg{hop + 1}:random"
            return
        arrival = now + round((nature.delay + abs(chance.gauss(0, nature.jitter)) + hold) * 1e9)
        if chance.random() < nature.reordering:
            packet.notes.append(f"seg{hop + 1}:reorder")
            arrival += round(nature.late_by * 1e9)
        elif not hold:
            apart = self._apart[packet.sender] if hop == 0 else 0
            arrival = max(arrival, self._free_from[packet.sender, hop] + apart)
            self._free_from[packet.sender, hop] = arrival
        twin = hop == 1 and packet.origin == "tx" and chance.random() < nature.duplication
        self._at(arrival, partial(self._arrive, packet, hop, doomed))
        if twin:
            packet.notes.append(f"seg{hop + 1}:dup")
            self._at(arrival + round(nature.late_by * 1e9), partial(self._copy, packet))

    def _copy(self, packet: Packet) -> None:
        """Deliver a second copy, made behind the middle."""
        copy = Packet(len(self.ledger), packet.sender, "netdup", packet.data, packet.segment, sent=packet.sent)
        copy.copy_of = packet.id
        self._deliver(self._enter(copy))

    def _arrive(self, packet: Packet, hop: int, doomed: bool) -> None:
        if hop == 1:
            self._deliver(packet)
            return
        packet.middle = time.monotonic_ns()
        if not doomed:
            self._travel(packet, 1, packet.middle)

    def _deliver(self, packet: Packet) -> None:
        receiver = other(packet.sender)
        self._drain(receiver)
        before = time.monotonic_ns()
        os.write(self._tuns[receiver], packet.data)
        packet.delivered = before, time.monotonic_ns()

    def _inject(self, sender: str, segment: Segment, payload: bytes, note: str) -> None:
        now = time.monotonic_ns()
        packet = Packet(len(self.ledger), sender, "injected", forge(segment, payload), segment, injected=now)
        packet.notes.append(note)
        packet.middle = now
        self._travel(self._enter(packet), 1, now)

    def _insert(self, sender: str, data: bytes, segment: Segment, hop: int, note: str) -> None:
        now = time.monotonic_ns()
        packet = Packet(len(self.ledger), sender, "injected", data, segment, injected=now, notes=[note])
        self._travel(self._enter(packet), hop, now)

    def _at(self, moment: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), action))
