"""Clients that run short of ports because TIME-WAIT keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from pcapreport.findings.model import Alternative, Confidence, Finding, Severity, Side
from pcapreport.findings.wording import address, duration
from pcapreport.language import phrase, sentences
from pcapreport.settings import EPHEMERAL_PORTS_NEAR, SECOND, Settings
from pcapreport.tcp.connections import Endpoint
from pcapreport.tcp.host_profile import SYSTEM_NAMES, Hosts
from pcapreport.tcp.time_wait_population import HostWaits, TimeWaitPopulation

FEWEST = 1_000
"""Fewer are never near the end of a range (and need not be looked at)."""

GUESSED = phrase("Linux, which is a guess here,")
REUSED = Alternative(
    phrase(
        "It may not run short: with tcp_tw_reuse Linux takes such a port again after one second, where both sides use "
        "timestamps; and its range of ports may be set wider than is usual."
    ),
    Confidence.LOW,
)


def running_out(
    population: TimeWaitPopulation, waits: Sequence[HostWaits], hosts: Hosts, settings: Settings, zero_ns: int
) -> list[Finding]:
    """The clients near the end of their ephemeral ports towards one server.

    `waits`: of all hosts of the population; `zero_ns`: time of the capture's first frame.
    """
    found = []
    for one in waits:
        finding = _running_out(one, hosts, settings, zero_ns) if one.busiest else None
        if finding is not None and one.busiest is not None:
            found.append(replace(finding, frames=population.frames(one.busiest)))
    return found


def _running_out(one: HostWaits, hosts: Hosts, settings: Settings, zero_ns: int) -> Finding | None:
    """Without its frames."""
    crowd = one.busiest
    if crowd is None or crowd.peak.held < FEWEST:
        return None
    system = hosts.profile(one.address).system
    first, last = crowd.range_of(system)
    ports = last - first + 1
    if crowd.peak.held < EPHEMERAL_PORTS_NEAR * ports:
        return None
    wait = hosts.time_wait_of(one.address, settings).two_msl_ns
    held = phrase(
        "{time} into the capture the client {client} held {held:,} of its ports in TIME-WAIT towards {server}, "
        "{share:.0%} of the {ports:,} that {system} opens connections from ({first} to {last}).",
        time=duration(crowd.peak.at - zero_ns),
        client=one.address,
        held=crowd.peak.held,
        server=address(Endpoint(crowd.address, crowd.port)),
        share=crowd.peak.held / ports,
        ports=ports,
        system=SYSTEM_NAMES.get(system, GUESSED),
        first=first,
        last=last,
    )
    limit = phrase(
        "Each is free only {time} after its close, so on the whole it cannot open more than {rate:,} connections a "
        "second to that server.",
        time=duration(wait),
        rate=ports * SECOND // max(wait, 1),
    )
    return Finding(
        "ephemeral_ports_running_out",
        Severity.WARNING,
        Confidence.MEDIUM,
        Side.CLIENT,
        (),
        crowd.peak.at,
        sentences(held, limit),
        alternatives=(REUSED,),
    )
