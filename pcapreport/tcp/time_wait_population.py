"""How many TIME-WAITs each host holds at each moment, as far as a capture shows, and towards which servers.

Counted from the latest moment of each entry to the nominal end of 2MSL (or to what ended it before), so that at the
peak at least so many were held if the profile is right. A client's TIME-WAIT keeps the port it was opened from: towards
one server address and port it has only as many as its range of ephemeral ports (RFC 6056 section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.settings import ASSUMED_SYSTEM, EPHEMERAL_PORTS
from pcapreport.tcp import hashing
from pcapreport.tcp.connections import CLIENT, ConnectionTable
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.history import EndpointHistory, TimeWait
from pcapreport.tcp.states import State

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]

WAIT = np.dtype(
    [("host", "u8"), ("server", "u8"), ("port", "u2"), ("since", "i8"), ("until", "i8"), ("frame", "i8")]
)  # fmt: skip
"""One TIME-WAIT: hashes of who holds it and, if it was the client, of host and server; the client's port; ns; the frame
with which it began (0: none)."""


class Peak(NamedTuple):
    """The most that were held at once."""

    held: int
    at: int
    """ns; when it was reached first."""


class Crowd(NamedTuple):
    """TIME-WAITs of a client towards one server address and port."""

    address: str
    port: int
    peak: Peak
    ports: tuple[int, int]
    """Lowest and highest of its own ports in TIME-WAIT there, at any time."""
    key: int
    """Of the population's own."""

    def range_of(self, system: str) -> tuple[int, int]:
        """(first, last) of the ports it can open connections from: those usual for its system (a guess for unknown
        ones), and more where it used others."""
        first, last = EPHEMERAL_PORTS.get(system, EPHEMERAL_PORTS[ASSUMED_SYSTEM])
        return min(first, self.ports[0]), max(last, self.ports[1])


class HostWaits(NamedTuple):
    """TIME-WAITs of one host."""

    address: str
    total: int
    peak: Peak
    busiest: Crowd | None
    """Of those it holds as the client of the connection the most towards one server; None if there are none."""


class TimeWaitPopulation:
    """The TIME-WAITs of a capture, taken part by part."""

    def __init__(self) -> None:
        self._waits = [np.empty(0, WAIT)]
        self._names: dict[int, tuple[str, int]] = {}
        """Address and port by the hash of a host (port 0) or of a host and a server."""

    def add(self, table: ConnectionTable, histories: Histories) -> None:
        """Take note of the TIME-WAITs of whole connections."""
        found = [
            _spans(family, side, end, end.time_wait)
            for family in histories.families
            for side, end in enumerate((family.like.client, family.like.server))
            if end.time_wait is not None
        ]
        if not found:
            return
        connection, side, since, until, frame = np.concatenate(found, axis=1)
        waits = np.empty(len(connection), WAIT)
        waits["since"], waits["until"], waits["frame"] = since, until, frame
        host, server = _ends(table, connection, side)
        waits["host"] = hashing.mixed(host[:3])
        waits["server"] = np.where(side == CLIENT, hashing.mixed([*host[:3], *server]), 0)
        waits["port"] = host[3]
        self._waits.append(waits)
        self._name(waits["host"], host)
        at = np.flatnonzero(side == CLIENT)
        self._name(waits["server"][at], [column[at] for column in server])

    def _name(self, hashes: Numbers, address: Sequence[Numbers]) -> None:
        new, first = np.unique(hashes, return_index=True)
        for number, row in zip(new.tolist(), first.tolist(), strict=True):
            if number not in self._names:
                version, high, low, port = (int(column[row]) for column in address)
                raw = low.to_bytes(4, "big") if version == 4 else (high << 64 | low).to_bytes(16, "big")
                self._names[number] = str(ip_address(raw)), port

    def hosts(self) -> list[HostWaits]:
        """All that held any, those with the highest peak first."""
        waits = np.concatenate(self._waits)
        if not len(waits):
            return []
        keys, peaks = _peaks(waits["host"], waits["since"], waits["until"])
        totals = np.unique(waits["host"], return_counts=True)[1].tolist()
        crowds = self._busiest(waits[waits["server"] != 0])
        found = [
            HostWaits(self._names[key][0], total, peak, crowds.get(key))
            for key, total, peak in zip(keys, totals, peaks, strict=True)
        ]
        return sorted(found, key=lambda one: (-one.peak.held, -one.total, one.peak.at, one.address))

    def _busiest(self, waits: npt.NDArray[np.void]) -> dict[int, Crowd]:
        """By the hash of the host that is their client."""
        keys, peaks = _peaks(waits["server"], waits["since"], waits["until"])
        _, first, owner = np.unique(waits["server"], return_index=True, return_inverse=True)
        low, high = np.full(len(keys), 0xFFFF), np.zeros(len(keys), np.int64)
        np.minimum.at(low, owner, waits["port"])
        np.maximum.at(high, owner, waits["port"])
        best: dict[int, int] = {}
        for number, host in enumerate(waits["host"][first].tolist()):
            if host not in best or self._rank(keys, peaks, number) < self._rank(keys, peaks, best[host]):
                best[host] = number
        return {
            host: Crowd(
                *self._names[keys[number]],
                peaks[number],
                (int(low[number]), int(high[number])),
                keys[number],
            )
            for host, number in best.items()
        }

    def frames(self, crowd: Crowd) -> tuple[int, ...]:
        """With which those TIME-WAITs began that were held at the peak, ascending."""
        waits = np.concatenate([part[part["server"] == crowd.key] for part in self._waits])
        held = (waits["since"] <= crowd.peak.at) & (waits["until"] > crowd.peak.at) & (waits["frame"] > 0)
        return tuple(np.unique(waits["frame"][held]).tolist())

    def _rank(self, keys: Sequence[int], peaks: Sequence[Peak], number: int) -> tuple[int, int, tuple[str, int]]:
        return -peaks[number].held, peaks[number].at, self._names[keys[number]]


