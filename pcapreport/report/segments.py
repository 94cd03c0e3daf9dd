"""One connection's rows, ready to be told: relative numbers, scaled windows, flags in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pcapreport.capture.packet_table import Flag, Option
from pcapreport.findings.wording import flag_words
from pcapreport.report.model import Sender
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable

SENDERS: tuple[Sender, Sender] = ("client", "server")
CONTROL = Flag.SYN | Flag.FIN | Flag.RST


class Row(NamedTuple):
    """A segment as the report speaks of it; `window` in bytes, scaled where the scale is known."""

    time_ns: int
    frame: int
    side: int
    flags: int
    seq: int
    end: int
    ack: int | None
    length: int
    window: int
    raw_seq: int
    raw_ack: int

    @property
    def words(self) -> str:
        """Its flags in words."""
        return flag_words(self.flags)

    @property
    def is_control(self) -> bool:
        """SYN, FIN or RST."""
        return bool(self.flags & CONTROL)


@dataclass(frozen=True, slots=True)
class Told:
    """The rows of one connection and what both sides offered on their SYN."""

    rows: Sequence[Row]
    scales: tuple[int | None, int | None]
    """Window shift of client and server: 0 where a side declined, None where its SYN was not captured."""


def told(table: ConnectionTable, connection: int) -> Told:
    """The rows of a connection, in capture order."""
    at = table.rows_of(connection)
    rows = table.row[at]
    scales = window_scales(table, connection)
    columns = zip(
        table.time_ns[at].tolist(),
        table.frame[at].tolist(),
        table.side[at].tolist(),
        table.flags[at].tolist(),
        table.seq[at].tolist(),
        table.end[at].tolist(),
        table.ack[at].tolist(),
        table.length[at].tolist(),
        table.window[at].tolist(),
        table.packets["seq"][rows].tolist(),
        table.packets["ack"][rows].tolist(),
        strict=True,
    )
    out = []
    for time, frame, side, flags, seq, end, ack, length, window, raw_seq, raw_ack in columns:
        shift = 0 if flags & Flag.SYN else scales[side] or 0
        shown_ack = ack if flags & Flag.ACK else None
        out.append(Row(time, frame, side, flags, seq, end, shown_ack, length, window << shift, raw_seq, raw_ack))
    return Told(out, scales)


def window_scales(table: ConnectionTable, connection: int) -> tuple[int | None, int | None]:
    """Each side's window shift (RFC 7323 section 2.2: only if both SYNs carry the option, and 14 at most)."""
    at = table.rows_of(connection)
    found: list[int | None] = [None, None]
    for position in (at.start + i for i in (table.flags[at] & Flag.SYN).nonzero()[0].tolist()):
        row = table.row[position]
        offered = int(table.packets["options"][row]) & Option.WINDOW_SCALE
        found[table.side[position]] = min(int(table.packets["window_scale"][row]), 14) if offered else -1
    client, server = found[CLIENT], found[SERVER]
    if client is None or server is None:
        return (
            (None if client is None else 0, None if server is None else 0) if -1 in (client, server) else (None, None)
        )
    return (client, server) if client >= 0 and server >= 0 else (0, 0)
