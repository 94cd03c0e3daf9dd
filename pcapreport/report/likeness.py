"""By what two captures are known to hold the same segments, however they were saved: for a class of students.

Container, compression, clock, addresses and ports may all have been changed; numbers, flags, lengths and timestamps of
the segments are what two recordings of different connections never share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from pcapreport.findings.model import Evidence
from pcapreport.tcp import hashing
from pcapreport.tcp.connections import CLIENT, SERVER

COLUMNS = ("seq", "ack", "flags", "window", "payload_len", "ts_val", "ts_ecr")
MOST = 200
"""Connections of a capture that are kept to be looked for in others: those with the lowest marks, so that captures
which share many connections keep the same ones of them."""


class Likeness:
    """Adds up the parts of a capture, in whatever order they come."""

    def __init__(self) -> None:
        self._sums = [0, 0]
        self._rows = 0
        self._connections: list[str] = []

    def add(self, evidence: Evidence) -> None:
        """Take note of whole connections."""
        table = evidence.table
        columns = [table.packets[name][table.row].astype(np.uint64) for name in COLUMNS]
        hashed = hashing.mixed(columns)
        again = hashing.mixed([hashed, *columns])
        for place, numbers in enumerate((hashed, again)):
            self._sums[place] = (self._sums[place] + int(numbers.sum(dtype=np.uint64))) % (1 << 64)
        self._rows += len(hashed)
        both = np.flatnonzero(table.isn_seen.all(axis=1))
        self._keep(
            hashlib.sha256(f"{client} {server}".encode()).hexdigest()[:16]
            for client, server in table.isn[both][:, [CLIENT, SERVER]].tolist()
        )

    def _keep(self, marks: Iterable[str]) -> None:
        self._connections = sorted({*self._connections, *marks})[:MOST]

    def join(self, other: Likeness) -> None:
        """And what later parts hold."""
        self._sums = [(mine + more) % (1 << 64) for mine, more in zip(self._sums, other._sums, strict=True)]
        self._rows += other._rows
        self._keep(other._connections)

    def segments(self) -> str:
        """The same for the same segments in any order; "" without any."""
        return f"{self._rows:x}-{self._sums[0]:016x}{self._sums[1]:016x}" if self._rows else ""

    def connections(self) -> list[str]:
        """Of each connection whose both initial numbers are known what it has in every capture."""
        return self._connections
