"""Scenarios about the beginning of a connection."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from lab.bench import PORT, PathBench
from lab.path import AT_CLIENT, CLIENT, SERVER
from lab.recorders import ETHERNET, Pcap
from lab.scenarios.registry import on_path
from lab.segments import syn
from lab.talk import REQUEST, RESPONSE, close_after, exchange, read_to_end, receive, text


@on_path(Pcap(ETHERNET))
def ipv6_request_response(bench: PathBench) -> None:
    """A request and a response over IPv6; the client closes first."""
    client, server = bench.connect(version=6)
    exchange(client, server)
    close_after(client, server)


@on_path(delay=0.05)
def simultaneous_open(bench: PathBench) -> None:
    """Both ends connect to each other at once: the SYNs cross and both pass SYN-RECEIVED."""
    port = 40001
    left, right = bench.open(bench.client, port=port), bench.open(bench.server, port=PORT)
    for end, peer in ((left, (bench.server.addresses[4], PORT)), (right, (bench.client.addresses[4], port))):
        end.setblocking(False)
        with suppress(BlockingIOError):
            end.connect(peer)
    for end in (left, right):
        end.settimeout(30)
    time.sleep(0.4)
    exchange(left, right)
    close_after(left, right)


@on_path(Pcap(ETHERNET))
def refused(bench: PathBench) -> None:
    """No one listens on the port: the SYN is answered with RST."""
    client = bench.open(bench.client)
    with suppress(ConnectionRefusedError):
        client.connect(bench.server_at())


@on_path(taps=(AT_CLIENT,))
def syn_unanswered(bench: PathBench) -> None:
    """Every SYN is lost: the client sends it four times within seven seconds and gives up."""
    with suppress(FileNotFoundError):  # kernels before 6.5 double every waiting time anyway
        bench.client.configure("ipv4/tcp_syn_linear_timeouts", "0")
    bench.path.lose(CLIENT, syn, times=9)
    client = bench.open(bench.client)
    client.settimeout(8)
    with suppress(TimeoutError):
        client.connect(bench.server_at())


@on_path(Pcap(nanoseconds=True))
def syn_ack_lost(bench: PathBench) -> None:
    """The first SYN-ACK is lost: SYN and SYN-ACK are sent again, then all goes well."""
    bench.path.lose(SERVER, syn)
    client, server = bench.connect()
    exchange(client, server)
    close_after(client, server)


@on_path(Pcap(nanoseconds=True))
def fast_open(bench: PathBench) -> None:
    """TCP Fast Open: the first connection fetches a cookie, the second carries the request in its SYN."""
    bench.client.configure("ipv4/tcp_fastopen", "1")
    bench.server.configure("ipv4/tcp_fastopen", "2")
    bench.listener().setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
    for _ in range(2):
        client = bench.open(bench.client)
        client.settimeout(None)
        client.sendto(REQUEST, socket.MSG_FASTOPEN, bench.server_at())
        server = bench.accept()
        receive(server, len(REQUEST))
        server.sendall(RESPONSE)
        receive(client, len(RESPONSE))
        close_after(client, server)
        time.sleep(0.3)


@on_path(Pcap(snaplen=128))
def sequence_wrap(bench: PathBench) -> None:
    """The client's sequence numbers pass 2**32 in the middle of its data; the server closes last."""
    client, server = bench.connect(first_sequence=2**32 - 5000)
    client.sendall(text(12000))
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    time.sleep(0.1)
    server.sendall(RESPONSE)
    server.close()
    read_to_end(client)
