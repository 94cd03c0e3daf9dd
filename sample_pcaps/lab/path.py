"""The path between two hosts: carries packets with a delay, loses or holds some, records what passes its taps."""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab.segments import Segment

CLIENT, SERVER = "client", "server"
AT_CLIENT, MIDDLE, AT_SERVER = 0.0, 0.5, 1.0
_LONGEST_SLEEP = 0.02


@dataclass(frozen=True)
class Frame:
    """A packet as a tap saw it."""

    time_ns: int
    packet: bytes
    from_client: bool
    interface: int = 0
    comment: str = ""


@dataclass
class Rule:
    """What happens to the matching segments of one sender after the first ``skip``, ``times`` in number."""

    sender: str
    matches: Callable[[Segment], bool]
    skip: int
    times: float
    hold: float | None

    def applies(self, sender: str, segment: Segment) -> bool:
        """Tell whether the rule is for this segment, counting the segments it was asked about."""
        if sender != self.sender or not self.matches(segment):
            return False
        self.skip -= 1
        if self.skip >= 0 or self.times <= 0:
            return False
        self.times -= 1
        return True


class Path:
    """A thread that moves packets between two TUN file descriptors.

    Positions run from 0 (at the client) to 1 (at the server). Packets are lost at the middle of the path, just beyond
    a tap there; packets to be held are held before they reach any tap that is not at the sender itself.
    """

    def __init__(self, client_tun: int, server_tun: int, delay: float, taps: tuple[float, ...]) -> None:
        self.frames: list[Frame] = []
        self.recording = True
        self._tuns = {CLIENT: client_tun, SERVER: server_tun}
        self._delay = delay
        self._taps = taps
        self._rules: list[Rule] = []
        self._comment = ""
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._last_activity = time.monotonic()
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def lose(self, sender: str, matches: Callable[[Segment], bool], *, skip: int = 0, times: float = 1) -> None:
        """From now on lose matching segments: pass over the first ``skip``, then lose ``times`` of them."""
        self._rules.append(Rule(sender, matches, skip, times, None))

    def hold(self, sender: str, matches: Callable[[Segment], bool], seconds: float, *, skip: int = 0) -> None:
        """From now on hold one matching segment, so that those behind it overtake it."""
        self._rules.append(Rule(sender, matches, skip, 1, seconds))

    def comment_next(self, text: str) -> None:
        """Attach a comment to the next frame recorded."""
        self._comment = text

    def wait_until_quiet(self, seconds: float = 0.6) -> None:
        """Return when nothing has moved on the path for some time."""
        while self._events or time.monotonic() - self._last_activity < seconds:
            time.sleep(_LONGEST_SLEEP)

    def stop(self) -> None:
        """End the thread; no frame is recorded after this."""
        self._running = False
        self._thread.join()
        for tun in self._tuns.values():
            os.close(tun)

    def _run(self) -> None:
        senders = {tun: sender for sender, tun in self._tuns.items()}
        while self._running:
            pause = self._events[0][0] - time.monotonic() if self._events else _LONGEST_SLEEP
            ready, _, _ = select.select(list(senders), [], [], min(max(pause, 0), _LONGEST_SLEEP))
            for tun in ready:
                self._accept(senders[tun], os.read(tun, 65536))
            while self._events and self._events[0][0] <= time.monotonic():
                self._last_activity = time.monotonic()
                heapq.heappop(self._events)[2]()

    def _accept(self, sender: str, packet: bytes) -> None:
        """Plan the journey of a packet that a host has just sent."""
        segment = Segment.of_packet(packet)
        if segment is None:
            return
        departure = time.monotonic()
        rule = next((rule for rule in self._rules if rule.applies(sender, segment)), None)
        lost = rule is not None and rule.hold is None
        hold = rule.hold if rule is not None and rule.hold is not None else 0
        for interface, position in enumerate(self._taps):
            distance = position if sender == CLIENT else 1 - position
            if not (lost and distance > MIDDLE):
                held = hold if distance else 0
                self._at(departure + held + distance * self._delay, partial(self._record, interface, sender, packet))
        if not lost:
            receiver = self._tuns[SERVER if sender == CLIENT else CLIENT]
            self._at(departure + hold + self._delay, partial(os.write, receiver, packet))

    def _at(self, moment: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), action))

    def _record(self, interface: int, sender: str, packet: bytes) -> None:
        if self.recording:
            comment, self._comment = self._comment, ""
            self.frames.append(Frame(time.time_ns(), packet, sender == CLIENT, interface, comment))
