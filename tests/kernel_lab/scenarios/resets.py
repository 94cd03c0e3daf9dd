"""Aborts, crashes and forged segments."""

from __future__ import annotations

import socket
import time

from lab.bench import forget
from lab.talk import text

from kernel_lab.play import Talk, abort, quietly, read, read_to_end
from kernel_lab.segments import ACK, FIN, PSH, RST, SYN
from kernel_lab.wire import other

from .openings import plain_ack
from .registry import on_both, scenario

STATES = ("idle", "data", "close_wait", "fin_wait_1", "fin_wait_2", "last_ack", "closing", "queue")


@scenario("clean")
def linger0_abort(t: Talk) -> None:
    """An abort in each state; the RST, or what came just before it, may be lost."""
    state = t.variant(
        "state", ("idle", "data", "close_wait", "fin_wait_1", "fin_wait_2", "last_ack", "closing", "queue")
    )
    side, lost = t.variant("side", "AB"), t.variant("lost", ("", "rst", "data"))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    mine, peer = ends[side], ends[other(side)]
    if lost == "rst":
        t.lose("rst", side, lambda s: bool(s.flags & RST))
    if lost == "data" and state in ("data", "queue"):
        t.lose("data", side, lambda s: s.length > 0, hop=1)
    if state == "data":
        mine.sendall(text(800))
    elif state == "queue":
        mine.sendall(text(60_000))
    elif state in ("close_wait", "last_ack"):
        peer.shutdown(socket.SHUT_WR)
        read_to_end(mine)
        if state == "last_ack":
            mine.shutdown(socket.SHUT_WR)
        else:
            t.rest()
    elif state in ("fin_wait_1", "fin_wait_2"):
        mine.shutdown(socket.SHUT_WR)
        if state == "fin_wait_2":
            t.rest()
    elif state == "closing":
        t.lose("acks", other(side), plain_ack, 2)
        mine.shutdown(socket.SHUT_WR)
        peer.shutdown(socket.SHUT_WR)
        time.sleep(t.round_trip * 0.75)
    abort(mine)
    time.sleep(0.2 + t.round_trip)
    quietly(peer.sendall, text(100))
    time.sleep(0.2 + t.round_trip)
    peer.close()


@scenario("clean")
def close_unread(t: Talk) -> None:
    """close() with unread data in the receive queue: RST instead of FIN, perhaps after a FIN of its own."""
    ends, side = t.connect(), t.variant("side", "AB")
    shut, lost = t.variant("shut", ("", "mine", "peer")), t.variant("lost", (0, 1))
    t.exchange(ends)
    ends[other(side)].sendall(text(t.pick("size", (900, 20_000))))
    if shut == "peer":
        ends[other(side)].shutdown(socket.SHUT_WR)
    t.rest()
    if shut == "mine":
        ends[side].shutdown(socket.SHUT_WR)
        t.rest()
    t.lose("rst", side, lambda s: bool(s.flags & RST), lost)
    ends[side].close()
    t.rest(least=0.3)
    quietly(ends[other(side)].sendall, text(50))
    t.rest()
    ends[other(side)].close()


@scenario("clean", settings=lambda seed: on_both(tcp_retries2="4", tcp_orphan_retries="3"))
def crash(t: Talk) -> None:
    """One end ceases to exist without a packet; the other sends, closes, stays silent, or meets its return."""
    side = t.variant("side", "AB")
    kind = t.variant("kind", ("peer_sends", "peer_closes", "silent", "reconnect", "peer_sends_cut"))
    ends = t.connect()
    t.exchange(ends)
    if t.variant("half", ("", "", "peer", "mine")):
        ends[other(side) if t.params["half"] == "peer" else side].shutdown(socket.SHUT_WR)
    t.rest()
    port = ends["A"].getsockname()[1]
    if kind == "reconnect":
        side = "A"
    forget(ends[side])
    time.sleep(0.2)
    peer = ends[other(side)]
    if kind == "peer_sends_cut":
        t.cut(side)
    if kind.startswith("peer_sends"):
        quietly(peer.sendall, text(200))
        time.sleep(t.round_trip + 0.2)
        peer.close()
    elif kind == "peer_closes":
        peer.close()
    elif kind == "reconnect":
        again = t.connect(t.client(port))
        t.exchange(again)
        again["A"].close()
        read_to_end(again["B"])
        again["B"].close()


