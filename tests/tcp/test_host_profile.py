"""Which system a host is said to run, and how long it is therefore taken to keep TIME-WAIT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcapreport.capture import read_capture
from pcapreport.capture.openings import OPENING
from pcapreport.pipeline import analyze
from pcapreport.report.model import Document, TimeWait
from pcapreport.settings import Settings, time_wait_profile
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.host_profile import Hosts, time_wait_choices

from .test_time_wait_population import closing
from .wire import packets_of

SHARED = Path(__file__).parents[2] / ".." / "shared"
RUNS, CAPTURES = SHARED / "kernel_truth" / "runs", SHARED / "captures" / "files"
needs_runs = pytest.mark.skipif(not RUNS.is_dir(), reason=f"the kernels' own records are not at {RUNS}")
needs_captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"there are no captures at {CAPTURES}")

SWITCHED_OFF = ("options_off-1000", "data_loss-1000")
"""Runs whose hosts send neither timestamps nor SACK permitted."""

LINUX = {"ttl": 64, "option_order": 0x46725, "mss": 1460, "window": 64240, "window_scale": 7}
WINDOWS = {"ttl": 128, "option_order": 0x42536, "mss": 1460, "window": 64240, "window_scale": 8}
APPLE = {"ttl": 64, "option_order": 0x4253761, "mss": 1460, "window": 65535, "window_scale": 6}
FREEBSD = {"ttl": 64, "option_order": 0x42567, "mss": 1460, "window": 65535, "window_scale": 6}
OPENBSD = {"ttl": 64, "option_order": 0x4362537, "mss": 1460, "window": 16384, "window_scale": 6}
OLD_LINUX_TO_WINDOWS = LINUX | {"option_order": 0x43625, "window": 14600, "mss": 1360, "answer": True}


def hosts(*openings: dict[str, int], address: int = 0x0A000001) -> Hosts:
    rows = np.zeros(len(openings), OPENING)
    for row, values in zip(rows, openings, strict=True):
        for name, value in ({"ip_version": 4, "src_lo": address, "count": 1} | values).items():
            row[name] = value
    return Hosts(rows)


def system(*openings: dict[str, int]) -> str:
    return hosts(*openings).profile("10.0.0.1").system


@pytest.mark.parametrize(
    ("opening", "name"),
    [
        (LINUX, "linux"),
        (OLD_LINUX_TO_WINDOWS, "linux"),
        (WINDOWS, "windows"),
        (WINDOWS | {"option_order": 0x42567, "window": 8192, "answer": True}, "windows"),
        (APPLE, "macos"),
        (FREEBSD, "bsd"),
        (OPENBSD, "bsd"),
    ],
)
@pytest.mark.parametrize("hops", [0, 12, 30])
def test_each_system_is_known_by_its_syn_however_far_it_came(opening: dict[str, int], name: str, hops: int) -> None:
    assert system(opening | {"ttl": opening["ttl"] - hops}) == name


@pytest.mark.parametrize(
    "opening",
    [
        LINUX | {"ttl": 245},  # a load balancer that writes options as Linux does
        LINUX | {"ttl": 82},
        LINUX | {"option_order": 0x4, "window_scale": -1},  # MSS alone: any small stack
        LINUX | {"option_order": 0x43625, "window": 17000},  # OpenBSD writes this order as well
        WINDOWS | {"ttl": 64},  # Solaris, or Windows behind an IPv6 router that sets the hop limit
        WINDOWS | {"ttl": 97},
        APPLE | {"window_scale": 1},  # FreeBSD 6 wrote this too
        APPLE | {"ttl": 255, "window": 4380, "answer": True},
        FREEBSD | {"window": 14600},
        {"ttl": 57, "option_order": 0x4, "mss": 1460, "window": 1024, "window_scale": -1},  # a port scanner
        {"ttl": 64, "option_order": 0, "window": 65535, "window_scale": -1},
    ],
)
def test_thin_evidence_names_no_system(opening: dict[str, int]) -> None:
    assert system(opening) == "unknown"


def test_two_systems_behind_one_address_name_neither() -> None:
    profile = hosts(LINUX, WINDOWS).profile("10.0.0.1")
    assert profile.system == "unknown"
    assert "Linux and Windows" in profile.evidence[0]


def test_of_two_systems_behind_one_address_each_connection_is_judged_by_its_own_syn() -> None:
    openings = [LINUX, WINDOWS, {"ttl": 64, "mss": 1460, "window": 5000, "window_scale": -1}]
    closes = [closing(n * 100, 4000 + n) for n in range(3)]
    packets = packets_of([wire for one in closes for wire in one])
    for port, opening in zip((4000, 4001, 4002), openings, strict=True):
        syn = np.flatnonzero(packets["sport"] == port)[0]
        for name, value in opening.items():
            packets[name][syn] = value
    both = hosts(LINUX, WINDOWS, address=0xC0000201)
    systems, profiles = time_wait_choices(both, find_connections(packets), Settings())
    assert [profiles[choice].name for choice in systems[:, 0]] == ["linux", "windows", "linux (a guess)"]


def test_few_openings_among_many_strange_ones_name_no_system() -> None:
    strange = LINUX | {"option_order": 0x4, "count": 10}
    assert system(LINUX, strange) == "unknown"
    assert system(LINUX | {"count": 10}, strange) == "linux"


def test_a_host_of_which_no_opening_was_captured_is_unknown_and_the_reason_is_said() -> None:
    profile = hosts(LINUX).profile("10.9.9.9")
    assert (profile.system, profile.evidence) == ("unknown", ("no SYN and no SYN, ACK of it was captured",))


def test_the_evidence_is_told_in_words() -> None:
    text = "; ".join(hosts(LINUX | {"ttl": 57}).profile("10.0.0.1").evidence)
    for words in ("TTL 57", "began as 64", "64,240 (44 times the MSS)", "MSS, SACK permitted, Timestamps", "Linux"):
        assert words in text


def waits(document: Document) -> list[TimeWait]:
    ends = [end for c in document.connections for end in (c.endpoints.client, c.endpoints.server)]
    return [end.time_wait for end in ends if end.time_wait is not None]


@needs_runs
@pytest.mark.parametrize("tap", ["client", "middle", "server"])
def test_every_host_of_the_kernels_records_is_linux_or_left_unnamed_without_options(tap: str) -> None:
    for run in sorted(RUNS.iterdir()):
        found = Hosts(read_capture(run / f"{tap}.pcap").openings)
        systems = {found.profile(address).system for address in found.busiest(1000)}
        assert systems <= {"unknown" if run.name in SWITCHED_OFF else "linux"}, run.name
        assert systems or run.name == "syn_blackhole-1000", run.name


@needs_runs
def test_auto_names_linux_by_its_syn_and_falls_back_to_it_as_a_guess() -> None:
    for run, name in (("cclose-1000", "linux"), ("options_off-1000", "linux (a guess)")):
        found = waits(analyze(RUNS / run / "middle.pcap"))
        assert found
        assert {(wait.profile, wait.two_msl_s) for wait in found} == {(name, 60.0)}


@needs_runs
def test_a_profile_that_was_asked_for_holds_whatever_the_host_looks_like() -> None:
    settings = Settings(time_wait=time_wait_profile("windows"))
    found = waits(analyze(RUNS / "cclose-1000" / "middle.pcap", settings=settings))
    assert {(wait.profile, wait.two_msl_s) for wait in found} == {("windows", 120.0)}


@needs_captures
@pytest.mark.parametrize(
    ("path", "address", "name"),
    [
        ("zeek__zeek/testing/btest/Traces/krb/kerberos_tso.pcapng", None, "windows"),
        ("ntop__nDPI/tests/cfgs/default/pcap/sites.pcapng", "192.168.1.128", "linux"),
        ("the-tcpdump-group__tcpdump/tests/accecn_handshake.pcap", None, "bsd"),
    ],
)
def test_systems_that_captures_tell_of_themselves(path: str, address: str | None, name: str) -> None:
    found = Hosts(read_capture(CAPTURES / path).openings)
    chosen = [address] if address else found.busiest(1000)
    assert name in {found.profile(one).system for one in chosen}
