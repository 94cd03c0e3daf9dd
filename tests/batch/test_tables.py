"""The index as CSV and Parquet: a line a capture, hostile text as text, what READMEs promise of queries."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch.index import IndexEntry
from pcapreport.batch.index_files import index_files
from pcapreport.batch.index_pages import Look
from pcapreport.batch.session import Request, run
from pcapreport.batch.tables import CAPTURES, csv_lines
from pcapreport.batch.work import Order
from pcapreport.report.model import RuleCount

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
README = Path(__file__).parents[2] / "README.md"


def lines(*entries: IndexEntry) -> list[dict[str, str]]:
    text = b"".join(csv_lines(entries)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_line_has_numbers_as_they_are_and_nothing_where_nothing_is_known() -> None:
    one = IndexEntry(file="a.pcap", status="ok", connections=1234567, findings={"error": 2}, round_trip_s=0.00125)
    other = IndexEntry(file="b.pcap", status="unreadable", message="b.pcap: byte 0: no capture")
    first, second = lines(one, other)
    assert list(first) == [column.name for column in CAPTURES]
    assert (first["connections"], first["errors"], first["warnings"]) == ("1234567", "2", "0")
    assert (first["round_trip_s"], second["round_trip_s"], second["start"]) == ("0.00125", "", "")
    assert second["message"] == "b.pcap: byte 0: no capture"


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", " =", "\u3000=", "＝"])
def test_no_cell_is_a_formula(beginning: str) -> None:
    told = lines(IndexEntry(file=f'{beginning}HYPERLINK("http://x")', status="ok", verdict=f"{beginning}1+1"))[0]
    for cell in (told["file"], told["verdict"]):
        assert cell.startswith(f"'{beginning}")


def test_hostile_text_stays_in_its_cell_and_shows_all_of_itself() -> None:
    assert lines(IndexEntry(file="\t=1+1", status="ok"))[0]["file"] == "\\t=1+1"
    hostile = 'a",\n=1+1\r\n;\u202egpj.exe\x1b[31m\x00'
    told = lines(IndexEntry(file=hostile, status="ok"), IndexEntry(file="b", status="ok"))
    assert [one["file"] for one in told] == ['a",\\n=1+1\\r\\n;\\u202egpj.exe\\x1b[31m\\x00', "b"]


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports on a few samples, with Parquet where that can be made."""
    duckdb()
    base = tmp_path_factory.mktemp("batch")
    (base / "in" / "site").mkdir(parents=True)
    for sample in ("refused.pcap", "abort-by-reset.pcap", "many-short-connections.pcap", "loss-with-timeout.pcap"):
        shutil.copy(SAMPLES / sample, base / "in" / "site" / sample)
    (base / "in" / "bad.pcap").write_bytes(b"")
    order = Order(base / "pcapreport-out", frozenset(("json",)))
    run(Request((str(base / "in"),), order, parquet=True))
    return base


def duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("duckdb is missing")
        pytest.skip("duckdb is missing")
    return duckdb


def captures(batch: Path) -> list[dict[str, Any]]:
    return json.loads((batch / "pcapreport-out" / "index.json").read_bytes())["captures"]


def test_parquet_has_a_typed_row_for_each_capture(batch: Path) -> None:
    table = duckdb().sql(f"from '{batch}/pcapreport-out/index.parquet'")
    assert table.columns == [column.name for column in CAPTURES]
    assert [str(kind) for kind in table.types] == [column.kind for column in CAPTURES]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    for row, entry in zip(rows, captures(batch), strict=True):
        for name in ("file", "status", "verdict", "connections", "orderly", "duration_s", "round_trip_s", "sha256"):
            assert row[name] == entry[name]
        assert (row["start"].isoformat()[:19] if row["start"] else "") == (entry["start"] or "")[:19]


def test_parquet_has_a_row_for_each_rule_of_a_capture(batch: Path) -> None:
    table = duckdb().sql(f"select file, rule, severity, findings from '{batch}/pcapreport-out/index-findings.parquet'")
    told = {
        (e["file"], rule, one["severity"], one["findings"]) for e in captures(batch) for rule, one in e["rules"].items()
    }
    assert set(table.fetchall()) == told and len(told) > 4


def test_the_tables_are_the_same_on_a_second_run(batch: Path) -> None:
    entries = [
        IndexEntry(file=f"{number}.pcap", status="ok", rules={"reset": RuleCount(findings=number, severity="error")})
        for number in range(5_000)
    ]
    made = [
        {name: b"".join(data) for name, data in index_files(entries, Look(parquet=True)) if name.endswith(".parquet")}
        for _ in range(2)
    ]
    assert made[0] == made[1] and len(made[0]) == 2
    table = duckdb()
    (batch / "many.parquet").write_bytes(made[0]["index-findings.parquet"])
    assert table.sql(f"select count(*), sum(findings) from '{batch}/many.parquet'").fetchall() == [(5_000, 12_497_500)]


QUERIES = re.findall(r"```sql\n(.*?)```", README.read_text("utf-8"), re.S)


def test_the_readme_has_queries_over_both_kinds_of_files() -> None:
    assert any("index.parquet" in one for one in QUERIES) and any("read_json" in one for one in QUERIES)


@pytest.mark.parametrize("query", [one for text in QUERIES for one in text.split(";") if one.strip()])
def test_a_query_of_the_readme_finds_something(batch: Path, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.chdir(batch)
    assert duckdb().sql(query).fetchall()
