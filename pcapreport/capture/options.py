"""TCP options, read for many segments at once and for one.

Both readers keep the same rules: an option counts only if its length is one that its kind may have; the last of
several of a kind counts (as it does for Linux); at the first fault that hides where the next option begins reading
stops. Sources: IANA "TCP Parameters"; RFC 9293 3.2, RFC 7323, RFC 2018, RFC 2385, RFC 5925, RFC 5482, RFC 7413,
RFC 8684, RFC 6994.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import Bools, Gather, Ints
from pcapreport.capture.packet_table import Option

FAST_OPEN, MPTCP, EXPERIMENTS = 34, 30, (253, 254)
FAST_OPEN_EXPERIMENT = 0xF989
"""Experiment identifier under which TCP Fast Open was sent before it had a kind of its own (RFC 7413 section 8)."""
END, NOP, MSS, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMP = 0, 1, 2, 3, 4, 5, 8
MAX_OPTION_BYTES = 40
MAX_SHIFT = 127
"""Larger shift counts do not fit the column (and 14 is the largest that means anything)."""

_TIMESTAMP_LAYOUT = 0x0101080A
"""NOP, NOP, Timestamps, length 10: how nearly every sender aligns it (RFC 7323 appendix A)."""

_KINDS: dict[int, tuple[int, frozenset[int]]] = {
    MSS: (Option.MSS, frozenset({4})),
    WINDOW_SCALE: (Option.WINDOW_SCALE, frozenset({3})),
    SACK_PERMITTED: (Option.SACK_PERMITTED, frozenset({2})),
    SACK: (Option.SACK, frozenset({10, 18, 26, 34})),
    TIMESTAMP: (Option.TIMESTAMP, frozenset({10})),
    19: (Option.MD5, frozenset({18})),
    28: (Option.USER_TIMEOUT, frozenset({4})),
    29: (Option.AUTHENTICATION, frozenset(range(4, 41))),
    30: (Option.MPTCP, frozenset(range(3, 41))),
    34: (Option.FAST_OPEN, frozenset(range(2, 41))),
    253: (Option.EXPERIMENTAL, frozenset(range(2, 41))),
    254: (Option.EXPERIMENTAL, frozenset(range(2, 41))),
}
"""Kind -> its bit and the lengths it may have; any other kind is Option.OTHER of any length."""

_BIT = np.full(256, int(Option.OTHER), np.uint16)
_FITS = np.zeros((256, MAX_OPTION_BYTES + 1), np.bool_)
_FITS[:, 2:] = True
for _kind, (_bit, _lengths) in _KINDS.items():
    _BIT[_kind] = int(_bit)
    _FITS[_kind] = False
    _FITS[_kind, sorted(_lengths)] = True


@dataclass(frozen=True, slots=True)
class OptionColumns:
    """Options of n segments; all arrays (n,) but `sack_blocks`, which is (m, 4, 2)."""

    mss: npt.NDArray[np.uint16]
    window_scale: npt.NDArray[np.int8]
    options: npt.NDArray[np.uint16]
    ts_val: npt.NDArray[np.uint32]
    ts_ecr: npt.NDArray[np.uint32]
    sack: npt.NDArray[np.int32]
    mptcp: npt.NDArray[np.uint16]
    fast_open: npt.NDArray[np.uint8]
    malformed: Bools
    sack_blocks: npt.NDArray[np.uint32]

    @classmethod
    def absent(cls, count: int) -> OptionColumns:
        """No options at all."""
        return cls(
            mss=np.zeros(count, np.uint16),
            window_scale=np.full(count, -1, np.int8),
            options=np.zeros(count, np.uint16),
            ts_val=np.zeros(count, np.uint32),
            ts_ecr=np.zeros(count, np.uint32),
            sack=np.full(count, -1, np.int32),
            mptcp=np.zeros(count, np.uint16),
            fast_open=np.zeros(count, np.uint8),
            malformed=np.zeros(count, np.bool_),
            sack_blocks=np.empty((0, 4, 2), np.uint32),
        )


def read_options(gather: Gather, start: Ints, stop: Ints, captured: Ints) -> OptionColumns:
    """Options between `start` and `stop` (positions in the buffer), of which the file holds those before `captured`.

    One pass handles the next option of every segment, so there are as many passes as the longest list has options.
    """
    columns = OptionColumns.absent(len(start))
    at = start.copy()
    held = np.minimum(stop, captured)
    _skip_aligned_timestamp(gather, columns, at, held)
    sack_at = np.full(len(start), -1, np.int64)
    sack_count = np.zeros(len(start), np.int64)
    rows = np.flatnonzero(at < held)
    while len(rows):
        rows = _next_option(gather, columns, at, rows, (stop, captured), (sack_at, sack_count))
    return _with_sack_blocks(gather, columns, sack_at, sack_count)


def _skip_aligned_timestamp(gather: Gather, columns: OptionColumns, at: Ints, stop: Ints) -> None:
    """The usual first twelve bytes in one step instead of three."""
    rows = np.flatnonzero(stop - at >= 12)
    stamps = gather.headers(_ALIGNED_TIMESTAMP, at[rows])
    aligned = stamps["layout"] == _TIMESTAMP_LAYOUT
    if not aligned.all():
        rows, stamps = rows[aligned], stamps[aligned]
    columns.ts_val[rows] = stamps["value"]
    columns.ts_ecr[rows] = stamps["echo"]
    columns.options[rows] = np.uint16(Option.TIMESTAMP)
    at[rows] += 12


_ALIGNED_TIMESTAMP = np.dtype([("layout", ">u4"), ("value", ">u4"), ("echo", ">u4")])
_STAMPS = np.dtype([("value", ">u4"), ("echo", ">u4")])


def _put_timestamp(gather: Gather, columns: OptionColumns, rows: npt.NDArray[np.intp], value_at: Ints) -> None:
    stamps = gather.headers(_STAMPS, value_at)
    columns.ts_val[rows] = stamps["value"]
    columns.ts_ecr[rows] = stamps["echo"]


def _next_option(
    gather: Gather,
    columns: OptionColumns,
    at: Ints,
    rows: npt.NDArray[np.intp],
    ends: tuple[Ints, Ints],
    sack: tuple[Ints, Ints],
) -> npt.NDArray[np.intp]:
    """Read one option of each of these rows, move `at` behind it; returns the rows that go on."""
    stop, captured = (end[rows] for end in ends)
    here = at[rows]
    word = gather.numbers(">u2", here)
    kind, length = word >> 8, word & 0xFF
    single = kind <= NOP
    length_missing = here + 1 >= np.minimum(stop, captured)
    length = np.where(single, 1, np.where(length_missing, 2, length))
    beyond_header = ~single & ((length < 2) | (here + length > stop))
    whole = ~beyond_header & (here + length <= captured)
    fits = _FITS[kind, np.minimum(length, MAX_OPTION_BYTES)]
    columns.malformed[rows[~single & (beyond_header | (whole & ~fits))]] = True
    taken = whole & fits & ~single
    columns.options[rows[taken]] |= _BIT[kind[taken]]
    _take_values(gather, columns, rows[taken], kind[taken], here[taken] + 2)
    rare = taken & (kind >= MPTCP)
    if rare.any():
        _take_rare_values(gather, columns, rows[rare], kind[rare], length[rare], here[rare] + 2)
    is_sack = taken & (kind == SACK)
    sack[0][rows[is_sack]] = here[is_sack] + 2
    sack[1][rows[is_sack]] = (length[is_sack] - 2) // 8
    at[rows] = here + length
    goes_on = whole & (kind != END) & (here + length < np.minimum(stop, captured))
    following: npt.NDArray[np.intp] = rows[goes_on]
    return following


def _take_values(
    gather: Gather, columns: OptionColumns, rows: npt.NDArray[np.intp], kind: Ints, value_at: Ints
) -> None:
    chosen = kind == MSS
    if chosen.any():
        columns.mss[rows[chosen]] = gather.numbers(">u2", value_at[chosen])
    chosen = kind == WINDOW_SCALE
    if chosen.any():
        shifts = gather.numbers("u1", value_at[chosen])
        columns.window_scale[rows[chosen]] = np.minimum(shifts, MAX_SHIFT)
    chosen = kind == TIMESTAMP
    if chosen.any():
        _put_timestamp(gather, columns, rows[chosen], value_at[chosen])


def _take_rare_values(
    gather: Gather,
    columns: OptionColumns,
    rows: npt.NDArray[np.intp],
    kind: Ints,
    length: Ints,
    value_at: Ints,
) -> None:
    """MPTCP by its subtypes, of which a segment may carry several; TCP Fast Open under either of its kinds."""
    chosen = kind == MPTCP
    subtype = gather.numbers("u1", value_at[chosen]) >> 4
    columns.mptcp[rows[chosen]] |= (1 << subtype).astype(np.uint16)
    chosen = kind == FAST_OPEN
    columns.fast_open[rows[chosen]] = length[chosen] - 2
    chosen = np.isin(kind, EXPERIMENTS) & (length >= 4)
    chosen[chosen] = gather.numbers(">u2", value_at[chosen]) == FAST_OPEN_EXPERIMENT
    columns.options[rows[chosen]] |= np.uint16(Option.FAST_OPEN)
    columns.fast_open[rows[chosen]] = length[chosen] - 4


def _with_sack_blocks(gather: Gather, columns: OptionColumns, at: Ints, count: Ints) -> OptionColumns:
    rows = np.flatnonzero(at >= 0)
    if not len(rows):
        return columns
    columns.sack[rows] = np.arange(len(rows))
    edges = gather.headers(np.dtype([("edges", ">u4", (4, 2))]), at[rows])["edges"].astype(np.uint32)
    edges[np.arange(4) >= count[rows, None]] = 0
    return replace(columns, sack_blocks=edges)


@dataclass(slots=True)
class SegmentOptions:
    """Options of one segment."""

    mss: int = 0
    window_scale: int = -1
    options: int = 0
    ts_val: int = 0
    ts_ecr: int = 0
    mptcp: int = 0
    fast_open: int = 0
    sack: tuple[tuple[int, int], ...] = ()
    malformed: bool = False


def read_segment_options(held: bytes, claimed: int) -> SegmentOptions:
    """Options of one segment: the captured option bytes, and how many the header claims."""
    read = SegmentOptions()
    at, stop = 0, min(len(held), claimed)
    while at < stop and held[at] != END:
        kind = held[at]
        if kind == NOP:
            at += 1
            continue
        length = held[at + 1] if at + 1 < stop else 2
        if length < 2 or at + length > claimed:
            read.malformed = True
            break
        if at + length > stop:
            break
        if _FITS[kind, length]:
            _take_value(read, kind, held[at + 2 : at + length])
        else:
            read.malformed = True
        at += length
    return read


def _take_value(read: SegmentOptions, kind: int, value: bytes) -> None:
    read.options |= int(_BIT[kind])
    if kind == MSS:
        read.mss = int.from_bytes(value, "big")
    elif kind == WINDOW_SCALE:
        read.window_scale = min(value[0], MAX_SHIFT)
    elif kind == TIMESTAMP:
        read.ts_val, read.ts_ecr = int.from_bytes(value[:4], "big"), int.from_bytes(value[4:], "big")
    elif kind == SACK:
        edges = [int.from_bytes(value[at : at + 4], "big") for at in range(0, len(value), 4)]
        read.sack = tuple(zip(edges[::2], edges[1::2], strict=True))
    elif kind == MPTCP:
        read.mptcp |= 1 << (value[0] >> 4)
    elif kind == FAST_OPEN:
        read.fast_open = len(value)
    elif kind in EXPERIMENTS and int.from_bytes(value[:2], "big") == FAST_OPEN_EXPERIMENT and len(value) >= 2:
        read.options |= int(Option.FAST_OPEN)
        read.fast_open = len(value) - 2
