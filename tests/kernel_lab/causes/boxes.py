"""Boxes in the path that reset, drop or refuse what is not theirs."""

from __future__ import annotations

import ctypes
import socket
import struct
import time

from lab.talk import text

from kernel_lab.play import quietly, read, read_to_end
from kernel_lab.segments import ACK, SYN
from kernel_lab.wire import Rule

from .register import cause
from .stage import Stage

_SO_ATTACH_FILTER = 26
_PROGRAM = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
_DROP_ALL = struct.pack("HxxxxxxQ", 1, ctypes.addressof(_PROGRAM))
"""A socket filter of one instruction, `ret #0`: the host drops all that comes to the socket, silently."""
SIGNS = (
    {"ttl": 64, "ip_id": 0, "window": 0, "stamps": False},
    {"ttl": 255, "ip_id": 0x3039, "window": 0, "stamps": False},
    {"ttl": 128, "ip_id": 0xF00D, "window": 8192, "stamps": True},
    {"ttl": 61, "ip_id": 0xBEEF, "window": 512, "stamps": False},
)
"""How boxes make their resets; the fields that a careful one copies are those it can see."""


@cause("network", "reset", seeds=8)
def box_resets_one(t: Stage) -> None:
    """A box sends a RST in one side's name to the other; the side that is named goes on as it knows of nothing."""
    sender, flags = t.variant("named", "BA"), t.variant("flags", (0, ACK))
    signs = t.pick("signs", SIGNS)
    place = t.pick("place", (0, 1))
    t.blame("network", f"in the path, place {place}", hidden_at=())
    ends = t.connect()
    t.exchange(ends)
    t.exchange(ends)
    t.rest()
    t.forge_reset(sender, flags, place, **signs)
    # nearer to the side named nothing of it passes: there only a live connection's end is seen
    blind = {"A": "client", "B": "server"}[sender]
    beyond = ("middle",) if (sender == "A") != (place == 0) else ()
    t.hidden_at = (blind, *beyond)
    t.rest()
    quietly(ends[sender].sendall, text(300))
    t.rest()
    for end in ends.values():
        end.close()


@cause("network", "reset", seeds=8)
def box_resets_both(t: Stage) -> None:
    """A box sends RSTs to both sides, each in the other's name."""
    flags, signs, place = t.variant("flags", (0, ACK)), t.variant("signs", SIGNS), t.pick("place", (0, 1))
    ends = t.connect()
    t.exchange(ends)
    t.exchange(ends)
    if t.variant("busy", (0, 1)):
        ends["B"].sendall(text(20_000))
    else:
        t.rest()
    t.blame("network", f"in the path, place {place}")
    for sender in "AB":
        t.forge_reset(sender, flags, place, **signs)
    t.rest()
    for end in ends.values():
        quietly(end.sendall, text(60))
        end.close()


@cause("network", "reset", seeds=4)
def box_resets_after_request(t: Stage) -> None:
    """A filter that dislikes the request resets the client in the server's name; the server's answer comes after it."""
    flags, signs = t.variant("flags", (0, ACK)), t.pick("signs", SIGNS)
    t.blame("network", "in the path, place 1", hidden_at=("server",))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    ends["A"].sendall(text(200))
    time.sleep(t.round_trip * 0.3)
    t.forge_reset("B", flags, 1, **signs)
    quietly(read, ends["B"], 200)
    time.sleep(t.round_trip + 0.02)
    quietly(ends["B"].sendall, text(900))
    t.rest()
    for end in ends.values():
        end.close()


def _call(t: Stage, seconds: float) -> None:
    client = t.client()
    client.settimeout(seconds)
    quietly(client.connect, t.server_at)
    client.close()


@cause("network", "filter", seeds=2)
def syn_dropped(t: Stage) -> None:
    """A filter drops SYNs silently, before or behind the middle: no tap can tell it from a dead host."""
    place = t.variant("place", (0, 1))
    t.blame("network", f"filter, place {place}", hidden_at=("client", "middle", "server"))
    t.listen()
    t.lose("filter", "A", lambda s: s.only(SYN), float("inf"), hop=place)
    _call(t, 4)


@cause("network", "filter", seeds=2)
def syn_ack_dropped(t: Stage) -> None:
    """A filter drops the answers: where the SYN-ACK is seen to be repeated to a client that repeats its SYN."""
    place = t.variant("place", (0, 1))
    hidden = ("client",) if place == 0 else ("client", "middle")
    t.blame("network", f"filter, place {place}", hidden_at=hidden)
    t.listen()
    t.lose("filter", "B", lambda s: s.only(SYN | ACK), float("inf"), hop=1 - place)
    _call(t, 4)


@cause("network", "filter", seeds=4)
def icmp_refused(t: Stage) -> None:
    """A router refuses the SYN by an ICMP error: prohibited, or host unreachable."""
    place, kind = t.variant("place", (0, 1)), t.variant("kind", ("prohibited", "unreachable"))
    number = {"prohibited": ((3, 13), (1, 1)), "unreachable": ((3, 1), (1, 3))}[kind][t.version == 6]
    t.blame("network", f"router, place {place}")
    t.lose("router", "A", lambda s: s.only(SYN), float("inf"), hop=place)
    client = t.client()
    client.setblocking(False)
    client.connect_ex(t.server_at)
    time.sleep(t.round_trip / 2 + 0.01)
    t.refuse(number, place)
    time.sleep(1.5)
    client.close()


@cause("", "filter", seeds=3, hidden_at=("client", "middle", "server"))
def port_filtered(t: Stage) -> None:
    """The SYNs to one port are dropped, on the path or on the server's host, while another port of it answers."""
    place = t.variant("place", (0, 1, "host"))
    ends = t.connect()
    t.exchange(ends)
    second = t.client()
    second.settimeout(4)
    closed = t.port + 2000
    if place == "host":
        t.blame("server", "filter on its host")
        listener = t.lab.open(t.lab.server, t.version, closed)
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _DROP_ALL)
        listener.listen(4)
    else:
        t.blame("network", f"filter, place {place}")
        t.lab.wire.add(Rule("filter", "A", lambda s: s.target_port == closed and s.only(SYN), float("inf"), hop=place))
    quietly(second.connect, (t.server_at[0], closed))
    second.close()
    t.exchange(ends)
    ends["A"].shutdown(socket.SHUT_WR)
    read_to_end(ends["B"])
    ends["B"].close()
