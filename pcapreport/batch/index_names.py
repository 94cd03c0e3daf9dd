"""Which names in an output directory are the index's own: no report may have them."""

from __future__ import annotations

import re

_STEM = re.compile(r"index(-[1-9][0-9]*|-findings)?")
_FILE = re.compile(r"index(-[1-9][0-9]*)?\.html|index\.(json|csv)|index(-findings)?\.parquet")


def is_index_stem(name: str) -> bool:
    """A report of this name (without ".html" or ".json") could take the place of one of the index's files."""
    return _STEM.fullmatch(name) is not None


def is_index_file(name: str) -> bool:
    """A file of this name, directly in the output directory, is the index's."""
    return _FILE.fullmatch(name) is not None
