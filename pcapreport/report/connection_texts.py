"""All connections of a part as JSON, column by column: without detail and without their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pcapreport.report import model
from pcapreport.report.connection_records import Records
from pcapreport.report.history_records import endpoints_texts
from pcapreport.report.ladder import worst
from pcapreport.report.measures import Totals, metrics_slots
from pcapreport.report.stencil import NULL, Stencil, strings
from pcapreport.report.times import Clock
from pcapreport.report.vantage_words import vantage_slots
from pcapreport.tcp import hashing
from pcapreport.tcp.connections import CLIENT, OPENER_TEXT, SERVER, OpenerEvidence
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.vantage import Vantages

_FILTER = (
    "{0}.addr == {1} && {0}.addr == {2} && tcp.port == {3} && tcp.port == {4}"
    " && frame.number >= {5} && frame.number <= {6}"
)
"""A display filter that needs no stream index and tells incarnations of the same ports apart."""
_SIDES = (CLIENT, SERVER)
AT_ONCE = 8_000
"""Connections that are told together: their texts take some 70 MB on the way."""
Ints = npt.NDArray[np.int64]
_encode = model.encoder().encode


def connection_texts(part: Records) -> Iterator[tuple[Ints, Iterator[bytes]]]:
    """All connections of the part, some of them at a time: (which they are, each encoded)."""
    for families in _some(part.evidence.histories.families):
        some = np.concatenate([family.members for family in families])
        yield some, _texts(part, some, families)


def _some(families: Iterable[Family]) -> Iterator[list[Family]]:
    """About AT_ONCE members at a time."""
    some: list[Family] = []
    room = AT_ONCE
    for family in families:
        for start in range(0, len(family.members), AT_ONCE):
            some.append(family.only(family.members[start : start + AT_ONCE]))
            room -= len(some[-1].members)
            if room <= 0:
                yield some
                some, room = [], AT_ONCE
    if some:
        yield some


def _texts(part: Records, of: Ints, families: Sequence[Family]) -> Iterator[bytes]:
    """Connections `of`, which are the members of these families, encoded."""
    evidence, clock, which = part.evidence, part.clock, of.tolist()
    table, histories, bounds = evidence.table, evidence.histories, part.bounds
    sums = Totals._make(column[of] for column in part.sums)
    vantages = Vantages._make(column[of] for column in evidence.vantages)
    stencil, ends = Stencil(len(of)), table.ends[of]
    first, last = stencil.numbers(bounds.first_frame[of]), stencil.numbers(bounds.last_frame[of])
    version = stencil.texts([b"ip" if version == 4 else b"ipv6" for version in ends[:, CLIENT, 0].tolist()])
    endpoints = [table.all_endpoints[one] for one in which]
    addresses = [stencil.texts([both[side].address.encode() for both in endpoints]) for side in _SIDES]
    ports = [stencil.numbers(ends[:, side, 3]) for side in _SIDES]
    client, server = (
        model.Endpoint(address=stencil.string("{}", address), port=port)
        for address, port in zip(addresses, ports, strict=True)
    )
    opening, closing = ([_encode(getattr(family.like, name)) for family in families] for name in ("opening", "closing"))
    record = model.Connection(
        id=0,
        client=client,
        server=server,
        start_s=stencil.seconds(bounds.start_ns[of], clock.zero_ns),
        end_s=stencil.seconds(bounds.end_ns[of], clock.zero_ns),
        packets=stencil.numbers(sums.packets.sum(axis=1)),
        opening=stencil.texts(_of_members(families, opening)),
        closing=stencil.texts(_of_members(families, closing)),
        endpoints=stencil.texts(_histories(families, histories, evidence.vantages.round_trip, clock)),
        findings=stencil.texts([_encode(part.told[one]) if part.told[one] else b"[]" for one in which]),
        metrics=metrics_slots(stencil, sums, part.times.of(of)),
        first_frame=first,
        last_frame=last,
        opener_known_by=stencil.texts(_openers(table.opener[of])),
        filter=stencil.string(_FILTER, version, *addresses, *ports, first, last),
        severity=stencil.texts([_encode(worst(part.found[one])) if part.found[one] else NULL for one in which]),
        anchor=stencil.texts(_anchors(ends, sums.isn, bounds.first_frame[of])),
        encapsulation=stencil.texts(strings([table.paths[one] for one in which])),
        vantage=vantage_slots(stencil, vantages),
        detail=None,
    )
    return stencil.fill(record)


def _of_members(families: Sequence[Family], texts: Sequence[bytes]) -> list[bytes]:
    """What is one text for all members of a family."""
    return [text for family, text in zip(families, texts, strict=True) for _ in range(len(family.members))]


def _histories(families: Sequence[Family], histories: Histories, round_trip: Ints, clock: Clock) -> list[bytes]:
    return [text for family in families for text in endpoints_texts(family, histories, round_trip, clock)]


def _openers(how: npt.NDArray[np.uint8]) -> list[bytes]:
    texts = {int(one): _encode(OPENER_TEXT[one]) for one in OpenerEvidence}
    return [texts[one] for one in how.tolist()]


def _anchors(ends: npt.NDArray[np.uint64], isn: npt.NDArray[np.uint32], first_frame: Ints) -> list[bytes]:
    """A stable id from content: the same connection has it in every report on the same capture."""
    content = [*ends.reshape(len(ends), 8).T, isn[:, CLIENT], first_frame]
    marks = hashing.mixed([column.astype(np.uint64) for column in content])
    digits = marks.astype(">u8").tobytes().hex().encode()
    return [b'"c-%b"' % digits[at : at + 12] for at in range(0, len(digits), 16)]
