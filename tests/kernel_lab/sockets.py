"""Polls the hosts' socket tables: the only sight of request sockets and of TIME-WAIT mini-sockets."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from lab.hosts import Host

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _DUMP = 4, 20, 0x301
_ERROR, _DONE = 2, 3
_NAMES = dict(
    enumerate(
        [
            "ESTABLISHED",
            "SYN_SENT",
            "SYN_RECV",
            "FIN_WAIT1",
            "FIN_WAIT2",
            "TIME_WAIT",
            "CLOSE",
            "CLOSE_WAIT",
            "LAST_ACK",
            "LISTEN",
            "CLOSING",
        ],
        1,
    )
)
_NAMES[12] = "SYN_RECV"
Ports = tuple[int, int]


class Entry(NamedTuple):
    """A socket in a table; ``cookie`` stays the same when a mini-socket replaces it."""

    local: tuple[str, int]
    remote: tuple[str, int]
    state: str
    cookie: int


class Sample(NamedTuple):
    """A side's table, read at some time in [since, until] (ns, monotonic)."""

    side: str
    since: int
    until: int
    entries: frozenset[Entry]


class SocketTables:
    """A thread that reads both hosts' tables every few milliseconds and keeps what changed."""

    def __init__(self, hosts: dict[str, Host], interval: float = 0.008) -> None:
        self.samples: list[Sample] = []
        self.latest: dict[str, frozenset[Entry]] = {side: frozenset() for side in hosts}
        self._interval = interval
        self._links = {side: _open(host) for side, host in hosts.items()}
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[Sample]:
        """End the polling; all samples in the order of time."""
        self._running = False
        self._thread.join()
        for link in self._links.values():
            link.close()
        return self.samples

    def _run(self) -> None:
        while self._running:
            for side, link in self._links.items():
                since = time.monotonic_ns()
                entries = frozenset(_dump(link))
                self.samples.append(Sample(side, since, time.monotonic_ns(), entries))
                self.latest[side] = entries
            time.sleep(self._interval)


def _open(host: Host) -> socket.socket:
    with host.inside():
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)


def _dump(link: socket.socket) -> Iterator[Entry]:
    for family in (socket.AF_INET, socket.AF_INET6):
        request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
        link.send(struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + request)
        done = False
        while not done:
            data, at = link.recv(1 << 18), 0
            while at < len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind in (_DONE, _ERROR):
                    done = True
                    break
                yield _entry(data[at + 16 : at + length], family)
                at += (length + 3) & ~3


def _entry(body: bytes, family: int) -> Entry:
    size = 4 if family == socket.AF_INET else 16
    sport, dport = struct.unpack_from(">HH", body, 4)
    source, target = (socket.inet_ntop(family, body[at : at + size]) for at in (8, 24))
    (cookie,) = struct.unpack_from("=Q", body, 44)
    return Entry((source, sport), (target, dport), _NAMES[body[1]], cookie)
