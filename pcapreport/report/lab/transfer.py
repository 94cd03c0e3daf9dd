"""The data of the side that sent more: round trips and their estimates, acknowledgments, window, throughput.

All times are those at the tap. A segment that was sent again gives no sample (Karn's algorithm, RFC 6298 section 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from pcapreport.capture.packet_table import Flag
from pcapreport.report.lab.lesson import Ints, Lesson
from pcapreport.report.measures import resent_rows
from pcapreport.report.model import LabSample, LabTransfer
from pcapreport.report.segments import SENDERS
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER

SAMPLES = 6
"""Data segments whose round trips are tabled, as the usual laboratory sheet asks."""
ALPHA, BETA = 1 / 8, 1 / 4


class Estimate(NamedTuple):
    """The estimators after a sample, in seconds: the textbook's and those of RFC 6298."""

    estimated: float
    deviation: float
    timeout: float
    srtt: float
    rttvar: float
    rto: float


def estimates(samples: Sequence[float]) -> Iterator[Estimate]:
    """One after each sample (Kurose and Ross section 3.5.3; RFC 6298 section 2)."""
    estimated = deviation = srtt = rttvar = 0.0
    for number, sample in enumerate(samples):
        if number == 0:
            estimated, deviation, srtt, rttvar = sample, 0.0, sample, sample / 2
        else:
            estimated = (1 - ALPHA) * estimated + ALPHA * sample
            deviation = (1 - BETA) * deviation + BETA * abs(sample - estimated)
            rttvar = (1 - BETA) * rttvar + BETA * abs(srtt - sample)
            srtt = (1 - ALPHA) * srtt + ALPHA * sample
        yield Estimate(estimated, deviation, estimated + 4 * deviation, srtt, rttvar, srtt + 4 * rttvar)


def sending_side(lesson: Lesson) -> int | None:
    """The side with more data bytes; None without any."""
    rows = lesson.rows
    totals = [int(rows.length[lesson.carrying(side)].sum()) for side in (CLIENT, SERVER)]
    return None if not any(totals) else SERVER if totals[SERVER] > totals[CLIENT] else CLIENT


def transfer(lesson: Lesson) -> LabTransfer | None:
    """None where no data was captured."""
    side = sending_side(lesson)
    if side is None:
        return None
    rows, data = lesson.rows, lesson.carrying(side)
    fresh, again = first_and_repeated(lesson, side)
    lengths = Counter(rows.length[fresh].tolist() or rows.length[data].tolist())
    acks = acknowledgments(lesson, side, fresh, again)
    samples = list(_with_estimates(list(_samples(lesson, side, data, again))))
    first, last = int(rows.time_ns[data[0]]), int(rows.time_ns[acks.rows[-1]]) if len(acks.rows) else None
    total = _fresh(lesson, data)
    took = None if last is None or last <= first else (last - first) / SECOND
    least, frame = least_window(lesson, 1 - side)
    return LabTransfer(
        sender=SENDERS[side],
        segments=len(fresh),
        bytes=total,
        samples=samples,
        typical_length=lengths.most_common(1)[0][0],
        mss=offered_mss(lesson, 1 - side),
        first_s=lesson.clock.seconds(first),
        last_ack_s=None if last is None else lesson.clock.seconds(last),
        throughput=None if took is None else round(total / took, 3),
        acknowledgments=len(acks.rows),
        covered=acks.covered,
        typical_acknowledged=acks.typical,
        duplicate_acks=len(lesson.frames_of("duplicate_ack")),
        sent_again=rows.frame[again].tolist(),
        least_window=least,
        least_window_frame=frame,
    )


def first_and_repeated(lesson: Lesson, side: int) -> tuple[Ints, Ints]:
    """The rows with data of a side: those sent for the first time, those that send some again."""
    data = lesson.carrying(side)
    resent = resent_rows(lesson.rows.frame, lesson.findings)[data]
    return data[~resent], data[resent]


def offered_mss(lesson: Lesson, side: int) -> int | None:
    """What a side's SYN said that it takes; None if that was not captured or not said."""
    syn = lesson.first(side, Flag.SYN)
    mss = 0 if syn is None else int(lesson.rows.packets["mss"][lesson.rows.packet[syn]])
    return mss or None


