"""Scenarios about the recording itself: where the tap is, when it starts, what file it writes."""

from __future__ import annotations

import time
from pathlib import Path

from lab.bench import EthernetBench, PathBench
from lab.path import AT_CLIENT, AT_SERVER
from lab.recorders import ETHERNET, RAW, Gzipped, Interface, Pcap, Pcapng, SplitByVersion, Twice
from lab.scenarios.registry import on_ethernet, on_path
from lab.talk import close_after, exchange, receive, request, text


@on_path(Pcap(ETHERNET))
def midstream_start(bench: PathBench) -> None:
    """The capture begins in the middle of a connection: no SYN, two more exchanges, the client closes first."""
    bench.path.recording = False
    client, server = bench.connect()
    exchange(client, server)
    time.sleep(0.3)
    bench.path.recording = True
    exchange(client, server)
    exchange(client, server)
    close_after(client, server)


@on_path()
def hole_in_capture(bench: PathBench) -> None:
    """The recorder missed one exchange in the middle: its data is acknowledged but not in the file."""
    client, server = bench.connect()
    for number in range(3):
        bench.path.recording = number != 1
        exchange(client, server)
        time.sleep(0.2)
    close_after(client, server)


@on_path(SplitByVersion(Pcapng((Interface("lan4", ETHERNET), Interface("tunnel6", RAW)))))
def two_interfaces(bench: PathBench) -> None:
    """Two connections at the same time, IPv4 through an Ethernet interface and IPv6 through one without link header."""
    connections = [bench.connect(version) for version in (4, 6)]
    for client, server in connections:
        exchange(client, server)
    for client, server in connections:
        close_after(client, server)


@on_path(Pcapng((Interface("tap-client", ETHERNET), Interface("tap-server", RAW))), taps=(AT_CLIENT, AT_SERVER))
def two_taps(bench: PathBench) -> None:
    """One connection seen at both ends of the path: each packet twice, one delay apart."""
    client, server = bench.connect()
    exchange(client, server)
    close_after(client, server)


@on_path(Gzipped(Pcap(nanoseconds=True)))
def compressed(bench: PathBench) -> None:
    """A clean exchange in a capture compressed with gzip; the client closes first."""
    client, server = bench.connect()
    exchange(client, server)
    close_after(client, server)


@on_path(Twice(Pcap(ETHERNET)))
def captured_twice(bench: PathBench) -> None:
    """Every frame stands in the file twice, four microseconds apart, as from a mirror port."""
    client, server = bench.connect()
    exchange(client, server)
    close_after(server, client)


@on_path(Pcap(ETHERNET, nanoseconds=True), delay=0.002)
def many_short_connections(bench: PathBench) -> None:
    """Forty short connections, every other over IPv6; client and server take turns to close first."""
    for number in range(40):
        client, server = bench.connect(version=4 if number % 2 else 6)
        exchange(client, server)
        first, second = (client, server) if number % 4 < 2 else (server, client)
        close_after(first, second)
        time.sleep(0.01)


@on_ethernet()
def tcpdump_ethernet(bench: EthernetBench, target: Path) -> None:
    """Recorded by tcpdump on an Ethernet pair without offloading: a clean exchange, the client closes first."""
    with bench.tcpdump(bench.client, "eth0", target):
        client, server = bench.connect()
        exchange(client, server)
        close_after(client, server)


@on_ethernet(offload=True)
def tcpdump_offload(bench: EthernetBench, target: Path) -> None:
    """Recorded by tcpdump at a sender with offloading: segments longer than the MTU, checksums not yet filled in."""
    with bench.tcpdump(bench.server, "eth1", target, "-s", "112", "--time-stamp-precision=nano"):
        client, server = bench.connect()
        request(client, server)
        server.sendall(text(200_000))
        receive(client, 200_000)
        close_after(server, client)


@on_ethernet()
def tcpdump_any_interface(bench: EthernetBench, target: Path) -> None:
    """Recorded by tcpdump on all interfaces: cooked Linux headers, IPv4 then IPv6, the server closes first."""
    with bench.tcpdump(bench.server, "any", target):
        for version in (4, 6):
            client, server = bench.connect(version)
            exchange(client, server)
            close_after(server, client)
