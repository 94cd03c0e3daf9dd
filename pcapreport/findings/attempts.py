"""Every attempt to open a connection, as columns: who, to which address and port, when, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.model import Evidence
from pcapreport.tcp import addresses
from pcapreport.tcp.connections import CLIENT
from pcapreport.tcp.evidence import ACK, SYN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Table = npt.NDArray[np.void]

OPENED, REFUSED, HALF_OPEN, SILENT, PERSISTENT = range(5)
"""What came of it: HALF_OPEN: there was an answer, never the third step; SILENT: none, and it was not tried again;
PERSISTENT: none, though it was tried again, as real clients do (RFC 6298 section 5.7)."""
RESULTS = {"refused": REFUSED, "incomplete": HALF_OPEN, "unanswered": SILENT}
ATTEMPT = np.dtype([
    ("version", "u1"), ("client_hi", "u8"), ("client_lo", "u8"), ("server_hi", "u8"), ("server_lo", "u8"),
    ("port", "u2"), ("at", "i8"), ("frame", "i8"), ("result", "u1"),
])  # fmt: skip
HOST, SERVER = ("version", "client_hi", "client_lo"), ("version", "server_hi", "server_lo")


class Groups(NamedTuple):
    """Attempts sorted by a key and time, and where each key begins and ends: (keys + 1,)."""

    attempts: Table
    bounds: Ints


def attempts_of(evidence: Evidence) -> Table:
    """One row for each connection that begins with its client's SYN."""
    table = evidence.table
    first = table.bounds[:-1]
    control = table.flags[first] & (SYN | ACK)
    chosen = np.flatnonzero((control == SYN) & (table.side[first] == CLIENT))
    first = first[chosen]
    packets, row = table.packets, table.row[first]
    found = np.empty(len(chosen), ATTEMPT)
    found["version"] = packets["ip_version"][row]
    for name, source in (("client_hi", "src_hi"), ("client_lo", "src_lo"), ("server_hi", "dst_hi")):
        found[name] = packets[source][row]
    found["server_lo"], found["port"] = packets["dst_lo"][row], packets["dport"][row]
    found["at"], found["frame"] = table.time_ns[first], table.frame[first]
    results = np.full(len(table), OPENED)
    for family in evidence.histories.families:
        results[family.members] = RESULTS.get(family.like.opening, OPENED)
    again = _tried_again(evidence)
    found["result"] = np.where((results == SILENT) & again, PERSISTENT, results)[chosen]
    return found


def _tried_again(evidence: Evidence) -> Bools:
    """Per connection: the client sent its SYN more than once."""
    table, passes = evidence.table, evidence.passes
    syns = ((table.flags & (SYN | ACK)) == SYN) & (passes.original < 0) & (table.side == CLIENT)
    return np.asarray(np.bincount(passes.connection[syns], minlength=len(table)) > 1)


def grouped(attempts: Table, names: tuple[str, ...]) -> Groups:
    """By these fields; ascending in time within each group."""
    key = addresses.hashed([attempts[name] for name in names])
    order = np.lexsort((attempts["at"], key))
    attempts, key = attempts[order], key[order]
    steps = np.flatnonzero(key[1:] != key[:-1]) + 1
    return Groups(attempts, np.concatenate([[0], steps, [len(key)]]))


def densest(times: Ints, window: int) -> tuple[int, int]:
    """Of ascending times, the slice that holds the most of them within a window of so many ns (the first such)."""
    start = np.searchsorted(times, times - window)
    last = int(np.argmax(np.arange(len(times)) - start))
    return int(start[last]), last + 1
