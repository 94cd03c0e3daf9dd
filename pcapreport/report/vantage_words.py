"""Where the capture was taken, as the document tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pcapreport.findings.wording import duration, side_name
from pcapreport.language import Text, counted, phrase
from pcapreport.report import model
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER, Endpoint
from pcapreport.tcp.vantage import UNKNOWN_NS, Place, Vantage

_CONCLUSION = {
    Place.CLIENT: phrase("on the client"),
    Place.SERVER: phrase("on the server"),
    Place.MIDDLE: phrase("between the two"),
}
_UNSAID = phrase("cannot be said")
_ALIKE = phrase("cannot be said, the two are too much alike")


def vantage_record(vantage: Vantage, told: bool) -> model.Vantage:
    """The vantage of one connection; its reason in words where it is to be `told`."""
    client, server = (None if ns == UNKNOWN_NS else ns / SECOND for ns in vantage.round_trip)
    return model.Vantage(
        place=model.spelled(vantage.place.name.lower()),
        client_round_trip_s=client,
        server_round_trip_s=server,
        client_samples=vantage.samples[0],
        server_samples=vantage.samples[1],
        client_ttl=vantage.ttl[0] or None,
        server_ttl=vantage.ttl[1] or None,
        reason=reason(vantage) if told else "",
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

    def add(self, vantages: Iterable[Vantage], endpoints: Iterable[tuple[Endpoint, Endpoint]]) -> None:
        """Those of more connections, with their (client, server)."""
        for vantage, (client, server) in zip(vantages, endpoints, strict=True):
            self._places[vantage.place] += 1
            if vantage.place is Place.CLIENT:
                self._hosts[client.address] += 1
            elif vantage.place is Place.SERVER:
                self._hosts[server.address] += 1

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
