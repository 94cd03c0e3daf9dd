"""Connections without a capture: segments by hand or at random, and findings that name some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pcapreport.capture.packet_table import COLUMNS, Flag, PacketTable
from pcapreport.findings.model import Confidence, Finding, Severity, Side
from pcapreport.report.segments import Rows
from pcapreport.settings import SECOND
from pcapreport.tcp.history import Certainty, ConnectionHistory, EndpointHistory, Transition
from pcapreport.tcp.states import State

START = 1_700_000_000 * SECOND
CLIENT, SERVER = 0, 1


class Segment(NamedTuple):
    """One row; `pause` in ns since the one before."""

    side: int = CLIENT
    length: int = 0
    flags: int = Flag.ACK
    pause: int = 1_000
    seq: int = 0
    ack: int = 0
    window: int = 512


def rows_of(segments: Sequence[Segment], frames: Sequence[int] | None = None) -> Rows:
    """Rows with odd frame numbers unless told otherwise: even ones are another connection's."""
    values = np.array(segments, np.int64).reshape(-1, len(Segment._fields))
    side, length, flags, pause, seq, ack, window = values.T
    count = len(values)
    packets = {name: np.zeros(count, column.dtype) for name, column in COLUMNS.items()}
    packets["seq"][:], packets["ack"][:] = seq + 1_000, ack + 5_000
    return Rows(
        time_ns=START + np.cumsum(pause),
        frame=np.arange(count) * 2 + 1 if frames is None else np.array(frames),
        side=side.astype(np.uint8),
        flags=flags.astype(np.uint16),
        seq=seq,
        end=seq + length,
        ack=np.where(flags & Flag.ACK, ack, 0),
        length=length,
        window=window,
        packet=np.arange(count),
        packets=PacketTable(packets, np.empty((0, 4, 2), np.uint32), ("ethernet",)),
        scales=(2, None),
    )


def finding(frames: Sequence[int], rule: str = "rule", severity: Severity = Severity.NOTE) -> Finding:
    """One about connection 0."""
    return Finding(rule, severity, Confidence.HIGH, Side.NETWORK, tuple(frames), None, "", 0)


def history(
    client: Sequence[tuple[State, int | None]], server: Sequence[tuple[State, int | None]]
) -> ConnectionHistory:
    """States with the frames they were entered at; without a frame: by assumption, at no known time."""
    ends = [
        EndpointHistory(
            tuple(
                Transition(state, None, None, frame, "R1", Certainty.ASSUMED if frame is None else Certainty.PROVEN)
                for state, frame in states
            ),
            frozenset(),
            None,
            (),
        )
        for states in (client, server)
    ]
    return ConnectionHistory(ends[CLIENT], ends[SERVER], "", "")
