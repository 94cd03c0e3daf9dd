"""Numbers of connections: counts by array passes over the whole capture, the rest from one connection's rows."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.model import Finding
from pcapreport.report.model import RETRANSMISSION_RULES, Metrics, Series
from pcapreport.report.segments import SENDERS, Row, window_scales
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable

Ints = npt.NDArray[np.int64]
Kind = Literal["data", "retransmission", "ack", "window"]


class Totals(NamedTuple):
    """Per connection and side (index connection * 2 + side), and per connection."""

    packets: list[int]
    unique_bytes: list[int]
    least_window: list[int]
    mss: list[int]
    isn: list[list[int]]
    isn_seen: list[list[bool]]
    handshake_ns: list[int]
    """-1: not seen."""


def totals(table: ConnectionTable) -> Totals:
    """One pass over all rows."""
    flows = 2 * len(table)
    connection = np.repeat(np.arange(len(table)), np.diff(table.bounds))
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
        np.bincount(flow, minlength=flows).tolist(),
        np.bincount(flow, weights=fresh, minlength=flows).astype(np.int64).tolist(),
        least.tolist(),
        mss.tolist(),
        table.isn.tolist(),
        table.isn_seen.tolist(),
        _handshakes(table, connection).tolist(),
    )


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


def metrics(
    table: ConnectionTable, connection: int, sums: Totals, findings: Sequence[Finding], detailed: bool
) -> Metrics:
    """The document's numbers of one connection; round trips only where asked for (they walk the rows)."""
    client, server = 2 * connection + CLIENT, 2 * connection + SERVER
    scales = window_scales(table, connection) if detailed else (None, None)
    resent = _resent(table, connection, findings)
    isn = [
        number if seen else None for number, seen in zip(sums.isn[connection], sums.isn_seen[connection], strict=True)
    ]
    handshake = sums.handshake_ns[connection]
    return Metrics(
        client_packets=sums.packets[client],
        server_packets=sums.packets[server],
        client_bytes=sums.unique_bytes[client],
        server_bytes=sums.unique_bytes[server],
        client_retransmitted=resent[CLIENT],
        server_retransmitted=resent[SERVER],
        handshake_s=None if handshake < 0 else handshake / SECOND,
        client_rtt_s=_round_trip(table, connection, CLIENT) if detailed else None,
        server_rtt_s=_round_trip(table, connection, SERVER) if detailed else None,
        client_window_scale=scales[CLIENT],
        server_window_scale=scales[SERVER],
        client_mss=sums.mss[client] or None,
        server_mss=sums.mss[server] or None,
        client_isn=isn[CLIENT],
        server_isn=isn[SERVER],
        client_min_window=_scaled(sums.least_window[client], scales[CLIENT]),
        server_min_window=_scaled(sums.least_window[server], scales[SERVER]),
    )


_NO_WINDOW = int(np.iinfo(np.int64).max)


def _scaled(window: int, shift: int | None) -> int | None:
    return None if shift is None or window == _NO_WINDOW else window << shift


def resent_frames(findings: Sequence[Finding]) -> frozenset[int]:
    """Frames that send bytes, SYN or FIN again."""
    return frozenset(frame for finding in findings if finding.rule in RETRANSMISSION_RULES for frame in finding.frames)


def _resent(table: ConnectionTable, connection: int, findings: Sequence[Finding]) -> tuple[int, int]:
    """How many such frames client and server sent."""
    frames = resent_frames(findings)
    if not frames:
        return 0, 0
    at = table.rows_of(connection)
    senders = [s for f, s in zip(table.frame[at].tolist(), table.side[at].tolist(), strict=True) if f in frames]
    by_server = senders.count(SERVER)
    return len(senders) - by_server, by_server


def _round_trip(table: ConnectionTable, connection: int, side: int, most: int = 20_000) -> float | None:
    """Median time from a new segment towards `side` until its ACK passes the tap, without repeated ones (Karn)."""
    at = table.rows_of(connection)
    at = slice(at.start, min(at.stop, at.start + most))
    waiting: list[tuple[int, int]] = []
    samples: list[int] = []
    highest = -1
    for sender, time, seq, end, ack, flags in zip(
        table.side[at].tolist(),
        table.time_ns[at].tolist(),
        table.seq[at].tolist(),
        table.end[at].tolist(),
        table.ack[at].tolist(),
        table.flags[at].tolist(),
        strict=True,
    ):
        if sender != side:
            if end > seq and seq < highest:
                waiting.clear()
            elif end > seq:
                waiting.append((end, time))
            highest = max(highest, end)
        elif flags & Flag.ACK and not flags & Flag.RST:
            covered = [sent for number, sent in waiting if number <= ack]
            if covered:
                samples.append(time - covered[-1])
                waiting = [pair for pair in waiting if pair[0] > ack]
    return median(samples) / SECOND if samples else None


def series(rows: Sequence[Row], resent: frozenset[int], clock: Clock, most: int = 1_000) -> list[Series]:
    """Time-sequence points of each direction, `sender` being whose data it is; at most `most` points a curve."""
    curves = []
    for side in (CLIENT, SERVER):
        data = [(row.time_ns, row.end) for row in rows if row.side == side and row.length and row.frame not in resent]
        again = [(row.time_ns, row.end) for row in rows if row.side == side and row.length and row.frame in resent]
        answers = [row for row in rows if row.side != side and row.ack is not None and not row.flags & Flag.RST]
        if not data and not again:
            continue
        acks = [(row.time_ns, row.ack or 0) for row in answers]
        edges = [(row.time_ns, (row.ack or 0) + row.window) for row in answers if not row.flags & Flag.SYN]
        kinds: tuple[tuple[Kind, Sequence[tuple[int, int]]], ...] = (
            ("data", data),
            ("retransmission", again),
            ("ack", acks),
            ("window", edges),
        )
        for kind, points in kinds:
            if points:
                kept = thinned(points, most)
                times = [clock.seconds(time) for time, _ in kept]
                curves.append(Series(sender=SENDERS[side], kind=kind, time_s=times, value=[value for _, value in kept]))
    return curves


def thinned(points: Sequence[tuple[int, int]], most: int) -> Sequence[tuple[int, int]]:
    """Every n-th point, first and last kept, so that at most `most` remain."""
    if len(points) <= most:
        return points
    step = -(-len(points) // (most - 1))
    return [*points[::step], points[-1]]
