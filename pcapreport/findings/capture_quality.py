"""How far the capture itself can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec.structs import replace

from pcapreport.capture.checksums import Checksum
from pcapreport.capture.model import Capture
from pcapreport.capture.packet_table import RowNote
from pcapreport.findings.checksums import checksum_states
from pcapreport.findings.columns import column
from pcapreport.findings.grouping import Bools, Ints, finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.rules import RULES
from pcapreport.findings.wording import duration, first_of, side_name, times
from pcapreport.language import counted, phrase, sentences
from pcapreport.tcp.connections import CLIENT

COPYING_SHARE = 0.2
"""From this share on it is the capture that copies, not the network."""


class _Frames:
    """Frames gathered part by part, and the time of the first."""

    def __init__(self) -> None:
        self._parts: list[Ints] = [np.empty(0, np.int64)]
        self._first: tuple[int, int] | None = None

    def add(self, evidence: Evidence, rows: Ints) -> None:
        """Of these rows of the connection table."""
        if len(rows):
            frames = evidence.table.frame[rows]
            at = int(np.argmin(frames))
            first = int(frames[at]), int(evidence.table.time_ns[rows[at]])
            self._first = min(self._first or first, first)
            self._parts.append(frames)

    def join(self, other: _Frames) -> None:
        """And those."""
        self._parts += other._parts
        self._first = min((first for first in (self._first, other._first) if first), default=None)

    def sorted(self) -> list[int]:
        """All, ascending."""
        frames: list[int] = np.sort(np.concatenate(self._parts)).tolist()
        return frames

    @property
    def time_ns(self) -> int | None:
        """Of the first."""
        return self._first[1] if self._first else None


class CaptureQuality:
    """What only the capture as a whole shows, summed over its parts."""

    def __init__(self) -> None:
        self._segments = 0
        self._copies = _Frames()
        self._apart: list[Ints] = []
        """How long after its original each copy came."""
        self._cut = _Frames()
        self._kept = 0
        """Most bytes of a cut packet that the capture holds."""
        self._offloaded = _Frames()
        self._moved = _Frames()
        self._early = 0
        """By how much the stamp of a row that was put behind another is below that one's, at most; ns."""

    def add(self, evidence: Evidence) -> None:
        """Take note of the rows of whole connections."""
        table, original = evidence.table, evidence.passes.original
        self._segments += len(table.row)
        copies = np.flatnonzero(original >= 0)
        self._copies.add(evidence, copies)
        self._apart.append(np.abs(table.time_ns[copies] - table.time_ns[original[copies]]))
        cut = np.flatnonzero((column(table, "notes") & RowNote.SNAPLEN_CUT) != 0)
        self._cut.add(evidence, cut)
        self._kept = max(self._kept, int(column(table, "cap_len")[cut].max(initial=0)))
        moved = table.moved[original[table.moved] < 0]
        self._moved.add(evidence, moved)
        early = table.time_ns[moved - 1] - table.time_ns[moved]
        self._early = max(self._early, int(early.max(initial=0)))
        states = checksum_states(evidence)
        if states is not None:
            self._offloaded.add(evidence, np.flatnonzero(states == Checksum.OFFLOAD))

    def join(self, other: CaptureQuality) -> None:
        """And what later parts showed."""
        self._segments += other._segments
        self._apart += other._apart
        self._kept, self._early = max(self._kept, other._kept), max(self._early, other._early)
        self._copies.join(other._copies)
        self._cut.join(other._cut)
        self._offloaded.join(other._offloaded)
        self._moved.join(other._moved)

    def findings(self, capture: Capture) -> list[Finding]:
        """What is to be said of the capture, once all of it was added."""
        of_file = (_damage(capture), _drops(capture), _clock(capture))
        found = (*of_file, self._of_copies(), self._of_cut(), self._of_offload(), self._of_order())
        return sorted((one for one in found if one is not None), key=lambda one: (one.time_ns or 0, one.rule))

    def _of_copies(self) -> Finding | None:
        """Segments that stand in the capture more than once."""
        frames = self._copies.sorted()
        number = len(frames)
        if not number:
            return None
        apart = int(np.median(np.concatenate(self._apart)))
        whole = number >= COPYING_SHARE * self._segments
        summary = counted(
            number,
            "{n:,} TCP segment of {all:,} is a copy of another ({where}; typically {time} later) and is not counted as "
            "sent again.",
            "{n:,} TCP segments of {all:,} are copies of another ({where}; typically {time} later) and are not counted "
            "as sent again.",
            all=self._segments,
            where=first_of(frames),
            time=duration(apart),
        )
        network = phrase("The network delivered them twice.")
        made = network if whole else phrase("The capture recorded them twice.")
        return replace(
            _about("capture_duplicates", frames, self._copies.time_ns, summary),
            side=Side.CAPTURE if whole else Side.NETWORK,
            confidence=Confidence.HIGH if whole else Confidence.MEDIUM,
            alternatives=(Alternative(made, Confidence.LOW if whole else Confidence.MEDIUM),),
        )

    def _of_cut(self) -> Finding | None:
        """Packets of which the capture holds only the beginning."""
        frames = self._cut.sorted()
        if not frames:
            return None
        summary = counted(
            len(frames),
            "{n:,} TCP packet of {all:,} was cut to at most {bytes} ({where}): content is missing, lengths are from "
            "the headers.",
            "{n:,} TCP packets of {all:,} were cut to at most {bytes} ({where}): content is missing, lengths are from "
            "the headers.",
            all=self._segments,
            bytes=counted(self._kept, "{n:,} byte", "{n:,} bytes"),
            where=first_of(frames),
        )
        return _about("snaplen_cut", frames, self._cut.time_ns, summary)

    def _of_offload(self) -> Finding | None:
        """Checksums that a network card was to fill in."""
        frames = self._offloaded.sorted()
        if not frames:
            return None
        summary = counted(
            len(frames),
            "The checksums of {n:,} TCP segment of {all:,} were not filled in yet when they were captured ({where}): "
            "it was done on their sender, whose network card fills them in.",
            "The checksums of {n:,} TCP segments of {all:,} were not filled in yet when they were captured ({where}): "
            "it was done on their sender, whose network card fills them in.",
            all=self._segments,
            where=first_of(frames),
        )
        summary = sentences(summary, phrase("They say nothing about damage."))
        return _about("checksum_offload", frames, self._offloaded.time_ns, summary)

    def _of_order(self) -> Finding | None:
        """Segments that stand before what they answer."""
        frames = self._moved.sorted()
        if not frames:
            return None
        where = first_of(frames)
        if self._early:
            where = phrase("{where}, stamped up to {time} too early", where=where, time=duration(self._early))
        summary = counted(
            len(frames),
            "{n:,} TCP segment of {all:,} stands in the capture before what must have come first ({where}); for this "
            "report it was put behind it.",
            "{n:,} TCP segments of {all:,} stand in the capture before what must have come first ({where}); for this "
            "report they were put behind it.",
            all=self._segments,
            where=where,
        )
        return _about("captured_out_of_order", frames, self._moved.time_ns, summary)


