"""What the applications and hosts at the ends do, and do not do."""

from __future__ import annotations

import socket
import time

from lab.bench import forget
from lab.talk import text

from kernel_lab.play import abort, quietly, read, read_to_end

from .register import cause
from .stage import Stage

NAMES = {"A": "client", "B": "server"}


def _close(ends: dict[str, socket.socket], first: str, second: str) -> None:
    ends[first].close()
    read_to_end(ends[second])
    ends[second].close()


@cause("none", "clean", seeds=4)
def clean(t: Stage) -> None:
    """A few requests and answers, an orderly close."""
    first = t.variant("first", "AB")
    ends = t.connect()
    for _ in range(3):
        t.exchange(ends, sizes=(120, t.pick("size", (500, 9_000))))
    t.rest()
    _close(ends, first, t.other_of(first))


@cause("", "reset", seeds=4)
def aborts(t: Stage) -> None:
    """An application ends the connection with SO_LINGER 0, idle or with an answer still to come."""
    side, busy = t.variant("side", "AB"), t.variant("busy", (0, 1))
    t.blame(NAMES[side], "application")
    ends = t.connect()
    t.exchange(ends)
    t.exchange(ends)
    if busy:
        ends[t.other_of(side)].sendall(text(3_000))
    else:
        t.rest()
    abort(ends[side])
    t.rest()
    quietly(ends[t.other_of(side)].sendall, text(80))
    t.rest()
    ends[t.other_of(side)].close()


@cause("server", "refused", seeds=2)
def closed_port(t: Stage) -> None:
    """Nothing listens; the server's host refuses."""
    t.blame("server", "host")
    quietly(t.client().connect, t.server_at)


@cause("", "reset", seeds=4)
def closes_unread(t: Stage) -> None:
    """An application closes with data unread: its host sends RST."""
    side, size = t.variant("side", "AB"), t.variant("size", (900, 12_000))
    t.blame(NAMES[side], "application")
    ends = t.connect()
    t.exchange(ends)
    t.exchange(ends)
    ends[t.other_of(side)].sendall(text(size))
    t.rest()
    ends[side].close()
    t.rest()
    quietly(ends[t.other_of(side)].sendall, text(50))
    t.rest()
    ends[t.other_of(side)].close()


@cause("", "reset", seeds=2)
def restarted(t: Stage) -> None:
    """A host has lost the connection (a restart) and answers the next segment with RST: elsewhere than at
    that host, a box that had reset it unseen would look the same."""
    side = t.variant("side", "AB")
    near = {"A": "client", "B": "server"}[side]
    t.blame(NAMES[side], "host", hidden_at=tuple({"client", "middle", "server"} - {near}))
    ends = t.connect()
    t.exchange(ends)
    t.exchange(ends)
    t.rest()
    forget(ends[side])
    time.sleep(0.3)
    quietly(ends[t.other_of(side)].sendall, text(200))
    t.rest()
    ends[t.other_of(side)].close()


@cause("", "window", seeds=2)
def does_not_read(t: Stage) -> None:
    """The receiver's application reads nothing for 2 s: its window closes."""
    side = t.variant("side", "AB")
    t.blame(NAMES[side], "application")
    t.listen().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = t.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ends = t.connect(client)
    sender = ends[t.other_of(side)]
    t.exchange(ends)
    sender.setblocking(False)
    quietly(sender.sendall, text(40_000))
    time.sleep(2.2)
    sender.settimeout(5)
    sender.shutdown(socket.SHUT_WR)
    read_to_end(ends[side])
    ends[side].close()


@cause("", "silence", seeds=2, hidden_at=("client", "middle", "server"))
def vanishes(t: Stage) -> None:
    """A host falls silent in the midst of a transfer: from outside a dead path looks the same."""
    side = t.variant("side", "AB")
    t.blame(NAMES[side], "host")
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    t.cut(side)
    quietly(ends[t.other_of(side)].sendall, text(6_000))
    time.sleep(4)


@cause("", "close", seeds=2)
def never_closes(t: Stage) -> None:
    """An application never closes after its peer did: CLOSE-WAIT for over a minute, while others come and go."""
    side = t.variant("side", "BA")
    t.blame(NAMES[side], "application")
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    ends[t.other_of(side)].shutdown(socket.SHUT_WR)
    for _ in range(3):
        time.sleep(21.5)
        later = t.connect()
        t.exchange(later)
        _close(later, "A", "B")


@cause("", "close", seeds=2, settings=lambda seed: {s: {"ipv4/tcp_fin_timeout": "3"} for s in "AB"})
def closes_too_late(t: Stage) -> None:
    """An application closes 5 s after its peer, whose FIN-WAIT-2 has timed out by then: its FIN meets a RST."""
    side = t.variant("side", "BA")
    t.blame(NAMES[side], "application")
    ends = t.connect()
    t.exchange(ends)
    t.rest()
    ends[t.other_of(side)].close()
    time.sleep(5.2)
    ends[side].close()


@cause("server", "slow", seeds=2)
def server_thinks(t: Stage) -> None:
    """The server's application takes 1.5 s for each answer."""
    t.blame("server", "application")
    ends = t.connect()
    for _ in range(2):
        ends["A"].sendall(text(120))
        read(ends["B"], 120)
        time.sleep(1.5)
        ends["B"].sendall(text(500))
        read(ends["A"], 500)
    _close(ends, "A", "B")


@cause("client", "slow", seeds=2)
def client_thinks(t: Stage) -> None:
    """The client's application takes 1.5 s between an answer and its next request."""
    t.blame("client", "application")
    ends = t.connect()
    for _ in range(3):
        t.exchange(ends)
        time.sleep(1.5)
    _close(ends, "A", "B")
