"""Numbers of connections: counts by array passes over the whole capture, the rest from one connection's rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.model import Finding
from pcapreport.report.model import RETRANSMISSION_RULES, Metrics
from pcapreport.report.segments import rows_with, window_scales
from pcapreport.report.stencil import Stencil, numbers, seconds, where
from pcapreport.report.time_records import Times
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Totals(NamedTuple):
    """Of c connections, arrays (c, 2) by side, or (c,)."""

    packets: Ints
    unique_bytes: Ints
    least_window: Ints
    mss: Ints
    """0: not told."""
    isn: npt.NDArray[np.uint32]
    isn_seen: Bools
    handshake_ns: Ints
    """-1: not seen."""
    resent: Ints
    """Frames that send bytes, SYN or FIN again."""


def totals(table: ConnectionTable, findings: Sequence[Finding]) -> Totals:
    """One pass over all rows; the findings say what was sent again."""
    flows = 2 * len(table)
    connection = table.connection
    flow = connection * 2 + table.side
    order = np.argsort(flow, kind="stable")
    fresh = _fresh_bytes(table, flow, order)
    plain = (table.flags & (Flag.SYN | Flag.RST)) == 0
    least = np.full(flows, _NO_WINDOW)
    np.minimum.at(least, flow[plain], table.window[plain])
    mss = np.zeros(flows, np.int64)
    syn = (table.flags & Flag.SYN) != 0
    mss[flow[syn]] = table.packets["mss"][table.row[syn]]
    return Totals(
        np.bincount(flow, minlength=flows).reshape(-1, 2),
        np.bincount(flow, weights=fresh, minlength=flows).astype(np.int64).reshape(-1, 2),
        least.reshape(-1, 2),
        mss.reshape(-1, 2),
        table.isn,
        table.isn_seen,
        _handshakes(table, connection),
        _resent(table, connection, findings).reshape(-1, 2),
    )


def _resent(table: ConnectionTable, connection: Ints, findings: Sequence[Finding]) -> Ints:
    """Per flow (connection * 2 + side) how many rows the findings on retransmission name."""
    named = [f for f in findings if f.connection is not None and f.rule in RETRANSMISSION_RULES]
    if not named:
        return np.zeros(2 * len(table), np.int64)
    frames = np.fromiter(chain.from_iterable(f.frames for f in named), np.int64)
    whose = np.repeat([f.connection for f in named], [len(f.frames) for f in named])
    step = 1 + int(max(table.frame.max(), frames.max(initial=0)))
    keys, server = connection * step + table.frame, table.side == SERVER
    if len(table.moved):
        order = np.argsort(keys, kind="stable")
        keys, server = keys[order], server[order]
    wanted = np.unique(whose * step + frames)
    start, stop = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, "right")
    from_server = np.append(0, np.cumsum(server))
    by_server = from_server[stop] - from_server[start]
    counts = np.zeros(2 * len(table), np.int64)
    np.add.at(counts, wanted // step * 2 + CLIENT, stop - start - by_server)
    np.add.at(counts, wanted // step * 2 + SERVER, by_server)
    return counts


def _handshakes(table: ConnectionTable, connection: Ints) -> Ints:
    """Per connection the time from the SYN it begins with to the client's first ACK of the server's; -1 if not seen."""
    first = table.bounds[:-1]
    opened = (table.flags[first] & (Flag.SYN | Flag.ACK)) == Flag.SYN
    answers = (table.side == CLIENT) & ((table.flags & (Flag.SYN | Flag.RST | Flag.ACK)) == Flag.ACK) & (table.ack >= 1)
    at = np.flatnonzero(answers)
    third = np.full(len(table), -1, np.int64)
    third[connection[at][::-1]] = at[::-1]
    took = table.time_ns[third] - table.time_ns[first]
    return np.where(opened & (third >= 0), took, -1)


def _fresh_bytes(table: ConnectionTable, flow: Ints, order: Ints) -> Ints:
    """Payload bytes of each row that its sender had not sent before (holes filled late count as repeated)."""
    fresh = np.zeros(len(flow), np.int64)
    carrying = order[table.length[order] > 0]
    if not len(carrying):
        return fresh
    flows, end, length = flow[carrying], table.end[carrying], table.length[carrying]
    step = int(end.max() - end.min()) + 1
    lifted = end + flows * step  # flows ascend, so one running maximum serves them all
    highest = np.maximum.accumulate(lifted)
    before = np.empty_like(highest)
    before[0], before[1:] = np.iinfo(np.int64).min, highest[:-1]
    new_flow = np.diff(flows, prepend=-1) != 0
    known = np.where(new_flow, np.iinfo(np.int64).min // 2, before - flows * step)
    fresh[carrying] = np.clip(end - np.maximum(known, end - length), 0, length)
    return fresh


def metrics_slots(stencil: Stencil, sums: Totals, times: Times) -> Metrics:
    """The document's numbers of every connection: those that need no walk over its rows."""
    whole = stencil.numbers
    return Metrics(
        client_packets=whole(sums.packets[:, CLIENT]),
        server_packets=whole(sums.packets[:, SERVER]),
        client_bytes=whole(sums.unique_bytes[:, CLIENT]),
        server_bytes=whole(sums.unique_bytes[:, SERVER]),
        client_retransmitted=whole(sums.resent[:, CLIENT]),
        server_retransmitted=whole(sums.resent[:, SERVER]),
        handshake_s=stencil.texts(where(sums.handshake_ns >= 0, seconds(sums.handshake_ns))),
        client_mss=stencil.optional(sums.mss[:, CLIENT] > 0, numbers(sums.mss[:, CLIENT])),
        server_mss=stencil.optional(sums.mss[:, SERVER] > 0, numbers(sums.mss[:, SERVER])),
        client_isn=stencil.optional(sums.isn_seen[:, CLIENT], numbers(sums.isn[:, CLIENT])),
        server_isn=stencil.optional(sums.isn_seen[:, SERVER], numbers(sums.isn[:, SERVER])),
        time_ledger=stencil.texts(times.spent),
        responses=stencil.optional(times.longest_ns >= 0, times.responses),
    )


