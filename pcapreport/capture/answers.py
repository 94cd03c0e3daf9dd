"""Which ports of which hosts answered a SYN, by accepting or by refusing, gathered while a capture is read.

Kept for the capture as a whole, so that what is said of a silent port does not depend on how much memory the rows may
take.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable

ANSWER = np.dtype([("ip_version", "u1"), ("src_hi", "u8"), ("src_lo", "u8"), ("sport", "u2"), ("frame", "i8")])
"""A port that answered, and the first frame in which it did."""

MOST = 1 << 18
"""Different ports kept."""
FEWEST_MERGED = 1 << 15
_PORT = ["ip_version", "src_hi", "src_lo", "sport"]


class Answers:
    """Ports that answered, each once."""

    def __init__(self) -> None:
        self._known = np.empty(0, ANSWER)
        self._waiting: list[npt.NDArray[np.void]] = []
        self._count = 0

    def add(self, table: PacketTable) -> None:
        """Take note of SYN-ACKs, and of RSTs that refuse a SYN: with ACK and number 0 (RFC 9293 section 3.10.7.1)."""
        flags = table["flags"]
        accepts = (flags & (Flag.SYN | Flag.ACK | Flag.RST)) == (Flag.SYN | Flag.ACK)
        refuses = ((flags & (Flag.SYN | Flag.ACK | Flag.RST)) == (Flag.RST | Flag.ACK)) & (table["seq"] == 0)
        rows = np.flatnonzero(accepts | refuses)
        if not len(rows):
            return
        found = np.empty(len(rows), ANSWER)
        for name in ANSWER.names or ():
            found[name] = table[name][rows]
        self._waiting.append(found)
        self._count += len(found)
        if self._count > max(len(self._known), FEWEST_MERGED):
            self._merge()

    def _merge(self) -> None:
        """Keep the first of each port."""
        seen = np.concatenate([self._known, *self._waiting])
        seen = seen[np.lexsort([seen["frame"], *(seen[name] for name in _PORT)])]
        differs = np.zeros(len(seen), bool)
        differs[:1] = True
        for name in _PORT:
            differs[1:] |= seen[name][1:] != seen[name][:-1]
        merged = seen[differs]
        if len(merged) > MOST:
            merged = merged[np.sort(np.argsort(merged["frame"], kind="stable")[:MOST])]
        self._known, self._waiting, self._count = merged, [], 0

    def all(self) -> npt.NDArray[np.void]:
        """Of type ANSWER: each port once."""
        if self._waiting:
            self._merge()
        return self._known
