"""Signs that a SYN without an answer met a filter: an ICMP error, or other ports of the host that answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.icmp import IcmpError
from pcapreport.findings.model import Alternative, Confidence, Evidence, Side
from pcapreport.language import Text, phrase
from pcapreport.tcp import addresses
from pcapreport.tcp.connections import SERVER, Endpoint
from pcapreport.tcp.sequence import MODULUS

PROHIBITED_4 = {(3, 9), (3, 10), (3, 13)}
"""RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1: administratively prohibited network, host, communication."""
PROHIBITED_6 = {(1, 1), (1, 5), (1, 6)}
"""RFC 4443 section 3.1: administratively prohibited, failed policy, reject route."""
OWN_FILTER = Alternative(phrase("The filter is on the server's own host."), Confidence.MEDIUM)
FULL = Alternative(phrase("The server's queue for this port is full, or its host just went down."), Confidence.LOW)


class FilterSign(NamedTuple):
    """Why a filter is to be believed."""

    words: Text
    """What the summary ends with."""
    side: Side
    confidence: Confidence
    alternatives: tuple[Alternative, ...]


class FilterSigns:
    """What tells of filters, for the connections of a part of the capture that were not answered."""

    def __init__(self, evidence: Evidence, unanswered: Sequence[int]) -> None:
        self._evidence = evidence
        self._endpoints = evidence.table.all_endpoints
        self._prohibited: defaultdict[tuple[Endpoint, Endpoint], list[IcmpError]] = defaultdict(list)
        for error in evidence.capture.icmp_errors:
            if (error.type, error.code) in (PROHIBITED_6 if ":" in error.src else PROHIBITED_4):
                self._prohibited[Endpoint(error.src, error.sport), Endpoint(error.dst, error.dport)].append(error)
        self._answering: defaultdict[str, dict[int, int]] = defaultdict(dict)
        """By address of a server: the ports that answered, with the first frame that did."""
        for version, high, low, port, frame in _answers_of(evidence, unanswered).tolist():
            self._answering[addresses.text_of(version, high, low)][port] = frame

    def of(self, connection: int) -> FilterSign | None:
        """The best sign for a connection, or None."""
        client, server = self._endpoints[connection]
        isn = int(self._evidence.table.isn[connection, 0])
        for error in self._prohibited.get((client, server), ()):
            if error.seq % MODULUS == isn:
                own = error.sender == server.address
                words = _prohibition(error, own)
                return FilterSign(words, Side.SERVER if own else Side.NETWORK, Confidence.HIGH, ())
        answering = self._answering.get(server.address, {})
        if not answering or server.port in answering:
            return None
        port, frame = min(answering.items(), key=lambda one: one[1])
        words = phrase(
            "but port {port} of that host answers (frame {frame}), and a closed port would have refused",
            port=port,
            frame=frame,
        )
        return FilterSign(words, Side.NETWORK, Confidence.MEDIUM, (OWN_FILTER, FULL))


def _prohibition(error: IcmpError, own: bool) -> Text:
    """`own`: the server itself said so."""
    if own:
        return phrase("the server's host said by ICMP that it is prohibited (frame {frame})", frame=error.frame)
    return phrase(
        "the router {router} said by ICMP that it is prohibited (frame {frame})",
        router=error.sender,
        frame=error.frame,
    )


def _answers_of(evidence: Evidence, unanswered: Sequence[int]) -> npt.NDArray[np.void]:
    """Of the ports that answered anywhere in the capture, those of the servers that these connections turned to."""
    table, answers = evidence.table, evidence.capture.answers
    first = table.bounds[np.array(unanswered, np.int64)]
    row, from_server = table.row[first], table.side[first] == SERVER
    high, low = (
        np.where(from_server, table.packets[f"src_{half}"][row], table.packets[f"dst_{half}"][row])
        for half in ("hi", "lo")
    )
    met = addresses.hashed([table.packets["ip_version"][row], high, low])
    return answers[np.isin(addresses.hashed([answers[name] for name in ("ip_version", "src_hi", "src_lo")]), met)]
