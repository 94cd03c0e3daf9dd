"""Scenarios in which a connection ends with RST."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

from lab.bench import PathBench, forget
from lab.recorders import ETHERNET, Pcap
from lab.scenarios.registry import on_path
from lab.talk import REQUEST, RESPONSE, exchange, request

_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)


@on_path(Pcap(byte_order=">"))
def abort_by_reset(bench: PathBench) -> None:
    """The client aborts with a linger time of zero: RST instead of FIN."""
    client, server = bench.connect()
    exchange(client, server)
    time.sleep(0.2)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    client.close()


@on_path()
def close_with_unread_data(bench: PathBench) -> None:
    """The client closes while a response waits unread in its buffer: RST instead of FIN."""
    client, server = bench.connect()
    request(client, server)
    server.sendall(RESPONSE)
    time.sleep(0.3)
    client.close()


@on_path(Pcap(ETHERNET))
def data_to_closed_socket(bench: PathBench) -> None:
    """The client closes entirely; the data that the server sends after that is answered with RST."""
    client, server = bench.connect()
    exchange(client, server)
    client.close()
    time.sleep(0.3)
    server.sendall(b"one more line\n")


@on_path(Pcap(ETHERNET, nanoseconds=True))
def half_open_discovered(bench: PathBench) -> None:
    """The server forgets the connection without a word; the client's next data is answered with RST."""
    client, server = bench.connect()
    exchange(client, server)
    time.sleep(0.3)
    forget(server)
    client.sendall(REQUEST)
    with suppress(ConnectionResetError):
        client.recv(1)
