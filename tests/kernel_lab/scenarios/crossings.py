"""Segments that overtake, cross or double each other, one at a time, in handshakes and closes."""

from __future__ import annotations

import socket
import time

from lab.talk import text

from kernel_lab.play import Talk, quietly, read, read_to_end
from kernel_lab.segments import ACK, Segment
from kernel_lab.wire import other

from .closings import fin
from .openings import plain_ack, syn, syn_ack
from .registry import on_both, scenario


def data(segment: Segment) -> bool:
    """A segment with data."""
    return segment.length > 0


@scenario("clean")
def late_in_handshake(t: Talk) -> None:
    """The SYN, the SYN-ACK or the third segment comes late: after a copy of itself, after data, after a FIN."""
    what, long = t.variant("what", ("syn", "synack", "third")), t.variant("long", (False, True))
    then = t.variant("then", ("data", "close"))
    match = {"syn": syn, "synack": syn_ack, "third": plain_ack}[what]
    t.hold(what, "B" if what == "synack" else "A", match, 1.3 if long else 0.5 * t.round_trip + 0.03)
    ends = t.connect()
    if then == "data":
        t.exchange(ends)
    ends["A"].close()
    read_to_end(ends["B"])
    ends["B"].close()
    t.rest(least=1.0 if long else 0.3)


@scenario("clean")
def late_in_close(t: Talk) -> None:
    """In the close the last data, a FIN or an ACK comes late: overtaken by what was sent behind it."""
    what, closer = t.variant("what", ("data", "fin1", "ack1", "fin2", "lastack")), t.variant("closer", "AB")
    peer, hold = other(closer), t.variant("hold", (0.02, 0.12))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    sender, match = {
        "data": (closer, data), "fin1": (closer, fin), "ack1": (peer, plain_ack), "fin2": (peer, fin),
        "lastack": (closer, plain_ack),
    }[what]  # fmt: skip
    t.hold(what, sender, match, hold + 0.5 * t.round_trip)
    ends[closer].sendall(text(t.pick("size", (50, 2000))))
    ends[closer].shutdown(socket.SHUT_WR)
    read_to_end(ends[peer])
    time.sleep(t.pick("pause", (0, 0.08)))
    quietly(ends[peer].sendall, text(60))
    ends[peer].close()
    read_to_end(ends[closer])
    ends[closer].close()
    t.rest(least=0.4)


@scenario("disorder", "mix")
def short_in_disorder(t: Talk) -> None:
    """Short connections over a path that reorders and doubles."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends, t.variant("first", "AB"), (t.pick("req", (60, 900)), t.pick("resp", (60, 3000))))
    ends[closer].close()
    if t.variant("at once", (False, True)):
        ends[other(closer)].close()
    read_to_end(ends[other(closer)])
    ends[other(closer)].close()


@scenario("clean")
def challenge(t: Talk) -> None:
    """A third party's ACK or data with an acknowledgment from the past or the future (RFC 5961, section 5)."""
    kind, victim = t.variant("kind", ("ack_future", "ack_past", "data_future", "data_past")), t.variant("to", "AB")
    state = t.variant("state", ("established", "fin_wait_2", "close_wait"))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    if state != "established":
        ends[victim if state == "fin_wait_2" else other(victim)].shutdown(socket.SHUT_WR)
        t.rest()
    last = t.last_of(other(victim))
    ack = (last.ack + (900_000 if kind.endswith("future") else -900_000)) % (1 << 32)
    t.inject(other(victim), ACK, kind, size=100 if kind.startswith("data") else 0, ack=ack)
    t.rest()
    for side in (victim, other(victim)):
        quietly(ends[side].close)
        t.rest()


@scenario("clean", settings=lambda seed: on_both(tcp_fastopen="5") | {"B": {"ipv4/tcp_fastopen": "0"}})
def tfo_refused(t: Talk) -> None:
    """Data in the SYN to a server without Fast Open: only the SYN is acknowledged, the data go again."""
    lost = t.variant("lost", ("", "synack", "third"))
    if lost:
        t.lose(lost, "B" if lost == "synack" else "A", syn_ack if lost == "synack" else lambda s: not s.flags & 2)
    t.listen()
    client = t.client()
    client.settimeout(None)
    client.sendto(text(200), socket.MSG_FASTOPEN, t.server_at)
    ends = {"A": client, "B": t.accept()}
    read(ends["B"], 200)
    closer = t.variant("closer", "AB")
    ends[closer].close()
    read_to_end(ends[other(closer)])
    ends[other(closer)].close()


@scenario("clean", "lossy")
def mptcp(t: Talk) -> None:
    """Multipath TCP with one subflow: the FIN comes after the data's own end was acknowledged."""
    for name in ("client", "server"):
        getattr(t.lab, name).configure("mptcp/enabled", "1")
    version = {4: socket.AF_INET, 6: socket.AF_INET6}[t.version]
    opened = []
    for host in (t.lab.server, t.lab.client):
        with host.inside():
            opened.append(t.keep(socket.socket(version, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)))
    listener, client = opened
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(t.server_at)
    listener.listen(4)
    client.bind((t.lab.client.addresses[t.version], 0))
    client.connect(t.server_at)
    ends = {"A": client, "B": t.keep(listener.accept()[0])}
    t.exchange(ends)
    closer = t.variant("closer", "AB")
    ends[closer].close()
    read_to_end(ends[other(closer)])
    time.sleep(t.variant("pause", (0, 0.2)))
    ends[other(closer)].close()
    t.rest(least=0.5)
