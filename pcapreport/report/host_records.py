"""What the document says of hosts: their system, and their TIME-WAITs together."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from pcapreport.report import model
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp.host_habits import HostHabits
from pcapreport.tcp.host_profile import Hosts
from pcapreport.tcp.time_wait_population import Crowd, HostWaits, TimeWaitPopulation

CURVES, CURVE_POINTS = 3, 240
"""Hosts whose number of TIME-WAITs is told over time, and points of each."""


def host_records(
    population: TimeWaitPopulation,
    waits: Sequence[HostWaits],
    hosts: Hosts,
    habits: HostHabits,
    settings: Settings,
    zero_ns: int,
) -> list[model.Host]:
    """The hosts that were in TIME-WAIT, in the order given; `zero_ns`: time of the capture's first frame."""
    clock = Clock(zero_ns)
    told = [_host(one, hosts, habits, settings, clock) for one in waits]
    for number, host in enumerate(told[:CURVES]):
        if host.peak > 1:
            since, held = population.held(host.address, CURVE_POINTS)
            times = [clock.seconds(time) for time in since.tolist()]
            told[number] = replace(host, held_from_s=times, held=held.tolist())
    return told


def _host(one: HostWaits, hosts: Hosts, habits: HostHabits, settings: Settings, clock: Clock) -> model.Host:
    profile, kept = hosts.profile(one.address), hosts.time_wait_of(one.address, settings)
    return model.Host(
        address=one.address,
        system=model.spelled(profile.system),
        evidence=[*profile.evidence, *habits.told(one.address)],
        profile=kept.name,
        two_msl_s=kept.two_msl_ns / SECOND,
        time_waits=one.total,
        peak=one.peak.held,
        peak_s=clock.seconds(one.peak.at),
        busiest=None if one.busiest is None else _crowd(one.busiest, profile.system, clock),
    )


def _crowd(crowd: Crowd, system: str, clock: Clock) -> model.Crowd:
    first, last = crowd.range_of(system)
    return model.Crowd(
        address=crowd.address,
        port=crowd.port,
        peak=crowd.peak.held,
        peak_s=clock.seconds(crowd.peak.at),
        first_port=first,
        last_port=last,
        share=round(crowd.peak.held / (last - first + 1), 6),
    )
