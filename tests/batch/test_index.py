"""The index over a batch: what it tells of captures together, its pages, and that its files are whole."""

from __future__ import annotations

import base64
import errno
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import pcapreport
from pcapreport.batch import index_files as files_module
from pcapreport.batch.index import IndexEntry, Slow, entry_of, worst_first
from pcapreport.batch.index_files import index_files, write_index
from pcapreport.batch.index_names import is_index_file, is_index_stem
from pcapreport.batch.index_overview import HEAT_CAPTURES, busiest, heat_map, in_several, overview
from pcapreport.batch.index_pages import Look, index_pages
from pcapreport.report.build import DocumentOptions
from pcapreport.report.model import RuleCount, Talker
from pcapreport.report.wording import visible

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"


def entry(file: str, **more: Any) -> IndexEntry:
    return IndexEntry(file=file, status=more.pop("status", "ok"), **more)


def talker(address: str, sent: int, received: int = 0) -> Talker:
    return Talker(address=address, connections=1, packets=2, sent_bytes=sent, received_bytes=received)


def found(**rules: str) -> dict[str, RuleCount]:
    return {rule: RuleCount(findings=2, severity=severity) for rule, severity in rules.items()}  # type: ignore[arg-type]


# --- a line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "counts"),
    [
        ("many-short-connections.pcap", (40, 40, 0, 0, 40)),
        ("refused.pcap", (1, 0, 1, 0, 0)),
        ("abort-by-reset.pcap", (1, 1, 0, 1, 0)),
        ("syn-unanswered.pcap", (1, 0, 0, 0, 0)),
        ("simultaneous-close.pcap", (1, 1, 0, 0, 1)),
    ],
)
def test_a_line_tells_how_connections_opened_and_ended(sample: str, counts: tuple[int, ...]) -> None:
    told = entry_of(pcapreport.analyze(SAMPLES / sample), sample, "", "")
    assert (told.connections, told.opened, told.refused, told.reset, told.orderly) == counts


def test_a_line_tells_shares_round_trips_and_what_a_host_holds_in_time_wait() -> None:
    crowd = entry_of(pcapreport.analyze(SAMPLES / "many-short-connections.pcap"), "a", "", "")
    assert crowd.time_wait_peak == 10 and crowd.retransmitted_share == 0 and crowd.hosts == 4
    assert crowd.round_trip_s is not None and 0.004 < crowd.round_trip_s < 0.005
    lost = entry_of(pcapreport.analyze(SAMPLES / "syn-unanswered.pcap"), "b", "", "")
    assert (lost.retransmitted_share, lost.round_trip_s) == (3 / 4, None)


def test_slow_connections_lead_to_where_the_report_tells_of_them() -> None:
    document = pcapreport.analyze(SAMPLES / "many-short-connections.pcap", options=DocumentOptions(details=2))
    page = pcapreport.render(document)
    told = entry_of(document, "a", "a.html", "")
    anchors = {one.anchor for one in (*told.slowest_handshakes, *told.slowest_responses)}
    assert len(anchors) >= 3 and all(f'id="{anchor}"' in page for anchor in anchors)


# --- captures together ----------------------------------------------------------------------------------------------


def test_the_worst_come_first_whether_damaged_or_not() -> None:
    entries = [
        entry("e", severity=None),
        entry("d", severity="note", findings={"note": 9}),
        entry("c", severity="warning", findings={"warning": 1}, status="damaged"),
        entry("b", severity="error", findings={"error": 1}),
        entry("a2", severity="error", findings={"error": 3}),
        entry("z", status="crashed"),
    ]
    assert [one.file for one in worst_first(entries)] == ["z", "a2", "b", "c", "d", "e"]


def test_rules_stand_by_gravity_then_by_how_many_captures_have_them() -> None:
    heat = heat_map([
        entry("a", rules=found(reset="error", keep_alive="note")),
        entry("b", rules=found(keep_alive="note", duplicate_ack="note")),
        entry("c", rules=found(syn_retransmission="warning")),
        entry("d"),
    ])  # fmt: skip
    assert [(one.id, one.severity, one.captures, one.findings) for one in heat.rules] == [
        ("reset", "error", 1, 2), ("syn_retransmission", "warning", 1, 2), ("keep_alive", "note", 2, 4),
        ("duplicate_ack", "note", 1, 2),
    ]  # fmt: skip
    cells = [[cell and cell.severity for cell in row.cells] for row in heat.rows]
    assert cells == [["error", None, "note", None], [None, None, "note", "note"], [None, "warning", None, None]]


