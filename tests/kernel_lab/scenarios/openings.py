"""How connections open, or fail to."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from lab.talk import text

from kernel_lab.play import Talk, abort, quietly, read, read_to_end
from kernel_lab.segments import ACK, RST, SYN, Segment

from .registry import on_both, scenario


def syn(segment: Segment) -> bool:
    """A SYN without ACK."""
    return segment.only(SYN)


def syn_ack(segment: Segment) -> bool:
    """A SYN with ACK."""
    return segment.only(SYN | ACK)


def plain_ack(segment: Segment) -> bool:
    """An ACK with nothing else."""
    return segment.only(ACK) and not segment.length


def _talk_and_close(t: Talk, ends: dict[str, socket.socket], first: str = "A") -> None:
    t.exchange(ends, first)
    closer = t.pick("closer", "AB")
    ends[closer].close()
    peer = ends["B" if closer == "A" else "A"]
    read_to_end(peer)
    peer.close()


@scenario("clean")
def syn_loss(t: Talk) -> None:
    """The first one to three SYNs are lost."""
    t.lose("syn", "A", syn, t.variant("n", (1, 2, 3)))
    _talk_and_close(t, t.connect(), t.pick("first", "AB"))


@scenario("clean")
def synack_loss(t: Talk) -> None:
    """The first one to three SYN-ACKs are lost."""
    t.lose("synack", "B", syn_ack, t.variant("n", (1, 2, 3)))
    _talk_and_close(t, t.connect(), t.pick("first", "AB"))


@scenario("clean")
def hsack_loss(t: Talk) -> None:
    """The third segment is lost one to three times; the client, the server or nobody speaks next."""
    t.lose("hsack", "A", plain_ack, t.variant("n", (1, 2, 3)))
    first = t.variant("first", ("A", "B", "nobody", "A closes"))
    t.listen()
    client = t.client()
    client.connect(t.server_at)
    if first == "A":
        client.sendall(text(120))
    elif first == "A closes":
        client.close()
    server = t.accept()
    if first == "A":
        read(server, 120)
    if first != "A closes":
        _talk_and_close(t, {"A": client, "B": server}, "B")
    else:
        read_to_end(server)
        server.close()


@scenario("clean")
def simul_open(t: Talk) -> None:
    """Both connect to each other; SYNs or SYN-ACKs of either are lost."""
    lost = t.variant("lost", ("", "synA", "synB", "saA", "saB", "saA saB", "synA saB", "synA synB"))
    for what in lost.split():
        t.lose(what, what[-1], syn if what.startswith("syn") else syn_ack, t.pick("n", (1, 1, 2)))
    client, server = t.client(), t.lab.open(t.lab.server, t.version, t.port)
    client_at = client.getsockname()[:2]
    for end, to in ((client, t.server_at), (server, client_at)):
        end.setblocking(False)
        with suppress(BlockingIOError):
            end.connect(to)
        if end is client:
            time.sleep(t.pick("skew", (0, 0, 0.2, 0.4)) * t.round_trip)
    for end in (client, server):
        end.settimeout(15)
    time.sleep(0.3 + 2 * t.round_trip + (3 if lost else 0))
    with suppress(ConnectionRefusedError):
        _talk_and_close(t, {"A": client, "B": server}, t.pick("first", "AB"))


@scenario("clean")
def syn_abort(t: Talk) -> None:
    """The client gives up before the SYN-ACK comes; that one, or the RST to it, may be lost."""
    how, lost = t.variant("how", ("close", "abort")), t.variant("lost", ("", "synack", "rst"))
    if lost:
        t.lose(lost, "B" if lost == "synack" else "A", syn_ack if lost == "synack" else lambda s: bool(s.flags & RST))
    t.listen()
    client = t.client()
    client.setblocking(False)
    with suppress(BlockingIOError):
        client.connect(t.server_at)
    time.sleep(t.pick("when", (0.1, 0.3, 0.7)) * t.round_trip)
    (client.close if how == "close" else lambda: abort(client))()
    time.sleep(2.5 if lost else 0.3)


@scenario(
    "clean", settings=lambda seed: on_both(tcp_syn_retries="2", tcp_synack_retries="2", tcp_syn_linear_timeouts="1")
)
def syn_blackhole(t: Talk) -> None:
    """All SYNs, or all SYN-ACKs, or all third segments vanish until someone gives up."""
    where = t.variant("where", ("A", "B", "third"))
    match = {"A": syn, "B": syn_ack, "third": lambda s: not s.flags & (SYN | RST)}[where]
    t.lose("hole", "B" if where == "B" else "A", match, float("inf"))
    t.listen()
    client = t.client()
    quietly(client.connect, t.server_at)
    if where == "third":
        speaks = t.pick("speaks", (True, False))
        if speaks:
            client.sendall(text(100))
        time.sleep(8)
        client.close()


@scenario("clean")
def refused(t: Talk) -> None:
    """Nobody listens; some of the RSTs are lost; the client tries again, perhaps from the same port."""
    lost, same = t.variant("lost", (0, 1, 2)), t.variant("same_port", (False, True))
    t.lose("rst", "B", lambda s: bool(s.flags & RST), lost)
    port = 0
    for _ in range(t.pick("tries", (1, 2, 3))):
        client = t.client(port)
        port = client.getsockname()[1] if same else 0
        quietly(client.connect, t.server_at)
        client.close()
        time.sleep(0.1)


@scenario(
    "clean",
    settings=lambda seed: {"B": {"ipv4/tcp_abort_on_overflow": str(seed % 2), "ipv4/tcp_synack_retries": "2"}},
)
def accept_overflow(t: Talk) -> None:
    """The accept queue is full: third segments, data and FINs are ignored, or answered by RST."""
    backlog, says = t.variant("backlog", (0, 1)), t.variant("says", ("nothing", "data", "close"))
    hold = t.variant("hold", (1.5, 9.0))
    listener = t.listen(backlog)
    clients = [t.client() for _ in range(t.pick("clients", (3, 4)))]
    for client in clients:
        client.settimeout(8)
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(t.server_at)
        time.sleep(2 * t.round_trip + t.pick("stagger", (0.0, 0.01)))
    time.sleep(t.round_trip + 0.05)
    for client in clients:
        if says == "data":
            quietly(client.sendall, text(100))
        elif says == "close":
            client.close()
    time.sleep(hold)
    listener.settimeout(1.5)
    with suppress(OSError):
        while True:
            server = t.keep(listener.accept()[0])
            if says == "data":
                quietly(read, server, 100)
            server.close()
    for client in clients:
        client.close()


@scenario("clean", settings=lambda seed: {"B": {"ipv4/tcp_synack_retries": "2"}})
def listener_close(t: Talk) -> None:
    """The listener closes with connections nobody accepted, and perhaps one in SYN-RECEIVED."""
    listener = t.listen()
    clients = [t.client() for _ in range(t.pick("n", (1, 2)))]
    for client in clients:
        client.connect(t.server_at)
        if t.pick("data", (True, False)):
            client.sendall(text(50))
    if t.variant("half_open", (True, False)):
        t.lose("third", "A", lambda s: not s.flags & SYN, 4)
        last = t.client()
        last.connect(t.server_at)
        if t.variant("speaks", (True, False)):
            last.sendall(text(50))
        clients.append(last)
    time.sleep(t.pick("wait", (0.2, 0.5)))
    listener.close()
    time.sleep(t.pick("after", (1.5, 4)))
    for client in clients:
        client.close()


@scenario("clean", settings=lambda seed: on_both(tcp_fastopen="1027" if seed % 2 else "3"))
def tfo(t: Talk) -> None:
    """Fast Open with a cookie, or accepted without one: data in the SYN; SYN or SYN-ACK may be lost."""
    lost, closer = t.variant("lost", ("", "syn", "synack", "third")), t.variant("closer", "AB")
    t.listen().setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
    for attempt in range(2):
        if attempt and lost:
            match = {"syn": syn, "synack": syn_ack, "third": plain_ack}[lost]
            t.lose(lost, "B" if lost == "synack" else "A", match)
        client = t.client()
        client.settimeout(None)
        client.sendto(text(300), socket.MSG_FASTOPEN, t.server_at)
        ends = {"A": client, "B": t.accept()}
        read(ends["B"], 300)
        ends["B"].sendall(text(150))
        if closer == "B":
            ends["B"].close()
        read(client, 150)
        client.close()
        if closer == "A":
            read_to_end(ends["B"])
            ends["B"].close()
        time.sleep(0.2 + 2 * t.round_trip)


@scenario("clean")
def defer_accept(t: Talk) -> None:
    """TCP_DEFER_ACCEPT: the third segment is not enough, SYN-RECEIVED goes on until data comes."""
    t.listen().setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3)
    client = t.client()
    client.connect(t.server_at)
    time.sleep(t.variant("pause", (0.1, 1.5, 5.0)))
    _talk = t.variant("then", ("talk", "close"))
    if _talk == "close":
        client.close()
        time.sleep(2)
        return
    client.sendall(text(120))
    server = t.accept()
    read(server, 120)
    _talk_and_close(t, {"A": client, "B": server}, "B")
