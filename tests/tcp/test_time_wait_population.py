"""How many TIME-WAITs a host holds at each moment, and which clients run short of ports."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcapreport.findings.ephemeral_ports import running_out
from pcapreport.pipeline import read_within, report_on
from pcapreport.report import model
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import render_html
from pcapreport.settings import DEFAULT_READING, Settings, time_wait_profile
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.host_profile import NO_HOSTS
from pcapreport.tcp.time_wait_population import Crowd, HostWaits, Peak, TimeWaitPopulation, _peaks

from .wire import ACK, FIN, RST, START, SYN, Host, Wire, packets_of

MILLISECOND = 10**6
CLIENT, SERVER = 0xC0000201, Host(0xC6336402, 80)


def closing(at_ms: int, port: int, server: Host = SERVER, server_closes: bool = False, reset_ms: int = 0) -> list[Wire]:
    """A connection of seven milliseconds; whoever closes first is in TIME-WAIT from its fifth or sixth on."""
    client = Host(CLIENT, port)
    first, second = (server, client) if server_closes else (client, server)
    start = START + at_ms * MILLISECOND
    times = [start + n * MILLISECOND for n in range(6)]
    wires = [
        Wire(times[0], client, server, SYN, 0),
        Wire(times[1], server, client, SYN | ACK, 0, 1),
        Wire(times[2], client, server, ACK, 1, 1),
        Wire(times[3], first, second, FIN | ACK, 1, 1),
        Wire(times[4], second, first, FIN | ACK, 1, 2),
        Wire(times[5], first, second, ACK, 2, 2),
    ]
    if reset_ms:
        wires.append(Wire(START + reset_ms * MILLISECOND, second, first, RST, 2))
    return wires


def population(*connections: list[Wire], until_ms: int = 1_000_000) -> list[HostWaits]:
    wires = sorted((wire for one in connections for wire in one), key=lambda wire: wire.time_ns)
    table = find_connections(packets_of(wires))
    found = TimeWaitPopulation()
    settings = Settings(time_wait=time_wait_profile("linux"))
    found.add(table, reconstruct_all(table, START + until_ms * MILLISECOND, settings))
    return found.hosts()


def test_each_time_wait_counts_from_its_entry_to_the_nominal_end() -> None:
    (host,) = population(closing(0, 4000), closing(30_000, 4001), closing(65_000, 4002))
    assert (host.address, host.total) == ("192.0.2.1", 3)
    assert host.peak.held == 2
    assert START + 30_000 * MILLISECOND < host.peak.at <= START + 30_005 * MILLISECOND


def test_a_reset_ends_it_for_the_count_as_well() -> None:
    (host,) = population(closing(0, 4000, reset_ms=10_000), closing(30_000, 4001))
    assert host.peak.held == 1


def test_the_port_used_again_counts_once() -> None:
    first, again = closing(0, 4000), closing(20_000, 4000)
    again = [w._replace(seq=w.seq + 90_000 * (w.src.port == 4000) + 50_000 * (w.src.port != 4000)) for w in again]
    again = [w._replace(ack=w.ack + (50_000 if w.src.port == 4000 else 90_000)) if w.flags & ACK else w for w in again]
    (host,) = population(first, again)
    assert (host.total, host.peak.held) == (2, 1)


def test_a_server_that_closes_first_holds_them_and_takes_no_port_of_the_clients() -> None:
    (host,) = population(closing(0, 4000, server_closes=True), closing(100, 4001, server_closes=True))
    assert (host.address, host.peak.held, host.busiest) == ("198.51.100.2", 2, None)


def test_a_clients_ports_are_counted_towards_each_server_address_and_port_apart() -> None:
    other = Host(SERVER.address, 81)
    (host,) = population(closing(0, 4000), closing(100, 4001), closing(200, 4000, other))
    assert host.peak.held == 3
    assert host.busiest is not None
    assert (host.busiest.address, host.busiest.port, host.busiest.peak.held) == ("198.51.100.2", 80, 2)
    assert host.busiest.ports == (4000, 4001)


def test_a_range_is_wider_where_the_client_used_ports_beyond_the_usual_ones() -> None:
    (host,) = population(closing(0, 2000), closing(100, 40_000))
    assert host.busiest is not None
    assert host.busiest.range_of("linux") == (2000, 60_999)
    assert host.busiest.range_of("windows") == (2000, 65_535)


def test_hosts_with_higher_peaks_come_first() -> None:
    others = [closing(n, 5000 + n, Host(7, 80), server_closes=True) for n in range(3)]
    hosts = population(closing(0, 4000), *others)
    assert [host.peak.held for host in hosts] == [3, 1]


spans = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=40)


@given(spans)
def test_the_peak_of_one_pass_is_that_of_counting_at_every_moment(given_spans: list[tuple[int, int, int]]) -> None:
    key, since, length = np.array(given_spans, np.int64).T
    peaks = _peaks(key.astype(np.uint64), since, since + length)
    for number, one in enumerate(peaks.key.tolist()):
        mine = [(a, a + n) for k, a, n in given_spans if k == one]
        held = [sum(a <= moment < b for a, b in mine) for moment in range(80)]
        assert (peaks.total[number], peaks.first[number]) == (len(mine), key.tolist().index(one))
        assert peaks.peak(number) == Peak(max(held), held.index(max(held)))


# -- through the whole line -----------------------------------------------------------------------------------------

LINUX_SYN = bytes.fromhex("020405b4 0402080a 00000001 00000000 01030307".replace(" ", ""))


def frame(time_us: int, way: int, port: int, flags: int, seq: int, ack: int) -> bytes:
    """A pcap record: raw IPv4 between 10.0.0.1:port and 10.0.0.2:80; `way` 0: from the client."""
    options = LINUX_SYN if flags & SYN else b""
    ends = [(bytes((10, 0, 0, 1)), port), (bytes((10, 0, 0, 2)), 80)]
    (src, sport), (dst, dport) = ends[way], ends[1 - way]
    size = 40 + len(options)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 6, 0) + src + dst
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, (5 + len(options) // 4) << 4, flags, 64240, 0, 0)
    seconds, micro = divmod(time_us, 1_000_000)
    return struct.pack("<IIII", 1_700_000_000 + seconds, micro, size, size) + ip + tcp + options


STEPS = (
    (0, SYN, 0, 0),
    (1, SYN | ACK, 0, 1),
    (0, ACK, 1, 1),
    (0, FIN | ACK, 1, 1),
    (1, FIN | ACK, 1, 2),
    (0, ACK, 2, 2),
)
"""Way, flags, sequence and acknowledgment number."""


@lru_cache
def many(connections: int) -> bytes:
    """So many connections within some 50 s, each closed by the client."""
    records = []
    for number in range(connections):
        at, port = number * 3_000, 32_768 + number
        for step, (way, flags, seq, ack) in enumerate(
            (
                (0, SYN, 0, 0),
                (1, SYN | ACK, 0, 1),
                (0, ACK, 1, 1),
                (0, FIN | ACK, 1, 1),
                (1, FIN | ACK, 1, 2),
                (0, ACK, 2, 2),
            )
        ):
            records.append(frame(at + 400 * step, way, port, int(flags), seq, ack))
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + b"".join(records)


def report(connections: int, memory: int | None = None, profile: str = "auto") -> model.Document:
    capture = read_within(memory, io.BytesIO(many(connections)), "many.pcap", DEFAULT_READING)
    assert (capture.spilled is None) == (memory is None)
    settings = Settings(time_wait=time_wait_profile(profile))
    return report_on(capture, settings, DocumentOptions(details=1, listed=100)).document


HALF = 14_116


def test_a_client_with_half_of_its_ports_in_time_wait_runs_short() -> None:
    document = report(HALF)
    (found,) = document.findings
    assert (found.rule, found.side, found.severity) == ("ephemeral_ports_running_out", "client", "warning")
    assert len(found.frames) == HALF
    for words in ("10.0.0.1", f"{HALF:,}", "10.0.0.2:80", "28,232", "50%", "470 connections a second"):
        assert words in found.summary
    (host,) = document.hosts
    assert (host.system, host.time_waits, host.peak) == ("linux", HALF, HALF)
    assert host.busiest is not None
    assert (host.busiest.share, host.busiest.first_port, host.busiest.last_port) == (0.5, 32768, 60999)
    assert f"{HALF:,} of its ports" in document.verdict.text


@pytest.mark.parametrize(("held", "found"), [(HALF - 1, 0), (HALF, 1)])
def test_from_half_of_the_range_on_a_client_is_held_to_run_short(held: int, found: int) -> None:
    peak = Peak(held, START)
    waits = [HostWaits("10.0.0.1", held, peak, Crowd("10.0.0.2", 80, peak, (40_000, 50_000), 1))]
    assert len(running_out(TimeWaitPopulation(), waits, NO_HOSTS, Settings(), START)) == found


def test_it_is_told_the_same_whatever_memory_there_is() -> None:
    whole, parts = report(2_000), report(2_000, memory=500_000)
    assert whole == parts
    assert whole.hosts[0].peak == 2_000


def test_a_shorter_time_wait_frees_the_ports_in_time() -> None:
    document = report(4_000, profile="10")
    assert document.hosts[0].time_waits == 4_000
    assert 3_000 < document.hosts[0].peak < 3_400


@pytest.mark.parametrize("connections", [3])
def test_the_page_shows_the_hosts_and_why(connections: int) -> None:
    page = render_html(report(connections))
    for words in ("TIME-WAIT by host", "10.0.0.1", "less than 1 %", "28,232", "this is how Linux opens connections"):
        assert words in page
