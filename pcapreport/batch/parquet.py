"""Tables as Parquet: the only module that imports duckdb, and only when such a table is made.

Rows go through a file, a line each, so that a hundred thousand captures take no more memory than a hundred.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pcapreport.batch.tables import Column
from pcapreport.errors import UsageError
from pcapreport.language import as_string, phrase

ALONE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "256MB",
    "threads": 1,
}
"""What it needs is in it; it is to fetch nothing, and to write the same rows in the same order each time."""


def require() -> None:
    """Raises UsageError, in one line, where no Parquet can be made here."""
    if importlib.util.find_spec("duckdb") is None:
        raise UsageError(phrase("--format parquet needs the library duckdb: pip install 'pcapreport[query]'"))


def parquet(rows: Iterable[dict[str, Any]], columns: Sequence[Column]) -> bytes:
    """A table; what a row does not have is null."""
    import duckdb

    encoder = msgspec.json.Encoder(enc_hook=as_string)
    with tempfile.TemporaryDirectory(prefix="pcapreport-") as folder:
        lines, table = Path(folder, "rows.json"), Path(folder, "rows.parquet")
        with lines.open("wb") as file:
            file.writelines(encoder.encode(row) + b"\n" for row in rows)
        kinds = ", ".join(f"{column.name}: '{column.kind}'" for column in columns)
        source = f"read_json({_quoted(lines)}, format = 'newline_delimited', columns = {{{kinds}}})"
        with duckdb.connect(config=ALONE) as database:
            database.execute(f"COPY (SELECT * FROM {source}) TO {_quoted(table)} (FORMAT parquet, COMPRESSION zstd)")
        return table.read_bytes()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
