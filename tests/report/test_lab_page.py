"""Laboratory reports as pages: their numbers against tshark's, the sheet's blanks, what a capture cannot tell."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
import subprocess
from functools import cache
from html import unescape
from pathlib import Path
from typing import NamedTuple

import pytest

from pcapreport.pipeline import analyze
from pcapreport.pseudonyms import Pseudonyms
from pcapreport.report import model
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import render_html
from pcapreport.settings import Reading

ALL_FLAGS = 0x1FF
ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path for path in (ROOT / "sample_pcaps").iterdir() if ".pcap" in path.name)
CAPTURES = ROOT / ".." / "shared" / "captures"
OTHERS = 20
FLAGS_AT, WINDOW_AT = 6, 15
"""Rows of a table of header fields: the nine flags, the window."""


def document(path: Path, language: str = "en", sheet: str = "") -> model.Document:
    effective = {"profile": "lab", "lang": language, **({"sheet": sheet} if sheet else {})}
    options = DocumentOptions(lab=True, effective=effective, meta={"name": "Ada", "course": "Networks"})
    return analyze(path, name=path.name, options=options, reading=Reading(frames=True))


def page(path: Path, language: str = "en", sheet: str = "") -> str:
    return render_html(document(path, language, sheet))


class Told(NamedTuple):
    """A frame as a row of tshark tells it."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    time: float


FIELDS = ("sport", "dport", "seq", "ack", "flags", "window", "payload_len", "time_epoch")
ASKED = ("tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size_value", "tcp.len",
         "frame.time_epoch")  # fmt: skip


def recorded(name: str) -> dict[int, Told]:
    """tshark's word on a capture of others."""
    with gzip.open(CAPTURES / "tshark" / f"{name}.tsv.gz", "rt") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {int(row["frame"]): told([row[field] for field in FIELDS]) for row in rows if row["sport"]}


