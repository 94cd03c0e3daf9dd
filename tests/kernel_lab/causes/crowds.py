"""Many connections at once: floods, scans, and the busy clients that are neither."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from kernel_lab.play import read_to_end
from kernel_lab.segments import SYN, Segment, forge
from kernel_lab.wire import Rule

from .register import cause
from .stage import Stage


@cause("client", "crowd", seeds=2)
def syn_flood(t: Stage) -> None:
    """400 SYNs within 2 s from as many sources, none of which goes on, at one port."""
    t.blame("client", "whoever sent the SYNs")
    t.listen(1024)
    address, port = t.server_at
    for number in range(400):
        low = number + 1
        source = f"2001:db8:f::{low:x}" if t.version == 6 else f"203.0.{112 + low // 250}.{low % 250 + 1}"
        if t.variant("one", (0, 1)) if number == 0 else t.params["one"]:
            source = "2001:db8:f::1" if t.version == 6 else "203.0.112.2"
        syn = Segment(source, 1024 + number * 7, address, port, t.chance.getrandbits(32), 0, SYN, 1024, 0)
        t.lab.wire.insert("A", forge(syn), syn, 0, "flood")
        time.sleep(0.005)


@cause("client", "crowd", seeds=2)
def port_scan(t: Stage) -> None:
    """A client tries 80 ports of a host one after the other; nearly all refuse, or nearly all are silent."""
    silent = t.variant("silent", (0, 1))
    t.blame("client", "whoever scans", hidden_at=("server",) if silent else ())
    t.listen()
    address, port = t.server_at
    if silent:
        t.lab.wire.add(Rule("filter", "A", lambda s: s.only(SYN) and s.target_port != port, float("inf"), hop=1))
    for number in range(80):
        one = t.client()
        one.settimeout(0.03 if silent else 0.2)
        with suppress(OSError):
            one.connect((address, port - 40 + number))
        one.close()
    time.sleep(1.5)
    with suppress(OSError):
        one = t.client()
        one.settimeout(1)
        one.connect((address, port))
        one.close()
    time.sleep(1)


@cause("none", "crowd", seeds=2)
def busy_client(t: Stage) -> None:
    """60 short connections of one client to one port, all answered."""
    for _ in range(60):
        ends = t.connect()
        t.exchange(ends, sizes=(40, 60))
        ends["A"].shutdown(socket.SHUT_WR)
        read_to_end(ends["B"])
        ends["B"].close()
        read_to_end(ends["A"])
        ends["A"].close()
