"""The verdict names what happened, whose doing it was and how we know; a story tells one connection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pcapreport.findings import find_all
from pcapreport.findings.verdict import Verdict, judge, tell

from .scenario import Scenario, load, parse

FOLDER = Path(__file__).parent / "scenarios"


def verdict_of(scenario: Scenario) -> Verdict:
    seen = scenario.evidence()
    return judge(seen, find_all(seen.capture, seen.table, seen.histories, seen.settings))


def story_of(name: str) -> str:
    scenario = load(FOLDER / f"{name}.pkt")
    return tell(0, scenario.evidence(), scenario.findings())


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("probe_01_clean", "none"),
        ("refused", "server"),
        ("syn_unanswered", "undecidable"),
        ("reset_by_forgetful_server", "undecidable"),
        ("reset_by_forgetful_server_beside_tap", "server"),
        ("reset_by_middlebox", "network"),
        ("close_wait_lingering", "server"),
        ("fin_wait_2_orphaned", "server"),
        ("icmp_syn_filtered", "network"),
        ("retransmission_by_timeout", "network"),
        ("zero_window_for_good", "server"),
        ("capture_damaged", "capture"),
        ("hole_in_capture", "capture"),
        ("peer_silent", "undecidable"),
    ],
)
def test_whose_doing(name: str, side: str) -> None:
    assert verdict_of(load(FOLDER / f"{name}.pkt")).side == side


def test_all_well_is_said_plainly() -> None:
    verdict = verdict_of(load(FOLDER / "probe_01_clean.pkt"))
    assert verdict.text == (
        "The connection opened, exchanged data and closed in order; the client closed first. "
        "Nothing went wrong that this capture shows."
    )
    assert any("TIME-WAIT" in limit for limit in verdict.cannot_know)


def test_an_empty_capture_is_not_called_well() -> None:
    assert "no packet" in verdict_of(parse("", "empty")).text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.pkt")), ids=lambda path: path.stem)
def test_every_text_is_plain_and_names_frames(path: Path) -> None:
    scenario = load(path)
    seen, found = scenario.evidence(), scenario.findings()
    verdict = judge(seen, found)
    texts = [verdict.text, *verdict.evidence, *verdict.cannot_know, *(f.summary for f in found)]
    texts += [tell(connection, seen, found) for connection in range(len(seen.table))]
    for text in texts:
        assert text.endswith("."), text
        assert not re.search(r"None|nan|\bnp\.|  |\.\.|RFC", text), text
    for finding in found:
        if finding.connection is not None and finding.frames and finding.rule not in ("starts_midstream", "one_sided"):
            assert "rame" in finding.summary, finding.summary


def test_story_names_the_closer_and_time_wait() -> None:
    story = story_of("probe_01_clean")
    assert "10.0.0.1:4000 (client) opened the connection to 10.0.0.2:80 (server) in three steps" in story
    assert "the client closed first (frame 8), then the server (frame 10)" in story
    assert "The client entered TIME-WAIT" in story