def _fresh(lesson: Lesson, data: Ints) -> int:
    """Bytes of these rows, each counted once."""
    covered, reach = 0, -1
    starts = lesson.rows.seq[data] + ((lesson.rows.flags[data] & Flag.SYN) != 0)
    for start, length in sorted(zip(starts.tolist(), lesson.rows.length[data].tolist(), strict=True)):
        stop = start + length
        covered += max(stop - max(start, reach), 0)
        reach = max(reach, stop)
    return covered


class Acknowledgments(NamedTuple):
    """Those of the receiver that acknowledged new data."""

    rows: Ints
    covered: dict[str, int]
    """How many of them acknowledged "1", "2" or "more" data segments."""
    typical: int | None
    """The most frequent number of new bytes."""
    delays_ns: Ints
    """From the last data segment that each acknowledges until it, where that was sent only once."""


def acknowledgments(lesson: Lesson, side: int, data: Ints, again: Ints) -> Acknowledgments:
    """Of the data rows of a side sent for the first time; `again`: the rows that repeat some of them."""
    rows = lesson.rows
    answers = np.flatnonzero(
        (rows.side != side) & lesson.genuine & ((rows.flags & (Flag.ACK | Flag.RST | Flag.SYN)) == Flag.ACK)
    )
    reached = np.maximum.accumulate(rows.ack[answers]) if len(answers) else answers
    before = np.concatenate([[1], reached[:-1]]) if len(answers) else reached
    ends = np.sort(rows.end[data])
    newly = np.searchsorted(ends, reached, "right") - np.searchsorted(ends, before, "right")
    chosen = newly > 0
    at, counts, step = answers[chosen], newly[chosen].tolist(), (reached - before)[chosen].tolist()
    covered = {"1": counts.count(1), "2": counts.count(2), "more": sum(count > 2 for count in counts)}
    latest = data[np.argsort(rows.end[data], kind="stable")]
    last = latest[np.searchsorted(ends, reached[chosen], "right") - 1] if len(at) else at
    typical = Counter(step).most_common(1)[0][0] if step else None
    once = ~np.isin(rows.end[last], rows.end[again])
    return Acknowledgments(at, covered, typical, np.maximum(rows.time_ns[at] - rows.time_ns[last], 0)[once])


def _samples(lesson: Lesson, side: int, data: Ints, again: Ints) -> Iterator[LabSample]:
    rows = lesson.rows
    ranges = list(zip(rows.seq[again].tolist(), rows.end[again].tolist(), strict=True))
    for index in data[:SAMPLES].tolist():
        row = lesson.row(index)
        ack = lesson.first(1 - side, Flag.ACK, Flag.RST, index + 1, row.end)
        repeated = any(start < row.end and row.seq < stop for start, stop in ranges)
        took = None if ack is None or repeated else (int(rows.time_ns[ack]) - row.time_ns) / SECOND
        yield LabSample(
            frame=row.frame,
            seq=row.seq,
            raw_seq=row.raw_seq,
            length=row.length,
            sent_s=lesson.seconds(index),
            ack_frame=None if ack is None else lesson.frame(ack),
            acked_s=None if ack is None else lesson.seconds(ack),
            sample_rtt_s=None if took is None or took < 0 else took,
        )


def _with_estimates(samples: Sequence[LabSample]) -> Iterator[LabSample]:
    measured = [one.sample_rtt_s for one in samples if one.sample_rtt_s is not None]
    after = iter(estimates(measured))
    for one in samples:
        if one.sample_rtt_s is None:
            yield one
            continue
        now = next(after)
        yield replace(
            one,
            estimated_rtt_s=round(now.estimated, 9),
            dev_rtt_s=round(now.deviation, 9),
            timeout_s=round(now.timeout, 9),
            srtt_s=round(now.srtt, 9),
            rttvar_s=round(now.rttvar, 9),
            rto_s=round(now.rto, 9),
        )


def least_window(lesson: Lesson, side: int) -> tuple[int | None, int | None]:
    """(the smallest window that a side advertised after its SYN, scaled; the first frame that did)."""
    rows = lesson.rows
    told = np.flatnonzero(
        (rows.side == side) & lesson.genuine & ((rows.flags & (Flag.SYN | Flag.RST | Flag.ACK)) == Flag.ACK)
    )
    scale = rows.scales[side]
    if not len(told) or scale is None:
        return None, None
    at = told[np.argmin(rows.window[told])]
    return int(rows.window[at]) << scale, int(rows.frame[at])
