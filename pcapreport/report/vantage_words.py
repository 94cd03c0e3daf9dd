"""Where the capture was taken, as the document tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pcapreport.findings.wording import NAMES, duration
from pcapreport.language import counted
from pcapreport.report import model
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import Endpoint
from pcapreport.tcp.vantage import UNKNOWN_NS, Place, Vantage

_CONCLUSION = {Place.CLIENT: "on the client", Place.SERVER: "on the server", Place.MIDDLE: "between the two"}


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


def reason(vantage: Vantage) -> str:
    """What follows, and from what: how soon each side answers what passes the tap, and its TTL."""
    place = _CONCLUSION.get(vantage.place, "cannot be said")
    if vantage.place is Place.UNKNOWN and UNKNOWN_NS not in vantage.round_trip:
        place += ", the two are too much alike"
    oversize = "; segments beyond the MSS, as a host's network card makes them" if vantage.oversize else ""
    return f"{place}: {_side(vantage, 0)}, {_side(vantage, 1)}{oversize}"


def _side(vantage: Vantage, side: int) -> str:
    name, ttl, hops, quickest = NAMES[side], vantage.ttl[side], vantage.hops[side], vantage.round_trip[side]
    if not ttl:
        return f"nothing of the {name} was captured"
    arrives = f"TTL {ttl}" + (f", {counted(hops, '{n:,} hop', '{n:,} hops')} away" if hops else "")
    if quickest == UNKNOWN_NS:
        return f"no answer shows how far the {name} is ({arrives})"
    return f"the {name} answers within {duration(quickest)} ({counted(vantage.samples[side], '{n:,} answer', '{n:,} answers')}; {arrives})"


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
        of = f"as {counted(known, '{n:,} connection', '{n:,} connections')} of {sum(self._places.values()):,} "
        if not known:
            return "cannot be said" if self._places else ""
        if host:
            return f"on {host}, {of}{'shows' if known == 1 else 'show'}"
        if between == known:
            return f"between the ends, {of}{'shows' if known == 1 else 'show'}"
        hosts = f"on {counted(len(self._hosts), '{n:,} host', '{n:,} hosts')} in {counted(known - between, '{n:,} connection', '{n:,} connections')}"
        return f"{hosts}, between the ends in {between:,}: at several places, or by a host that passes packets on"