@cache
def asked(path: Path) -> tuple[dict[int, Told], float]:
    """What the tshark of this machine says now of the TCP frames, and the time of the first frame of any protocol."""
    command = ["tshark", "-n", "-2", "-r", str(path), "-T", "fields", "-e", "frame.number", "-e", "frame.protocols"]
    command += [word for field in ASKED for word in ("-e", field)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    segments = [row for row in rows if "tcp" in row[1].split(":")]
    frames = {int(row[0]): told([value.split(",")[-1] for value in row[2:]]) for row in segments}
    return frames, float(rows[0][-1])


def told(values: list[str]) -> Told:
    sport, dport, seq, ack, flags, window, length, time = values
    numbers = [int(value or "0") for value in (sport, dport, seq, ack)]
    return Told(*numbers, int(flags, 16) & ALL_FLAGS, int(window or "0"), int(length or "0"), float(time or "nan"))


def cells(row: str) -> list[str]:
    return [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]


def tables(html: str, kind: str) -> list[tuple[str, list[list[str]]]]:
    """(the heading before it, rows of cells) of each table of a class."""
    found = []
    for match in re.finditer(rf'<table class="{kind}">.*?<tbody>(.*?)</tbody>', html, re.DOTALL):
        heading = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", html[: match.start()], re.DOTALL)[-1]
        found.append((heading, [cells(row) for row in re.findall(r"<tr.*?</tr>", match[1], re.DOTALL)]))
    return found


def check_numbers(html: str, frames: dict[int, Told], start: float) -> int:
    """Compare every number of the tables and every long number of the sentences; returns how many frames were met."""
    met = set()
    for heading, rows in tables(html, "fields"):
        number = int(re.search(r"(?:Frame|帧) (\d+)", heading)[1])  # type: ignore[index]
        theirs = frames[number]
        met.add(number)
        values = [row[2] for row in rows]
        assert [int(value) for value in values[:4]] == [theirs.sport, theirs.dport, theirs.seq, theirs.ack]
        at = FLAGS_AT if len(values) > 16 else 4
        bits = sum(int(bit) << place for place, bit in enumerate(reversed(values[at : at + 9])))
        assert bits == theirs.flags
        assert int(values[at + 9]) == theirs.window
    for _, rows in tables(html, "samples"):
        for row in rows:
            number, length, sent = int(row[0]), int(row[2]), float(row[3])
            assert length == frames[number].length
            assert sent == pytest.approx(frames[number].time - start, abs=2e-6)
            if row[4] != "–":
                acked = frames[int(row[4])].time - start
                assert float(row[5]) == pytest.approx(acked, abs=2e-6)
                if row[6] != "–":
                    assert float(row[6]) == pytest.approx(acked - frames[number].time + start, abs=2e-6)
            met.add(number)
    return len(met)


def check_long_numbers(made: model.Document, frames: dict[int, Told]) -> None:
    """Raw sequence numbers in sentences stand in a header, or one behind a SYN or FIN, or behind data."""
    lab = made.lab
    assert lab is not None
    known = {number for one in frames.values() for number in (one.seq, one.ack)}
    known |= {(one.seq + one.length + extra) % 2**32 for one in frames.values() for extra in (0, 1)}
    texts = [step.text for part in (lab.opening, lab.release) for step in part.steps]
    texts += [answer for question in lab.questions for answer in question.answers]
    for text in texts:
        for found in re.finditer(r"(?:(?:seq|ack) = (?:[jkuvw](?:\+1)? = )?|raw |number )(\d{6,})\b", text):
            assert int(found[1]) in known, text


needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@needs_tshark
@pytest.mark.parametrize("language", ("en", "zh"))
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_numbers_of_the_samples_are_tsharks(path: Path, language: str) -> None:
    frames, first = asked(path)
    made = document(path, language)
    assert check_numbers(render_html(made), frames, first) >= 1
    check_long_numbers(made, frames)


def others() -> list[str]:
    """The captures of others that show most: the largest sound ones with TCP, one per project and shape."""
    index = CAPTURES / "index.tsv"
    if not index.exists():
        return []
    rows = list(csv.DictReader(index.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    usable = [row for row in rows if row["kind"] == "whole" and 5 < int(row["tcp_packets"] or 0) < 5_000]
    usable.sort(key=lambda row: (-int(row["fin"] or 0) * bool(int(row["syn"] or 0)), row["path"]))
    return [row["path"] for row in usable[:OTHERS]]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures of others are not at {CAPTURES}")
@pytest.mark.parametrize("language", ("en", "zh"))
@pytest.mark.parametrize("name", others() or ["none"])
def test_numbers_of_others_captures_are_tsharks(name: str, language: str) -> None:
    frames, made = recorded(name), document(CAPTURES / "files" / name, language)
    if made.lab is None:
        assert not made.connections
        return
    anchor = next(iter(frames))
    start = frames[anchor].time - time_of(CAPTURES / "files" / name, anchor)
    assert check_numbers(render_html(made), frames, start) >= 1
    check_long_numbers(made, frames)


def time_of(path: Path, frame: int) -> float:
    """Seconds since the first packet at which a frame stands."""
    from pcapreport.capture import read_capture

    capture = read_capture(path)
    row = capture.table["frame"].tolist().index(frame)
    return (int(capture.table["time_ns"][row]) - (capture.first_ns or 0)) / 1e9


def test_a_student_finds_no_answer_on_the_sheet() -> None:
    path = ROOT / "sample_pcaps" / "half-close-with-late-data.pcap"
    made = document(path)
    html = page(path, sheet="student")
    lab = made.lab
    assert lab is not None
    shown = html[html.index("<main") : html.index('id="capture"')]
    for question in lab.questions:
        for answer in question.answers:
            assert answer not in unescape(shown)
    raw = {str(number) for sample in (lab.transfer.samples if lab.transfer else []) for number in [sample.raw_seq]}
    raw |= {field.value for packet in lab.opening.packets for field in packet.fields if len(field.value) > 5}
    assert raw and not [number for number in raw if number in shown]
    assert "TIME-WAIT ledger" not in shown
    assert shown.count('class="blank"') > 100


def test_answers_say_how_they_are_found() -> None:
    path = ROOT / "sample_pcaps" / "half-close-with-late-data.pcap"
    plain, answers = page(path), page(path, sheet="answers")
    assert "How it is read off the capture" not in plain
    made = document(path)
    assert made.lab is not None
    assert answers.count("How it is read off the capture") == len(made.lab.questions)


def test_the_cover_holds_what_was_given() -> None:
    html = page(ROOT / "sample_pcaps" / "refused.pcap")
    assert "<dt>Course</dt><dd>Networks</dd>" in html
    assert "<dt>Name</dt><dd>Ada</dd>" in html


@pytest.mark.parametrize(
    ("name", "question", "says"),
    (
        ("midstream-start.pcap", "initial_sequence_numbers", "cannot be decided from this capture"),
        ("syn-unanswered.pcap", "time_wait", "cannot be decided from this capture"),
        ("half-close-with-late-data.pcap", "time_wait", "cannot be decided from it"),
        ("half-close-with-late-data.pcap", "slow_start", "cannot be decided from this capture"),
    ),
)
def test_what_a_capture_cannot_tell_is_said(name: str, question: str, says: str) -> None:
    lab = document(ROOT / "sample_pcaps" / name).lab
    assert lab is not None
    found = next(one for one in lab.questions if one.id == question)
    assert not found.decided
    assert any(says in answer for answer in found.answers)


def test_a_capture_without_connections_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes((ROOT / "sample_pcaps" / "refused.pcap").read_bytes()[:24])
    made = document(empty)
    assert made.lab is None
    assert "no TCP connection" in render_html(made)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_saved_document_gives_the_same_page(path: Path) -> None:
    made = document(path, sheet="student")
    assert render_html(model.decode(model.encode(made))) == render_html(made)


def test_an_anonymised_lesson_shows_no_original() -> None:
    """Neither addresses nor MAC addresses, nor the bytes and the checksum that would tell them."""
    path = ROOT / "sample_pcaps" / "tcpdump-ethernet.pcap"
    options = DocumentOptions(lab=True, effective={"profile": "lab"})
    plain, replaced = (
        analyze(path, name="x", options=options, reading=Reading(frames=True, pseudonyms=pseudonyms))
        for pseudonyms in (None, Pseudonyms(bytes(32), with_ports=True))
    )
    assert plain.lab is not None and replaced.lab is not None
    originals = next(q for q in plain.lab.questions if q.id == "mac_addresses").values
    connection = plain.connections[0]
    shown = render_html(replaced)
    for original in (*originals.values(), connection.client.address, connection.server.address):
        assert original and str(original) not in shown
    fields = [field for packet in replaced.lab.opening.packets for field in packet.fields]
    assert fields and not any(field.hex or field.name == "Checksum" for field in fields)
    assert next(q for q in replaced.lab.questions if q.id == "mac_addresses").decided
