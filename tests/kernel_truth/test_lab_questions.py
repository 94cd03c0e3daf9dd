"""The three questions that most laboratory reports get wrong, over all complete captures of the kernels' runs.

Who is in TIME-WAIT and until when: the kernel's own record. Three or four segments: the packets that the tap saw, by
the path's own ledger. The smallest window: read off the bytes with dpkt.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import dpkt
import pytest

from pcapreport.pipeline import analyze
from pcapreport.report.build import DocumentOptions
from pcapreport.report.model import Connection, Document, LabQuestion
from pcapreport.settings import Reading

RUNS = Path(__file__).parents[2] / ".." / "shared" / "kernel_truth" / "runs"
TAPS = ("client", "middle", "server")

pytestmark = pytest.mark.skipif(not RUNS.is_dir(), reason=f"the kernels' own records are not at {RUNS}")


class Lesson(NamedTuple):
    """A laboratory report and the run that it is about."""

    name: str
    tap: str
    document: Document
    connection: Connection
    truth: list[dict[str, Any]]
    packets: list[dict[str, Any]]

    def question(self, name: str) -> LabQuestion:
        assert self.document.lab is not None
        return next(one for one in self.document.lab.questions if one.id == name)


@lru_cache(maxsize=1)
def lessons() -> tuple[Lesson, ...]:
    return tuple(_lessons())


def _lessons() -> Iterator[Lesson]:
    for folder in sorted(RUNS.iterdir()):
        truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
        ledger = gzip.decompress((folder / "ledger.jsonl.gz").read_bytes())
        packets = [json.loads(line) for line in ledger.splitlines()]
        for tap in TAPS:
            document = analyze(folder / f"{tap}.pcap", options=DocumentOptions(lab=True), reading=Reading(frames=True))
            if document.lab is None:
                continue
            connection = next(c for c in document.connections if c.id == document.lab.connection)
            yield Lesson(folder.name, tap, document, connection, *_own(connection, truth, packets, tap))


def _own(
    connection: Connection, truth: list[dict[str, Any]], packets: list[dict[str, Any]], tap: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The kernel's changes of state of this connection, and its packets that the tap saw, in the tap's order."""
    first = connection.first_frame
    number = next(p["conn"] for p in packets if p.get("frames", {}).get(tap) == first)
    seen = [p for p in packets if p.get("conn") == number and tap in p.get("frames", {}) and p["origin"] != "injected"]
    seen.sort(key=lambda p: p["frames"][tap])
    return [t for t in truth if t["type"] == "transition" and t["conn"] == number], seen


def role(lesson: Lesson, local: str) -> str:
    host, port = local.rsplit("|", 1)
    client = lesson.connection.client
    return "client" if (client.address, client.port) == (host, int(port)) else "server"


def test_who_is_in_time_wait() -> None:
    wrong, told = [], 0
    for lesson in lessons():
        owners = sorted({role(lesson, t["local"]) for t in lesson.truth if t["new"] == "TIME_WAIT"})
        said = lesson.question("time_wait").values.get("owner")
        told += said is not None
        if said is not None and str(said) != (" and ".join(owners) or "none"):
            wrong.append((lesson.name, lesson.tap, owners, said))
    assert not wrong
    assert told > 0.8 * len(lessons())


def test_until_when() -> None:
    """Wherever the kernel's own timer ended it the moment lies in the interval told."""
    missed, timed = [], 0
    for lesson in lessons():
        for change in lesson.truth:
            if change["old"] != "TIME_WAIT" or change.get("cause") != "timer":
                continue
            wait = getattr(lesson.connection.endpoints, role(lesson, change["local"])).time_wait
            if wait is None or None in wait.expires_s:
                continue
            timed += 1
            start = lesson.document.capture.start
            assert start is not None
            since = (change["t"] - _nanoseconds(start)) / 1e9
            if not wait.expires_s[0] - 1e-5 <= since <= wait.expires_s[1] + 1e-5:
                missed.append((lesson.name, lesson.tap, since, wait.expires_s))
    assert not missed
    assert timed