def _spans(family: Family, side: int, end: EndpointHistory, ledger: TimeWait) -> Ints:
    """(5, members): connection, side, since, until, frame with which it began or 0. None where the capture bounds it
    on neither side. `end`, `ledger`: of what the family has in common."""
    earliest, latest = ledger.entered
    since = earliest if latest is None else latest
    nominal = ledger.expires[1] if ledger.expires[0] is None else ledger.expires[0]
    early = ledger.ended_by in ("reset", "reuse") and ledger.ended_at is not None
    until = ledger.ended_at if early else nominal
    if since is None or until is None:
        return np.empty((5, 0), np.int64)
    begun = next((item.frame for item in reversed(end.transitions) if item.state is State.TIME_WAIT), None)
    first, last = family.times(since), family.times(until)
    frames = np.zeros(len(first), np.int64) if begun is None else family.frames(begun)
    return np.stack([family.members, np.full(len(first), side), first, np.maximum(last, first + 1), frames])


def _ends(table: ConnectionTable, connection: Ints, side: Ints) -> tuple[list[Numbers], list[Numbers]]:
    """(IP version, address and port of who holds each TIME-WAIT; the same of the other end)."""
    first = table.bounds[connection]
    row, sent = table.row[first], table.side[first] == side
    version = table.packets["ip_version"][row].astype(np.uint64)
    own, other = [version], [version]
    for a, b in (("src_hi", "dst_hi"), ("src_lo", "dst_lo"), ("sport", "dport")):
        source, target = (table.packets[name][row].astype(np.uint64) for name in (a, b))
        own.append(np.where(sent, source, target))
        other.append(np.where(sent, target, source))
    return own, other


def _peaks(key: Numbers, since: Ints, until: Ints) -> tuple[list[int], list[Peak]]:
    """(each key once, ascending; the peak of each): one pass over all entries and ends in order of time."""
    keys, owner = np.unique(key, return_inverse=True)
    if not len(keys):
        return [], []
    small = owner.astype(np.min_scalar_type(len(keys)))  # 16 bits are sorted many times faster than 64
    zero = int(since.min())
    marked = np.concatenate([2 * (until - zero), 2 * (since - zero) + 1])  # at one moment an end comes first
    order = np.argsort(marked)
    order = order[np.argsort(np.concatenate([small, small])[order], kind="stable")]
    marked = marked[order]
    held = np.cumsum(2 * (marked & 1) - 1)
    counts = 2 * np.bincount(owner)
    starts = np.cumsum(counts) - counts
    most = np.maximum.reduceat(held, starts)
    reached = np.flatnonzero(held == np.repeat(most, counts))
    at = (marked[reached[np.searchsorted(reached, starts)]] >> 1) + zero
    return keys.tolist(), [Peak(*pair) for pair in zip(most.tolist(), at.tolist(), strict=True)]
