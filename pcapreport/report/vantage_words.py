"""Where the capture was taken, as the document tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapreport.findings.wording import duration, side_name
from pcapreport.language import Text, counted, phrase
from pcapreport.report import model
from pcapreport.report.stencil import Stencil, numbers, seconds, strings
from pcapreport.tcp.connections import CLIENT, SERVER, Endpoint
from pcapreport.tcp.vantage import UNKNOWN_NS, Place, Vantage, Vantages

Ints = npt.NDArray[np.int64]

_CONCLUSION = {
    Place.CLIENT: phrase("on the client"),
    Place.SERVER: phrase("on the server"),
    Place.MIDDLE: phrase("between the two"),
}
_UNSAID = phrase("cannot be said")
_ALIKE = phrase("cannot be said, the two are too much alike")


def vantage_slots(stencil: Stencil, vantages: Vantages) -> model.Vantage:
    """The vantage of every connection."""
    known = vantages.round_trip != UNKNOWN_NS
    places = [place.name.lower() for place in Place]

    def distance(side: int) -> Any:
        return stencil.optional(known[:, side], seconds(vantages.round_trip[:, side]))

    def number(column: Ints) -> Any:
        return stencil.optional(column != 0, numbers(column))

    return model.Vantage(
        place=stencil.texts(strings([places[place] for place in vantages.place.tolist()])),
        client_round_trip_s=distance(CLIENT),
        server_round_trip_s=distance(SERVER),
        client_samples=number(vantages.samples[:, CLIENT]),
        server_samples=number(vantages.samples[:, SERVER]),
        client_ttl=number(vantages.ttl[:, CLIENT]),
        server_ttl=number(vantages.ttl[:, SERVER]),
    )


def reason(vantage: Vantage) -> Text:
    """What follows, and from what: how soon each side answers what passes the tap, and its TTL."""
    place = _CONCLUSION.get(vantage.place, _UNSAID)
    if vantage.place is Place.UNKNOWN and UNKNOWN_NS not in vantage.round_trip:
        place = _ALIKE
    client, server = _side(vantage, CLIENT), _side(vantage, SERVER)
    if not vantage.oversize:
        return phrase("{place}: {client}, {server}", place=place, client=client, server=server)
    return phrase(
        "{place}: {client}, {server}; segments beyond the MSS, as a host's network card makes them",
        place=place,
        client=client,
        server=server,
    )


def _side(vantage: Vantage, side: int) -> Text:
    name, ttl, hops, quickest = side_name(side), vantage.ttl[side], vantage.hops[side], vantage.round_trip[side]
    if not ttl:
        return phrase("nothing of the {side} was captured", side=name)
    arrives = phrase("TTL {ttl}", ttl=ttl)
    if hops:
        arrives = counted(hops, "TTL {ttl}, {n:,} hop away", "TTL {ttl}, {n:,} hops away", ttl=ttl)
    if quickest == UNKNOWN_NS:
        return phrase("no answer shows how far the {side} is ({arrives})", side=name, arrives=arrives)
    return counted(
        vantage.samples[side],
        "the {side} answers within {time} ({n:,} answer; {arrives})",
        "the {side} answers within {time} ({n:,} answers; {arrives})",
        side=name,
        time=duration(quickest),
        arrives=arrives,
    )


class VantageSummary:
    """The vantages of all connections, added up."""

    def __init__(self) -> None:
        self._places: Counter[Place] = Counter()
        self._hosts: Counter[str] = Counter()

    def add(self, vantages: Vantages, endpoints: Sequence[tuple[Endpoint, Endpoint]]) -> None:
        """Those of more connections, with their (client, server)."""
        counts = np.bincount(vantages.place, minlength=len(Place)).tolist()
        self._places.update({place: counts[place] for place in Place if counts[place]})
        for place, side in ((Place.CLIENT, CLIENT), (Place.SERVER, SERVER)):
            there = np.flatnonzero(vantages.place == place).tolist()
            self._hosts.update(endpoints[one][side].address for one in there)

    def join(self, other: VantageSummary) -> None:
        """And those of later parts."""
        self._places.update(other._places)
        self._hosts.update(other._hosts)

    def record(self) -> model.CaptureVantage:
        """What is to be said of the capture as a whole."""
        places = {place.name.lower(): self._places[place] for place in Place if self._places[place]}
        between, known = self._places[Place.MIDDLE], sum(self._places.values()) - self._places[Place.UNKNOWN]
        host = next(iter(self._hosts)) if len(self._hosts) == 1 and not between else ""
        return model.CaptureVantage(connections=places, host=host, summary=self._summary(host, between, known))

    def _summary(self, host: str, between: int, known: int) -> str:
        total = sum(self._places.values())
        if not known:
            return _UNSAID if self._places else ""
        if host:
            return counted(
                known,
                "on {host}, as {n:,} connection of {total:,} shows",
                "on {host}, as {n:,} connections of {total:,} show",
                host=host,
                total=total,
            )
        if between == known:
            return counted(
                known,
                "between the ends, as {n:,} connection of {total:,} shows",
                "between the ends, as {n:,} connections of {total:,} show",
                total=total,
            )
        return phrase(
            "on {hosts} in {connections}, between the ends in {between:,}: at several places, or by a host that passes"
            " packets on",
            hosts=counted(len(self._hosts), "{n:,} host", "{n:,} hosts"),
            connections=counted(known - between, "{n:,} connection", "{n:,} connections"),
            between=between,
        )