def with_detail(plain: Metrics, table: ConnectionTable, connection: int, sums: Totals) -> Metrics:
    """With what takes a walk over the connection's rows."""
    scales = window_scales(table, connection)
    least = sums.least_window[connection].tolist()
    return replace(
        plain,
        client_rtt_s=_round_trip(table, connection, CLIENT),
        server_rtt_s=_round_trip(table, connection, SERVER),
        client_window_scale=scales[CLIENT],
        server_window_scale=scales[SERVER],
        client_min_window=_scaled(least[CLIENT], scales[CLIENT]),
        server_min_window=_scaled(least[SERVER], scales[SERVER]),
    )


_NO_WINDOW = int(np.iinfo(np.int64).max)


def _scaled(window: int, shift: int | None) -> int | None:
    return None if shift is None or window == _NO_WINDOW else window << shift


def resent_rows(frame: Ints, findings: Sequence[Finding]) -> Bools:
    """Which rows of a connection's frame column send bytes, SYN or FIN again."""
    resent = np.zeros(len(frame), np.bool_)
    for finding in findings:
        if finding.rule in RETRANSMISSION_RULES:
            resent[rows_with(frame, finding.frames)] = True
    return resent


def _round_trip(table: ConnectionTable, connection: int, side: int) -> float | None:
    """Median time from a new segment towards `side` until its ACK passes the tap."""
    samples = [took for _, took in round_trips(table, connection, side)]
    return median(samples) / SECOND if samples else None


def round_trips(table: ConnectionTable, connection: int, side: int, most: int = 20_000) -> list[tuple[int, int]]:
    """(when, ns; how long until, ns) each new segment towards `side` was acknowledged, without repeated ones (Karn)."""
    at = table.rows_of(connection)
    at = slice(at.start, min(at.stop, at.start + most))
    waiting: deque[tuple[int, int]] = deque()  # ends ascend: a segment below the highest empties it
    samples: list[tuple[int, int]] = []
    highest = -1
    answers = (table.flags[at] & (Flag.ACK | Flag.RST)) == Flag.ACK
    for sender, time, seq, end, ack, answer in zip(
        table.side[at].tolist(),
        table.time_ns[at].tolist(),
        table.seq[at].tolist(),
        table.end[at].tolist(),
        table.ack[at].tolist(),
        answers.tolist(),
        strict=True,
    ):
        if sender != side:
            if end > seq and seq < highest:
                waiting.clear()
            elif end > seq:
                waiting.append((end, time))
            highest = max(highest, end)
        elif answer:
            covered = None
            while waiting and waiting[0][0] <= ack:
                covered = waiting.popleft()[1]
            if covered is not None:
                samples.append((time, time - covered))
    return samples
