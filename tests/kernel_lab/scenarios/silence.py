"""Silence: retransmission until someone gives up, keep-alives."""

from __future__ import annotations

import socket
import time

from lab.talk import text

from kernel_lab.play import Talk, quietly, read_to_end
from kernel_lab.wire import other

from .openings import plain_ack
from .registry import on_both, scenario


@scenario("clean", settings=lambda seed: on_both(tcp_retries2="3", tcp_orphan_retries="2"))
def retrans_timeout(t: Talk) -> None:
    """Retransmission without an answer until the kernel gives up; then the path may come back."""
    kind = t.variant("kind", ("data", "fin_wait_1", "last_ack", "closing", "close_wait_data"))
    side, mended = t.variant("side", "AB"), t.variant("mended", (False, True))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    mine, peer = ends[side], ends[other(side)]
    if kind in ("last_ack", "close_wait_data"):
        peer.shutdown(socket.SHUT_WR)
        t.rest()
    rules = t.cut()
    if kind in ("data", "close_wait_data"):
        mine.sendall(text(500))
    else:
        mine.close()
    if kind == "closing":
        peer.close()
    time.sleep(t.pick("wait", (6.5, 8.0)))
    if mended:
        t.mend(rules)
        if kind != "closing":
            quietly(peer.sendall, text(50)) if kind not in ("last_ack", "close_wait_data") else None
            time.sleep(0.2 + t.round_trip)
            peer.close()
            time.sleep(0.3 + t.round_trip)


def _keep_alive(end: socket.socket, count: int) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, count)):
        end.setsockopt(socket.IPPROTO_TCP, option, value)


@scenario("clean")
def keepalive_ok(t: Talk) -> None:
    """Keep-alive probes of one or both sides, one of them or its answer lost; then an orderly close."""
    who, lost = t.variant("who", ("A", "B", "AB")), t.variant("lost", (False, True))
    ends = t.connect()
    t.exchange(ends)
    for side in who:
        _keep_alive(ends[side], 4)
    if lost:
        t.lose("ka", t.pick("sender", "AB"), plain_ack)
    time.sleep(3.4)
    closer = t.pick("closer", "AB")
    ends[closer].close()
    read_to_end(ends[other(closer)])
    ends[other(closer)].close()


@scenario("clean")
def keepalive_dead(t: Talk) -> None:
    """The path is cut: keep-alive gives up with RST on one side or on both, in ESTABLISHED or half-closed."""
    who, half = t.variant("who", ("A", "B", "AB")), t.variant("half", (False, True))
    cut, mended = t.variant("cut", ("AB", "B", "A")), t.variant("mended", (False, True))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    for side in who:
        _keep_alive(ends[side], 2)
    if half:
        ends[t.pick("closer", "AB")].shutdown(socket.SHUT_WR)
        t.rest()
    rules = t.cut(*cut)
    time.sleep(5)
    if mended:
        t.mend(rules)
        for end in ends.values():
            quietly(end.sendall, text(20))
            time.sleep(0.1 + t.round_trip)
