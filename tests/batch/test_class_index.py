"""A class's captures: what each shows, and which are the same however they were saved."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path

import pytest

from pcapreport.batch.class_index import alike
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.session import Request, run
from pcapreport.batch.work import Order
from pcapreport.settings import Reading

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"


def entries(folder: Path, out: Path) -> list[IndexEntry]:
    order = Order(
        out=out,
        formats=frozenset(("html", "json")),
        effective={"profile": "lab"},
        lab=True,
        reading=Reading(frames=True),
    )
    return run(Request((str(folder),), order))


def an_hour_later(data: bytes) -> bytes:
    """A little-endian pcap whose clock runs an hour ahead."""
    out, at = bytearray(data[:24]), 24
    while at < len(data):
        seconds, fraction, length, wire = struct.unpack_from("<IIII", data, at)
        out += struct.pack("<IIII", seconds + 3600, fraction, length, wire) + data[at + 16 : at + 16 + length]
        at += 16 + length
    return bytes(out)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[IndexEntry], Path]:
    base = tmp_path_factory.mktemp("class")
    folder = base / "in"
    folder.mkdir()
    first = (SAMPLES / "sequence-wrap.pcap").read_bytes()
    (folder / "ada.pcap").write_bytes(first)
    shutil.copy(folder / "ada.pcap", folder / "bob.pcap")
    (folder / "cy.pcap.gz").write_bytes(gzip.compress(first))
    (folder / "dee.pcap").write_bytes(an_hour_later(first))
    (folder / "eve.pcap").write_bytes((SAMPLES / "refused.pcap").read_bytes())
    more = (SAMPLES / "keep-alives.pcap").read_bytes()
    (folder / "fay.pcap").write_bytes(first + more[24:])
    return entries(folder, base / "out"), base / "out"


def likenesses(found: list[IndexEntry]) -> dict[str, dict[str, list[str]]]:
    return {file: {one.how: one.files for one in same} for file, same in alike(found).items()}


def test_the_same_capture_is_known_by_the_strongest_likeness(done: tuple[list[IndexEntry], Path]) -> None:
    told = likenesses(done[0])
    assert told["ada.pcap"] == {
        "the same file": ["bob.pcap"],
        "the same bytes, compressed otherwise": ["cy.pcap.gz"],
        "the same segments, saved otherwise": ["dee.pcap"],
        "the same connections among others": ["fay.pcap"],
    }


def test_a_capture_of_its_own_is_like_none(done: tuple[list[IndexEntry], Path]) -> None:
    assert "eve.pcap" not in likenesses(done[0])


def test_each_row_tells_which_parts_are_there(done: tuple[list[IndexEntry], Path]) -> None:
    parts = {entry.file: entry.lab.parts for entry in done[0] if entry.lab}
    assert parts["ada.pcap"] == {"handshake": True, "data": True, "teardown": True, "time_wait": True}
    assert not any(parts["eve.pcap"].values())


def test_the_page_names_the_likeness(done: tuple[list[IndexEntry], Path]) -> None:
    page = (done[1] / "index.html").read_text()
    assert "Captures of a class" in page
    assert "the same segments, saved otherwise: dee.pcap" in page
    saved = json.loads((done[1] / "index.json").read_bytes())
    assert {one["lab"]["release"] for one in saved["captures"]} >= {"refused"}
