"""How far the capture itself can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pcapreport.capture.packet_table import RowNote
from pcapreport.findings.columns import column
from pcapreport.findings.grouping import Bools, finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.wording import count, duration, first_of, side_name, times
from pcapreport.settings import MILLISECOND
from pcapreport.tcp.connections import CLIENT

COPYING_SHARE = 0.2
"""From this share on it is the capture that copies, not the network."""


def _about_capture(evidence: Evidence, rule: str, rows: np.ndarray, summary: str) -> Finding:
    return finding(evidence, rule, None, Side.CAPTURE, rows, summary)


def damage(evidence: Evidence) -> Iterator[Finding]:
    """The file is cut or corrupt."""
    capture = evidence.capture
    if capture.complete:
        return
    problem = capture.problems[-1] if capture.problems else None
    what = problem.message if problem else "the file ends before its last packet does"
    frames = (problem.frame,) if problem and problem.frame else ()
    base = _about_capture(evidence, "capture_damaged", np.empty(0, np.int64), "")
    resumed = any(problem.skipped for problem in capture.problems)
    at = "" if resumed else f" after {count(capture.packets, 'packet')}"
    unknown = "what stood there is not known" if resumed else "what came later is not known"
    yield Finding(
        base.rule,
        base.severity,
        base.confidence,
        base.side,
        frames,
        None,
        f"The capture file is not whole ({what}){at}: {unknown}.",
    )


def drops(evidence: Evidence) -> Iterator[Finding]:
    """The capturing host says that it lost packets."""
    lost = sum(interface.drops or 0 for interface in evidence.capture.interfaces)
    if lost:
        summary = f"The capturing host says it lost {count(lost, 'packet')}: gaps may be its own."
        yield _about_capture(evidence, "capture_drops", np.empty(0, np.int64), summary)


def copies(evidence: Evidence) -> Iterator[Finding]:
    """Segments that stand in the capture more than once."""
    table, passes = evidence.table, evidence.passes
    rows = np.flatnonzero(passes.original >= 0)
    if not len(rows):
        return
    numbers = sorted(table.frame[rows].tolist())
    apart = int(np.median(np.abs(table.time_ns[rows] - table.time_ns[passes.original[rows]])))
    whole = len(rows) >= COPYING_SHARE * len(table.row)
    summary = (
        f"{count(len(rows), 'TCP segment')} of {len(table.row):,} {'is a copy' if len(rows) == 1 else 'are copies'} of "
        f"another ({first_of(numbers)}; typically {duration(apart)} later) and {'is' if len(rows) == 1 else 'are'} not "
        "counted as sent again."
    )
    made = "The network delivered them twice." if whole else "The capture recorded them twice."
    other = Alternative(made, Confidence.LOW if whole else Confidence.MEDIUM)
    side = Side.CAPTURE if whole else Side.NETWORK
    level = Confidence.HIGH if whole else Confidence.MEDIUM
    yield finding(evidence, "capture_duplicates", None, side, rows, summary, None, level, (other,))


def cut_packets(evidence: Evidence) -> Iterator[Finding]:
    """Packets of which the capture holds only the beginning."""
    table = evidence.table
    rows = np.flatnonzero((column(table, "notes") & RowNote.SNAPLEN_CUT) != 0)
    if len(rows):
        kept = int(column(table, "cap_len")[rows].max())
        numbers = sorted(table.frame[rows].tolist())
        summary = (
            f"{count(len(rows), 'TCP packet')} of {len(table.row):,} {'was' if len(rows) == 1 else 'were'} cut to at "
            f"most {count(kept, 'byte')} ({first_of(numbers)}): content is missing, lengths are from the headers."
        )
        yield _about_capture(evidence, "snaplen_cut", rows, summary)


def clock_steps(evidence: Evidence) -> Iterator[Finding]:
    """Time that runs backwards."""
    table = evidence.table
    order = np.argsort(table.frame)
    time = table.time_ns[order]
    back = np.flatnonzero(np.diff(time) < -MILLISECOND) + 1
    if len(back):
        most = int((time[back - 1] - time[back]).max())
        rows = order[back]
        numbers = sorted(table.frame[rows].tolist())
        summary = (
            f"The capture's time steps back {times(len(rows))} ({first_of(numbers)}), by up to {duration(most)}: "
            "delays across these places are not reliable."
        )
        yield _about_capture(evidence, "time_backwards", rows, summary)


def midstream(evidence: Evidence) -> Iterator[Finding]:
    """Connections that were open before the capture began."""
    late = np.array([history.opening == "midstream" for history in evidence.histories], bool)
    yield from _each_or_all(
        evidence,
        "starts_midstream",
        late,
        lambda connection: "The connection was open before the capture began: how it was opened is not known.",
        "was open before the capture began: how it was opened is not known.",
        "were open before the capture began: how they were opened is not known.",
    )


def one_sided(evidence: Evidence) -> Iterator[Finding]:
    """Connections of which only one direction was captured though the other must have existed."""
    table = evidence.table
    if not len(table):
        return
    total = np.diff(table.bounds)
    client = np.add.reduceat((table.side == CLIENT).astype(np.int64), table.bounds[:-1])
    single = ((client == 0) | (client == total)) & _acknowledges(evidence)
    yield from _each_or_all(
        evidence,
        "one_sided",
        single,
        lambda connection: (
            f"Only the {side_name(0 if client[connection] else 1)}'s segments were captured; "
            "what the other side did shows only in the acknowledgments."
        ),
        "shows one direction only: what the other side did shows only in the acknowledgments.",
        "show one direction only: what the other side did shows only in the acknowledgments.",
    )


def _acknowledges(evidence: Evidence) -> Bools:
    """Per connection: some segment acknowledges something that the other side must have sent."""
    table, passes = evidence.table, evidence.passes
    heard = np.zeros(len(table), bool)
    heard[passes.connection[passes.acks]] = True
    return heard


def _each_or_all(
    evidence: Evidence, rule: str, chosen: Bools, one: Callable[[int], str], single: str, several: str
) -> Iterator[Finding]:
    """One finding about the capture where every connection is concerned, else one a connection."""
    table = evidence.table
    hit = np.flatnonzero(chosen)
    if len(hit) and len(hit) == len(table):
        rows = table.bounds[hit]
        if len(hit) == 1:
            summary = f"The only connection of the capture {single}"
        else:
            summary = f"All {len(hit):,} connections of the capture {several}"
        yield _about_capture(evidence, rule, rows, summary)
        return
    for connection in hit.tolist():
        yield finding(
            evidence, rule, connection, Side.CAPTURE, table.bounds[connection : connection + 1], one(connection)
        )
