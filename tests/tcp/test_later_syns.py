"""What became of a SYN that met TIME-WAIT, and the numbers that decided it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapreport.findings.time_wait_words import told
from pcapreport.pipeline import analyze
from pcapreport.tcp.history import LaterSyn, Meeting

from .scenario import parse

SCENARIOS = Path(__file__).parents[1] / "scenarios"
RUNS = Path(__file__).parents[2] / ".." / "shared" / "kernel_truth" / "runs"


def met(name: str, *changes: tuple[str, str]) -> tuple[LaterSyn, ...]:
    """The SYNs that met the server's TIME-WAIT in a scenario, some of its text changed."""
    text = (SCENARIOS / f"{name}.scn").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    ledger = parse(text).histories()[0].server.time_wait
    assert ledger is not None
    return ledger.later_syns


def test_a_higher_number_reopens_and_both_numbers_are_said() -> None:
    (syn,) = met("time-wait-ended-by-reuse")
    assert (syn.meeting, syn.seq, syn.next_seq, syn.answer) == (Meeting.HIGHER_SEQUENCE, 100_000, 1002, 8)
    assert "100000 is above 1002" in told(syn)


def test_the_next_number_itself_is_not_above_the_old_ones() -> None:
    (syn,) = met("time-wait-ended-by-reuse", ("isn C 100000", "isn C 1002"))
    assert syn.meeting is Meeting.ACCEPTED
    assert "1002 is not above 1002" in told(syn)


def test_numbers_are_compared_across_the_wrap() -> None:
    (syn,) = met("time-wait-ended-by-newer-timestamp", ("isn C 2000000000", "isn C 4294967000"), ("1900000000", "5"))
    assert syn.meeting is Meeting.HIGHER_SEQUENCE


def test_a_newer_timestamp_reopens_and_both_are_said() -> None:
    (syn,) = met("time-wait-ended-by-newer-timestamp")
    assert (syn.meeting, syn.stamp, syn.last_stamp) == (Meeting.NEWER_TIMESTAMP, 5100, 1120)
    assert "timestamp 5100 is newer than the old connection's last, 1120 (RFC 6191)" in told(syn)


def test_a_challenge_tells_the_ack_the_reset_and_when_the_syn_came_again() -> None:
    first, second = met("time-wait-collision")
    assert (first.meeting, first.answer, first.reset, first.again) == (Meeting.CHALLENGED, 8, 9, 51_000_000)
    assert "51 ms later" in told(first)
    assert second.meeting is Meeting.AFTER_RESET


def test_a_syn_dropped_in_silence_says_why() -> None:
    first, second = met("time-wait-drops-old-syn")
    assert {first.meeting, second.meeting} == {Meeting.UNANSWERED}
    assert "timestamp 90 is not newer" in told(first) and "dropped in silence" in told(first)
    assert first.again == 1_000_000_000 and second.again is None


def test_an_acceptable_syn_without_an_answer_was_lost() -> None:
    (first, _) = met("time-wait-drops-old-syn", ("ts 90 0 ", "ts 9000 0 "))
    assert "it would have been acceptable" in told(first)


def test_a_refusal_is_told() -> None:
    reset = "9.000 S > C R. 0:0(0) ack 1\n10.000 end"
    (*_, last) = met("time-wait-drops-old-syn", ("9.000 end", reset))
    assert (last.meeting, last.answer) == (Meeting.REFUSED, 9)


def test_what_comes_after_the_end_is_not_listed() -> None:
    """The second connection's own end and a third connection are another ledger's matter."""
    again = "isn C 900000000\n9.000 C > S S 0:0(0)\n9.020 S > C S. 0:0(0) ack 1"
    assert len(met("time-wait-ended-by-reuse", ("5.061 S", f"{again}\n9.061 S"))) == 1


@pytest.mark.skipif(not RUNS.is_dir(), reason=f"the kernels' own records are not at {RUNS}")
@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        ("tw_reuse-1000", "replaced-by-owner"),
        ("tw_reuse-1001", "accepted-by-sequence"),
        ("reuse_after_tw-1000", "after-expiry"),
    ],
)
@pytest.mark.parametrize("tap", ["client", "middle", "server"])
def test_real_kernels_leave_time_wait_as_told(run: str, verdict: str, tap: str) -> None:
    first = analyze(RUNS / run / f"{tap}.pcap").connections[0].endpoints
    waits = [end.time_wait for end in (first.client, first.server) if end.time_wait is not None]
    assert [syn.verdict for wait in waits for syn in wait.later_syns] == [verdict]
