"""Encoded connections come back in the order of their first frames, however they were kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from pcapreport.analysis import disk_file
from pcapreport.pipeline import read_within, report_on
from pcapreport.report import connection_texts
from pcapreport.report.build import DocumentOptions
from pcapreport.report.store import ConnectionStore, Told
from pcapreport.settings import DEFAULT_READING, Settings

MANY = Path(__file__).parents[2] / "sample_pcaps" / "many-short-connections.pcap"
FILES: list[Callable[[], IO[bytes]]] = [BytesIO, disk_file]


def told(*groups: list[tuple[int, str]]) -> list[Told]:
    """Connections by index, each with a name, some at a time."""
    return [
        (np.array([index for index, _ in group]), [b'{"id":0,"is":"%b"}' % name.encode() for _, name in group])
        for group in groups
    ]


@pytest.mark.parametrize("by_position", [True, False], ids=["pread", "seek and read"])
@pytest.mark.parametrize("open_file", FILES, ids=["in memory", "on the disk"])
def test_connections_of_all_parts_stand_in_order(
    open_file: Callable[[], IO[bytes]], by_position: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with one first frame as they were numbered, whichever was told first."""
    if not by_position:
        monkeypatch.delattr(os, "pread", raising=False)
    store, later = (ConnectionStore(lambda _: open_file()) for _ in range(2))
    store.add(told([(2, "c"), (0, "a")], [(1, "b")]), np.array([1, 5, 5]))
    later.add(told([(0, "d, which is longer")]), np.array([2]))
    store.join(later)
    assert b"".join(store.pieces({4: b"instead"})) == (
        b'{"id":1,"is":"a"},{"id":2,"is":"d, which is longer"},{"id":3,"is":"b"},instead'
    )
    assert store.numbers().tolist() == [1, 3, 4, 2]


def test_it_does_not_matter_how_many_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def document() -> bytes:
        capture = read_within(None, MANY, MANY.name, DEFAULT_READING)
        return b"".join(report_on(capture, Settings(), DocumentOptions(details=2)).json())

    together = document()
    monkeypatch.setattr(connection_texts, "AT_ONCE", 3)
    assert document() == together
