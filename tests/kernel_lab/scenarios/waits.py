"""TIME-WAIT: to its end, started anew, hit by a RST that must not end it."""

from __future__ import annotations

import socket
import time

from kernel_lab.play import Talk, quietly, read_to_end
from kernel_lab.segments import ACK, FIN, PSH, RST
from kernel_lab.wire import other

from .openings import plain_ack
from .registry import on_both, scenario


def _closed(t: Talk, closer: str) -> dict[str, socket.socket]:
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    if t.params.get("kind") == "fin_again":
        t.lose("last ack", closer, plain_ack, t.pick("n", (1, 2)))
    ends[closer].close()
    if t.params.get("kind") == "both":
        ends[other(closer)].close()
    read_to_end(ends[other(closer)])
    ends[other(closer)].close()
    t.rest(least=0.3)
    return ends


@scenario("clean", to_the_end=True)
def tw_expiry(t: Talk) -> None:
    """TIME-WAIT until the timer ends it; some are started anew by a FIN, old data or a bare ACK, once or twice."""
    kind = t.variant("kind", ("plain", "fin_again", "old_data", "bare_ack", "old_fin", "both"))
    closer, gaps = t.variant("closer", "AB"), t.variant("gaps", ((0.4,), (4.0,), (2.0, 17.0)))
    _closed(t, closer)
    forged = {"old_data": (PSH | ACK, -200, 100), "bare_ack": (ACK, 0, 0), "old_fin": (FIN | ACK, -1, 0)}.get(kind)
    if forged is None:
        return
    peer = other(closer)
    t.lose("rst", peer, lambda s: bool(s.flags & RST), float("inf"))  # the peer knows nothing of it any more
    for gap in gaps:
        time.sleep(gap)
        t.inject(peer, forged[0], kind, shift=forged[1], size=forged[2])


@scenario("clean", settings=lambda seed: on_both(tcp_rfc1337="1"), to_the_end=True)
def tw_rfc1337(t: Talk) -> None:
    """Hosts that heed RFC 1337: a RST does not end TIME-WAIT."""
    closer, kind = t.variant("closer", "AB"), t.variant("kind", ("rst", "old_data", "old_fin"))
    _closed(t, closer)
    flags, shift, size = {"rst": (RST, 0, 0), "old_data": (PSH | ACK, -200, 100), "old_fin": (FIN | ACK, -1, 0)}[kind]
    t.inject(other(closer), flags, kind, shift=shift, size=size)
    t.rest(least=0.5)


@scenario("clean", to_the_end=True)
def finwait2_to_time_wait(t: Talk) -> None:
    """FIN-WAIT-2 for some seconds before the other FIN; TIME-WAIT counts from there."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    if t.variant("how", ("close", "shutdown")) == "close":
        ends[closer].close()
    else:
        ends[closer].shutdown(socket.SHUT_WR)
    time.sleep(t.variant("pause", (1.0, 3.0, 12.0)))
    quietly(ends[other(closer)].close)
    t.rest()
    ends[closer].close()
