"""Connections -> histories: the reconstructor is asked once for both ends of every shape of connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.settings import Settings
from pcapreport.tcp.candidates import Candidates
from pcapreport.tcp.classify import classify_closing, classify_opening
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.evidence import Segment, View, without_false_acks
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.history import ConnectionHistory
from pcapreport.tcp.host_profile import NO_HOSTS, Hosts, time_wait_choices
from pcapreport.tcp.phantoms import with_unseen
from pcapreport.tcp.reconstructor import Surroundings, reconstruct
from pcapreport.tcp.shapes import Patterns, families_of


def reconstruct_all(
    table: ConnectionTable,
    capture_end: int,
    settings: Settings,
    hosts: Hosts = NO_HOSTS,
    patterns: Patterns | None = None,
) -> Histories:
    """The histories of all connections. `hosts`: which systems they run, so how long they keep TIME-WAIT; `patterns`:
    what other parts, or other captures read with these settings, have taught."""
    candidates, patterns = Candidates(table), patterns or Patterns()
    choices, profiles = time_wait_choices(hosts, table, settings)
    of_profile = [replace(settings, time_wait=profile) for profile in profiles]
    families: list[Family] = []
    for alike in candidates.groups(choices @ np.array([len(profiles), 1])):
        first = int(alike[0])
        own, after = candidates.shape(first)
        of_client, of_server = (of_profile[choice] for choice in choices[first].tolist())

        def of_shape(
            segments: Sequence[Segment],
            end: int,
            own: int = len(own),
            of_ends: tuple[Settings, Settings] = (of_client, of_server),
        ) -> ConnectionHistory:
            aftermath = segments[own:]
            return _connection_history(
                [*segments[:own], *_of_the_old(aftermath)], _surroundings(end, aftermath), of_ends
            )

        known = patterns.of((candidates.key(first), of_client.time_wait, of_server.time_wait))
        families.extend(families_of(alike, candidates.rows, own + after, capture_end, of_shape, known))
    return Histories(table, families)


def _connection_history(
    segments: list[Segment], surroundings: Surroundings, of_ends: tuple[Settings, Settings]
) -> ConnectionHistory:
    """`of_ends`: the settings for the client and the server."""
    segments = without_false_acks(segments, of_ends[CLIENT])
    everything = with_unseen(segments, of_ends[CLIENT])
    end = surroundings.capture_end
    client = reconstruct(View(CLIENT, everything, end, of_ends[CLIENT]), surroundings)
    server = reconstruct(View(SERVER, everything, end, of_ends[SERVER]), surroundings)
    opening = classify_opening(client, server, segments)
    return ConnectionHistory(client, server, opening, classify_closing(client, server, segments, opening))


def _of_the_old(aftermath: Sequence[Segment]) -> Iterator[Segment]:
    """Of the segments that opened the next incarnation those that speak of the one before: neither the SYN nor what
    acknowledges it, but the ACK that challenges it and the RST that answers that (RFC 5961 section 4)."""
    syn = next((s for s in aftermath if s.flags & Flag.SYN), None)
    for segment in aftermath:
        if syn is None or segment.side == syn.side and not segment.flags & (Flag.SYN | Flag.RST):
            return  # the new connection goes on
        answers = segment.side != syn.side and segment.ack == syn.end
        if not segment.flags & Flag.SYN and not answers:
            yield segment


def _surroundings(capture_end: int, aftermath: Sequence[Segment]) -> Surroundings:
    syn = next((s for s in aftermath if s.flags & Flag.SYN), None)
    accepted = next((s for s in aftermath if syn is not None and s.is_syn_ack and s.side != syn.side), None)
    return Surroundings(capture_end, syn, accepted)
