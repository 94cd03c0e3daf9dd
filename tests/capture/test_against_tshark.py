"""Every TCP frame of 257 captures that others made, field by field against tshark 4.0.17.

The captures are not part of this repository; without them the tests are skipped. What differs for a known reason is
listed in explained_differences.tsv (path, field, frames, cause), and only that may differ.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from pcapreport.capture import Capture, Flag, RowNote, read_capture
from pcapreport.errors import UnreadableCapture

CAPTURES = Path(__file__).parents[2] / ".." / "shared" / "captures"
EXPLAINED = Path(__file__).with_name("explained_differences.tsv")
NUMBERS = ("wire_len", "cap_len", "sport", "dport", "seq", "ack", "payload_len", "window")

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"the captures of others are not at {CAPTURES}")


def rows_of(path: Path) -> list[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def read_ours(capture: Capture) -> dict[int, dict[str, str]]:
    """Frame -> its fields, written as tshark writes them."""
    columns = {name: column.tolist() for name, column in capture.table.columns.items()}
    frames: dict[int, dict[str, str]] = {}
    for row, frame in enumerate(columns["frame"]):
        ours = {name: str(columns[name][row]) for name in NUMBERS}
        for end in ("src", "dst"):
            value = columns[end + "_hi"][row] << 64 | columns[end + "_lo"][row]
            packed = value.to_bytes(4 if columns["ip_version"][row] == 4 else 16, "big")
            ours[end] = str(ip_address(packed))
        ours["flags"] = f"0x{columns['flags'][row]:04x}"
        ours["time_epoch"] = "{}.{:09d}".format(*divmod(columns["time_ns"][row], 10**9))
        if columns["notes"][row] & RowNote.BAD_DATA_OFFSET:
            ours["payload_len"] = ""
        frames[frame] = ours
    return frames


def read_theirs(path: str) -> dict[int, dict[str, str]]:
    table = CAPTURES / "tshark" / f"{path}.tsv.gz"
    frames = {int(row["frame"]): row for row in rows_of(table)} if table.exists() else {}
    for row in frames.values():
        if row["flags"]:
            # tshark shows the three reserved bits among the flags; here a note tells of them.
            row["flags"] = f"0x{int(row['flags'], 16) & sum(Flag):04x}"
    return frames


def differences(path: str) -> Counter[str]:
    """Field -> in how many frames it differs; "missing" and "extra" for whole frames."""
    try:
        capture = read_capture(CAPTURES / "files" / path)
    except UnreadableCapture:
        return Counter({"unreadable": 1})
    ours, theirs = read_ours(capture), read_theirs(path)
    found = Counter({"missing": len(theirs.keys() - ours.keys()), "extra": len(ours.keys() - theirs.keys())})
    for frame in ours.keys() & theirs.keys():
        found.update(name for name, value in ours[frame].items() if value != theirs[frame][name])
    return +found


def explained(path: str) -> Counter[str]:
    return Counter({row["field"]: int(row["frames"]) for row in rows_of(EXPLAINED) if row["path"] == path})


def captures(kind: str | None = None) -> Iterator[dict[str, str]]:
    if CAPTURES.is_dir():
        yield from (row for row in rows_of(CAPTURES / "index.tsv") if kind in (None, row["kind"]))


@pytest.mark.parametrize("path", [row["path"] for row in captures()])
def test_every_tcp_frame_agrees_with_tshark_but_for_what_is_explained(path: str) -> None:
    found = differences(path)
    if path.endswith(".zst") and found == {"unreadable": 1}:
        pytest.skip("no package for zstd is installed")
    assert found == explained(path)


@pytest.mark.parametrize("row", [pytest.param(row, id=row["path"]) for row in captures("whole")])
def test_a_sound_file_is_complete_and_has_the_packets_that_capinfos_counts(row: dict[str, str]) -> None:
    capture = read_capture(CAPTURES / "files" / row["path"])
    assert capture.complete
    assert capture.packets == int(row["packets"])
    assert capture.sha256 == row["sha256"]
    assert len(capture.table) + sum(capture.other_packets.values()) == capture.packets
