"""One run: two hosts, the wire, the observers, and several connections of one scenario side by side."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.bench import Bench
from lab.hosts import Host
from lab.talk import text

from .segments import ACK, MODULUS, Segment
from .sockets import Sample, SocketTables
from .tracing import Event, KernelTrace
from .wire import Hop, Match, Packet, Rule, Wire, other

FIRST_PORT = 5000
FIN_TIMEOUT = 50
"""Unlike the 60 s of TIME-WAIT, so that the two kinds of mini-socket differ in their timers."""
_SETTINGS = {"ipv4/tcp_fin_timeout": str(FIN_TIMEOUT), "ipv4/tcp_syncookies": "0"}
_ON_THE_MOVE = {"SYN_SENT", "SYN_RECV", "FIN_WAIT1", "LAST_ACK", "CLOSING"}
_WAITING = {"TIME_WAIT"}
_PATIENCE, _LONG_PATIENCE = 10.0, 150.0
_ABORT = struct.pack("ii", 1, 0)
CAUSES = ("TCPTimeouts", "TCPLossProbes", "TCPFastRetrans", "TCPSlowStartRetrans", "TCPLostRetransmit")
"""Counters of why segments were sent again (net/ipv4/proc.c)."""
Settings = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Scenario:
    """What the applications do, over which kinds of path, with which settings of the hosts."""

    name: str
    summary: str
    play: Callable[[Talk], None]
    paths: tuple[str, ...]
    settings: Callable[[int], Settings]
    to_the_end: bool
    """The run goes on until every TIME-WAIT has ended."""


@dataclass
class Run:
    """What a run left behind; times are ns of the monotonic clock."""

    scenario: Scenario
    seed: int
    addresses: dict[str, dict[int, str]]
    hops: dict[str, tuple[Hop, Hop]]
    settings: Settings
    plays: list[dict[str, Any]]
    errors: list[str]
    ledger: list[Packet]
    events: list[Event]
    samples: list[Sample]
    ended: int
    epoch: int
    """Add this to a monotonic time to have one since 1970."""
    to_the_end: bool
    counters: dict[str, dict[str, int]]
    """By side what its kernel counted of CAUSES."""


class Lab(Bench):
    """Two hosts with addresses of their own, joined by a wire."""

    def __init__(self, slot: int, hops: dict[str, tuple[Hop, Hop]], settings: Settings, chance: random.Random) -> None:
        super().__init__()
        slot %= 60_000
        high, low = divmod(slot, 250)
        self.client.addresses = {4: f"198.18.{high}.{low + 1}", 6: f"2001:db8:a:{slot + 1:x}::1"}
        self.server.addresses = {4: f"198.19.{high}.{low + 1}", 6: f"2001:db8:b:{slot + 1:x}::2"}
        self.hosts = {"A": self.client, "B": self.server}
        for side, host in self.hosts.items():
            for name, value in (_SETTINGS | settings.get(side, {})).items():
                host.configure(name, value)
        tuns = {side: host.open_tun("tun0") for side, host in self.hosts.items()}
        for host in self.hosts.values():
            host.attach("tun0")
        self.wire = Wire(tuns, hops, chance)

    def __exit__(self, *details: object) -> None:
        self.wire.stop()
        super().__exit__(*details)


@dataclass
class Talk:
    """One play of a scenario: its ports, its chance, its rules on the wire."""

    lab: Lab
    number: int
    chance: random.Random
    version: int
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = FIRST_PORT + self.number % 1000
        self._rest = self.number

    # -- choices -----------------------------------------------------------------------------------------------

    def variant(self, name: str, options: Sequence[Any]) -> Any:
        """The next of the options, so that plays in a row go through all combinations of them."""
        self._rest, place = divmod(self._rest, len(options))
        self.params[name] = options[place]
        return options[place]

    def pick(self, name: str, options: Sequence[Any]) -> Any:
        """One of the options by chance."""
        self.params[name] = self.chance.choice(list(options))
        return self.params[name]

    # -- sockets -----------------------------------------------------------------------------------------------

    def listen(self, backlog: int = 16, side: str = "B") -> socket.socket:
        """The listener of this play; the first call opens it."""
        if not hasattr(self, "_listener"):
            self._listener = self.lab.open(self.lab.hosts[side], self.version, self.port)
            self._listener.listen(backlog)
        return self._listener

    def client(self, port: int = 0) -> socket.socket:
        """An unconnected socket of the client's host."""
        return self.lab.open(self.lab.client, self.version, port)

    @property
    def server_at(self) -> tuple[str, int]:
        """Where the server listens."""
        return self.lab.server.addresses[self.version], self.port

    def accept(self) -> socket.socket:
        """The next connection at the server."""
        return self.keep(self.listen().accept()[0])

    def keep(self, accepted: socket.socket) -> socket.socket:
        """Close this socket at the end of the run, not before."""
        accepted.settimeout(20)
        self.lab._resources.callback(accepted.close)
        return accepted

    def connect(self, client: socket.socket | None = None) -> dict[str, socket.socket]:
        """A connection; its ends by side."""
        self.listen()
        client = client or self.client()
        client.connect(self.server_at)
        return {"A": client, "B": self.accept()}

    # -- the path ----------------------------------------------------------------------------------------------

    def lose(
        self, name: str, sender: str, match: Match, times: float = 1, *, skip: int = 0, hop: int | None = None
    ) -> Rule:
        """Lose matching segments of this play."""
        hop = self.chance.randrange(2) if hop is None else hop
        return self.lab.wire.add(Rule(name, sender, self._of_this_play(match), times, skip, hop))

    def hold(self, name: str, sender: str, match: Match, seconds: float, *, skip: int = 0) -> Rule:
        """Hold one matching segment."""
        return self.lab.wire.add(Rule(name, sender, self._of_this_play(match), 1, skip, hold=seconds))

    def cut(self, *senders: str) -> list[Rule]:
        """From now on nothing of these senders passes the first half of the path."""
        return [self.lose("cut", sender, lambda _: True, float("inf"), hop=0) for sender in senders or ("A", "B")]

    def mend(self, rules: Sequence[Rule]) -> None:
        """Undo rules."""
        for rule in rules:
            rule.times = 0

    def _of_this_play(self, match: Match) -> Match:
        return lambda segment: self.port in (segment.source_port, segment.target_port) and match(segment)

    def last_of(self, sender: str) -> Segment:
        """What this side sent last, RST apart."""
        ledger = self.lab.wire.ledger
        mine = self._of_this_play(lambda segment: not segment.flags & 4)
        return next(p.segment for p in reversed(ledger) if p.sender == sender and p.origin == "tx" and mine(p.segment))

    def inject(
        self, sender: str, flags: int, note: str, *, shift: int = 0, size: int = 0, ack: int | None = None
    ) -> None:
        """Forge a segment of ``sender``, ``shift`` past its last number, acknowledging what it did or `ack`."""
        last = self.last_of(sender)
        forged = Segment(
            last.source, last.source_port, last.target, last.target_port, (last.end + shift) % MODULUS,
            (last.ack if ack is None else ack) if flags & ACK else 0, flags, 512, size, last.stamps,
        )  # fmt: skip
        self.lab.wire.inject(sender, forged, text(size), note)

    @property
    def round_trip(self) -> float:
        """About how long the way there and back takes, in seconds."""
        return sum(hop.delay for hops in self.lab.wire._hops.values() for hop in hops)

    # -- what both ends do -------------------------------------------------------------------------------------

    def exchange(self, ends: dict[str, socket.socket], first: str = "A", sizes: tuple[int, int] = (120, 500)) -> None:
        """One side speaks, the other answers, all is read and acknowledged."""
        second = other(first)
        ends[first].sendall(text(sizes[0]))
        read(ends[second], sizes[0])
        ends[second].sendall(text(sizes[1]))
        read(ends[first], sizes[1])

    def rest(self, round_trips: float = 2.0, least: float = 0.06) -> None:
        """Wait until all that was said has been acknowledged (delayed ACKs take 40 ms)."""
        time.sleep(max(least, round_trips * self.round_trip + 0.05))


