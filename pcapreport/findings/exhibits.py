"""Which findings a verdict names: of any number the gravest, and the first of each rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.model import Evidence, Finding
from pcapreport.findings.story import RANK
from pcapreport.findings.wording import address, duration, flag_words, side_name
from pcapreport.language import Text, joined, phrase

GRAVEST_FIRST = (
    "syn_flood",
    "port_scan",
    "icmp_unreachable",
    "icmp_time_exceeded",
    "reset_by_middlebox",
    "pmtu_black_hole",
    "peer_silent",
    "syn_filtered",
    "syn_unanswered",
    "connection_refused",
    "fin_unanswered",
    "data_after_close",
    "close_with_unread_data",
    "reset",
    "zero_window",
    "time_wait_collision",
    "ephemeral_ports_running_out",
    "half_open_connection",
    "handshake_incomplete",
    "fin_wait_2_orphaned",
    "close_wait_lingering",
    "half_closed",
    "bad_checksum",
    "excessive_retransmission",
    "retransmission",
    "fast_retransmission",
    "syn_retransmission",
    "syn_ack_retransmission",
    "fin_retransmission",
    "lost_segment",
    "reset_ignored",
    "old_duplicate",
    "keep_alive",
)
"""Among findings of equal severity, what explains more comes first."""
EVIDENCE_SHOWN = 6
CONSIDERED = 10 * EVIDENCE_SHOWN
SEGMENTS_SHOWN = 3


class Exhibit(NamedTuple):
    """A finding and what the verdict may say of it."""

    order: tuple[Any, ...]
    """By this the first is chosen."""
    finding: Finding
    place: str
    """ "10.0.0.1:4000 to 10.0.0.2:80 (from frame 11)", or "" for the capture as a whole."""
    segments: tuple[Text, ...]
    """The first segments that it names, as the capture holds them."""


class Shortlist:
    """Of any number of findings the first of each rule, and the first ones of all."""

    def __init__(self, order: Callable[[Finding], tuple[Any, ...]]) -> None:
        self._order = order
        self._kept: list[Exhibit] = []

    def add(self, findings: Iterable[Finding], evidence: Evidence) -> None:
        """Consider findings; equal ones are taken by the first frame of their connection, then by time."""
        first = evidence.table.frame[evidence.table.bounds[:-1]].tolist()
        ranked = [((*self._order(finding), *_when(finding, first)), finding) for finding in findings]
        ranked.sort(key=itemgetter(0))
        fresh = [
            Exhibit(order, finding, _place(evidence, finding), tuple(_segments(evidence, finding)))
            for order, finding in _leading(ranked)
        ]
        self._merge(fresh)

    def add_overall(self, findings: Iterable[Finding]) -> None:
        """Consider findings about the capture as a whole."""
        self._merge([Exhibit((*self._order(f), *_when(f, ())), f, "", ()) for f in findings])

    def join(self, other: Shortlist) -> None:
        """And those of a list that goes by the same order."""
        self._merge(other._kept)

    def _merge(self, fresh: Sequence[Exhibit]) -> None:
        self._kept = list(_leading(sorted([*self._kept, *fresh], key=itemgetter(0))))

    def chosen(self) -> list[Exhibit]:
        """The first of each rule, then some others."""
        heads: dict[str, Exhibit] = {}
        for exhibit in self._kept:
            heads.setdefault(exhibit.finding.rule, exhibit)
        others = [exhibit for exhibit in self._kept[:CONSIDERED] if heads[exhibit.finding.rule] is not exhibit]
        return [*heads.values(), *others[:EVIDENCE_SHOWN]]


_Ranked = TypeVar("_Ranked", bound=tuple[Any, ...])


def _leading(ranked: Iterable[_Ranked]) -> Iterator[_Ranked]:
    """Of (order, finding, ...) in order the first ones, and the first of each rule."""
    seen = set()
    for place, item in enumerate(ranked):
        rule = item[1].rule
        if place < CONSIDERED or rule not in seen:
            yield item
        seen.add(rule)


def _when(finding: Finding, first: Sequence[int]) -> tuple[int, int, int, str]:
    """Findings about the capture as a whole, then by the first frame of the connection, then by time."""
    begun = -1 if finding.connection is None else first[finding.connection]
    return begun, finding.time_ns or 0, finding.frames[0] if finding.frames else 0, finding.rule


def gravity(finding: Finding) -> tuple[int, int, int, int]:
    order = _PLACE.get(finding.rule, len(_PLACE))
    return RANK[finding.severity], order, -len(finding.frames), finding.time_ns or 0


_PLACE = {rule: place for place, rule in enumerate(GRAVEST_FIRST)}


def _place(evidence: Evidence, finding: Finding) -> str:
    if finding.connection is None:
        return ""
    client, server = evidence.table.endpoints(finding.connection)
    first = int(evidence.table.frame[evidence.table.bounds[finding.connection]])
    return phrase(
        "{client} to {server} (from frame {frame})", client=address(client), server=address(server), frame=first
    )


def _segments(evidence: Evidence, finding: Finding) -> Iterator[Text]:
    if finding.connection is None:
        return
    table, zero = evidence.table, evidence.capture.first_ns or 0
    for frame in finding.frames[:SEGMENTS_SHOWN]:
        position = table.position_of(finding.connection, frame)
        if position is None:
            continue  # it belongs to the next connection on these ports
        flags, length = int(table.flags[position]), int(table.length[position])
        numbers = [f"seq {table.seq[position]}"] + [f"ack {table.ack[position]}"] * bool(flags & Flag.ACK)
        numbers += [phrase("{length:,} bytes", length=length)] * bool(length)
        after = int(table.time_ns[position]) - zero
        yield phrase(
            "frame {frame} at {time} is the {side}'s {flags} ({numbers})",
            frame=frame,
            time=duration(after) if after else "0 s",
            side=side_name(int(table.side[position])),
            flags=flag_words(flags),
            numbers=joined(numbers),
        )
