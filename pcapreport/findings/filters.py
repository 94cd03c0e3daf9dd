"""Signs that a SYN without an answer met a filter: an ICMP error, or other ports of the host that answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.packet_table import Flag
from pcapreport.findings.grouping import Ints
from pcapreport.findings.model import Alternative, Confidence, Evidence, Side
from pcapreport.tcp import addresses
from pcapreport.tcp.connections import SERVER, Endpoint
from pcapreport.tcp.sequence import MODULUS

PROHIBITED_4 = {(3, 9), (3, 10), (3, 13)}
"""RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1: administratively prohibited network, host, communication."""
PROHIBITED_6 = {(1, 1), (1, 5), (1, 6)}
"""RFC 4443 section 3.1: administratively prohibited, failed policy, reject route."""
OWN_FILTER = Alternative("The filter is on the server's own host.", Confidence.MEDIUM)
FULL = Alternative("The server's queue for this port is full, or its host just went down.", Confidence.LOW)


class FilterSign(NamedTuple):
    """Why a filter is to be believed."""

    words: str
    side: Side
    confidence: Confidence
    alternatives: tuple[Alternative, ...]


class FilterSigns:
    """What tells of filters in a part of the capture, for the connections that were not answered."""

    def __init__(self, evidence: Evidence, unanswered: Sequence[int]) -> None:
        self._evidence = evidence
        self._endpoints = evidence.table.all_endpoints
        self._prohibited: defaultdict[tuple[Endpoint, Endpoint], list[IcmpError]] = defaultdict(list)
        for error in evidence.capture.icmp_errors:
            if (error.type, error.code) in (PROHIBITED_6 if ":" in error.src else PROHIBITED_4):
                self._prohibited[Endpoint(error.src, error.sport), Endpoint(error.dst, error.dport)].append(error)
        self._answering: defaultdict[str, dict[int, int]] = defaultdict(dict)
        """By address of a server: the ports that answered, with the first frame that did."""
        for row in _first_answers(evidence, unanswered).tolist():
            server = self._endpoints[int(evidence.passes.connection[row])][SERVER]
            self._answering[server.address].setdefault(server.port, int(evidence.table.frame[row]))

    def of(self, connection: int) -> FilterSign | None:
        """The best sign for a connection, or None."""
        client, server = self._endpoints[connection]
        isn = int(self._evidence.table.isn[connection, 0])
        for error in self._prohibited.get((client, server), ()):
            if error.seq % MODULUS == isn:
                own = error.sender == server.address
                who = "the server's host" if own else f"the router {error.sender}"
                words = f"{who} said by ICMP that it is prohibited (frame {error.frame})"
                return FilterSign(words, Side.SERVER if own else Side.NETWORK, Confidence.HIGH, ())
        answering = self._answering.get(server.address, {})
        if not answering or server.port in answering:
            return None
        port, frame = min(answering.items(), key=lambda one: one[1])
        words = f"but port {port} of that host answers (frame {frame}), and a closed port would have refused"
        return FilterSign(words, Side.NETWORK, Confidence.MEDIUM, (OWN_FILTER, FULL))


def _first_answers(evidence: Evidence, unanswered: Sequence[int]) -> Ints:
    """The first row with which each port answered, of the servers that these connections turned to."""
    table = evidence.table
    silent = np.zeros(len(table), bool)
    silent[unanswered] = True
    first, version = table.bounds[:-1], table.packets["ip_version"]
    ends = []
    for high, low, port in (("src_hi", "src_lo", "sport"), ("dst_hi", "dst_lo", "dport")):
        ends.append([table.packets[name][table.row[first]] for name in (high, low, port)])
    from_server = table.side[first] == SERVER
    high, low, port = (np.where(from_server, sent, got) for sent, got in zip(*ends, strict=True))
    host = addresses.hashed([version[table.row[first]], high, low])
    met = np.isin(host, host[silent])
    answer = (table.side == SERVER) & ((table.flags & (Flag.SYN | Flag.RST)) != 0)
    rows = np.flatnonzero(answer & met[evidence.passes.connection])
    owner = evidence.passes.connection[rows]
    once = np.unique(host[owner] ^ port[owner].astype(np.uint64), return_index=True)[1]
    return np.asarray(rows[once])