def test_a_heat_map_of_many_captures_says_how_many_it_leaves_out() -> None:
    entries = [entry(f"{n}", rules=found(reset="error")) for n in range(HEAT_CAPTURES + 7)]
    heat = heat_map(entries)
    assert (len(heat.rows), heat.left_out, heat.rules[0].captures) == (HEAT_CAPTURES, 7, HEAT_CAPTURES + 7)
    assert "7 more captures with findings have no line here." in pages(entries)["index.html"]


def test_a_host_is_one_over_all_captures() -> None:
    told = busiest([
        entry("a", hosts=2, talkers=[talker("10.0.0.1", 100, 10), talker("10.0.0.2", 10, 100)]),
        entry("b", hosts=9, talkers=[talker("10.0.0.1", 50), talker("10.0.0.9", 300)]),
    ])  # fmt: skip
    first = told.hosts[0]
    assert (first.address, first.captures, first.sent, first.received) == ("10.0.0.9", 1, 300, 0)
    second = told.hosts[1]
    assert (second.address, second.captures, second.packets, second.sent, second.received) == (
        "10.0.0.1",
        2,
        4,
        150,
        10,
    )
    assert told.uncounted == 1


def test_the_slowest_of_all_captures_are_found() -> None:
    def slow(took: float) -> list[Slow]:
        return [Slow(connection=1, anchor="", client="a:1", server="b:2", took_s=took)]

    told = overview([entry(f"{n}", slowest_handshakes=slow(n / 10)) for n in range(50)])
    assert [one.entry.file for one in told.handshakes[:3]] == ["49", "48", "47"] and len(told.handshakes) == 15


def test_connections_in_the_same_captures_are_told_together() -> None:
    told = in_several([
        entry("a", known_by=["1:1", "2:2", "3:3", "f:4"], sha256="x"),
        entry("b", known_by=["2:7", "3:5", "e:1"], sha256="y"),
        entry("c", known_by=["1:9", "d:1"], sha256="x"),
        entry("d", known_by=["9:9"]),
    ])  # fmt: skip
    assert [(one.connections, [(e.file, n) for e, n in one.files], one.same_bytes) for one in told] == [
        (2, [("a", 2), ("b", 7)], False),
        (1, [("a", 1), ("c", 9)], True),
    ]
    assert in_several([]) == in_several([entry("a", known_by=["1:1"])]) == []


def test_two_taps_of_one_connection_are_linked(tmp_path: Path) -> None:
    """A capture cut in the middle, and the whole of it with another clock, know each other's connections."""
    sample = SAMPLES / "many-short-connections.pcap"
    documents = {"whole.pcap": pcapreport.analyze(sample), "again.pcap": pcapreport.analyze(sample)}
    told = in_several([entry_of(one, name, "", "") for name, one in documents.items()])
    assert len(told) == 1 and told[0].connections == 40 and told[0].same_bytes


def test_what_failed_is_told_with_its_reason_once() -> None:
    told = entry("x/bad.pcap", status="unreadable", message="x/bad.pcap: byte 0: no capture; convert it")
    page = pages([told, entry("good.pcap")])["index.html"]
    assert page.count("byte 0: no capture; convert it") == 2, "in its line, and among what was not analysed"
    assert "x/bad.pcap: byte 0" not in page
    assert "Not analysed" in page and "Not analysed" not in pages([entry("good.pcap")])["index.html"]


# --- pages ----------------------------------------------------------------------------------------------------------


def pages(entries: Iterable[IndexEntry], rows: int = 1_000, **look: Any) -> dict[str, str]:
    return dict(index_pages(worst_first(entries), Look(rows=rows, **look)))


MANY = [
    entry(f"{n:03}.pcap", report=f"{n:03}.pcap.html", severity="error" if n % 7 == 0 else None,
          findings={"error": n} if n % 7 == 0 else {}, rules=found(reset="error") if n % 7 == 0 else {})
    for n in range(60)
]  # fmt: skip


NAMES = ("index.html", *(f"index-{n}.html" for n in range(2, 6)))


def rows_of(page: str) -> list[str]:
    table = re.findall(r'<table class="captures.*?<tbody>\n(.*?)\n</tbody>', page, re.S)[0]
    return [row + "</tr>" for row in table.split("</tr>")[:-1]]


