"""The index as flat tables: one line a capture, and one for each rule that a capture has findings of.

Texts in them come from captures and file names. What a spreadsheet would take for a formula is made a text by an
apostrophe in front, in CSV alone; other programs read Parquet or JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pcapreport.batch.index import IndexEntry
from pcapreport.report.wording import visible

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


class Column(NamedTuple):
    """A column and its type, as DuckDB calls it."""

    name: str
    kind: str


CAPTURES = (
    *(Column(name, "VARCHAR") for name in ("file", "status", "severity", "side", "verdict", "message")),
    *(Column(name, "BIGINT") for name in ("errors", "warnings", "notes")),
    *(
        Column(name, "BIGINT")
        for name in (
            "connections", "opened", "refused", "reset", "orderly", "packets", "tcp_packets", "retransmitted",
        )
    ),
    Column("retransmitted_share", "DOUBLE"),
    Column("round_trip_s", "DOUBLE"),
    *(Column(name, "BIGINT") for name in ("time_waits", "time_wait_peak", "hosts")),
    Column("start", "TIMESTAMP_NS"),
    Column("duration_s", "DOUBLE"),
    Column("size_bytes", "BIGINT"),
    *(Column(name, "VARCHAR") for name in ("sha256", "report", "json")),
)  # fmt: skip
FINDINGS = (
    *(Column(name, "VARCHAR") for name in ("file", "rule", "severity")),
    Column("findings", "BIGINT"),
)


def capture_row(entry: IndexEntry) -> dict[str, Any]:
    """One line of CAPTURES; null where nothing was read."""
    counts = {"errors": "error", "warnings": "warning", "notes": "note"}
    row = {column.name: getattr(entry, column.name) for column in CAPTURES if column.name not in counts}
    return row | {name: entry.findings.get(level, 0) for name, level in counts.items()}


def finding_rows(entry: IndexEntry) -> Iterator[dict[str, Any]]:
    """The lines of FINDINGS of a capture."""
    for rule, count in entry.rules.items():
        yield {"file": entry.file, "rule": rule, "severity": count.severity, "findings": count.findings}


def csv_lines(entries: Iterable[IndexEntry]) -> Iterator[bytes]:
    """`index.csv` in pieces: UTF-8 with the mark by which spreadsheets know it."""
    names = [column.name for column in CAPTURES]
    yield "\ufeff".encode() + _line(names)
    for entry in entries:
        row = capture_row(entry)
        yield _line([_cell(row[name]) for name in names])


def _cell(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    shown = visible(value)
    return f"'{shown}" if shown.lstrip().startswith(FORMULAS) else shown


def _line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode("utf-8", "backslashreplace")
