"""What the network lost, told from what only the capture missed."""

from __future__ import annotations

from pathlib import Path

from pcapreport.findings.model import Finding, Side

from .scenario import parse

FOLDER = Path(__file__).parent / "scenarios"


def found(text: str, rule: str) -> list[Finding]:
    return [finding for finding in parse(text, "made").findings() if finding.rule == rule]


def scenario(name: str) -> str:
    return (FOLDER / f"{name}.pkt").read_text()


def test_sent_again_and_acknowledged_only_then_the_network_lost_it() -> None:
    (again,) = found(scenario("lost_before_tap"), "fast_retransmission")
    assert "lost before it, as the other side had these bytes only afterwards" in again.summary


def test_reported_as_a_duplicate_the_first_one_had_arrived() -> None:
    text = scenario("sent_again_though_it_arrived")
    (again,) = found(text, "retransmission")
    assert "arrived: the capture missed it" in again.summary
    assert not found(text, "lost_segment")


def test_without_that_report_the_network_lost_it() -> None:
    text = scenario("sent_again_though_it_arrived").replace(" sack 101:201", "")
    (again,) = found(text, "retransmission")
    assert "lost before it, as" in again.summary
    (gap,) = found(text, "lost_segment")
    assert gap.side is Side.NETWORK


def test_a_report_that_another_repetition_explains_proves_nothing() -> None:
    twice = "0.430 C > S P. 101:201(100) ack 201 ts 530 1\n0.440"
    text = scenario("sent_again_though_it_arrived").replace("0.440", twice)
    (again,) = found(text, "retransmission")
    assert "arrived: the capture missed it" not in again.summary


def test_never_acknowledged_it_is_left_open() -> None:
    text = scenario("lost_before_tap").replace("ack 3101", "ack 1101").replace("ack 3102", "ack 1101")
    again = [f for f in parse(text, "made").findings() if f.rule.endswith("retransmission")]
    assert any("lost before it, or not captured" in finding.summary for finding in again)


def test_an_answer_to_a_syn_ack_proves_that_the_capture_missed_it() -> None:
    (answer,) = found(scenario("syn_ack_missed_by_capture"), "ack_lost_segment")
    assert answer.summary.startswith("The client answered a SYN, ACK that this capture does not hold (frame 2)")


def test_an_answer_to_a_syn_proves_it_where_the_capture_had_long_begun() -> None:
    opened = "S > C S. 0:0(0) ack 1\n{}.02 C > S . 1:1(0) ack 1"
    early = f"0.00 {opened.format(0)}"
    assert not found(early, "ack_lost_segment")
    another = "0.00 C > S S 0:0(0) port 9\n0.01 S > C R. 0:0(0) ack 1 port 9\n"
    (answer,) = found(f"{another}5.00 {opened.format(5)}", "ack_lost_segment")
    assert answer.frames == (3,)
    assert "answered a SYN that" in answer.summary


def test_a_capture_of_one_direction_missed_no_single_syn() -> None:
    one_way = "0.00 C > S S 0:0(0)\n0.02 C > S . 1:1(0) ack 1\n0.03 C > S P. 1:101(100) ack 1"
    assert not found(one_way, "ack_lost_segment")


def test_numbers_beyond_any_window_are_no_gap_of_this_connection() -> None:
    text = scenario("hole_in_capture").replace("401", "900000401").replace("501", "900000501")
    assert not found(text, "ack_lost_segment")
