"""Wireshark's own dissectors as a second opinion: fields of every frame of a file, where its programs are installed.

`sharkd` is what tshark is, kept running, so that hundreds of files do not cost hundreds of starts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pcapreport.capture import Option, PacketTable, pcap, pcapng, snoop
from pcapreport.capture.container import Findings
from pcapreport.capture.recognition import is_capture, recognise
from pcapreport.capture.source import open_source
from pcapreport.settings import Limits

needs_wireshark = pytest.mark.skipif(shutil.which("sharkd") is None, reason="Wireshark's sharkd is not installed")

OPTIONS = {
    "mss": "tcp.options.mss_val",
    "window_scale": "tcp.options.wscale.shift",
    "ts_val": "tcp.options.timestamp.tsval",
    "ts_ecr": "tcp.options.timestamp.tsecr",
    "sack_left": "tcp.options.sack_le",
    "sack_right": "tcp.options.sack_re",
    "mptcp": "tcp.options.mptcp.subtype",
}
"""What a segment's options say -> the field that holds it."""
KINDS = "tcp.option_kind"
_BITS = {
    "Maximum Segment Size": Option.MSS, "Window Scale": Option.WINDOW_SCALE, "SACK Permitted": Option.SACK_PERMITTED,
    "SACK": Option.SACK, "Time Stamp Option": Option.TIMESTAMP, "MD5 Signature Option": Option.MD5,
    "User Timeout Option": Option.USER_TIMEOUT, "The TCP Authentication Option": Option.AUTHENTICATION,
    "Multipath TCP": Option.MPTCP, "TCP Fast Open Cookie": Option.FAST_OPEN,
    "RFC3692-style Experiment 1": Option.EXPERIMENTAL, "RFC3692-style Experiment 2": Option.EXPERIMENTAL,
    "No-Operation": 0, "End of Option List": 0,
}  # fmt: skip
_MPTCP = (
    "Multipath Capable", "Join Connection", "Data Sequence Signal", "Add Address", "Remove Address",
    "Change Subflow Priority", "TCP Fallback", "Fast Close", "TCP Reset",
)  # fmt: skip


_NUMBERS = {
    "sport": "tcp.srcport", "dport": "tcp.dstport", "seq": "tcp.seq_raw", "ack": "tcp.ack_raw", "flags": "tcp.flags",
    "window": "tcp.window_size_value", "payload_len": "tcp.len",
}  # fmt: skip
SEGMENT_FIELDS = [
    "frame.time_epoch", "frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", KINDS, *_NUMBERS.values(),
    *OPTIONS.values(),
]  # fmt: skip


