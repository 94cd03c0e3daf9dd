"""Hosts of the laboratory: network namespaces, each with a TCP stack of its own."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_NAMESPACE_OF_THIS_THREAD = "/proc/thread-self/ns/net"
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_SETTINGS = {
    "ipv4/tcp_congestion_control": "reno",
    "ipv4/tcp_no_metrics_save": "1",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/addr_gen_mode": "1",
}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    """Turn the failure of a C library call into an OSError."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Host:
    """A network namespace with one interface, an IPv4 and an IPv6 address."""

    def __init__(self, name: str, addresses: dict[int, str]) -> None:
        self.name = name
        self.addresses = addresses
        self._home = os.open(_NAMESPACE_OF_THIS_THREAD, os.O_RDONLY)
        _check(_libc.unshare(_CLONE_NEWNET))
        self._own = os.open(_NAMESPACE_OF_THIS_THREAD, os.O_RDONLY)
        _check(_libc.setns(self._home, _CLONE_NEWNET))
        for setting, value in _SETTINGS.items():
            self.configure(setting, value)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Place the calling thread in this host; what it opens there stays there."""
        _check(_libc.setns(self._own, _CLONE_NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(self._home, _CLONE_NEWNET))

    def run(self, *command: str) -> None:
        """Run a command in this host and wait for its success."""
        with self.inside():
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def configure(self, setting: str, value: str) -> None:
        """Set a kernel setting, such as ``ipv4/tcp_timestamps``, of this host alone."""
        with self.inside():
            Path("/proc/sys/net", setting).write_text(value)

    def open_tun(self, interface: str) -> int:
        """Create a TUN interface; the file descriptor gives and takes its IP packets."""
        with self.inside():
            tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TUN | _IFF_NO_PI))
        return tun

    def give_interface(self, interface: str, other: Host) -> None:
        """Move an interface to another host."""
        own_view = f"/proc/{os.getpid()}/fd/{other._own}"
        self.run("ip", "link", "set", interface, "netns", own_view)

    def attach(self, interface: str) -> None:
        """Bring the interface up with the host's addresses and send everything through it."""
        self.run("ip", "link", "set", interface, "up")
        self.run("ip", "address", "add", f"{self.addresses[4]}/32", "dev", interface)
        self.run("ip", "address", "add", f"{self.addresses[6]}/128", "dev", interface, "nodad")
        self.run("ip", "-4", "route", "add", "default", "dev", interface)
        self.run("ip", "-6", "route", "add", "default", "dev", interface)

    def socket(self, version: int = 4) -> socket.socket:
        """Open a TCP socket in this host for IPv4 or IPv6."""
        with self.inside():
            return socket.socket(_FAMILIES[version], socket.SOCK_STREAM)

    def close(self) -> None:
        """Let go of the namespace; the kernel removes it when its last socket is gone."""
        os.close(self._own)
        os.close(self._home)
