"""Whatever is shown was said: in a made-up language with marks around its words no English stands outside of them.

A renderer that shows a text without `say` fails here, and so does a text of the document that was not made by `phrase`.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pseudo
import pytest
from click.testing import CliRunner

import pcapreport
from pcapreport import language
from pcapreport.batch.discover import Job
from pcapreport.batch.index import IndexEntry, entry_of, worst_first
from pcapreport.batch.index_pages import Look, index_pages, render_index
from pcapreport.batch.work import Order, carry_out
from pcapreport.cli import _told, cli
from pcapreport.findings.rules import RULES
from pcapreport.language import as_string, say, speaking
from pcapreport.progress import Progress
from pcapreport.report import model
from pcapreport.report.advice import actor
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import render_html
from pcapreport.report.ladder_text import histories_text, ladder_text, summary_text
from pcapreport.report.summary import render_markdown
from pcapreport.report.wording import visible
from pcapreport.settings import Reading
from pcapreport.thresholds import thresholds

SAMPLE_PCAPS = Path(__file__).parents[1] / "sample_pcaps"
SAMPLES = (
    "abort-by-reset.pcap",
    "captured-twice.pcap",
    "client-closes-first-four-segments.pcap",
    "compressed.pcap.gz",
    "half-open-discovered.pcap",
    "hole-in-capture.pcap",
    "keep-alive-peer-gone.pcap",
    "loss-with-fast-retransmit.pcap",
    "many-short-connections.pcap",
    "midstream-start.pcap",
    "ports-reused-within-2msl.pcap",
    "refused.pcap",
    "simultaneous-open.pcap",
    "tcpdump-offload.pcap",
    "two-interfaces.pcapng",
    "zero-window-and-recovery.pcapng",
)
DAMAGED = "damaged.pcap"
DATA = {
    "Capture.application", "Capture.encapsulations", "Capture.file", "Capture.hardware", "Capture.os", "Comment.text",
    "Connection.encapsulation", "Document.manual", "Document.options", "Finding.id", "Finding.rule", "Interface.name",
    "LabField.hex",
    "LadderRow.rules", "OtherWord.called", "OtherWord.wireshark", "Page.references", "Page.wireshark", "Problem.code",
    "Tool.libraries", "Transition.rule", "Verdict.findings", "WiresharkDifference.called", "WiresharkField.field",
}  # fmt: skip
"""Names, ids and what a capture says: not ours to translate."""


@pytest.fixture(autouse=True)
def _pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    english = language._catalogue("en")
    monkeypatch.setattr(language, "_catalogue", lambda name: english if name == "en" else pseudo.catalogue())


@cache
def document(sample: str) -> model.Document:
    """Of a sample, to be shown in another language."""
    if sample == DAMAGED:
        whole = (SAMPLE_PCAPS / "client-closes-first-four-segments.pcap").read_bytes()
        return pcapreport.analyze(io.BytesIO(whole[:-1]), name=DAMAGED).spoken_in("zh")
    options, reading = DocumentOptions(lab=True), Reading(frames=True)
    return pcapreport.analyze(SAMPLE_PCAPS / sample, name=sample, options=options, reading=reading).spoken_in("zh")


@cache
def own(sample: str) -> dict[str, set[str]]:
    """English in what the document itself holds, by record and field."""
    found: dict[str, set[str]] = defaultdict(set)
    told = document(sample)
    with speaking("zh", told.messages):
        texts = [*pseudo.texts(msgspec.structs.replace(told, messages={})), ("advice.actor", actor(told))]
        for field, text in texts:
            found[field] |= pseudo.unsaid(text.replace("_", " ") if field in DATA else say(text))
    return {field: runs for field, runs in found.items() if runs}


def others() -> dict[str, set[str]]:
    """English in texts of ours that are in no document."""
    with speaking("zh"):
        means = pseudo.unsaid(" ".join(say(one.means) for one in thresholds().values()))
    return {"Threshold.means": means} if means else {}


def missed(runs: set[str], sample: str) -> list[str]:
    """Those that are not from the document."""
    held = {run for of_field in own(sample).values() for run in of_field}
    return sorted(run for run in runs if not any(run in one or one in run for one in held))


@pytest.mark.parametrize("saved", [False, True], ids=["at once", "from its JSON"])
@pytest.mark.parametrize("profile", ["full", "ticket", "lab", "lab student", "lab answers"])
@pytest.mark.parametrize("sample", [*SAMPLES, DAMAGED])
def test_pages_say_all_that_they_show(sample: str, profile: str, saved: bool) -> None:
    told = document(sample)
    name, _, sheet = profile.partition(" ")
    told = msgspec.structs.replace(told, options={**told.options, "profile": name, "sheet": sheet})
    page = render_html(model.decode(model.encode(told)) if saved else told)
    assert missed(pseudo.unsaid_in_page(page), sample) == []
    assert '<html lang="zh-Hans">' in page


@pytest.mark.parametrize("sample", [*SAMPLES, DAMAGED])
def test_markdown_and_terminal_say_all_that_they_show(sample: str) -> None:
    told = document(sample)
    assert missed(pseudo.unsaid_in_markdown(render_markdown(told)), sample) == []
    with speaking("zh", told.messages):
        ladders = [text for c in told.connections[:4] for text in (ladder_text(c, 100), histories_text(c))]
        assert missed(pseudo.unsaid(summary_text(told) + "".join(ladders)), sample) == []


def test_the_index_and_the_progress_say_all_that_they_show(tmp_path: Path) -> None:
    (tmp_path / "text.pcap").write_bytes(b"no capture at all, but words")
    entries = [entry_of(document(sample), sample, f"{sample}.html", f"{sample}.json") for sample in (*SAMPLES, DAMAGED)]
    entries.append(carry_out(Job(str(tmp_path / "text.pcap"), "text.pcap"), Order(tmp_path, frozenset())))
    entries.append(carry_out(Job(str(tmp_path / "gone.pcap"), "gone.pcap"), Order(tmp_path, frozenset())))
    entries.append(msgspec.structs.replace(entries[0], file="old.pcap", new={"error": 1}, gone=2))
    held = {run for sample in (*SAMPLES, DAMAGED) for of_field in own(sample).values() for run in of_field}
    held.add(os.strerror(errno.ENOENT))
    shown = pseudo.unsaid_in_page(render_index(entries, language="zh"))
    for _, page in index_pages(worst_first(entries * 30), Look(language="zh", rows=100)):
        shown |= pseudo.unsaid_in_page(page)
    lines: list[str] = []
    progress = Progress(lambda line, nl=True: lines.append(line), quiet=False, verbose=True, live=False)
    with speaking("zh"):
        progress.plan(len(entries), 2, 3)
        for entry in entries:
            progress.tell(msgspec.json.decode(msgspec.json.encode(entry, enc_hook=as_string), type=IndexEntry))
        progress.finish()
    assert len(lines) == len(entries) + 2
    shown |= {run for line in lines for run in pseudo.unsaid(line)}
    assert [run for run in shown if not any(run in one or one in run for one in held)] == []


def test_all_texts_of_the_document_are_made_to_be_said() -> None:
    found: dict[str, set[str]] = defaultdict(set, others())
    for sample in (*SAMPLES, DAMAGED):
        for field, runs in own(sample).items():
            if field not in DATA:
                found[field] |= runs
    assert {field: sorted(runs)[:5] for field, runs in found.items() if runs} == {}


def _cases() -> Iterator[list[str]]:
    yield from (["rules"], ["rules", "--thresholds"], *(["rules", rule] for rule in RULES))
    yield from ([command, "--help"] for command in cli.commands if command not in ("schema", "templates"))


@pytest.mark.parametrize("arguments", list(_cases()), ids=" ".join)
def test_rules_and_help_say_all_that_they_show(arguments: list[str]) -> None:
    command, *rest = arguments
    shown = CliRunner().invoke(cli, [command, "--lang", "zh", *rest])
    assert shown.exit_code == 0
    text = shown.output.removeprefix(f"{rest[0]}: " if rest else "")
    if arguments == ["rules"]:
        text = "\n".join(line.partition("  ")[2] for line in text.splitlines())
    text = re.sub(r"\[[^\]]*\]|Usage: .*|.*Show this message and exit.", "", text)  # what click says by itself
    text = re.sub(r"(?m)^[a-z-]+ = \S+$", "", text)  # the name of a threshold and its value
    data = [reference for doc in RULES.values() for reference in doc.references]
    assert [run for run in pseudo.unsaid(text) if not any(run in one for one in data)] == []


def test_errors_are_said(tmp_path: Path) -> None:
    for arguments in (
        ["rules", "zzz"],
        ["rules", "fin"],
        ["report", "absent"],
        ["report", str(tmp_path), "--time-wait", "beos"],
        ["report", str(tmp_path), "--set", "jitter=3"],
        ["report", str(tmp_path), "--format", "docx"],
        ["show", str(tmp_path)],
        ["render", __file__],
    ):
        shown = CliRunner().invoke(
            cli, [arguments[0], "--lang", "zh", *arguments[1:]], obj=set(), standalone_mode=False, prog_name="P"
        )
        assert isinstance(shown.exception, Exception)
        with speaking("zh"):
            line = visible(_told(shown.exception)[0])
        assert pseudo.unsaid(line.replace(str(tmp_path), "")) == set(), line
        assert "【" in line


def test_help_is_told_in_the_language_of_the_environment() -> None:
    for arguments in (["--help"], ["report", "--help"]):
        shown = CliRunner(env={"PCAPREPORT_LANG": "zh"}).invoke(cli, arguments)
        assert "【" in shown.output
        assert "【" not in CliRunner(env={"PCAPREPORT_LANG": "en"}).invoke(cli, arguments).output


CAPTURES = Path(__file__).parents[1] / ".." / "shared" / "captures"


def captures_of_others(most: int = 20) -> list[Path]:
    """Sound ones with connections that close."""
    index = CAPTURES / "index.tsv"
    if not index.exists():
        return []
    rows = csv.DictReader(index.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    sound = [row for row in rows if row["kind"] == "whole" and int(row["fin"] or 0) and int(row["packets"]) < 5_000]
    return [CAPTURES / "files" / row["path"] for row in sound[:: max(len(sound) // most, 1)][:most]]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures of others are not at {CAPTURES}")
def test_laboratory_reports_on_captures_of_others_say_all_that_they_show() -> None:
    options, reading = DocumentOptions(lab=True, effective={"profile": "lab", "lang": "zh"}), Reading(frames=True)
    met = 0
    for path in captures_of_others():
        told = pcapreport.analyze(path, name="x.pcap", options=options, reading=reading)
        page = render_html(told)
        data = {told.capture.application, told.capture.os, told.capture.hardware, *told.capture.encapsulations}
        data |= {text for one in told.capture.interfaces for text in (one.name, one.description, one.link_name)}
        data |= {comment.text for comment in told.capture.comments}
        unsaid = [run for run in pseudo.unsaid_in_page(page) if not any(run in one for one in data)]
        assert unsaid == [], path
        met += told.lab is not None
    assert met >= 15
