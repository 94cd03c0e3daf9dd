"""Benches: a client and a server joined by the scripted path or by a real Ethernet pair."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path as FilePath
from typing import Self

from lab.hosts import Host
from lab.path import MIDDLE, Path

PORT = 80
_CLIENT_ADDRESSES = {4: "192.0.2.1", 6: "2001:db8:a::1"}
_SERVER_ADDRESSES = {4: "198.51.100.2", 6: "2001:db8:b::2"}
_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ = 19, 20, 21
_REPAIR_ON, _REPAIR_OFF_QUIETLY, _SEND_QUEUE = 1, -1, 2


class Bench:
    """Two hosts and the sockets opened on them; everything is released at the end of the ``with`` block."""

    def __init__(self) -> None:
        self._resources = ExitStack()
        self.client = Host("client", _CLIENT_ADDRESSES)
        self._resources.callback(self.client.close)
        self.server = Host("server", _SERVER_ADDRESSES)
        self._resources.callback(self.server.close)
        self._listeners: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def open(self, host: Host, version: int = 4, port: int = 0) -> socket.socket:
        """Open a socket on a host, bound to the host's address and, if given, to a port."""
        opened = self._resources.enter_context(host.socket(version))
        opened.settimeout(30)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host.addresses[version], port))
        return opened

    def listener(self, version: int = 4) -> socket.socket:
        """Return the listening socket of the server; the first call opens it."""
        if version not in self._listeners:
            self._listeners[version] = self.open(self.server, version, PORT)
            self._listeners[version].listen(64)
        return self._listeners[version]

    def accept(self, version: int = 4) -> socket.socket:
        """Take the next connection at the server."""
        accepted, _ = self.listener(version).accept()
        accepted.settimeout(30)
        return self._resources.enter_context(accepted)

    def server_at(self, version: int = 4) -> tuple[str, int]:
        """Return the address and the port of the server."""
        return self.server.addresses[version], PORT

    def connect(
        self, version: int = 4, *, port: int = 0, first_sequence: int | None = None
    ) -> tuple[socket.socket, socket.socket]:
        """Make a connection and return its client end and its server end.

        ``port`` is the port of the client, ``first_sequence`` the initial sequence number of the client.
        """
        self.listener(version)
        client = self.open(self.client, version, port)
        if first_sequence is not None:
            start_sequence_at(client, first_sequence)
        client.connect(self.server_at(version))
        return client, self.accept(version)


def start_sequence_at(unconnected: socket.socket, number: int) -> None:
    """Make the kernel use this initial sequence number, by way of the repair mode of its TCP."""
    unconnected.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_ON)
    unconnected.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, _SEND_QUEUE)
    unconnected.setsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ, number.to_bytes(4, "little"))
    unconnected.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_OFF_QUIETLY)


def forget(connected: socket.socket) -> None:
    """Remove a connection without telling the peer, as a crash of the host would."""
    connected.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, _REPAIR_ON)
    connected.close()


class PathBench(Bench):
    """Two hosts whose TUN interfaces are joined by the scripted path."""

    def __init__(self, delay: float = 0.02, taps: tuple[float, ...] = (MIDDLE,)) -> None:
        super().__init__()
        tuns = [host.open_tun("tun0") for host in (self.client, self.server)]
        self.client.attach("tun0")
        self.server.attach("tun0")
        self.path = Path(tuns[0], tuns[1], delay, taps)

    def __exit__(self, *details: object) -> None:
        self.path.stop()
        super().__exit__(*details)


class EthernetBench(Bench):
    """Two hosts joined by a veth pair, on which tcpdump records."""

    def __init__(self, *, offload: bool) -> None:
        super().__init__()
        self.client.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        self.client.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:0a")
        self.client.run("ip", "link", "set", "eth1", "address", "02:00:00:00:00:0b")
        self.client.give_interface("eth1", self.server)
        for host, interface in ((self.client, "eth0"), (self.server, "eth1")):
            if not offload:
                features = ("tx", "tso", "gso", "gro")
                host.run("ethtool", "-K", interface, *(word for feature in features for word in (feature, "off")))
            host.attach(interface)

    @contextmanager
    def tcpdump(self, host: Host, interface: str, target: FilePath, *options: str) -> Iterator[None]:
        """Record with tcpdump on an interface of a host for the time of the ``with`` block."""
        command = ["tcpdump", "-Z", "root", "-n", "-B", "32768", "--immediate-mode", "-i", interface, "-w", str(target)]
        with host.inside():
            process = subprocess.Popen([*command, *options, "tcp"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            if not line:
                raise RuntimeError("tcpdump did not start")
        try:
            yield
            time.sleep(0.6)
        finally:
            process.send_signal(signal.SIGINT)
            _, report = process.communicate()
        if "\n0 packets dropped by kernel" not in report:
            raise RuntimeError(f"tcpdump missed packets: {report}")