def _nanoseconds(iso: str) -> int:
    from datetime import datetime

    whole, fraction = iso.removesuffix("Z").split(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(fraction)


def variant_of(packets: list[dict[str, Any]]) -> str | None:
    """By the path's ledger alone; None where the tap did not see a FIN of both sides and both acknowledgments."""
    fins: dict[str, tuple[int, dict[str, Any]]] = {}
    for place, packet in enumerate(packets):
        if "F" in packet["tcp"]["flags"] and packet["dir"] not in fins:
            fins[packet["dir"]] = place, packet
    if len(fins) < 2 or any("R" in p["tcp"]["flags"] for p in packets):
        return None
    (first, fin), (second, _) = sorted(fins.values(), key=lambda one: one[0])

    def answer(place: int, packet: dict[str, Any]) -> int | None:
        end = (packet["tcp"]["seq"] + packet["tcp"]["len"] + 1) % 2**32
        for at in range(place + 1, len(packets)):
            other = packets[at]
            behind = (other["tcp"]["ack"] - end) % 2**32 < 2**31
            if other["dir"] != packet["dir"] and "." in other["tcp"]["flags"] and behind:
                return at
        return None

    acknowledged = answer(first, fin)
    if acknowledged is None or acknowledged > second:
        return "simultaneous"
    if answer(second, packets[second]) is None:
        return "unfinished"
    if acknowledged == second:
        return "three-segments"
    late = any(p["dir"] != fin["dir"] and p["tcp"]["len"] for p in packets[acknowledged : second + 1])
    return "half-close" if late else "four-segments"


def test_three_or_four_segments() -> None:
    wrong, kinds = [], set()
    for lesson in lessons():
        expected = variant_of(lesson.packets)
        if expected is None:
            continue
        said = lesson.question("release_segments").values["variant"]
        kinds.add(expected)
        if said != expected:
            wrong.append((lesson.name, lesson.tap, expected, said))
    assert not wrong
    assert {"three-segments", "four-segments", "half-close", "simultaneous"} <= kinds


def least_windows(path: Path, connection: Connection) -> dict[str, int]:
    """By dpkt: of each side the smallest window after the handshake, scaled by the option of its SYN."""
    scales: dict[str, int] = {}
    least: dict[str, int] = {}
    with path.open("rb") as file:
        frames = dpkt.pcap.Reader(file)
        raw = frames.datalink() != dpkt.pcap.DLT_EN10MB
        for number, (_, data) in enumerate(frames, 1):
            if not connection.first_frame <= number <= connection.last_frame:
                continue
            ip = (dpkt.ip6.IP6 if data[0] >> 4 == 6 else dpkt.ip.IP)(data) if raw else dpkt.ethernet.Ethernet(data).data
            tcp = ip.data
            if {tcp.sport, tcp.dport} != {connection.client.port, connection.server.port}:
                continue
            side = "client" if tcp.sport == connection.client.port else "server"
            if tcp.flags & dpkt.tcp.TH_SYN:
                found = [value for kind, value in dpkt.tcp.parse_opts(tcp.opts) if kind == dpkt.tcp.TCP_OPT_WSCALE]
                scales[side] = found[0][0] if found else -1
            elif tcp.flags & dpkt.tcp.TH_ACK and not tcp.flags & dpkt.tcp.TH_RST:
                least[side] = min(least.get(side, 1 << 40), tcp.win)
    both = len(scales) == 2 and min(scales.values()) >= 0
    return {side: window << (scales[side] if both else 0) for side, window in least.items() if len(scales) == 2}


def test_the_smallest_scaled_window() -> None:
    wrong, told = [], 0
    for lesson in lessons():
        expected = least_windows(RUNS / lesson.name / f"{lesson.tap}.pcap", lesson.connection)
        values = lesson.question("least_window").values
        said = {side: values[f"{side}_least_window"] for side in expected if f"{side}_least_window" in values}
        told += len(said)
        if said != expected:
            wrong.append((lesson.name, lesson.tap, expected, said))
    assert not wrong
    assert told > 300
