"""How many TIME-WAITs each host holds at each moment, as far as a capture shows, and towards which servers.

Counted from the latest moment of each entry to the nominal end of 2MSL (or to what ended it before), so that at the
peak at least so many were held if the profile is right. A client's TIME-WAIT keeps the port it was opened from: towards
one server address and port it has only as many as its range of ephemeral ports (RFC 6056 section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.settings import ASSUMED_SYSTEM, EPHEMERAL_PORTS
from pcapreport.tcp import addresses
from pcapreport.tcp.connections import CLIENT, ConnectionTable
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.history import EndpointHistory, TimeWait
from pcapreport.tcp.states import State

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]
Waits = npt.NDArray[np.void]

WAIT = np.dtype([
    ("version", "u1"), ("host_hi", "u8"), ("host_lo", "u8"), ("port", "u2"),
    ("server_hi", "u8"), ("server_lo", "u8"), ("server_port", "u2"), ("client", "?"),
    ("since", "i8"), ("until", "i8"), ("frame", "i8"),
])  # fmt: skip
"""One TIME-WAIT: address and port of who holds it and of the other end, whether it was the client; ns; the frame with
which it began (0: none)."""

MOST_HOSTS = 1_000

HOST, SERVER = ("version", "host_hi", "host_lo"), ("server_hi", "server_lo", "server_port")


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
        waits["client"] = side == CLIENT
        _fill_ends(waits, table, connection, side)
        self._waits.append(waits)

    def join(self, other: TimeWaitPopulation) -> None:
        """And those of later parts."""
        self._waits += other._waits

    def hosts(self, most: int = MOST_HOSTS) -> list[HostWaits]:
        """Those that held any, the one with the highest peak first, at most so many."""
        waits = np.concatenate(self._waits)
        if not len(waits):
            return []
        host = _hashed(waits, HOST)
        peaks = _peaks(host, waits["since"], waits["until"])
        who = waits[peaks.first]
        numbers = (who["host_lo"], who["host_hi"], who["version"])
        order = np.lexsort((*numbers, peaks.at, -peaks.total, -peaks.held))[:most]
        crowds = _busiest(waits[np.isin(host, peaks.key[order]) & waits["client"]])
        found = []
        for number in order.tolist():
            name = addresses.text_of(*who[number][[*HOST]].item())
            found.append(HostWaits(name, int(peaks.total[number]), peaks.peak(number), crowds.get(name)))
        return found

    def held(self, address: str, most: int) -> tuple[Ints, Ints]:
        """(since when, ns, how many) a host held, at most so many steps: of each stretch the highest is kept."""
        waits = np.concatenate(self._waits)
        waits = waits[_hashed(waits, HOST) == addresses.hash_of(address)]
        time = np.concatenate([waits["until"], waits["since"]])
        change = np.repeat([-1, 1], len(waits))
        order = np.argsort(time, kind="stable")  # at one moment an end comes first
        time, count = time[order], np.cumsum(change[order])
        if len(time) > most:
            starts = np.arange(0, len(time), -(-len(time) // most))
            count, time = np.maximum.reduceat(count, starts), time[starts]
        return time, count

    def frames(self, crowd: Crowd) -> tuple[int, ...]:
        """With which those TIME-WAITs began that were held at the peak, ascending."""
        found = []
        for part in self._waits:
            held = (part["since"] <= crowd.peak.at) & (part["until"] > crowd.peak.at) & (part["frame"] > 0)
            held &= part["client"] & (_hashed(part, HOST + SERVER) == crowd.key)
            found.append(part["frame"][held])
        return tuple(np.unique(np.concatenate(found)).tolist())


def _busiest(waits: Waits) -> dict[str, Crowd]:
    """By the host that is their client, of TIME-WAITs that clients hold."""
    key = _hashed(waits, HOST + SERVER)
    by_key = np.argsort(key, kind="stable")
    key, waits = key[by_key], waits[by_key]
    peaks = _peaks(key, waits["since"], waits["until"])
    who = waits[peaks.first]
    host = _hashed(who, HOST)
    servers = (who["server_port"], who["server_lo"], who["server_hi"])
    order = np.lexsort((*servers, peaks.at, -peaks.held, host))
    best = order[np.unique(host[order], return_index=True)[1]]
    found = {}
    for number in best.tolist():
        version, high, low, server_high, server_low, port = who[number][[*HOST, *SERVER]].item()
        mine = waits["port"][key == peaks.key[number]]
        found[addresses.text_of(version, high, low)] = Crowd(
            addresses.text_of(version, server_high, server_low),
            port,
            peaks.peak(number),
            (int(mine.min()), int(mine.max())),
            int(peaks.key[number]),
        )
    return found


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


def _fill_ends(waits: Waits, table: ConnectionTable, connection: Ints, side: Ints) -> None:
    first = table.bounds[connection]
    row, sent = table.row[first], table.side[first] == side
    waits["version"] = table.packets["ip_version"][row]
    columns = (("host_hi", "src_hi", "dst_hi"), ("host_lo", "src_lo", "dst_lo"), ("port", "sport", "dport"))
    for name, source, target in columns:
        a, b = table.packets[source][row], table.packets[target][row]
        waits[name] = np.where(sent, a, b)
        waits[name.replace("host", "server") if name != "port" else "server_port"] = np.where(sent, b, a)


def _hashed(waits: Waits, names: Sequence[str]) -> Numbers:
    return addresses.hashed([waits[name] for name in names])


class _Peaks(NamedTuple):
    """By key, ascending; all (keys,)."""

    key: Numbers
    first: Ints
    """The number of its first entry."""
    total: Ints
    held: Ints
    at: Ints

    def peak(self, number: int) -> Peak:
        return Peak(int(self.held[number]), int(self.at[number]))


def _peaks(key: Numbers, since: Ints, until: Ints) -> _Peaks:
    """The peak of each key: one pass over all entries and ends in order of time."""
    keys, first, owner = np.unique(key, return_index=True, return_inverse=True)
    if not len(keys):
        none = np.empty(0, np.int64)
        return _Peaks(keys, none, none, none, none)
    small = owner.astype(np.min_scalar_type(len(keys)))  # 16 bits are sorted many times faster than 64
    zero = int(since.min())
    marked = np.concatenate([2 * (until - zero), 2 * (since - zero) + 1])  # at one moment an end comes first
    order = np.argsort(marked)
    order = order[np.argsort(np.concatenate([small, small])[order], kind="stable")]
    marked = marked[order]
    held = np.cumsum(2 * (marked & 1) - 1)
    total = np.bincount(owner)
    starts = np.cumsum(2 * total) - 2 * total
    most = np.maximum.reduceat(held, starts)
    reached = np.flatnonzero(held == np.repeat(most, 2 * total))
    at = (marked[reached[np.searchsorted(reached, starts)]] >> 1) + zero
    return _Peaks(keys, first, total, most, at)
