"""All files of the index, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pcapreport.batch.index import IndexEntry, index_document, worst_first
from pcapreport.batch.index_names import is_index_file
from pcapreport.batch.index_pages import Look, index_pages
from pcapreport.batch.output import output_at
from pcapreport.batch.tables import CAPTURES, FINDINGS, capture_row, csv_lines, finding_rows
from pcapreport.batch.urls import Url


def index_files(
    entries: Iterable[IndexEntry], look: Look, stale: Sequence[str] = ()
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """(name, contents in pieces) of each file; `index.html`, from which all others are reached, comes last."""
    ordered = worst_first(entries)
    yield "index.json", index_document(ordered, look.key_id, stale)
    yield "index.csv", csv_lines(ordered)
    if look.parquet:
        from pcapreport.batch.parquet import parquet

        yield "index.parquet", [parquet(map(capture_row, ordered), CAPTURES)]
        yield "index-findings.parquet", [parquet((row for one in ordered for row in finding_rows(one)), FINDINGS)]
    for name, page in index_pages(ordered, look):
        yield name, [page.encode()]


def write_index(entries: Iterable[IndexEntry], out: Path | Url, look: Look, stale: Sequence[str] = ()) -> None:
    """Write the index into a directory, and remove files of an earlier one that have no place in it.

    `stale`: names of captures that are no more, though there still are reports on them."""
    output, written = output_at(out), set()
    for name, pieces in index_files(entries, look, stale):
        output.write(name, pieces)
        written.add(name)
    for name in output.names():
        if is_index_file(name) and name not in written:
            output.remove(name)
