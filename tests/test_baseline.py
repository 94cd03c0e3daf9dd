"""Two runs compared, thresholds changed, rules switched off: what the command line makes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pcapreport.cli import cli
from pcapreport.errors import PcapReportError
from pcapreport.findings.rules import RULES
from pcapreport.report.baseline import scope_of
from pcapreport.settings import Settings
from pcapreport.thresholds import changed, listing, thresholds

SAMPLES = Path(__file__).parents[1] / "sample_pcaps"
REFUSED, LOSS, CLEAN = (SAMPLES / f"{name}.pcap" for name in ("refused", "loss-with-timeout", "server-closes-first"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def report(capture: Path, out: str, *options: object) -> tuple[dict[str, Any], int]:
    """The document, and the exit status."""
    outcome = run("report", capture, "-o", out, "-q", *options)
    return json.loads(Path(out, f"{capture.name}.json").read_text()), outcome.exit_code


def findings(document: dict[str, Any]) -> list[dict[str, Any]]:
    return document["findings"] + [finding for one in document["connections"] for finding in one["findings"]]


def refused(error: BaseException | None) -> str:
    assert isinstance(error, PcapReportError)
    assert error.exit_code == 2
    return str(error)


# -- baseline ----------------------------------------------------------------------------------------------------------


def test_an_id_names_rule_side_and_hosts_but_not_what_differs_from_run_to_run() -> None:
    document, _ = report(REFUSED, "out")
    connection = document["connections"][0]
    server = f"{connection['server']['address']}:{connection['server']['port']}"
    (found,) = [one for one in findings(document) if one["rule"] == "connection_refused"]
    assert found["id"] == f"connection_refused:{found['side']}:{connection['client']['address']}>{server}"
    assert str(connection["client"]["port"]) not in found["id"]
    assert scope_of("2001:db8::1", "2001:db8::2", 80) == "2001:db8::1>[2001:db8::2]:80"


def test_compared_with_itself_everything_is_unchanged_and_nothing_fails() -> None:
    before, failed = report(LOSS, "before", "--fail-on", "warning")
    assert failed == 1
    after, passed = report(LOSS, "after", "--baseline", f"before/{LOSS.name}.json", "--fail-on", "warning")
    assert passed == 0
    assert {one["status"] for one in findings(before)} == {None}
    assert {one["status"] for one in findings(after)} == {"unchanged"}
    assert after["baseline"] == {
        "file": f"{LOSS.name}.json",
        "new": 0,
        "unchanged": len(findings(after)),
        "gone": [],
        "new_by_severity": {},
        "counts_changed": [],
    }


def test_what_is_new_counts_for_fail_on_and_what_is_gone_is_listed() -> None:
    old, _ = report(LOSS, "before")
    shutil.copyfile(f"before/{LOSS.name}.json", "old.json")
    after, code = report(REFUSED, "after", "--baseline", "old.json", "--fail-on", "error")
    assert code == 1
    assert {one["status"] for one in findings(after) if one["rule"] == "connection_refused"} == {"new"}
    gone = {one["id"] for one in findings(old)} - {one["id"] for one in findings(after)}
    assert gone
    assert {one["id"] for one in after["baseline"]["gone"]} == gone
    page = Path("after", f"{REFUSED.name}.html").read_text()
    assert "Compared with <code>old.json</code>: 1 new finding" in page
    assert "Otherwise in the earlier run" in page


@pytest.mark.parametrize("baseline", ["before", "before/index.json"])
def test_a_directory_is_the_baseline_of_each_capture_by_its_name(baseline: str) -> None:
    report(LOSS, "before")
    outcome = run("report", LOSS, REFUSED, "-o", "after", "-q", "--baseline", baseline, "--fail-on", "error")
    assert outcome.exit_code == 1
    known, unknown = (json.loads(Path("after", f"{one.name}.json").read_text()) for one in (LOSS, REFUSED))
    assert (known["baseline"]["new"], known["baseline"]["file"]) == (0, f"{LOSS.name}.json")
    assert (unknown["baseline"]["new"], unknown["baseline"]["file"]) == (len(findings(unknown)), "")
    index = {one["file"]: one for one in json.loads(Path("after/index.json").read_text())["captures"]}
    assert index[LOSS.name]["new"] == {}
    assert index[REFUSED.name]["new"] == {"error": 1}
    assert "1 new, 0 gone" in Path("after/index.html").read_text()


def test_another_baseline_is_a_reason_to_do_a_capture_again() -> None:
    report(LOSS, "before")
    first, _ = report(LOSS, "after")
    second, _ = report(LOSS, "after", "--baseline", "before")
    assert first["baseline"] is None
    assert second["baseline"]["unchanged"] == len(findings(second))


def test_a_changed_number_of_connections_is_told() -> None:
    before, _ = report(LOSS, "before")
    path = Path("before", f"{LOSS.name}.json")
    before["connections"] *= 2
    path.write_text(json.dumps(before))
    after, _ = report(LOSS, "after", "--baseline", path)
    changes = after["baseline"]["counts_changed"]
    assert changes
    assert {(one["before"], one["now"]) for one in changes} == {(2, 1)}


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema_version": "1.0"}', "\x00\xff"])
def test_a_baseline_that_is_no_result_document_is_told_in_one_line(content: str) -> None:
    Path("old.json").write_text(content)
    told = refused(run("report", LOSS, "-o", "out", "-q", "--baseline", "old.json").exception)
    assert told.startswith("--baseline old.json: ")
    assert "\n" not in told


def test_one_document_is_no_baseline_of_several_captures() -> None:
    report(LOSS, "before")
    told = refused(run("report", SAMPLES, "-o", "out", "-q", "--baseline", f"before/{LOSS.name}.json").exception)
    assert "directory" in told


def test_the_marks_are_the_same_however_little_memory_there_is() -> None:
    report(SAMPLES / "many-short-connections.pcap", "before")
    whole, _ = report(SAMPLES / "many-short-connections.pcap", "whole", "--baseline", "before")
    parts, _ = report(SAMPLES / "many-short-connections.pcap", "parts", "--baseline", "before", "--memory", "20K")
    assert whole == parts


# -- thresholds --------------------------------------------------------------------------------------------------------


def test_a_threshold_is_changed_and_the_report_says_so() -> None:
    document, _ = report(LOSS, "out", "--set", "jitter=80ms", "--set", "fast-retransmit-acks=2")
    assert document["options"]["set"] == {"jitter": "50ms -> 80ms", "fast-retransmit-acks": "3 -> 2"}
    assert "jitter 50ms -&gt; 80ms" in Path("out", f"{LOSS.name}.html").read_text()
    plain, _ = report(LOSS, "plain")
    assert "set" not in plain["options"]


def test_a_project_file_sets_thresholds_too() -> None:
    Path("pyproject.toml").write_text('[tool.pcapreport]\nset = { jitter = "80ms" }\n')
    assert report(LOSS, "out")[0]["options"]["set"] == {"jitter": "50ms -> 80ms"}


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [("jitter=0.5s", "jitter_ns", 500_000_000), ("beside-tap=90us", "beside_tap_ns", 90_000),
     ("shortest_rto=1s", "shortest_rto_ns", 10**9), ("fast-retransmit-acks=2", "fast_retransmit_acks", 2)],
)  # fmt: skip
def test_values_are_read_with_their_units(given: str, field: str, value: int) -> None:
    assert getattr(changed(Settings(), [given])[0], field) == value


@pytest.mark.parametrize("given", ["jitter", "jitter=80", "jitter=-1ms", "fast-retransmit-acks=2.5", "none=1", "=1ms"])
def test_a_threshold_that_there_is_not_is_told_in_one_line_with_what_there_is(given: str) -> None:
    told = refused(run("report", LOSS, "-o", "out", "-q", "--set", given).exception)
    assert told.startswith(f"--set {given}: ")
    assert "\n" not in told


def test_every_threshold_says_what_it_means_and_where_it_is_from() -> None:
    text = run("rules", "--thresholds").output
    assert text.strip() == listing()
    for threshold in thresholds().values():
        assert len(threshold.means) > 30
        assert f"{threshold.name} = {threshold.spelled(threshold.default)}" in text
        assert changed(Settings(), [f"{threshold.name}={threshold.spelled(threshold.default)}"])[0] == Settings()


# -- suppression -------------------------------------------------------------------------------------------------------

REASON = "lab links lose <much> & we know"


def project(rule: str, severity: str, reason: str = REASON) -> None:
    text = f"[tool.pcapreport.rules.{rule}]\nseverity = {json.dumps(severity)}\nreason = {json.dumps(reason)}\n"
    Path("pyproject.toml").write_text(text)


def test_a_rule_switched_off_is_told_nowhere_but_counted_with_the_reason() -> None:
    project("retransmission", "off")
    document, code = report(LOSS, "out", "--fail-on", "warning")
    assert code == 0
    assert "retransmission" not in {one["rule"] for one in findings(document)}
    assert document["totals"]["findings"]["warning"] == 0
    assert "retransmission" not in document["verdict"]["findings"]
    assert document["suppressed"] == [{"rule": "retransmission", "severity": "off", "reason": REASON, "findings": 1}]
    page = Path("out", f"{LOSS.name}.html").read_text()
    assert "lab links lose &lt;much&gt; &amp; we know" in page
    assert REASON not in page


def test_a_rule_lowered_is_told_as_less() -> None:
    project("retransmission", "note")
    document, code = report(LOSS, "out", "--fail-on", "warning")
    assert code == 0
    assert {one["severity"] for one in findings(document) if one["rule"] == "retransmission"} == {"note"}
    assert document["suppressed"][0]["findings"] == 1


def test_no_rule_is_raised_by_lowering_it() -> None:
    project("tail_loss_probe", "warning")
    document, _ = report(LOSS, "out")
    assert {one["severity"] for one in findings(document) if one["rule"] == "tail_loss_probe"} == {"note"}
    assert document["suppressed"][0]["findings"] == 0


@pytest.mark.parametrize(
    ("rule", "severity", "reason", "told"),
    [
        ("retransmission", "off", " ", "give the reason"),
        ("retransmission", "error", REASON, "give severity"),
        ("retransmision", "off", REASON, "is it retransmission?"),
    ],
)
def test_a_change_without_sense_or_reason_is_refused(rule: str, severity: str, reason: str, told: str) -> None:
    project(rule, severity, reason)
    assert told in refused(run("report", LOSS, "-o", "out", "-q").exception)


def test_every_rule_can_be_switched_off() -> None:
    text = "".join(f'[tool.pcapreport.rules.{rule}]\nseverity = "off"\nreason = "a test"\n' for rule in RULES)
    Path("pyproject.toml").write_text(text)
    for capture in (LOSS, REFUSED, CLEAN):
        document, _ = report(capture, "out")
        assert findings(document) == []
        assert len(document["suppressed"]) == len(RULES)