def read(end: socket.socket, length: int) -> None:
    """Read so many bytes, or what there is before the end."""
    while length > 0:
        got = len(end.recv(min(length, 65536)))
        if not got:
            return
        length -= got


def read_to_end(end: socket.socket) -> None:
    """Read until the peer closes or resets."""
    with suppress(OSError):
        while end.recv(65536):
            pass


def abort(end: socket.socket) -> None:
    """Close with RST instead of FIN."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    end.close()


def quietly(action: Callable[..., object], *arguments: Any) -> None:
    """Do something that may fail as connections do."""
    with suppress(OSError):
        action(*arguments)


def unavailable() -> str | None:
    """Why no run can be played here; None if one can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "needs /dev/net/tun"
    try:
        KernelTrace().close()
        probe = Host("probe", {})
        os.close(probe.open_tun("tun0"))
        probe.close()
    except (OSError, subprocess.SubprocessError) as error:
        return f"needs network namespaces, TUN and tracefs ({error})"
    return None


def path(kind: str, chance: random.Random) -> dict[str, tuple[Hop, Hop]]:
    """Both directions of a path: lengths by chance, spoiled according to its kind."""
    scale = chance.choice((0.0004, 0.002, 0.006, 0.015))
    hops = {}
    for side in ("A", "B"):
        pair = []
        for _ in range(2):
            delay = scale * chance.uniform(0.4, 1.6)
            nature: dict[str, float] = {"late_by": max(0.002, delay * chance.uniform(0.5, 2))}
            if kind in ("lossy", "mix"):
                nature["loss"] = chance.choice((0.0, 0.01, 0.03))
            if kind in ("disorder", "mix"):
                nature["reordering"] = chance.choice((0.0, 0.02, 0.05))
                nature["duplication"] = chance.choice((0.0, 0.02))
            pair.append(Hop(delay, delay * chance.uniform(0.001, 0.04), **nature))
        hops[side] = (pair[0], pair[1])
    return hops


