"""What the document tells of a capture for an index over many: its busiest hosts, its slowest connections, and by what
its connections are known in other captures of them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pcapreport.findings.model import Evidence
from pcapreport.report import model
from pcapreport.report.connection_records import Records
from pcapreport.settings import SECOND
from pcapreport.tcp import addresses, hashing

TALKERS = 20
SLOWEST = 3
KNOWN_BY = 40
"""Connections of a capture that are kept to be looked for in others: those with the lowest hashes, so that captures
which share many connections keep the same ones of them."""
_COUNTS = ("connections", "packets", "sent", "received")

Numbers = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


class _Slow(NamedTuple):
    """A slow connection, the slowest in front."""

    faster: int
    """Minus the time it took, in ns."""
    frame: int
    place: int
    """In the store."""
    told: model.SlowConnection


class AcrossCaptures:
    """Adds up the parts of a capture."""

    def __init__(self) -> None:
        self._hosts = np.zeros((0, 4), np.uint64)
        """Hash, IP version and both halves of each address."""
        self._counts = np.zeros((0, len(_COUNTS)), np.int64)
        self._slow: dict[str, list[_Slow]] = {"handshake": [], "response": []}
        self._known: dict[int, tuple[int, int]] = {}
        """Hash -> (first frame, place) of the connections with the lowest hashes."""
        self._trips: list[Ints] = []

    def add(self, part: Records, place: int) -> None:
        """Take note of whole connections, which have the places in the store from this one on."""
        if not len(part.evidence.table):
            return
        evidence = part.evidence
        trips = evidence.passes.round_trip_ns
        self._trips.append(trips[trips >= 0])
        ends = _ends(evidence)
        self._count_hosts(evidence, ends)
        self._know(evidence, ends, part, place)
        self._slowest("handshake", part.sums.handshake_ns, part, place)
        self._slowest("response", part.times.longest_ns, part, place)

    def _count_hosts(self, evidence: Evidence, ends: Numbers) -> None:
        """Each packet once, however often it was captured."""
        table = evidence.table
        once = np.flatnonzero(table.original < 0)
        flow, flows = table.connection[once] * 2 + table.side[once], 2 * len(table)
        sizes = table.packets["wire_len"][table.row[once]].astype(np.float64)
        sent = np.bincount(flow, sizes, flows).astype(np.int64)
        packets = np.bincount(flow, minlength=flows)
        received = sent.reshape(-1, 2)[:, ::-1].ravel()
        self._add_hosts(ends[:, :4], np.stack([np.ones(flows, np.int64), packets, sent, received], axis=1))

    def _add_hosts(self, more: Numbers, counts: Ints) -> None:
        hosts = np.concatenate([self._hosts, more])
        _, first, which = np.unique(hosts[:, 0], return_index=True, return_inverse=True)
        every = np.concatenate([self._counts, counts])
        self._counts = np.zeros((len(first), len(_COUNTS)), np.int64)
        np.add.at(self._counts, which, every)
        self._hosts = hosts[first]

    def _know(self, evidence: Evidence, ends: Numbers, part: Records, place: int) -> None:
        """Initial numbers of both sides with both endpoints: the same wherever the connection is captured."""
        table = evidence.table
        both = np.flatnonzero(table.isn_seen.all(axis=1))
        sides = [ends[side::2][both] for side in (0, 1)]
        isn = table.isn[both].astype(np.uint64)
        keys = hashing.mixed([*(side[:, column] for side in sides for column in (0, 4)), isn[:, 0], isn[:, 1]])
        for at in np.argsort(keys, kind="stable").tolist():
            key, index = int(keys[at]), int(both[at])
            if len(self._known) >= KNOWN_BY and key > max(self._known):
                break
            found = int(part.bounds.first_frame[index]), place + index
            self._keep_known(key, found)

    def _keep_known(self, key: int, found: tuple[int, int]) -> None:
        self._known[key] = min(found, self._known.get(key, found))
        if len(self._known) > KNOWN_BY:
            del self._known[max(self._known)]

    def _slowest(self, kind: str, took_ns: Ints, part: Records, place: int) -> None:
        slowest = []
        endpoints = part.evidence.table.all_endpoints
        for index in np.argsort(-took_ns, kind="stable")[:SLOWEST].tolist():
            took = int(took_ns[index])
            if took < 0:
                break
            client, server = (model.Endpoint(address=end.address, port=end.port) for end in endpoints[index])
            slow = model.SlowConnection(connection=0, client=client, server=server, took_s=took / SECOND)
            slowest.append(_Slow(-took, int(part.bounds.first_frame[index]), place + index, slow))
        self._keep_slowest(kind, slowest)

    def _keep_slowest(self, kind: str, more: Sequence[_Slow]) -> None:
        self._slow[kind] = heapq.nsmallest(SLOWEST, [*self._slow[kind], *more], key=lambda one: one[:2])

    def join(self, other: AcrossCaptures, place: int) -> None:
        """And later parts, whose connections have the places in the store from this one on."""
        self._trips += other._trips
        self._add_hosts(other._hosts, other._counts)
        for kind, slow in other._slow.items():
            self._keep_slowest(kind, [one._replace(place=one.place + place) for one in slow])
        for key, (frame, at) in other._known.items():
            self._keep_known(key, (frame, at + place))

    def record(self, numbers: Ints) -> model.Across:
        """Given the number of the connection at each place."""
        return model.Across(
            talkers=self._talkers(),
            hosts=len(self._hosts),
            slowest_handshakes=_numbered(self._slow["handshake"], numbers),
            slowest_responses=_numbered(self._slow["response"], numbers),
            round_trip_s=self._round_trip(),
            known_by={f"{key:016x}": int(numbers[place]) for key, (_, place) in sorted(self._known.items())},
        )

    def _round_trip(self) -> float | None:
        trips = np.concatenate(self._trips) if self._trips else np.zeros(0, np.int64)
        return int(np.median(trips)) / SECOND if len(trips) else None

    def _talkers(self) -> list[model.Talker]:
        sent, received = self._counts[:, 2], self._counts[:, 3]
        order = np.lexsort((self._hosts[:, 0], -sent, -sent - received))[:TALKERS]
        found = []
        for (_, version, high, low), counts in zip(
            self._hosts[order].tolist(), self._counts[order].tolist(), strict=True
        ):
            connections, packets, sent, received = counts
            found.append(
                model.Talker(
                    address=addresses.text_of(version, high, low),
                    connections=connections,
                    packets=packets,
                    sent_bytes=sent,
                    received_bytes=received,
                )
            )
        return found


def _ends(evidence: Evidence) -> Numbers:
    """(2c, 5): of each connection's client, then server, the address's hash, IP version and halves, and the port."""
    ends = evidence.table.ends.reshape(-1, 4)
    hashed = hashing.mixed([ends[:, 0], ends[:, 1], ends[:, 2]])
    return np.column_stack([hashed, ends])


def _numbered(found: Sequence[_Slow], numbers: Ints) -> list[model.SlowConnection]:
    return [replace(one.told, connection=int(numbers[one.place])) for one in found]
