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
from pathlib import Path
from typing import Any

import pytest

from pcapreport.capture import Option, PacketTable

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
    """Nanoseconds since the epoch of `frame.time_epoch`; None for a frame that has no time."""
    if not written:
        return None
    seconds, fraction = written[0].split(".")
    value = int(seconds.lstrip("-")) * 10**9 + int(fraction)
    return -value if seconds.startswith("-") else value


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


@contextmanager
def running(settings: Path) -> Iterator[Wireshark]:
    """A sharkd with its settings in this empty directory: absolute numbers, no dissector that takes minutes."""
    (settings / "preferences").write_text("tcp.relative_sequence_numbers: FALSE\n")
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
