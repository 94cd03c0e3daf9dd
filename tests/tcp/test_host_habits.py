"""How fast a host's timestamps tick, and when it repeats a SYN."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from findings.scenario import parse

from pcapreport.pipeline import analyze
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.host_habits import HostHabits

RUNS = Path(__file__).parents[2] / ".." / "shared" / "kernel_truth" / "runs"


def habits(*texts: str) -> HostHabits:
    found = HostHabits()
    for text in texts:
        found.add(find_connections(parse(text, "made").capture().table))
    return found


@pytest.mark.parametrize(("ticks", "words"), [(1010, "1,000 times"), (2, "twice"), (99, "100 times"), (10, "10 times")])
def test_the_rate_is_measured_between_first_and_last_timestamp(ticks: int, words: str) -> None:
    lines = (
        "0.000 C > S S 0:0(0) ts 4294967290 0",
        f"1.000 C > S . 1:1(0) ack 1 ts {(4294967290 + ticks) % 2**32} 5",
    )
    assert habits("\n".join(lines)).told("10.0.0.1") == [
        f"its timestamps tick {words} a second (measured on one connection)"
    ]


def test_a_span_too_short_or_a_rate_unheard_of_says_nothing() -> None:
    short = "0.000 C > S S 0:0(0) ts 1 0\n0.500 C > S . 1:1(0) ack 1 ts 501 5"
    odd = "0.000 C > S S 0:0(0) ts 1 0\n2.000 C > S . 1:1(0) ack 1 ts 90000 5"
    assert habits(short, odd).told("10.0.0.1") == []


def test_the_waits_between_repeated_syns_are_told_of_the_connection_with_most() -> None:
    once = "0.000 C > S S 0:0(0)\n3.000 C > S S 0:0(0)"
    twice = "0.000 C > S S 0:0(0)\n1.020 C > S S 0:0(0)\n3.040 C > S S 0:0(0)"
    words = ["it sent a SYN again after waits of 1.02, 2.02 s (from frame 1)"]
    assert habits(once, twice).told("10.0.0.1") == habits(twice, once).told("10.0.0.1") == words
    assert habits(once, twice).told("10.0.0.2") == []


@pytest.mark.skipif(not RUNS.is_dir(), reason=f"the kernels' own records are not at {RUNS}")
def test_linux_ticks_a_thousand_times_a_second() -> None:
    rates = []
    for run in sorted(RUNS.iterdir()):
        for host in analyze(run / "middle.pcap").hosts:
            rates += re.findall(r"tick (.*) a second", " ".join(host.evidence))
    assert len(rates) > 10
    assert set(rates) == {"1,000 times"}