def test_up_to_four_pages_full_stay_on_one() -> None:
    assert list(pages(MANY, rows=15)) == ["index.html"]
    assert list(pages(MANY, rows=14)) == [*(f"index-{n}.html" for n in range(2, 6)), "index.html"]
    assert Look().rows * 4 == 2_000


def test_each_capture_is_on_one_page_worst_first_and_pages_lead_to_each_other() -> None:
    made = pages(MANY, rows=14)
    in_order = [made[name] for name in NAMES]
    names = [
        name for page in in_order for row in rows_of(page) for name in re.findall(r'scope="row"><a href="(\d+)', row)
    ]
    assert names == [one.file.removesuffix(".pcap") for one in worst_first(MANY)]
    for number, page in enumerate(in_order):
        others = {name for at, name in enumerate(NAMES) if at != number}
        assert set(re.findall(r'<a href="(index-?\d*\.html)"', page)) == others
        assert page.count('aria-current="page"') == 2, "above the table and below"
    assert [len(rows_of(page)) for page in in_order] == [14, 14, 14, 14, 4]


def data_of(page: str) -> Any:
    packed, text = re.findall(r'<script type="application/json" id="index-data"( data-packed)?>(.*?)</script>', page)[0]
    return json.loads(zlib.decompress(base64.b64decode(text)) if packed else text)


def test_the_first_page_holds_the_rows_of_all_pages_as_they_stand_there() -> None:
    made = pages(MANY, rows=14)
    every = [row for name in NAMES for row in rows_of(made[name])]
    held = [one[8] for one in data_of(made["index.html"])["captures"]]
    assert [row.strip() for row in held] == [row.strip() for row in every]
    assert "index-data" not in made["index-2.html"]


def test_one_page_holds_no_row_twice() -> None:
    assert all(len(one) == 8 for one in data_of(pages(MANY)["index.html"])["captures"])


def test_a_line_shows_the_first_sentence_and_is_found_by_all() -> None:
    told = entry_of(pcapreport.analyze(SAMPLES / "keep-alive-peer-gone.pcap"), "a", "", "")
    page = pages([told])["index.html"]
    first, _, rest = told.verdict.partition(". ")
    assert f'<td class="text">{first}. <span class="rest"' in page and rest in data_of(page)["captures"][0][5]


@pytest.mark.parametrize("rows", [1, 1_000])
def test_hostile_names_stay_what_they_are(rows: int) -> None:
    hostile = "</script><script>alert(1)</script><!--\u202e\u2028\"'&"
    entries = [entry(f"{hostile}{n}", report=f"{hostile}.html", rules=found(**{hostile: "error"})) for n in range(5)]
    for page in pages(entries, rows=rows).values():
        assert "<script>alert" not in page and "\u202e" not in page and "<!--" not in page
    told = data_of(pages(entries, rows=rows)["index.html"])
    assert [one[0] for one in told["captures"]] == [visible(one.file) for one in entries]
    assert told["rules"] == [visible(hostile)]


# --- files ----------------------------------------------------------------------------------------------------------


def test_all_files_of_the_index_have_names_that_no_report_may_have() -> None:
    made = [name for name, _ in index_files(MANY, Look(rows=10))]
    assert made[-1] == "index.html" and {"index.json", "index.csv", "index-6.html"} <= set(made)
    for name in (*made, "index.parquet", "index-findings.parquet"):
        assert is_index_file(name)
        assert is_index_stem(name.rsplit(".", 1)[0])
    assert not any(is_index_file(name) for name in ("index-0.html", "index.pcap.html", "a/index.html", "index-2.json"))


def test_files_of_a_larger_index_before_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_index(MANY, tmp_path, Look(rows=10))
    (tmp_path / "index-2.pcap.html").write_text("a report")
    write_index(MANY[:3], tmp_path, Look(rows=10))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"index.html", "index.json", "index.csv", "index-2.pcap.html"}


def test_an_index_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_index(MANY[:2], tmp_path, Look())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: Any) -> Iterable[bytes]:
        yield b'{"cut'
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files_module, "index_document", full)
    with pytest.raises(OSError, match="No space"):
        write_index(MANY, tmp_path, Look())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_index_json_has_all_that_is_known_of_each_capture(tmp_path: Path) -> None:
    write_index(MANY, tmp_path, Look())
    told = json.loads((tmp_path / "index.json").read_bytes())["captures"]
    assert [one["file"] for one in told] == [one.file for one in worst_first(MANY)]
    assert set(told[0]) == set(IndexEntry.__struct_fields__)
