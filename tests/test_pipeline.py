"""The line as a whole: the document keeps its contract, and the same bytes always give the same bytes."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pcapreport import analyze, render
from pcapreport.report import model

SAMPLE_DIR = Path(__file__).parents[1] / "sample_pcaps"
SAMPLES = sorted(path for path in SAMPLE_DIR.iterdir() if {".pcap", ".pcapng"} & set(path.suffixes))
GOLDEN = Path(__file__).parent / "golden" / "samples.txt"

CLOSED_LISTS = {
    "state": {"LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",
              "LAST-ACK", "TIME-WAIT", "CLOSED"},
    "certainty": {"proven", "supposed", "assumed"},
    "severity": {"note", "warning", "error", None},
    "confidence": {"high", "medium", "low"},
    "side": {"client", "server", "network", "capture", "none", "undecidable"},
    "container": {"pcap", "pcapng"},
    "ended_by": {"expiry", "reset", "reuse", "capture-end"},
    "opening": {"three-way", "fast-open", "simultaneous", "refused", "unanswered", "midstream"},
    "closing": {"client-first", "server-first", "simultaneous", "reset-by-client", "reset-by-server", "refused",
                "never-opened"},
}  # fmt: skip
"""Words that other programs compare with; `opening` and `closing` may grow, and hold those the samples show."""

FINDING = {
    "rule": None, "severity": None, "confidence": None, "side": None, "frames": [None], "time_s": None,
    "summary": None, "alternatives": [{"explanation": None, "confidence": None}],
}  # fmt: skip
ENDPOINT = {
    "history": [{"state": None, "entered_s": [None], "frame": None, "rule": None, "certainty": None}],
    "possible_final_states": [None],
    "time_wait": {
        "entered_s": [None], "restarts": [{"at_s": None, "frame": None}], "expires_s": [None], "profile": None,
        "two_msl_s": None, "ended_by": None,
    },
}  # fmt: skip
CONTRACT: dict[str, Any] = {
    "schema_version": None,
    "tool": {"name": None, "version": None},
    "options": {},
    "capture": {
        "file": None, "sha256": None, "size_bytes": None, "container": None, "compression": None, "packets": None,
        "tcp_packets": None, "start": None, "duration_s": None, "complete": None,
        "interfaces": [{"link_type": None, "snaplen": None}],
        "problems": [{"code": None, "message": None, "offset": None, "frame": None}],
    },
    "connections": [{
        "id": None, "client": {"address": None, "port": None}, "server": {"address": None, "port": None},
        "start_s": None, "end_s": None, "packets": None, "opening": None, "closing": None,
        "endpoints": {"client": ENDPOINT, "server": ENDPOINT}, "findings": [FINDING], "metrics": {},
    }],
    "findings": [FINDING],
    "verdict": {"text": None, "side": None, "confidence": None, "findings": [None]},
}  # fmt: skip
"""The fields that version 1 promises. A list holds the shape of its elements; None stands for a plain value."""


@cache
def document(sample: str) -> model.Document:
    return analyze(SAMPLE_DIR / sample, name=sample)


@pytest.fixture(params=[path.name for path in SAMPLES])
def sample(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def plain(sample: str) -> dict[str, Any]:
    return json.loads(model.encode(document(sample)))


def damaged(folder: Path) -> dict[str, Any]:
    """The document of a capture cut in its last record."""
    path = folder / "cut.pcap"
    path.write_bytes((SAMPLE_DIR / "refused.pcap").read_bytes()[:-1])
    return json.loads(model.encode(analyze(path)))


# --- the contract ---------------------------------------------------------------------------------------------------


def paths(shape: Any, at: str = "") -> Iterator[str]:
    """Every path that a shape promises."""
    if isinstance(shape, dict):
        for name, inner in shape.items():
            yield f"{at}.{name}"
            yield from paths(inner, f"{at}.{name}")
    elif isinstance(shape, list):
        yield f"{at}[]"
        yield from paths(shape[0], f"{at}[]")


def compare(value: Any, shape: Any, at: str, seen: set[str], missing: set[str]) -> None:
    """Walk a value along a shape; null may stand for anything."""
    if value is None or shape is None:
        return
    if isinstance(shape, list):
        assert isinstance(value, list), at
        for item in value:
            seen.add(f"{at}[]")
            compare(item, shape[0], f"{at}[]", seen, missing)
        return
    assert isinstance(value, dict), at
    for name, inner in shape.items():
        (seen if name in value else missing).add(f"{at}.{name}")
        compare(value.get(name), inner, f"{at}.{name}", seen, missing)


def test_every_promised_field_is_there_in_every_document(tmp_path: Path) -> None:
    seen: set[str] = set()
    missing: set[str] = set()
    for one in [*(plain(path.name) for path in SAMPLES), damaged(tmp_path)]:
        compare(one, CONTRACT, "", seen, missing)
    assert missing == set()
    promised, shown = ({path.replace(".server", ".client") for path in some} for some in (paths(CONTRACT), seen))
    unseen = promised - shown
    assert unseen == set(), "no sample shows these, so nothing was checked"


def test_the_schema_requires_every_promised_field() -> None:
    schema = model.schema()

    def required(shape: Any, node: dict[str, Any], at: str) -> Iterator[str]:
        node = next((one for one in node.get("anyOf", ()) if one.get("type") != "null"), node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        if isinstance(shape, list) and "items" in node and node["items"]:
            yield from required(shape[0], node["items"], f"{at}[]")
        elif isinstance(shape, dict):
            for name, inner in shape.items():
                if name not in node["properties"]:
                    yield f"{at}.{name}"
                else:
                    yield from required(inner, node["properties"][name], f"{at}.{name}")

    shapes = {key: value for key, value in CONTRACT.items() if key != "options"}
    assert list(required(shapes, schema, "")) == []


def test_a_document_is_valid_by_its_own_schema(sample: str) -> None:
    validator = jsonschema.Draft202012Validator(model.schema())
    assert [error.message for error in validator.iter_errors(plain(sample))] == []


def test_the_schema_is_one_and_refuses_what_is_no_document() -> None:
    jsonschema.Draft202012Validator.check_schema(model.schema())
    wrong = plain("refused.pcap")
    wrong["connections"][0]["findings"][0]["severity"] = "fatal"
    with pytest.raises(jsonschema.ValidationError, match="fatal"):
        jsonschema.validate(wrong, model.schema(), jsonschema.Draft202012Validator)


def words(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every (field, plain value) of a document, at any depth, outside of the options."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "options":
                yield from words(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner, key)
    else:
        yield key, value


def test_names_come_from_their_closed_lists(sample: str) -> None:
    found = {(key, word) for key, word in words(plain(sample)) if key in CLOSED_LISTS}
    assert {(key, word) for key, word in found if word not in CLOSED_LISTS[key]} == set()
    assert {"state", "certainty", "side", "opening", "closing"} <= {key for key, _ in found}


def test_frames_count_all_records_from_1() -> None:
    refused = plain("refused.pcap")
    assert refused["connections"][0]["findings"][0]["frames"] == [1, 2]
    assert [item["frame"] for item in refused["connections"][0]["endpoints"]["client"]["history"]] == [1, 2]
    assert refused["connections"][0]["first_frame"] == 1


def test_every_frame_named_is_in_the_capture(sample: str) -> None:
    one = plain(sample)
    named = [n for key, n in words(one) if key in ("frame", "frames", "first_frame", "last_frame") and n is not None]
    assert named and min(named) >= 1 and max(named) <= one["capture"]["packets"]


def test_every_rule_named_is_explained_in_the_document(sample: str) -> None:
    one = plain(sample)
    named = {rule for key, rule in words(one) if key == "rule"}
    assert named == set(one["rules"])
    assert all(one["rules"].values())


def test_intervals_are_in_order_and_within_reach(sample: str) -> None:
    for connection in plain(sample)["connections"]:
        for end in connection["endpoints"].values():
            for item in end["history"]:
                earliest, latest = item["entered_s"]
                assert earliest is None or latest is None or earliest <= latest, item


def test_the_start_is_iso_8601_in_utc_with_nine_decimals() -> None:
    assert plain("refused.pcap")["capture"]["start"][-11:-10] == "."
    for path in SAMPLES:
        start = plain(path.name)["capture"]["start"]
        assert len(start) == len("2024-01-01T00:00:00.000000000Z") and start[10] == "T" and start[-1] == "Z"


# --- the same, always -----------------------------------------------------------------------------------------------


def test_a_document_survives_encoding_and_decoding(sample: str) -> None:
    data = model.encode(document(sample))
    assert model.encode(model.decode(data)) == data
    assert model.decode(data) == document(sample)


def report(out: Path, jobs: int, env: Mapping[str, str]) -> dict[str, bytes]:
    """Every file that a run over all samples writes, but the record of what was done."""
    command = [sys.executable, "-m", "pcapreport", "report", str(SAMPLE_DIR), "-q", "-o", str(out)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PCAPREPORT_")}
    command += ["--format", "html,json,md", "--jobs", str(jobs)]
    subprocess.run(command, cwd=out.parent, env=clean | dict(env), check=True, timeout=300)
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    env = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"}
    return report(tmp_path_factory.mktemp("first") / "out", 1, env)


def test_hash_seed_time_zone_locale_and_number_of_workers_change_no_byte(
    written: dict[str, bytes], tmp_path: Path
) -> None:
    env = {"PYTHONHASHSEED": "4242", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "LANGUAGE": "de", "COLUMNS": "40"}
    again = report(tmp_path / "out", 2, env)
    assert set(again) == set(written)
    assert [name for name in written if again[name] != written[name]] == []


def test_a_page_made_again_from_the_saved_document_has_the_same_bytes(written: dict[str, bytes], sample: str) -> None:
    assert render(model.decode(written[f"{sample}.json"])).encode() == written[f"{sample}.html"]


def test_the_command_and_the_function_give_the_same_document(written: dict[str, bytes], sample: str) -> None:
    saved = json.loads(written[f"{sample}.json"])
    assert saved.pop("options") == {
        "checksums": False,
        "max_input": None,
        "max_size": 5 << 20,
        "profile": "full",
        "lang": "en",
        "max_connections": None,
        "time_wait": "auto",
    }
    ours = plain(sample)
    assert ours.pop("options") == {}
    assert saved == ours


# --- golden names ---------------------------------------------------------------------------------------------------


def names(one: model.Document) -> Iterator[str]:
    """What a document says in names; connections that say the same are told once."""
    told: dict[str, None] = {}
    for connection in one.connections:
        lines = [
            f"  {connection.opening} ... {connection.closing}",
            f"    client  {' '.join(item.state for item in connection.endpoints.client.history)}",
            f"    server  {' '.join(item.state for item in connection.endpoints.server.history)}",
        ]
        rules = " ".join(sorted({finding.rule for finding in connection.findings}))
        told["\n".join([*lines, f"    rules   {rules}"] if rules else lines)] = None
    yield from "\n".join(told).splitlines()
    rules = " ".join(sorted({finding.rule for finding in one.findings}))
    if rules:
        yield f"  capture  {rules}"


def golden(text: str) -> dict[str, list[str]]:
    """capture -> its lines."""
    blocks = [block.splitlines() for block in text.split("\n\n") if not block.startswith("#")]
    return {lines[0]: lines[1:] for lines in blocks if lines}


HEAD = """\
# What each sample says, in names: opening ... closing, the states of both sides, the rules found; connections of one
# capture that say the same stand here once. After a wanted change renew it, and read the difference before it goes in:
#     RENEW_GOLDEN=1 python -m pytest tests/test_pipeline.py -n 0
"""


@pytest.mark.skipif("RENEW_GOLDEN" not in os.environ, reason="set RENEW_GOLDEN=1 to write the golden names anew")
def test_golden_names_can_be_renewed() -> None:
    blocks = [HEAD.rstrip(), *("\n".join([path.name, *names(document(path.name))]) for path in SAMPLES)]
    GOLDEN.write_text("\n\n".join(blocks) + "\n", "utf-8")
    assert set(golden(GOLDEN.read_text("utf-8"))) == {path.name for path in SAMPLES}


def test_every_sample_has_golden_names_and_they_have_a_sample() -> None:
    assert set(golden(GOLDEN.read_text("utf-8"))) == {path.name for path in SAMPLES}


def test_the_sample_says_its_golden_names(sample: str) -> None:
    expected = golden(GOLDEN.read_text("utf-8")).get(sample, [])
    found = list(names(document(sample)))
    difference = difflib.unified_diff(expected, found, GOLDEN.name, sample, lineterm="", n=9)
    assert found == expected, "\n".join(["", *difference])
