"""What each host's SYNs and SYN-ACKs look like, gathered while a capture is read: hosts are told apart by it.

Kept for the capture as a whole, so that what is said of a host does not depend on how much memory the rows may take.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable

OPENING = np.dtype(
    [("ip_version", "u1"), ("src_hi", "u8"), ("src_lo", "u8"), ("answer", "?"), ("ttl", "u1"), ("option_order", "u4"),
     ("mss", "u2"), ("window", "u2"), ("window_scale", "i1"), ("count", "i8")]
)  # fmt: skip
"""One way in which a host opens connections (`answer`: its SYN-ACKs), and how often it did."""

MOST = 1 << 20
"""Different ones kept; a flood of SYNs from made-up addresses has no end of them."""
FEWEST_MERGED = 1 << 15

_ALIKE = [name for name in OPENING.names or () if name != "count"]


def opens(flags: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Which of these are the flags of a SYN or a SYN-ACK, with no FIN or RST."""
    control = flags & (Flag.SYN | Flag.FIN | Flag.RST)
    found: npt.NDArray[np.bool_] = control == Flag.SYN
    return found


def openings_of(table: PacketTable, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """Of these rows, each a SYN or SYN-ACK; each counts once."""
    found = np.ones(len(rows), OPENING)
    for name in _ALIKE:
        found[name] = (table["flags"][rows] & Flag.ACK) != 0 if name == "answer" else table[name][rows]
    return found


class Openings:
    """Different openings, counted."""

    def __init__(self) -> None:
        self._known = np.empty(0, OPENING)
        self._waiting: list[npt.NDArray[np.void]] = []
        self._count = 0

    def add(self, table: PacketTable) -> None:
        """Take note of the SYNs and SYN-ACKs of a table."""
        rows = np.flatnonzero(opens(table["flags"]))
        if not len(rows):
            return
        found = openings_of(table, rows)
        self._waiting.append(found)
        self._count += len(found)
        if self._count > max(len(self._known), FEWEST_MERGED):
            self._merge()

    def _merge(self) -> None:
        """Count equal ones together. Those known are kept first."""
        seen = np.concatenate([self._known, *self._waiting])
        old = np.arange(len(seen)) >= len(self._known)
        order = np.lexsort([old, *(seen[name] for name in _ALIKE)])
        seen = seen[order]
        differs = np.zeros(len(seen), bool)
        differs[:1] = True
        for name in _ALIKE:
            differs[1:] |= seen[name][1:] != seen[name][:-1]
        first = np.flatnonzero(differs)
        merged = seen[first]
        merged["count"] = np.add.reduceat(seen["count"], first) if len(first) else 0
        if len(merged) > MOST:
            merged = merged[np.sort(np.argsort(old[order][first], kind="stable")[:MOST])]
        self._known, self._waiting, self._count = merged, [], 0

    def all(self) -> npt.NDArray[np.void]:
        """Of type OPENING: each once."""
        if self._waiting:
            self._merge()
        return self._known

    @classmethod
    def of(cls, table: PacketTable) -> npt.NDArray[np.void]:
        """Of a table that is all there is."""
        openings = cls()
        openings.add(table)
        return openings.all()
