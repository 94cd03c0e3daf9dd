"""What the index tells of all captures together: rules against captures, the busiest hosts, the slowest connections,
connections that are in several files, and what could not be read.

Each list is bounded; how much it leaves out is part of it.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pcapreport.batch.index import READ, IndexEntry, Slow
from pcapreport.findings.rules import RULES
from pcapreport.report.model import RuleCount, Severity
from pcapreport.report.wording import SEVERITY_RANK

HEAT_CAPTURES = 40
HOSTS = 20
SLOWEST = 15
SHARED = 50
FAILURES = 200
NAMED = 6
"""Files of one group that are named."""


class HeatRule(NamedTuple):
    """A rule over all captures."""

    id: str
    title: str
    severity: Severity
    """Of the worst finding."""
    captures: int
    findings: int


class HeatRow(NamedTuple):
    """A capture, and what it has of each rule."""

    entry: IndexEntry
    cells: list[RuleCount | None]


class Heat(NamedTuple):
    """Rules against captures."""

    rules: list[HeatRule]
    """All that were met, the gravest first."""
    rows: list[HeatRow]
    left_out: int
    """Captures with findings that have no row."""


class BusyHost(NamedTuple):
    """A host over all captures."""

    address: str
    captures: int
    connections: int
    packets: int
    sent: int
    received: int


class Busy(NamedTuple):
    """The hosts that sent and received most."""

    hosts: list[BusyHost]
    more: int
    """Others that are known."""
    uncounted: int
    """Captures with more hosts than they tell of."""


class SlowIn(NamedTuple):
    """A slow connection and the capture that it is in."""

    slow: Slow
    entry: IndexEntry


class Shared(NamedTuple):
    """Captures that hold the same connections."""

    connections: int
    """How many, of those that each capture tells of."""
    same_bytes: bool
    files: list[tuple[IndexEntry, int]]
    """Captures, and the number that the first of these connections has there."""
    more: int
    """Captures that are not named."""


class Overview(NamedTuple):
    """All of it."""

    heat: Heat
    busy: Busy
    handshakes: list[SlowIn]
    responses: list[SlowIn]
    shared: list[Shared]
    shared_left_out: int
    failures: list[IndexEntry]
    failures_left_out: int


def overview(ordered: Sequence[IndexEntry]) -> Overview:
    """Of captures, the worst first."""
    shared = in_several(ordered)
    failures = [entry for entry in ordered if entry.status not in READ]
    return Overview(
        heat=heat_map(ordered),
        busy=busiest(ordered),
        handshakes=slowest(SlowIn(one, entry) for entry in ordered for one in entry.slowest_handshakes),
        responses=slowest(SlowIn(one, entry) for entry in ordered for one in entry.slowest_responses),
        shared=shared[:SHARED],
        shared_left_out=max(len(shared) - SHARED, 0),
        failures=failures[:FAILURES],
        failures_left_out=max(len(failures) - FAILURES, 0),
    )


def heat_map(ordered: Sequence[IndexEntry]) -> Heat:
    """Every rule that any capture met, and the worst captures."""
    captures: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    worst: dict[str, Severity] = {}
    told = [entry for entry in ordered if entry.rules]
    for entry in told:
        for rule, count in entry.rules.items():
            captures[rule] += 1
            findings[rule] += count.findings
            worst[rule] = min(worst.get(rule, count.severity), count.severity, key=SEVERITY_RANK.__getitem__)
    order = sorted(captures, key=lambda rule: (SEVERITY_RANK[worst[rule]], -captures[rule], rule))
    rules = [HeatRule(rule, _title(rule), worst[rule], captures[rule], findings[rule]) for rule in order]
    rows = [HeatRow(entry, [entry.rules.get(rule) for rule in order]) for entry in told[:HEAT_CAPTURES]]
    return Heat(rules, rows, len(told) - len(rows))


def _title(rule: str) -> str:
    return RULES[rule].title if rule in RULES else rule


def busiest(entries: Iterable[IndexEntry]) -> Busy:
    """Added up over what each capture tells of its own busiest hosts."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    uncounted = 0
    for entry in entries:
        uncounted += entry.hosts > len(entry.talkers)
        for one in entry.talkers:
            told = sums[one.address]
            amounts = (1, one.connections, one.packets, one.sent_bytes, one.received_bytes)
            for place, amount in enumerate(amounts):
                told[place] += amount
    most = heapq.nsmallest(HOSTS, sums.items(), key=lambda one: (-one[1][3] - one[1][4], one[0]))
    return Busy([BusyHost(address, *told) for address, told in most], len(sums) - len(most), uncounted)


def slowest(found: Iterable[SlowIn]) -> list[SlowIn]:
    """The slowest of what each capture tells of its own."""
    return heapq.nsmallest(SLOWEST, found, key=lambda one: (-one.slow.took_s, one.entry.file, one.slow.connection))


def in_several(ordered: Sequence[IndexEntry]) -> list[Shared]:
    """Connections that are in several captures, those together that are in the same ones; most in common first."""
    keys, holders, numbers = array("Q"), array("L"), array("L")
    for place, entry in enumerate(ordered):
        for known in entry.known_by:
            key, _, number = known.partition(":")
            keys.append(int(key, 16))
            holders.append(place)
            numbers.append(int(number))
    groups: dict[tuple[int, ...], list[list[int]]] = defaultdict(list)
    for rows in _alike(keys):
        groups[tuple(holders[row] for row in rows)].append([numbers[row] for row in rows])
    found = [_shared([ordered[place] for place in places], told) for places, told in groups.items()]
    return sorted(found, key=lambda one: (-one.connections, one.files[0][0].file))


def _alike(keys: array[int]) -> list[list[int]]:
    """Positions of each key that stands at several, in order."""
    every = np.frombuffer(keys, np.uint64) if len(keys) else np.zeros(0, np.uint64)
    order = np.argsort(every, kind="stable")
    starts = np.flatnonzero(np.diff(every[order], prepend=every[order[:1]] + np.uint64(1)))
    bounds = pairwise([*starts.tolist(), len(order)])
    return [order[start:stop].tolist() for start, stop in bounds if stop - start > 1]


def _shared(entries: Sequence[IndexEntry], told: list[list[int]]) -> Shared:
    first = min(told)
    named = list(zip(entries, first, strict=True))[:NAMED]
    same = bool(entries[0].sha256) and len({entry.sha256 for entry in entries}) == 1
    return Shared(len(told), same, named, len(entries) - len(named))
