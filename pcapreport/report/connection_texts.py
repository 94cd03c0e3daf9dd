"""All connections of a part as JSON, column by column: without detail and without their numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pcapreport.report import model
from pcapreport.report.connection_records import Records
from pcapreport.report.history_records import endpoints_texts
from pcapreport.report.ladder import worst
from pcapreport.report.measures import metrics_slots
from pcapreport.report.stencil import NULL, Stencil, strings
from pcapreport.report.vantage_words import vantage_slots
from pcapreport.tcp import hashing
from pcapreport.tcp.connections import CLIENT, OPENER_TEXT, SERVER, OpenerEvidence
from pcapreport.tcp.families import Histories

_FILTER = (
    "{0}.addr == {1} && {0}.addr == {2} && tcp.port == {3} && tcp.port == {4}"
    " && frame.number >= {5} && frame.number <= {6}"
)
"""A display filter that needs no stream index and tells incarnations of the same ports apart."""
_SIDES = (CLIENT, SERVER)
_encode = model.encoder().encode


def connection_texts(part: Records) -> Iterator[bytes]:
    """Each connection encoded, in order."""
    evidence, clock = part.evidence, part.clock
    table, histories, vantages = evidence.table, evidence.histories, evidence.vantages
    stencil = Stencil(len(table))
    first, last = stencil.numbers(part.bounds.first_frame), stencil.numbers(part.bounds.last_frame)
    family = stencil.texts([b"ip" if version == 4 else b"ipv6" for version in table.ends[:, CLIENT, 0].tolist()])
    addresses = [stencil.texts([ends[side].address.encode() for ends in table.all_endpoints]) for side in _SIDES]
    ports = [stencil.numbers(table.ends[:, side, 3]) for side in _SIDES]
    client, server = (
        model.Endpoint(address=stencil.string("{}", address), port=port)
        for address, port in zip(addresses, ports, strict=True)
    )
    opening, closing = _kinds(histories)
    record = model.Connection(
        id=0,
        client=client,
        server=server,
        start_s=stencil.seconds(part.bounds.start_ns, clock.zero_ns),
        end_s=stencil.seconds(part.bounds.end_ns, clock.zero_ns),
        packets=stencil.numbers(part.sums.packets.sum(axis=1)),
        opening=stencil.texts(opening),
        closing=stencil.texts(closing),
        endpoints=stencil.texts(endpoints_texts(histories, vantages.round_trip, clock)),
        findings=stencil.texts([_encode(told) if told else b"[]" for told in part.told]),
        metrics=metrics_slots(stencil, part.sums, part.times),
        first_frame=first,
        last_frame=last,
        opener_known_by=stencil.texts(_openers(table.opener)),
        filter=stencil.string(_FILTER, family, *addresses, *ports, first, last),
        severity=stencil.texts([_encode(worst(found)) if found else NULL for found in part.found]),
        anchor=stencil.texts(_anchors(part)),
        encapsulation=stencil.texts(strings(table.paths)),
        vantage=vantage_slots(stencil, vantages),
        detail=None,
    )
    return stencil.fill(record)


def _kinds(histories: Histories) -> tuple[list[bytes], list[bytes]]:
    """How each connection opened and closed."""
    opening, closing = ([b""] * len(histories) for _ in range(2))
    for family in histories.families:
        opened, closed = _encode(family.like.opening), _encode(family.like.closing)
        for connection in family.members.tolist():
            opening[connection], closing[connection] = opened, closed
    return opening, closing


def _openers(how: npt.NDArray[np.uint8]) -> list[bytes]:
    texts = {int(one): _encode(OPENER_TEXT[one]) for one in OpenerEvidence}
    return [texts[one] for one in how.tolist()]


def _anchors(part: Records) -> list[bytes]:
    """A stable id from content: the same connection has it in every report on the same capture."""
    table = part.evidence.table
    content = [*table.ends.reshape(len(table), 8).T, part.sums.isn[:, CLIENT], part.bounds.first_frame]
    marks = hashing.mixed([column.astype(np.uint64) for column in content])
    digits = marks.astype(">u8").tobytes().hex().encode()
    return [b'"c-%b"' % digits[at : at + 12] for at in range(0, len(digits), 16)]
