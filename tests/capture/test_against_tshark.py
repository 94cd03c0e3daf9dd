"""Every frame of 257 captures that others made, field by field against tshark 4.0.17.

The captures are not part of this repository; without them the tests are skipped. What differs for a known reason is
listed in explained_differences.tsv (path, field, frames, cause), and only that may differ. Addresses, ports, numbers,
flags and lengths are compared with recorded tables; times of all records and TCP options with Wireshark itself, where
it is installed.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from pcapreport.capture import Capture, Option, RowNote, read_capture
from pcapreport.errors import UnreadableCapture

from .wireshark import (
    KINDS,
    OPTIONS,
    Wireshark,
    kinds_as_bits,
    needs_wireshark,
    options_of,
    time_ns,
    times_of_all_records,
)

CAPTURES = Path(__file__).parents[2] / ".." / "shared" / "captures"
EXPLAINED = Path(__file__).with_name("explained_differences.tsv")
RESERVED = 0xE00
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
            row["flags"] = f"0x{int(row['flags'], 16) & ~RESERVED:04x}"
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


def explained(path: str, *, in_wireshark: bool = False) -> Counter[str]:
    """What may differ from the recorded tables, or (fields named "wireshark ...") from Wireshark as it runs here."""
    listed = {row["field"]: int(row["frames"]) for row in rows_of(EXPLAINED) if row["path"] == path}
    return Counter({field: n for field, n in listed.items() if field.startswith("wireshark") is in_wireshark})


def differences_in_wireshark(path: Path, wireshark: Wireshark) -> Counter[str]:
    """Field -> in how many frames it differs: time of any record, options of any segment."""
    capture, times = read_capture(path), times_of_all_records(path)
    frames = wireshark.frames(path, ["frame.time_epoch", "tcp.seq_raw", KINDS, *OPTIONS.values()])
    numbered_blocks = sum(capture.other_blocks.get(kind, 0) for kind in ("custom", "systemd journal"))
    found = Counter(
        {
            "wireshark missing": len(frames.keys() - times.keys()) - (numbered_blocks if frames else 0),
            "wireshark extra": len(times.keys() - frames.keys()),
        }
    )
    options = options_of(capture.table)
    for frame in frames.keys() & times.keys():
        theirs = frames[frame]
        at = time_ns(theirs["frame.time_epoch"])
        found["wireshark time"] += at is not None and at != times[frame]
        if frame in options and theirs["tcp.seq_raw"]:
            said, bits = options[frame]
            found.update(f"wireshark {name}" for name, field in OPTIONS.items() if said[name] != theirs[field])
            # Fast Open under its experimental kind is told apart from other experiments only by us.
            experiment = Option.FAST_OPEN if bits & Option.EXPERIMENTAL else 0
            found["wireshark options"] += bits & ~experiment != kinds_as_bits(theirs[KINDS]) & ~experiment
    return +found


def captures(kind: str | None = None) -> Iterator[dict[str, str]]:
    if CAPTURES.is_dir():
        yield from (row for row in rows_of(CAPTURES / "index.tsv") if kind in (None, row["kind"]))


@pytest.mark.parametrize("path", [row["path"] for row in captures()])
def test_every_tcp_frame_agrees_with_tshark_but_for_what_is_explained(path: str) -> None:
    found = differences(path)
    if path.endswith(".zst") and found == {"unreadable": 1}:
        pytest.skip("no package for zstd is installed")
    assert found == explained(path)


@needs_wireshark
@pytest.mark.parametrize("path", [row["path"] for row in captures()])
def test_every_record_has_wiresharks_time_and_every_segment_its_options(path: str, wireshark: Wireshark) -> None:
    try:
        found = differences_in_wireshark(CAPTURES / "files" / path, wireshark)
    except UnreadableCapture as error:
        pytest.skip(str(error))
    assert found == explained(path, in_wireshark=True)


NO_SEGMENT = {"UDP", "ARP", "ICMP", "ICMPv6", "IGMP", "OSPF", "SCTP", "VRRP", "LLC", "other"}
"""Labels of frames that claim to hold no segment at all, or do not say what they are."""


@pytest.mark.parametrize("path", [row["path"] for row in captures()])
def test_every_segment_that_is_not_read_is_counted_under_what_hides_it(path: str) -> None:
    """A frame that tshark calls TCP and that has no row is told by a label such as "malformed TCP"."""
    try:
        capture = read_capture(CAPTURES / "files" / path)
    except UnreadableCapture as error:
        assert error.advice
        return
    unread = read_theirs(path).keys() - set(capture.table["frame"].tolist())
    told = sum(count for label, count in capture.other_packets.items() if label not in NO_SEGMENT)
    assert len(unread) <= told


@pytest.mark.parametrize("row", [pytest.param(row, id=row["path"]) for row in captures("whole")])
def test_a_sound_file_is_complete_and_has_the_packets_that_capinfos_counts(row: dict[str, str]) -> None:
    capture = read_capture(CAPTURES / "files" / row["path"])
    assert capture.complete
    assert capture.packets == int(row["packets"])
    assert capture.sha256 == row["sha256"]
    assert len(capture.table) + sum(capture.other_packets.values()) == capture.packets
