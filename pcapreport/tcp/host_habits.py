"""What a host shows of its system beside its SYNs' looks: how fast its timestamps tick, when it repeats a SYN.

Both are told as evidence only: they differ more between versions of a system than between systems (Linux has ticked
100, 250, 300 and 1,000 times a second; a timeout of 1 s that doubles is RFC 6298's own).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Option
from pcapreport.language import Text, counted, joined, phrase
from pcapreport.settings import SECOND
from pcapreport.tcp import addresses, sequence
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]

RATES = (1, 2, 10, 100, 250, 300, 1_000, 1_000_000)
"""Ticks a second of known timestamp clocks (RFC 7323 section 5.4 allows 1 ms to 1 s; Linux knows microseconds too)."""
SHORTEST_SPAN = SECOND
"""Between two segments whose timestamps are compared: the path's jitter is small beside it."""
TOLERANCE = 0.05
MOST_WAITS = 8

TICKING = np.dtype([("host", "u8"), ("rate", "u1")])
"""A flow whose timestamps tick at one of RATES: the hash of its sender, the number of the rate."""


class SynWaits(NamedTuple):
    """The connection with the most repetitions of its SYN, the first such; smaller is better."""

    fewer: int
    frame: int
    seconds: tuple[float, ...]


class HostHabits:
    """Gathered part by part."""

    def __init__(self) -> None:
        self._ticking = [np.empty(0, TICKING)]
        self._waits: dict[int, SynWaits] = {}

    def add(self, table: ConnectionTable) -> None:
        """Take note of whole connections."""
        connection = table.connection
        self._add_rates(table, connection)
        self._add_waits(table, connection)

    def join(self, other: HostHabits) -> None:
        """And what later parts showed."""
        self._ticking += other._ticking
        for host, waits in other._waits.items():
            if host not in self._waits or waits[:2] < self._waits[host][:2]:
                self._waits[host] = waits

    def _add_rates(self, table: ConnectionTable, connection: Ints) -> None:
        stamped = (table.packets["options"][table.row] & Option.TIMESTAMP) != 0
        rows = np.flatnonzero(stamped & (table.flags & RST == 0) & (table.original < 0))
        flow = connection[rows] * 2 + table.side[rows]
        if not len(rows):
            return
        first, last = np.full(2 * len(table), -1), np.full(2 * len(table), -1)
        first[flow[::-1]], last[flow] = rows[::-1], rows
        first, last = first[first >= 0], last[last >= 0]
        spans = table.time_ns[last] - table.time_ns[first]
        long = spans >= SHORTEST_SPAN
        first, last, spans = first[long], last[long], spans[long]
        values = table.packets["ts_val"]
        ticks = sequence.distances(values[table.row[last]], values[table.row[first]]) * (SECOND / spans)
        nearest = np.abs(np.array(RATES)[:, None] / np.maximum(ticks, 1e-9) - 1)
        rate = nearest.argmin(axis=0)
        known = np.flatnonzero(nearest.min(axis=0) <= TOLERANCE)
        ticking = np.empty(len(known), TICKING)
        ticking["host"], ticking["rate"] = _senders(table, first[known]), rate[known]
        self._ticking.append(ticking)

    def _add_waits(self, table: ConnectionTable, connection: Ints) -> None:
        bare = (table.flags & (SYN | ACK | FIN | RST) == SYN) & (table.original < 0)
        rows = np.flatnonzero(bare & (table.side == 0) & (table.seq == 0))
        bounds = np.append(np.flatnonzero(np.diff(connection[rows], prepend=-1)), len(rows))
        several = np.flatnonzero(np.diff(bounds) > 1)
        hosts = _senders(table, rows[bounds[several]]).tolist()
        for host, start, stop in zip(hosts, bounds[several].tolist(), bounds[several + 1].tolist(), strict=True):
            candidate = (start - stop, int(table.frame[rows[start]]))
            if host not in self._waits or candidate < self._waits[host][:2]:
                times = table.time_ns[rows[start : min(stop, start + MOST_WAITS + 1)]]
                self._waits[host] = SynWaits(*candidate, tuple((np.diff(times) / SECOND).tolist()))

    def _rates_of(self, host: int) -> npt.NDArray[np.uint8]:
        if len(self._ticking) > 1:
            together = np.concatenate(self._ticking)
            self._ticking = [together[np.argsort(together["host"], kind="stable")]]
        (together,) = self._ticking
        key = np.uint64(host)
        first, last = (int(np.searchsorted(together["host"], key, side)) for side in ("left", "right"))
        return together["rate"][first:last]

    def told(self, address: str) -> list[Text]:
        """In words; nothing where the capture shows neither."""
        host = addresses.hash_of(address)
        told: list[Text] = []
        rates = np.bincount(self._rates_of(host), minlength=len(RATES)).tolist()
        if any(rates):
            most = max(range(len(RATES)), key=lambda number: (rates[number], RATES[number]))
            told.append(_ticking(RATES[most], rates[most]))
        if host in self._waits:
            told.append(_repeated(self._waits[host]))
        return told


def _ticking(rate: int, connections: int) -> Text:
    return counted(
        connections,
        "its timestamps tick {times} a second (measured on one connection)",
        "its timestamps tick {times} a second (measured on {n:,} connections)",
        times=_times(rate),
    )


def _repeated(syn: SynWaits) -> Text:
    waits = [f"{seconds:.3g}" for seconds in syn.seconds]
    return phrase(
        "it sent a SYN again after waits of {waits} s (from frame {frame})", waits=joined(waits), frame=syn.frame
    )


def _times(rate: int) -> Text:
    if rate in (1, 2):
        return phrase("once") if rate == 1 else phrase("twice")
    return phrase("{number:,} times", number=rate)


def _senders(table: ConnectionTable, rows: Ints) -> Numbers:
    """The hash of who sent each of these rows."""
    at = table.row[rows]
    return addresses.hashed([table.packets[name][at] for name in ("ip_version", "src_hi", "src_lo")])
