"""Timers an observer must reckon with: 2MSL."""

from __future__ import annotations

from pcapreport.settings import TimeWaitProfile

Interval = tuple[int | None, int | None]


def expiry(start: Interval, profile: TimeWaitProfile) -> Interval:
    """When 2MSL that began within `start` runs out (RFC 9293 section 3.6.1), allowing for the timer's grain."""
    earliest, latest = start
    return (
        None if earliest is None else earliest + profile.two_msl_ns,
        None if latest is None else latest + profile.two_msl_ns + profile.slack_ns,
    )
