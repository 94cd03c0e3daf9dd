"""Every file of tests/scenarios: segments at a tap, and the states that both ends then have."""

from __future__ import annotations

from pathlib import Path

import pytest

from .scenario import Expected, compare, parse, side_by_side

FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.scn"))


def test_there_are_scenarios() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_ends_have_the_states_that_the_scenario_tells(path: Path, request: pytest.FixtureRequest) -> None:
    scenario = parse(path.read_text(), path.name)
    if scenario.fault:
        request.applymarker(pytest.mark.xfail(reason=scenario.fault, strict=True))
    histories = scenario.histories()
    assert scenario.expected, f"{path.name} expects nothing"
    report, right = [], True
    for number, expected in sorted(scenario.expected.items()):
        assert set(expected.states) == {"client", "server"}, f"{path.name} does not tell both sides' states"
        if number > len(histories):
            report.append(f"connection {number}: not found; there are {len(histories)}")
            right = False
            continue
        rows = compare(expected, histories[number - 1])
        right &= all(want == actual for _, want, actual in rows)
        report.append(f"{path.name}, connection {number}:\n{side_by_side(rows)}")
    assert right, "\n\n" + "\n\n".join(report)
    assert len(histories) == scenario.connections


def test_a_wrong_state_is_shown_beside_the_right_one() -> None:
    scenario = parse("0.000 C > S S 0:0(0)\n0.020 S > C R. 0:0(0) ack 1")
    wrong = Expected({"client": ["SYN-SENT frame 1 proven", "ESTABLISHED frame 2 proven"], "server": []})
    rows = compare(wrong, scenario.histories()[0])
    assert "! client 2  ESTABLISHED frame 2 proven  CLOSED frame 2 supposed" in side_by_side(rows)


def test_a_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="made:3"):
        parse("client:\n    SYN-SENT frame 1 proven\n0.020 server says nothing")
