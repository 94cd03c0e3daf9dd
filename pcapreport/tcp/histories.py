"""Connections -> histories: the reconstructor is asked once for both ends of every shape of connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapreport.capture.packet_table import Flag
from pcapreport.settings import Settings
from pcapreport.tcp.candidates import Candidates
from pcapreport.tcp.classify import classify_closing, classify_opening
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.evidence import Segment, View
from pcapreport.tcp.families import Family, Histories
from pcapreport.tcp.history import ConnectionHistory
from pcapreport.tcp.phantoms import with_unseen
from pcapreport.tcp.reconstructor import Surroundings, reconstruct
from pcapreport.tcp.shapes import families_of


def reconstruct_all(table: ConnectionTable, capture_end: int, settings: Settings) -> Histories:
    """The histories of all connections."""
    candidates = Candidates(table)
    families: list[Family] = []
    for alike in candidates.groups():
        own, after = candidates.shape(int(alike[0]))

        def of_shape(segments: Sequence[Segment], end: int, own: int = len(own)) -> ConnectionHistory:
            segments, aftermath = segments[:own], segments[own:]
            surroundings = _surroundings(end, aftermath)
            return _connection_history([*segments, *_of_the_old(aftermath)], surroundings, settings)

        families.extend(families_of(alike, candidates.rows, own + after, capture_end, of_shape))
    return Histories(families)


def _connection_history(segments: list[Segment], surroundings: Surroundings, settings: Settings) -> ConnectionHistory:
    everything = with_unseen(segments, settings)
    end = surroundings.capture_end
    client = reconstruct(View(CLIENT, everything, end, settings), surroundings)
    server = reconstruct(View(SERVER, everything, end, settings), surroundings)
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