@scenario("clean")
def injected(t: Talk) -> None:
    """A third party forges RST, SYN, data or ACK in the midst of a connection, to one side or to both."""
    kind = t.variant(
        "kind", ("rst_exact", "rst_inwin", "rst_outwin", "syn_inwin", "rst_both", "rst_ack_both", "data_old", "rst_old")
    )
    victim, then = t.variant("to", "AB"), t.variant("then", ("talk", "peer_talks", "close", "nothing"))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    forger = other(victim)
    if kind in ("rst_exact", "rst_inwin", "rst_outwin", "rst_old"):
        shift = {"rst_exact": 0, "rst_inwin": 1000, "rst_outwin": 2_000_000, "rst_old": -100}[kind]
        t.inject(forger, t.pick("flags", (RST, RST | ACK)), kind, shift=shift)
    elif kind == "syn_inwin":
        t.inject(forger, SYN, kind, shift=t.pick("shift", (0, 5000)))
    elif kind == "data_old":
        t.inject(forger, PSH | ACK, kind, shift=-200, size=100)
    else:
        flags = RST | ACK if kind == "rst_ack_both" else RST
        for side in "AB":
            t.inject(side, flags, kind)
    t.rest()
    speaker = {"talk": forger, "peer_talks": victim}.get(then)
    if speaker is not None:
        quietly(ends[speaker].sendall, text(11))
        quietly(read, ends[other(speaker)], 11)
    if then == "nothing":
        return
    for side in (t.pick("closer", "AB"),):
        ends[side].close()
        read_to_end(ends[other(side)])
        ends[other(side)].close()


@scenario("clean")
def injected_in_close(t: Talk) -> None:
    """A third party's RST meets half-closed connections."""
    kind, victim = t.variant("kind", ("rst_exact", "rst_inwin", "rst_both")), t.variant("to", "AB")
    closer = t.variant("closer", "AB")
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    ends[closer].shutdown(socket.SHUT_WR)
    t.rest()
    for side in "AB" if kind == "rst_both" else (other(victim),):
        t.inject(side, RST, kind, shift=1000 if kind == "rst_inwin" else 0)
    t.rest()
    quietly(ends[other(closer)].sendall, text(60))
    time.sleep(0.1)
    ends[other(closer)].close()
    t.rest()
    ends[closer].close()


@scenario("clean")
def tw_assassin(t: Talk) -> None:
    """TIME-WAIT is hit by old data, a RST, an old FIN, a bare ACK, or a RST beside the mark."""
    kind = t.variant("kind", ("old_data", "rst", "old_fin", "bare_ack", "rst_inwin"))
    closer, lost = t.variant("closer", "AB"), t.variant("lost", ("", "ack", "rst"))
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    ends[closer].close()
    read_to_end(ends[other(closer)])
    ends[other(closer)].close()
    t.rest(least=t.pick("gap", (0.3, 1.5)))
    peer = other(closer)
    if lost:
        sender, match = (closer, plain_ack) if lost == "ack" else (peer, lambda s: bool(s.flags & RST))
        t.lose(lost, sender, match)
    flags, shift, size = {
        "old_data": (PSH | ACK, -200, 100),
        "rst": (RST, 0, 0),
        "old_fin": (FIN | ACK, -1, 0),
        "bare_ack": (ACK, 0, 0),
        "rst_inwin": (RST, 500, 0),
    }[kind]
    t.inject(peer, flags, kind, shift=shift, size=size)
    t.rest(least=0.4)
