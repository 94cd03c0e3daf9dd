"""Orderly ends, and what losses make of them."""

from __future__ import annotations

import socket
import time

from lab.talk import text

from kernel_lab.play import Talk, abort, quietly, read, read_to_end
from kernel_lab.segments import FIN, Segment
from kernel_lab.wire import other

from .openings import plain_ack
from .registry import on_both, scenario


def fin(segment: Segment) -> bool:
    """A segment with FIN."""
    return bool(segment.flags & FIN)


def _close_in_turn(t: Talk, ends: dict[str, socket.socket], closer: str, pause: float) -> None:
    ends[closer].close()
    read_to_end(ends[other(closer)])
    if pause:
        time.sleep(pause)
    ends[other(closer)].close()


@scenario("clean", "lossy", "disorder", "mix")
def cclose(t: Talk) -> None:
    """Requests and responses; the client closes first."""
    ends = t.connect()
    for _ in range(t.pick("rounds", (1, 2, 4))):
        t.exchange(ends, "A", (t.pick("req", (60, 400, 1600)), t.pick("resp", (50, 1400, 9000))))
    _close_in_turn(t, ends, "A", t.variant("pause", (0, 0.1, 0.4)))


@scenario("clean", "lossy", "disorder", "mix")
def sclose(t: Talk) -> None:
    """Requests and responses; the server closes first."""
    ends = t.connect()
    for _ in range(t.pick("rounds", (1, 2, 4))):
        t.exchange(ends, "A", (t.pick("req", (60, 400, 1600)), t.pick("resp", (50, 1400, 9000))))
    _close_in_turn(t, ends, "B", t.variant("pause", (0, 0.1, 0.4)))


@scenario("clean")
def three_seg_close(t: Talk) -> None:
    """The second side closes the moment it reads the end: FIN, FIN+ACK, ACK."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    ends[other(closer)].setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    _close_in_turn(t, ends, closer, 0)


@scenario("clean")
def simul_close(t: Talk) -> None:
    """Both close at once, with or without data before the FIN; FINs and their ACKs are lost."""
    lost = t.variant("lost", ("", "finA", "finB", "ackA", "ackB", "finA finB", "ackA ackB", "finA ackA", "finB ackA"))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    n, size = t.pick("n", (1, 1, 2)), t.pick("data", (0, 0, 300))
    for what in lost.split():
        t.lose(what, what[-1], fin if what.startswith("fin") else plain_ack, n)
    first = t.pick("first", "AB")
    for side in (first, other(first)):
        if size:
            ends[side].sendall(text(size))
        if t.pick("how", ("close", "shutdown")) == "close" and not size:
            ends[side].close()
        else:
            ends[side].shutdown(socket.SHUT_WR)
        if side == first:
            time.sleep(t.pick("skew", (0, 0, 0.2, 0.4)) * t.round_trip)
    time.sleep(1 + 2 * t.round_trip)


def _closing_with_loss(t: Talk, what: str) -> None:
    closer, n = t.variant("closer", "AB"), t.variant("n", (1, 2, 3))
    pause = t.variant("pause", (0.0, 0.15, 0.8) if what != "ack1" else (0.15, 0.6, 2.0))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    second = other(closer)
    if what == "fin1":
        t.lose(what, closer, fin, n)
    elif what == "ack1":
        t.lose(what, second, plain_ack, n)
    elif what == "fin2":
        t.lose(what, second, fin, n)
    else:
        t.lose(what, closer, plain_ack, n, skip=0)
    _close_in_turn(t, ends, closer, pause)


@scenario("clean")
def fin1_loss(t: Talk) -> None:
    """The first FIN is lost one to three times."""
    _closing_with_loss(t, "fin1")


@scenario("clean")
def finack_loss(t: Talk) -> None:
    """The ACK of the first FIN is lost one to three times."""
    _closing_with_loss(t, "ack1")


@scenario("clean")
def fin2_loss(t: Talk) -> None:
    """The second FIN is lost one to three times."""
    _closing_with_loss(t, "fin2")


@scenario("clean")
def lastack_loss(t: Talk) -> None:
    """The last ACK is lost one to three times."""
    _closing_with_loss(t, "lastack")


@scenario("clean", "lossy")
def half_close_data(t: Talk) -> None:
    """One side ends its direction; the other goes on sending, then closes."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    if t.variant("early", (False, True)):
        ends[other(closer)].sendall(text(4000))
    ends[closer].shutdown(socket.SHUT_WR)
    for _ in range(t.pick("chunks", (2, 5))):
        ends[other(closer)].sendall(text(t.pick("size", (40, 2000))))
        time.sleep(t.pick("gap", (0, 0.03, 0.1)))
    ends[other(closer)].close()
    read_to_end(ends[closer])
    ends[closer].close()


@scenario("clean", "lossy")
def half_close_both(t: Talk) -> None:
    """Each ends its direction in turn with shutdown() and closes later; data in both phases."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    for side in (closer, other(closer)):
        ends[side].sendall(text(t.pick("size", (40, 3000))))
        ends[side].shutdown(socket.SHUT_WR)
        time.sleep(t.pick("gap", (0.05, 0.3)))
    for end in ends.values():
        read_to_end(end)
        time.sleep(0.1)
        end.close()


@scenario("clean", "lossy")
def fin_with_data(t: Talk) -> None:
    """The FIN rides on the last data segment."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    ends[closer].setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    ends[closer].sendall(text(t.pick("size", (200, 5000))))
    _close_in_turn(t, ends, closer, t.variant("pause", (0, 0.1)))


@scenario("clean", "lossy")
def close_with_queue(t: Talk) -> None:
    """close() with much unsent data: FIN-WAIT-1 begins long before the FIN leaves."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    size = t.pick("size", (40_000, 60_000))
    ends[closer].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    ends[closer].sendall(text(size))
    _close_in_turn(t, ends, closer, t.pick("pause", (0, 0.1)))


@scenario("clean", settings=lambda seed: on_both(tcp_fin_timeout="3"))
def finwait2_orphan(t: Talk) -> None:
    """close() and a peer that does not: FIN-WAIT-2 runs out after 3 s; the peer speaks before, after or never."""
    closer, how = t.variant("closer", "AB"), t.variant("how", ("close", "close", "shutdown"))
    late = t.variant("late", ("fin", "data", "nothing", "abort"))
    when = t.variant("when", (0.5, 5.5))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    if how == "close":
        ends[closer].close()
    else:
        ends[closer].shutdown(socket.SHUT_WR)
    peer = ends[other(closer)]
    time.sleep(when)
    if late == "data":
        peer.sendall(text(100))
        time.sleep(t.round_trip + 0.1)
        quietly(peer.sendall, text(100))
        time.sleep(t.round_trip + 0.1)
        peer.close()
    elif late == "fin":
        peer.close()
    elif late == "abort":
        abort(peer)
    else:
        time.sleep(3.5)


@scenario("clean", "disorder")
def data_after_close(t: Talk) -> None:
    """Full close() while the peer still sends: its data is answered with RST."""
    ends, closer = t.connect(), t.variant("closer", "AB")
    t.exchange(ends)
    peer = ends[other(closer)]
    if not t.variant("inflight", (False, True)):
        t.rest()
    else:
        peer.sendall(text(t.pick("size", (100, 6000))))
    ends[closer].close()
    time.sleep(t.variant("delay", (0.0, 0.05, 0.5)))
    for _ in range(t.pick("n", (1, 3))):
        quietly(peer.sendall, text(200))
        time.sleep(t.pick("gap", (0.0, 0.05)))
    quietly(read, peer, 1)
    peer.close()