class Wireshark:
    """A running sharkd; one file at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def frames(self, path: Path, fields: Sequence[str]) -> dict[int, dict[str, list[str]]]:
        """Frame number -> field -> its values, outermost first; the frames up to what Wireshark cannot read."""
        columns = {f"column{at}": f"{field}:0" for at, field in enumerate(fields)}
        self._ask(1, "load", file=str(path))
        self._ask(2, "frames", **columns)
        loaded = answer = self._answer()
        if loaded["id"] == 1:  # a file that breaks off is loaded as far as it goes, but then that request has no answer
            answer = self._answer()
        if "error" in loaded:
            return {}
        return {
            frame["num"]: {
                field: text.split(",") if text else [] for field, text in zip(fields, frame["c"], strict=True)
            }
            for frame in answer.get("result", [])
        }

    def _ask(self, number: int, method: str, **params: str) -> None:
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        return dict(json.loads(self._process.stdout.readline()))


def time_ns(written: list[str]) -> int | None:
    """Nanoseconds since the epoch of `frame.time_epoch`; None for a frame that has no time.

    The fraction counts forward also before 1970: "-2.500000000" is a second and a half before.
    """
    if not written:
        return None
    seconds, fraction = written[0].split(".")
    return int(seconds) * 10**9 + int(fraction)


def kinds_as_bits(kinds: Iterable[str]) -> int:
    """The bits of Option for the option kinds of a segment."""
    bits = 0
    for kind in kinds:
        bits |= _BITS.get(kind, Option.OTHER)
    return bits


def options_of(table: PacketTable) -> dict[int, tuple[dict[str, list[str]], int]]:
    """Frame -> (what its segments' options say, as Wireshark writes it; their bits of Option)."""
    frames: dict[int, tuple[dict[str, list[str]], int]] = {}
    columns = {name: column.tolist() for name, column in table.columns.items()}
    blocks = table.sack_blocks.tolist()
    for row, frame in enumerate(columns["frame"]):
        said, bits = frames.setdefault(frame, ({name: [] for name in OPTIONS}, 0))
        own = columns["options"][row]
        edges = [edge for edge in blocks[columns["sack"][row]] if any(edge)] if columns["sack"][row] >= 0 else []
        present = {
            "mss": [columns["mss"][row]] if own & Option.MSS else [],
            "window_scale": [columns["window_scale"][row]] if own & Option.WINDOW_SCALE else [],
            "ts_val": [columns["ts_val"][row]] if own & Option.TIMESTAMP else [],
            "ts_ecr": [columns["ts_ecr"][row]] if own & Option.TIMESTAMP else [],
            "sack_left": [left for left, _ in edges],
            "sack_right": [right for _, right in edges],
            "mptcp": [name for subtype, name in enumerate(_MPTCP) if columns["mptcp"][row] >> subtype & 1],
        }
        for name, values in present.items():
            said[name] += map(str, values)
        frames[frame] = (said, bits | own)
    return frames


def times_of_all_records(path: Path) -> dict[int, int]:
    """Frame -> time in ns, of the records of any protocol."""
    source = open_source(str(path), None, Limits(), is_capture)
    walks = {"pcap": pcap.walk, "pcapng": pcapng.walk, "snoop": snoop.walk}
    blocks = walks[recognise(source)](source.buffer, Findings(), Limits())
    return {
        frame: at for block in blocks for frame, at in zip(block.frame.tolist(), block.time_ns.tolist(), strict=True)
    }


def our_segments(table: PacketTable) -> dict[int, dict[str, list[str]]]:
    """Frame -> field -> a value for each segment in it."""
    found: dict[int, dict[str, list[str]]] = {}
    columns = {name: column.tolist() for name, column in table.columns.items()}
    options = options_of(table)
    for row, frame in enumerate(columns["frame"]):
        segment = found.setdefault(frame, {name: [] for name in ("src", "dst", *_NUMBERS)} | options[frame][0])
        for end in ("src", "dst"):
            packed = (columns[end + "_hi"][row] << 64 | columns[end + "_lo"][row]).to_bytes(16, "big")
            segment[end].append(str(ip_address(packed[12:] if columns["ip_version"][row] == 4 else packed)))
        for name in _NUMBERS:
            value = columns[name][row]
            segment[name].append(f"0x{value:03x}" if name == "flags" else str(value))
        segment["options"] = [str(options[frame][1])]
    return found


def their_segments(fields: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """The same of Wireshark's fields; of the addresses those of the innermost IP header."""
    if not fields["tcp.seq_raw"]:
        return None
    count = len(fields["tcp.seq_raw"])
    layers = [layer for protocols in fields["frame.protocols"] for layer in protocols.split(":")]
    family = [layer for layer in layers if layer in ("ip", "ipv6")][-1]
    segment = {end: fields[f"{family}.{end}"][-count:] for end in ("src", "dst")}
    segment |= {name: fields[field] for name, field in {**_NUMBERS, **OPTIONS}.items()}
    return segment | {"options": [str(kinds_as_bits(fields[KINDS]))]}


@contextmanager
def running(settings: Path) -> Iterator[Wireshark]:
    """A sharkd with its settings in this empty directory.

    Sequence numbers as sent, each segment by itself, and without a dissector that takes minutes.
    """
    (settings / "preferences").write_text("tcp.relative_sequence_numbers: FALSE\ntcp.desegment_tcp_streams: FALSE\n")
    (settings / "disabled_protos").write_text("vnc\n")
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(settings)}
    with subprocess.Popen(
        ["sharkd", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        encoding="utf-8",
        errors="replace",
    ) as process:
        yield Wireshark(process)
        assert process.stdin
        process.stdin.close()
