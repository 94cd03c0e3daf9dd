"""Records found from many places of a large file at once are those of a walk from its start."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pcapreport.capture import Capture, stretches

from . import builders as make
from .builders import read
from .test_snoop import snoop, snoop_record

FRAMES = 400


def frames(seed: int = 0) -> list[bytes]:
    """Segments of many lengths; some carry a capture of their own, which looks like records."""
    source = random.Random(seed)
    inner = b"".join(make.pcap_record(make.SEGMENT, fraction=n) for n in range(3))
    return [
        make.ethernet(make.ipv4(make.tcp(source.choice([b"", source.randbytes(source.randrange(900)), inner]), seq=n)))
        for n in range(FRAMES)
    ]


def modified() -> bytes:
    return make.pcap(frames(), "<", make.MODIFIED)


def swapped() -> bytes:
    """Version 2.3: the smaller of the two lengths was captured."""
    records = [make.pcap_record(f, wire_len=len(f) - n % 2 * 20, cap_len=len(f)) for n, f in enumerate(frames())]
    return make.pcap_header(version=(2, 3)) + b"".join(records)


def damaged() -> bytes:
    records = [make.pcap_record(frame, fraction=n) for n, frame in enumerate(frames())]
    records[150] = make.pcap_record(make.SEGMENT, cap_len=0x7FFF_FFFF)
    records[300] = b"\xee" * 1_000
    return make.pcap_header() + b"".join(records)


def years_apart() -> bytes:
    records = [make.pcap_record(frame, second=make.START + n // 100 * 10**8) for n, frame in enumerate(frames())]
    return make.pcap_header() + b"".join(records)


FILES: dict[str, Callable[[], bytes]] = {
    "little": lambda: make.pcap(frames()),
    "big": lambda: make.pcap(frames(), ">"),
    "nanoseconds": lambda: make.pcap(frames(1), magic=make.NANOSECONDS),
    "modified": modified,
    "swapped": swapped,
    "snoop": lambda: snoop(snoop_record(frame, n) for n, frame in enumerate(frames())),
    "damaged": damaged,
    "cut": lambda: make.pcap(frames())[:-7],
    "cut-header": lambda: make.pcap(frames()) + bytes(5),
    "years-apart": years_apart,
    "zeros": lambda: make.pcap(frames()) + bytes(100_000),
}


def columns(capture: Capture) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in capture.table.columns.items()}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("lane", "searched", "few"), [(512, 512, 1), (2_048, 1_024, 5), (2_048, 1_024, 10), (4_096, 64, 2)]
)
def test_a_stretch_gives_the_records_of_a_walk(
    name: str, lane: int, searched: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FILES[name]()
    walked = read(data)
    for constant, value in (("STRETCH", 50_000), ("LANE", lane), ("SEARCHED", searched), ("FEW", few)):
        monkeypatch.setattr(stretches, constant, value)
    found = read(data)
    assert columns(found) == columns(walked)
    assert (found.packets, found.problems, found.complete) == (walked.packets, walked.problems, walked.complete)


def test_a_long_stretch_is_not_walked_record_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would compare the walk with itself."""
    for constant, value in (("LANE", 2_048), ("SEARCHED", 1_024), ("FEW", 5)):
        monkeypatch.setattr(stretches, constant, value)
    found = []
    follow = stretches.follow
    monkeypatch.setattr(stretches, "follow", lambda *given: found.append(follow(*given)) or found[-1])
    plain = [make.ethernet(make.ipv4(make.tcp(bytes(200), seq=n))) for n in range(FRAMES)]
    read(make.pcap(plain))
    assert sum(len(positions) for positions, _ in found) > FRAMES * 0.9
