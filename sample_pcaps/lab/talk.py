"""What the two ends say to each other: short harmless text."""

from __future__ import annotations

import socket

REQUEST = b"GET /greeting HTTP/1.1\r\nHost: example.test\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nHello, reader\n"


def text(length: int) -> bytes:
    """Return numbered lines of text, cut to a length."""
    lines = (b"line %06d of a harmless text for example.test\n" % number for number in range(length // 50 + 1))
    return b"".join(lines)[:length].ljust(length, b".")


def receive(end: socket.socket, length: int) -> None:
    """Read exactly so many bytes."""
    while length > 0:
        length -= len(end.recv(length))


def read_to_end(end: socket.socket) -> None:
    """Read until the peer has closed its direction."""
    while end.recv(65536):
        pass


def request(client: socket.socket, server: socket.socket) -> None:
    """Send the request and read it."""
    client.sendall(REQUEST)
    receive(server, len(REQUEST))


def exchange(client: socket.socket, server: socket.socket) -> None:
    """One request and its response, both read."""
    request(client, server)
    server.sendall(RESPONSE)
    receive(client, len(RESPONSE))


def close_after(first: socket.socket, second: socket.socket) -> None:
    """Close the first end, then the second as soon as it has seen that."""
    first.close()
    read_to_end(second)
    second.close()
