"""Scenarios about loss, reordering, full windows and silence."""

from __future__ import annotations

import math
import socket
import threading
import time
from contextlib import suppress

from lab.bench import PathBench
from lab.path import AT_SERVER, CLIENT, SERVER
from lab.recorders import ETHERNET, TAGGED_ETHERNET, Interface, Pcap, Pcapng
from lab.scenarios.registry import on_path
from lab.segments import anything, data
from lab.talk import close_after, exchange, read_to_end, receive, request, text

_TCP = socket.IPPROTO_TCP
_FULL_SEGMENT = 1448


def _deliver(sender: socket.socket, receiver: socket.socket, amount: int) -> None:
    """Send an amount of text and read it at the other end."""
    sending = threading.Thread(target=sender.sendall, args=(text(amount),))
    sending.start()
    receive(receiver, amount)
    sending.join()


def _download(bench: PathBench, amount: int) -> None:
    """Fetch a text of this length from the server; the client closes first."""
    client, server = bench.connect()
    request(client, server)
    _deliver(server, client, amount)
    close_after(client, server)


def _keep_alive(end: socket.socket) -> None:
    """Probe after one second of silence, then every second, three times at most."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(_TCP, socket.TCP_KEEPIDLE, 1)
    end.setsockopt(_TCP, socket.TCP_KEEPINTVL, 1)
    end.setsockopt(_TCP, socket.TCP_KEEPCNT, 3)


@on_path(Pcap(ETHERNET, snaplen=96), delay=0.01)
def loss_with_fast_retransmit(bench: PathBench) -> None:
    """One data segment of a download is lost and sent again after duplicate ACKs with SACK."""
    bench.path.lose(SERVER, data, skip=14)
    _download(bench, 60_000)


@on_path(Pcap(snaplen=96, nanoseconds=True))
def loss_with_timeout(bench: PathBench) -> None:
    """The last data segment and the probe that repeats it are lost; the retransmission timer repairs it."""
    bench.path.lose(SERVER, data, skip=7, times=2)
    _download(bench, 8 * _FULL_SEGMENT)


@on_path(Pcap(TAGGED_ETHERNET, snaplen=112))
def reordering_without_loss(bench: PathBench) -> None:
    """One data segment is overtaken by the two behind it: two duplicate ACKs, nothing is sent again."""
    bench.path.hold(SERVER, data, 0.003, skip=7)
    _download(bench, 10 * _FULL_SEGMENT)


@on_path(Pcap(TAGGED_ETHERNET, snaplen=112, nanoseconds=True))
def spurious_retransmission(bench: PathBench) -> None:
    """One data segment is overtaken by many: it is sent again needlessly and the receiver says so (D-SACK)."""
    bench.path.hold(SERVER, data, 0.003, skip=12)
    _download(bench, 40_000)


@on_path(Pcapng((Interface("wan0", ETHERNET),)))
def zero_window_and_recovery(bench: PathBench) -> None:
    """The server does not read for three seconds: window zero, probes, then the window opens again."""
    bench.listener().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    client, server = bench.connect()
    sending = threading.Thread(target=client.sendall, args=(text(30_000),))
    sending.start()
    time.sleep(3)
    bench.path.comment_next("The server begins to read: the window opens.")
    receive(server, 30_000)
    sending.join()
    client.close()
    read_to_end(server)
    time.sleep(0.1)
    server.close()


@on_path()
def keep_alives(bench: PathBench) -> None:
    """Three keep-alive probes in a silent connection are answered; then the client closes."""
    client, server = bench.connect()
    exchange(client, server)
    _keep_alive(client)
    time.sleep(3.5)
    close_after(client, server)


@on_path(Pcap(nanoseconds=True), taps=(AT_SERVER,))
def keep_alive_peer_gone(bench: PathBench) -> None:
    """The path goes dead: the server's keep-alive probes stay unanswered and it gives up with RST."""
    client, server = bench.connect()
    exchange(client, server)
    time.sleep(0.3)
    for sender in (CLIENT, SERVER):
        bench.path.lose(sender, anything, times=math.inf)
    _keep_alive(server)
    with suppress(TimeoutError):
        server.recv(1)