def _about(rule: str, frames: Sequence[int], time_ns: int | None, summary: str) -> Finding:
    return Finding(rule, RULES[rule].severity, Confidence.HIGH, Side.CAPTURE, tuple(frames), time_ns, summary)


def _damage(capture: Capture) -> Finding | None:
    """The file is cut or corrupt."""
    if capture.complete:
        return None
    places = [problem for problem in capture.problems if problem.offset is not None] or list(capture.problems)
    frames = tuple(sorted({problem.frame for problem in places if problem.frame}))
    what = places[0].message if places else phrase("the file ends before its last packet does")
    if len(places) > 1:
        summary = phrase(
            "The capture file is damaged in {places:,} places, the first at byte {offset:,}; {bytes} in all could not "
            "be read, and what stood there is not known.",
            places=len(places),
            offset=places[0].offset or 0,
            bytes=counted(sum(problem.skipped for problem in places), "{n:,} byte", "{n:,} bytes"),
        )
    elif places and places[0].skipped:
        summary = phrase("The capture file is not whole ({what}): what stood there is not known.", what=what)
    else:
        summary = phrase(
            "The capture file is not whole ({what}) after {packets}: what came later is not known.",
            what=what,
            packets=counted(capture.packets, "{n:,} packet", "{n:,} packets"),
        )
    return _about("capture_damaged", frames, None, summary)


def _drops(capture: Capture) -> Finding | None:
    """The capturing host says that it lost packets."""
    lost = sum(interface.drops or 0 for interface in capture.interfaces)
    if not lost:
        return None
    summary = counted(
        lost,
        "The capturing host says it lost {n:,} packet: gaps may be its own.",
        "The capturing host says it lost {n:,} packets: gaps may be its own.",
    )
    return _about("capture_drops", (), None, summary)


def _clock(capture: Capture) -> Finding | None:
    """Time that runs backwards."""
    frames, moments, steps = capture.steps_back.T.tolist()
    if not frames:
        return None
    summary = phrase(
        "The capture's time steps back {times} ({where}), by up to {time}: delays across these places are not "
        "reliable.",
        times=times(len(frames)),
        where=first_of(frames),
        time=duration(max(steps)),
    )
    return _about("time_backwards", frames, moments[0], summary)


def midstream(evidence: Evidence) -> Iterator[Finding]:
    """Connections that were open before the capture began."""
    summary = phrase("The connection was open before the capture began: how it was opened is not known.")
    for connection in evidence.histories.opened("midstream"):
        yield _from_the_start(evidence, "starts_midstream", connection, summary)


def one_sided(evidence: Evidence) -> Iterator[Finding]:
    """Connections of which only one direction was captured though the other must have existed."""
    table = evidence.table
    if not len(table):
        return
    total = np.diff(table.bounds)
    client = np.add.reduceat((table.side == CLIENT).astype(np.int64), table.bounds[:-1])
    single = ((client == 0) | (client == total)) & _acknowledges(evidence)
    for connection in np.flatnonzero(single).tolist():
        summary = phrase(
            "Only the {side}'s segments were captured; what the other side did shows only in the acknowledgments.",
            side=side_name(0 if client[connection] else 1),
        )
        yield _from_the_start(evidence, "one_sided", connection, summary)


def _acknowledges(evidence: Evidence) -> Bools:
    """Per connection: some segment acknowledges something that the other side must have sent."""
    table, passes = evidence.table, evidence.passes
    heard = np.zeros(len(table), bool)
    heard[passes.connection[passes.acks]] = True
    return heard


def _from_the_start(evidence: Evidence, rule: str, connection: int, summary: str) -> Finding:
    first = evidence.table.bounds[connection : connection + 1]
    return finding(evidence, rule, connection, Side.CAPTURE, first, summary)