def perform(
    scenario: Scenario, seed: int, connections: int, slot: int, trace: KernelTrace, to_the_end: bool = False
) -> Run:
    """Play a scenario ``connections`` times at once and return all that was observed.

    The run ends when no handshake or close is under way; ``to_the_end`` when every TIME-WAIT is over too.
    """
    to_the_end = to_the_end or scenario.to_the_end
    chance = random.Random(f"{scenario.name}/{seed}")
    hops, settings = path(chance.choice(scenario.paths), chance), scenario.settings(seed)
    trace.start()
    errors: list[str] = []
    with Lab(slot, hops, settings, chance) as lab:
        tables = SocketTables(lab.hosts)
        epoch = time.time_ns() - time.monotonic_ns()
        talks = [
            Talk(lab, number, random.Random(f"{scenario.name}/{seed}/{number}"), chance.choice((4, 6)))
            for number in range(seed * connections, (seed + 1) * connections)
        ]
        threads = [threading.Thread(target=_play, args=(scenario, talk, errors), daemon=True) for talk in talks]
        for thread in threads:
            thread.start()
            time.sleep(0.003)
        for thread in threads:
            thread.join(120)
        _settle(lab, tables, to_the_end)
        lab.wire.stop()
        ended = time.monotonic_ns()
        samples = tables.stop()
        counters = {side: _counted(host) for side, host in lab.hosts.items()}
        addresses = {side: dict(host.addresses) for side, host in lab.hosts.items()}
        events = [event for event in trace.stop() if event.at <= ended]
    plays = [{"port": talk.port, "version": talk.version, **talk.params} for talk in talks]
    return Run(
        scenario,
        seed,
        addresses,
        hops,
        settings,
        plays,
        errors,
        lab.wire.ledger,
        events,
        samples,
        ended,
        epoch,
        to_the_end,
        counters,
    )


def _counted(host: Host) -> dict[str, int]:
    with host.inside():
        names, values = (line.split() for line in Path("/proc/thread-self/net/netstat").read_text().splitlines()[:2])
    found = dict(zip(names, values, strict=True))
    return {name: int(found[name]) for name in CAUSES}


def _play(scenario: Scenario, talk: Talk, errors: list[str]) -> None:
    try:
        scenario.play(talk)
    except Exception as error:  # one play must not spoil the others
        errors.append(f"play {talk.number} {talk.params}: {error!r} at line {_line(error)}")


def _line(error: BaseException) -> int:
    trace = error.__traceback__
    line = 0
    while trace is not None:
        line, trace = trace.tb_lineno, trace.tb_next
    return line


def _settle(lab: Lab, tables: SocketTables, to_the_end: bool) -> None:
    """Wait until no handshake or close is under way and the wire is quiet, or until nothing waits any more."""
    states = _ON_THE_MOVE | _WAITING if to_the_end else _ON_THE_MOVE
    until = time.monotonic() + (_LONG_PATIENCE if to_the_end else _PATIENCE)
    while time.monotonic() < until:
        moving = any(entry.state in states for table in tables.latest.values() for entry in table)
        if lab.wire.idle > 0.6 and not moving:
            return
        time.sleep(0.05)
