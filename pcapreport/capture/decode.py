"""The common path: most frames of most captures, decoded a block at a time without a Python loop over frames.

All frames of a block go down together, layer by layer (lanes.py), from the link layer through tags and tunnels to TCP;
decode_links.py and decode_ip.py know the layers. A frame that has anything unusual is not guessed at but handed back
for dissect.py, which agrees with this path wherever both apply. Every layer is one gather of its header at the position
the layer before said, and a mask of the frames where it is sound.

Lengths follow the headers, never the bytes captured: an IP datagram ends where its length field says, or with the
frame's wire length if that comes first, and Ethernet padding or a frame check sequence behind it is no payload.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from pcapreport.capture import checksums, decode_ip, decode_links, option_order
from pcapreport.capture.container import RecordBlock
from pcapreport.capture.decode_ip import IPV4, IPV6, TCP
from pcapreport.capture.dissect import stranger
from pcapreport.capture.encapsulation import Encapsulations
from pcapreport.capture.gather import Bools, Gather
from pcapreport.capture.lanes import NO_LENGTH, VERSION_6, Descent, Lanes, Rows
from pcapreport.capture.layers import Space
from pcapreport.capture.links import LINKS
from pcapreport.capture.options import read_options
from pcapreport.capture.packet_table import COLUMNS, Array, Flag, PacketTable, RowNote
from pcapreport.capture.protocols import link_label

_LAYERS = {**decode_links.HANDLERS, **decode_ip.HANDLERS}


class Decoder:
    """Decodes blocks of records; remembers nothing between them."""

    def __init__(self, gather: Gather, paths: Encapsulations, others: Counter[str], checked: bool = False) -> None:
        """`paths` and `others` are shared with dissect.py and added to; `checked`: verify TCP checksums."""
        self._gather = gather
        self._paths = paths
        self._others = others
        self._checked = checked

    def decode(self, block: RecordBlock, link_type: int) -> tuple[list[PacketTable], Rows]:
        """Tables of the segments recognised (each in file order), and the rows of `block` left for dissect.py.

        All records of the block have this link type. Frames that are certainly no TCP are counted.
        """
        segments: list[Lanes] = []
        handlers = {**_LAYERS, (Space.PROTOCOL, TCP): lambda _, lanes: segments.append(lanes)}
        descent = Descent(self._gather, len(block), self._others, handlers, stranger)
        if link_type in LINKS:
            descent.go(Space.LINK, link_type, _frames(block))
            descent.run()
        else:
            descent.count(link_label(link_type), _frames(block))
        tables = []
        for lanes in segments:
            six = lanes.ip_notes & VERSION_6 != 0
            for version, of_version in ((4, ~six), (6, six)):
                if of_version.any():
                    table, rows = self._tcp(descent, block, lanes.pick(of_version), version)
                    descent.left[rows] = False
                    tables.append(table)
        return tables, np.flatnonzero(descent.left)

    def _tcp(self, descent: Descent, block: RecordBlock, lanes: Lanes, version: int) -> tuple[PacketTable, Rows]:
        """Segments with a whole fixed header and a sensible data offset, and which frames they are."""
        lanes = lanes.pick(lanes.holds(TCP_HEADER))
        header = self._gather.headers(_TCP, lanes.at)
        size = (header["flags"] >> 12).astype(np.int64) * 4
        sound = (size >= TCP_HEADER) & (lanes.at + size <= lanes.wire_end)
        if not sound.all():
            lanes, header, size = lanes.pick(sound), header[sound], size[sound]
        if len(lanes) != len(block):
            block = block.pick(lanes.row)
        options = read_options(self._gather, lanes.at + TCP_HEADER, lanes.at + size, lanes.end)
        columns = _network_columns(self._gather, lanes, version)
        columns |= {name: header[name] for name in ("sport", "dport", "seq", "ack", "window", "urgent", "checksum")}
        columns |= {name: getattr(block, name) for name in ("frame", "time_ns", "wire_len", "cap_len", "interface")}
        columns |= {name: getattr(options, name) for name in OPTION_COLUMNS}
        columns |= {
            "encapsulation": descent.paths.outside(lanes.path, self._paths),
            "flags": header["flags"] & 0x1FF,
            "option_order": _option_orders(self._gather, lanes, header["flags"], size),
            "payload_len": lanes.wire_end - lanes.at - size,
            "notes": _notes(lanes, header["flags"], options.malformed),
        }
        typed = {name: columns[name].astype(column.dtype, copy=False) for name, column in COLUMNS.items()}
        if self._checked:
            typed[checksums.COLUMN] = checksums.check_many(self._gather, lanes, typed)
        return PacketTable(typed, options.sack_blocks, ()), lanes.row


def _frames(block: RecordBlock) -> Lanes:
    """The records before anything is known of them."""
    wire_end = block.offset + np.maximum(block.wire_len, block.cap_len) - block.fcs_len
    end = np.minimum(block.offset + block.cap_len, wire_end)
    zeros = np.zeros(len(block), np.int64)
    return Lanes(np.arange(len(block)), block.offset, end, wire_end, zeros, zeros, zeros.astype(np.uint8))


def _network_columns(gather: Gather, lanes: Lanes, version: int) -> dict[str, Array]:
    header = gather.headers(IPV4 if version == 4 else IPV6, lanes.ip_at)
    columns: dict[str, Array] = {"ip_version": np.full(len(lanes), version, np.uint8), "ttl": header["ttl"]}
    if version == 6:
        columns |= {name: header[name] for name in ("src_hi", "src_lo", "dst_hi", "dst_lo")}
        return columns | {"ip_id": np.zeros(len(lanes), np.uint16)}
    zeros = np.zeros(len(lanes), np.uint64)
    columns |= {"src_hi": zeros, "src_lo": header["src"], "dst_hi": zeros, "dst_lo": header["dst"]}
    return columns | {"ip_id": header["id"]}


def _option_orders(gather: Gather, lanes: Lanes, flags: Array, size: Array) -> Array:
    found = np.zeros(len(lanes), np.uint32)
    rows = np.flatnonzero(flags & Flag.SYN)
    start = lanes.at[rows]
    found[rows] = option_order.orders(gather, start + TCP_HEADER, start + size[rows], lanes.end[rows])
    return found


def _notes(lanes: Lanes, flags: Array, malformed: Bools) -> Array:
    notes = np.zeros(len(lanes), np.uint8)
    for chosen, note in (
        (lanes.end < lanes.wire_end, RowNote.SNAPLEN_CUT),
        (lanes.ip_notes & NO_LENGTH != 0, RowNote.NO_IP_LENGTH),
        (malformed, RowNote.MALFORMED_OPTIONS),
        (flags & 0x0E00 != 0, RowNote.RESERVED_FLAGS),
    ):
        notes[chosen] |= np.uint8(note)
    return notes


_TCP = np.dtype(
    [("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("flags", ">u2"), ("window", ">u2"),
     ("checksum", ">u2"), ("urgent", ">u2")]
)  # fmt: skip
TCP_HEADER = 20

OPTION_COLUMNS = ("mss", "window_scale", "options", "ts_val", "ts_ecr", "sack", "mptcp", "fast_open")
