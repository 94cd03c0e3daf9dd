"""Scenarios about the orderly end of a connection, from FIN to TIME-WAIT."""

from __future__ import annotations

import socket
import time

from lab.bench import PathBench
from lab.path import AT_CLIENT, CLIENT
from lab.recorders import ETHERNET, RAW, Interface, Pcap, Pcapng
from lab.scenarios.registry import on_path
from lab.segments import pure_ack
from lab.talk import close_after, exchange, read_to_end


@on_path(Pcap(ETHERNET, nanoseconds=True))
def client_closes_first_four_segments(bench: PathBench) -> None:
    """The client closes; the server acknowledges that and closes later, 150 ms after it: FIN, ACK, FIN, ACK."""
    client, server = bench.connect()
    exchange(client, server)
    client.close()
    read_to_end(server)
    time.sleep(0.15)
    server.close()


@on_path()
def client_closes_first_three_segments(bench: PathBench) -> None:
    """The client closes; the server's FIN carries the acknowledgement: FIN, FIN+ACK, ACK."""
    client, server = bench.connect()
    exchange(client, server)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    close_after(client, server)


@on_path(Pcap(ETHERNET))
def server_closes_first(bench: PathBench) -> None:
    """The server closes after its response, the client 100 ms later."""
    client, server = bench.connect()
    exchange(client, server)
    server.close()
    read_to_end(client)
    time.sleep(0.1)
    client.close()


@on_path(Pcap(nanoseconds=True))
def ipv6_server_closes_first(bench: PathBench) -> None:
    """Over IPv6 the server closes after its response, the client at once when it sees that."""
    client, server = bench.connect(version=6)
    exchange(client, server)
    close_after(server, client)


@on_path()
def half_close_with_late_data(bench: PathBench) -> None:
    """The client ends its direction; the server goes on sending for half a second and then closes."""
    client, server = bench.connect()
    exchange(client, server)
    client.shutdown(socket.SHUT_WR)
    read_to_end(server)
    for number in range(6):
        server.sendall(b"late line %d\n" % number)
        time.sleep(0.1)
    server.close()
    read_to_end(client)


@on_path(Pcap(ETHERNET, nanoseconds=True), delay=0.04)
def simultaneous_close(bench: PathBench) -> None:
    """Both ends close at the same time: the FINs cross and both pass CLOSING and TIME-WAIT."""
    client, server = bench.connect()
    exchange(client, server)
    time.sleep(0.3)
    client.close()
    server.close()


@on_path(Pcapng((Interface("tun0", RAW),)), taps=(AT_CLIENT,))
def last_ack_lost_fin_retransmitted(bench: PathBench) -> None:
    """The last ACK is lost: the server sends its FIN again and the client starts its 2MSL wait anew."""
    client, server = bench.connect()
    exchange(client, server)
    client.close()
    read_to_end(server)
    time.sleep(0.1)
    bench.path.comment_next("The server's FIN; the ACK that answers it does not arrive.")
    bench.path.lose(CLIENT, pure_ack)
    server.close()


@on_path()
def ports_reused_within_2msl(bench: PathBench) -> None:
    """The server waits in TIME-WAIT when the client connects anew from the same port: accepted at once."""
    for _ in range(2):
        client, server = bench.connect(port=40001)
        exchange(client, server)
        close_after(server, client)
        time.sleep(0.5)


@on_path(Pcap(nanoseconds=True))
def time_wait_collision_challenge(bench: PathBench) -> None:
    """A SYN with an old number meets TIME-WAIT: ACK of the old connection, RST, then the SYN again succeeds."""
    bench.client.configure("ipv4/tcp_timestamps", "0")
    for first_sequence in (2_000_000_000, 1_900_000_000):
        client, server = bench.connect(port=40001, first_sequence=first_sequence)
        exchange(client, server)
        close_after(server, client)
        time.sleep(0.5)
