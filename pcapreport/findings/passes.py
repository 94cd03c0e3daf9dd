"""Array passes over all connections at once, shared by the detectors.

Everything here is a fact about a row and what stood before it at this tap, in capture order; only `gaps`, `hidden`
and `wandered` are judgements. The rows of one connection stand together, so a running value needs only to be kept
from crossing into the next one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapreport.findings.gaps import Gaps
from pcapreport.findings.pass_work import PassWork
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ROWS_APIECE = 1 << 17
"""From so many rows on a thread of its own pays: numpy lets others run while it works on long arrays."""
_POSITIONS = ("previous", "previous_peer", "previous_send", "opener")
"""Columns that point to rows."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Arrays aligned with the rows of the connection table; "before" means earlier in the same connection."""

    connection: Ints
    original: Ints
    """The row this one is a copy of, or -1."""
    live: Bools
    """Neither a copy nor a reset, with numbers of this connection: what the running values are made of."""
    acks: Bools
    """Live, and its acknowledgment number counts."""
    sent_before: Ints
    """Highest `end` its sender had shown before (NONE: it had sent nothing)."""
    peer_sent_before: Ints
    """Highest `end` the other side had shown before."""
    acked_before: Ints
    """Highest acknowledgment of its sender's numbers by the other side before."""
    acked_at_end: Ints
    """Highest acknowledgment of its sender's numbers by the other side in the whole connection."""
    own_ack_before: Ints
    """Highest acknowledgment its sender had sent before."""
    sacked_before: Ints
    """Highest right edge of a SACK block about its sender's numbers before."""
    duplicates_before: Ints
    """Duplicate ACKs of the other side since that last acknowledged something new."""
    previous: Ints
    """The last live row of the same side before, or -1."""
    previous_peer: Ints
    """The last live row of the other side before, or -1."""
    previous_send: Ints
    """The last live row of the same side before that brought data, SYN or FIN, or -1."""
    known: Ints
    filled: Ints
    opener: Ints
    missing: Ints
    """See holes.Coverage."""
    peer_window_zero: Bools
    """The other side's last word was a window of 0."""
    keep_alive: Bools
    """Asks for an acknowledgment with a number below the next one, bringing nothing (window probes included)."""
    probe: Bools
    """A zero-window probe."""
    duplicate_ack: Bools
    """RFC 5681 section 2: repeats its last acknowledgment while data is outstanding."""
    hidden: Bools
    """New here, but sent before: its first transmission never passed this tap (see `unseen`)."""
    wandered: Bools
    """An old duplicate: not sent again but on its way for long."""
    overtook: Bools
    """Sent again, but passed before the transmission that it repeats (see `old_duplicates`)."""
    gaps: Gaps
    """What fills a gap: delivered late or sent again."""
    first_fin: Ints
    """Per connection and side (2c,): its first live FIN, or a position beyond all rows."""
    round_trip_ns: Ints
    """Per connection: SYN to the first segment after the SYN-ACK; UNKNOWN where the handshake was not clean."""

    @classmethod
    def of(cls, table: ConnectionTable, settings: Settings | None = None, threads: int | None = None) -> Passes:
        """All passes over `table`, by so many threads at most (None: one for each processor)."""
        settings = settings or Settings()
        parts = _parts(table, min(threads or _cores(), len(table.row) // ROWS_APIECE))
        if len(parts) == 1:
            return cls(table.connection, table.original, **PassWork(table, settings).columns())
        with ThreadPoolExecutor(len(parts)) as pool:
            columns = list(pool.map(lambda part: PassWork(table.between(*part), settings).columns(), parts))
        starts = [int(table.bounds[start]) for start, _ in parts]
        return cls(table.connection, table.original, **_joined(columns, starts, len(table.row)))


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parts(table: ConnectionTable, wanted: int) -> list[tuple[int, int]]:
    """Ranges of connections with about as many rows each."""
    rows = np.arange(1, wanted) * (len(table.row) // max(wanted, 1))
    cuts = [0, *np.unique(np.searchsorted(table.bounds, rows)).tolist(), len(table)]
    return [(start, stop) for start, stop in pairwise(cuts) if start < stop] or [(0, len(table))]


def _joined(parts: list[dict[str, Any]], starts: list[int], rows: int) -> dict[str, Any]:
    """The columns of all parts, one after the other; `starts`: the first row of each, of `rows` in all."""
    for part, start in zip(parts, starts, strict=True):
        for name in _POSITIONS:
            part[name][part[name] >= 0] += start
        none = start + len(part["live"])
        part["first_fin"] = np.where(part["first_fin"] + start < none, part["first_fin"] + start, rows)
    whole: dict[str, Any] = {}
    for name in list(parts[0]):
        columns = [part.pop(name) for part in parts]
        if name == "gaps":
            whole[name] = Gaps(*(np.concatenate([getattr(gaps, one) for gaps in columns]) for one in Gaps.__slots__))
        else:
            whole[name] = np.concatenate(columns)
    return whole
