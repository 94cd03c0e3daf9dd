"""What the path does to a transfer: it loses, delays, is narrow."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

from lab.talk import text

from kernel_lab.play import quietly, read, read_to_end
from kernel_lab.segments import SYN

from .register import cause
from .stage import Stage


def _end(t: Stage, ends: dict[str, socket.socket]) -> None:
    t.rest()
    ends["A"].close()
    read_to_end(ends["B"])
    ends["B"].close()


@cause("network", "loss", seeds=4)
def data_lost(t: Stage) -> None:
    """Segments of a transfer are lost, before or behind the middle."""
    side, hop = t.variant("sender", "BA"), t.variant("hop", (0, 1))
    t.blame("network", f"hop {hop} of the sender")
    ends = t.connect()
    t.exchange(ends)
    t.lose("loss", side, lambda s: s.length > 0, 3, skip=12, hop=hop)
    ends[side].sendall(text(60_000))
    read(ends[t.other_of(side)], 60_000)
    _end(t, ends)


@cause("network", "loss", seeds=4)
def tail_lost(t: Stage) -> None:
    """The last segment of an answer is lost twice and comes after a timeout: behind the loss it only looks late."""
    side, hop = t.variant("sender", "BA"), t.variant("hop", (0, 1))
    behind = ("client", "middle", "server")[:: 1 if side == "B" else -1][: 2 - hop]
    t.blame("network", f"hop {hop} of the sender", hidden_at=behind)
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    t.lose("loss", side, lambda s: s.length > 0, 2, hop=hop)
    ends[side].sendall(text(400))
    read(ends[t.other_of(side)], 400)
    _end(t, ends)


@cause("network", "loss", seeds=2)
def syn_lost(t: Stage) -> None:
    """The first SYN is lost; the second opens the connection."""
    hop = t.variant("hop", (0, 1))
    t.blame("network", f"hop {hop} of the client", hidden_at=("middle", "server") if hop == 0 else ("server",))
    t.lose("loss", "A", lambda s: s.only(SYN), 1, hop=hop)
    ends = t.connect()
    t.exchange(ends)
    _end(t, ends)


@cause("network", "loss", seeds=2)
def random_loss(t: Stage) -> None:
    """Every fourteenth segment with data is lost, in both halves of the path."""
    side = t.variant("sender", "BA")
    t.blame("network", "everywhere")
    ends = t.connect()
    t.exchange(ends)
    for skip in range(6, 48, 14):
        t.lose("loss", side, lambda s: s.length > 0, 1, skip=skip, hop=skip % 2)
    ends[side].sendall(text(80_000))
    read(ends[t.other_of(side)], 80_000)
    _end(t, ends)


@cause("network", "silence", seeds=2, hidden_at=("client", "middle", "server"))
def path_dies(t: Stage) -> None:
    """From the midst of a transfer on nothing passes the path in either direction."""
    side = t.variant("sender", "BA")
    t.blame("network", "between client and middle, and middle and server")
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    t.cut("A", "B")
    quietly(ends[side].sendall, text(6_000))
    time.sleep(4)


@cause("network", "slow", seeds=2)
def long_way(t: Stage) -> None:
    """A round trip takes 200 ms; both applications answer at once."""
    t.blame("network", "distance")
    for sender, hops in t.lab.wire._hops.items():
        t.lab.wire._hops[sender] = (replace(hops[0], delay=0.05), replace(hops[1], delay=0.05))
    ends = t.connect()
    for _ in range(5):
        t.exchange(ends)
    _end(t, ends)


@cause("network", "slow", seeds=2)
def narrow(t: Stage) -> None:
    """A bottleneck in the path lets one segment pass every 30 ms; the application has more to send all the time."""
    side = t.variant("sender", "BA")
    t.blame("network", "bottleneck")
    ends = t.connect()
    t.exchange(ends)
    t.lab.wire.pace(side, 30_000_000)
    ends[side].sendall(text(60_000))
    read(ends[t.other_of(side)], 60_000)
    _end(t, ends)
