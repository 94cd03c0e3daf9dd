"""Every scenario gives exactly the findings it lists; every rule has a scenario and a page in the manual."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pcapreport.findings as findings_package
from pcapreport.findings.rules import RULES

from .scenario import load

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.pkt"))
RESENDING = {
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "tail_loss_probe",
    "syn_retransmission",
    "syn_ack_retransmission",
    "fin_retransmission",
}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_gives_exactly_what_it_lists(path: Path) -> None:
    scenario = load(path)
    found = {(finding.rule, finding.frames, finding.side.value) for finding in scenario.findings()}
    assert found == scenario.expected


TAKES_THOUSANDS = {"ephemeral_ports_running_out", "syn_flood", "port_scan"}
"""Of connections, so that no one can read it aloud: see tests/tcp/test_time_wait_population.py and test_scans.py."""


def test_every_rule_has_a_scenario() -> None:
    shown = {rule for path in SCENARIOS for rule, _, _ in load(path).expected}
    assert shown | TAKES_THOUSANDS == set(RULES)


def test_every_rule_named_in_the_code_has_a_page() -> None:
    source = "".join(path.read_text() for path in Path(findings_package.__file__).parent.glob("*.py"))
    named = set(re.findall(r'(?:finding\(|_from_the_start\()\s*evidence,\s*"(\w+)"|_about\("(\w+)"', source))
    named = {either or other for either, other in named}
    assert named <= set(RULES)
    assert len(named) > 20


def test_each_frame_is_sent_again_under_one_rule() -> None:
    for path in SCENARIOS:
        frames = [frame for f in load(path).findings() if f.rule in RESENDING for frame in f.frames]
        assert len(frames) == len(set(frames)), path.stem


def test_pages_are_whole() -> None:
    for rule, page in RULES.items():
        assert page.id == rule
        for text in (page.means, page.why_it_matters, page.likely_causes, page.what_to_do, page.known_problems):
            assert text.endswith((".", "?")), rule
