"""Whatever the bytes: read soon and in bounded memory. That they are read or refused at all: tests/fuzz."""

from __future__ import annotations

import bz2
import gzip
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from . import builders as make

_TS = b"\x01\x01\x08\x0a" + bytes(8)
# --- time and memory -----------------------------------------------------------------------------------------------


def many_records(count: int) -> bytes:
    frames = [make.ethernet(make.ipv4(make.tcp(bytes(size % 900), options=_TS))) for size in range(1000)]
    return make.pcap(frames)[:24] + make.pcap(frames)[24:] * (count // 1000)


def many_interfaces() -> bytes:
    each = [make.interface(options=make.option(2, b"i%d" % index)) for index in range(50_000)]
    packets = [make.enhanced(make.SEGMENT, index=index) for index in range(50_000)]
    return make.section() + b"".join(each) + b"".join(packets)


def interfaces_between_packets() -> bytes:
    each = [make.interface() + make.enhanced(make.SEGMENT, index=index) for index in range(50_000)]
    return make.section() + b"".join(each)


def different_clocks() -> bytes:
    each = [make.interface(options=make.option(14, struct.pack("<q", index))) for index in range(20_000)]
    return make.section() + b"".join(each) + b"".join(make.enhanced(make.SEGMENT, index=at) for at in range(20_000))


def many_sections() -> bytes:
    return (make.section() + make.interface() + make.enhanced(make.SEGMENT)) * 10_000


def damaged_everywhere() -> bytes:
    return make.pcap_header() + (make.pcap_record(make.SEGMENT) * 5 + b"\xff" * 16) * 20_000


def never_sound_again() -> bytes:
    return make.pcap([make.SEGMENT]) + b"\xff" * 16 + make.pcap_record(bytes(9), wire_len=1 << 30) * 200_000


def fragments_that_fit_nowhere() -> bytes:
    pieces = [
        make.ethernet(make.ipv4(bytes(8), ident=number % 50, fragment=0x2000 | (2 * number) % 8_000))
        for number in range(20_000)
    ]
    return make.pcap(pieces)


def nested_deeply() -> bytes:
    frame = make.ipv4(make.tcp())
    for _ in range(60):
        frame = make.ipv4(frame, 4)
    return make.pcap([make.ethernet(frame)] * 2_000)


def aggregates_in_aggregates() -> bytes:
    frame = b"\x88\x01" + bytes(22) + b"\x80\0"
    frame += (bytes(12) + b"\0\x08\xaa\xaa\x03\0\0\0\x08\0" + bytes(2)) * 400
    return make.pcap([frame] * 1_000, link_type=105)


@pytest.mark.parametrize(
    ("made", "seconds"),
    [
        (many_interfaces, 4), (interfaces_between_packets, 4), (different_clocks, 4), (many_sections, 8),
        (damaged_everywhere, 8), (never_sound_again, 8), (fragments_that_fit_nowhere, 8), (nested_deeply, 8),
        (aggregates_in_aggregates, 8),
    ],
)  # fmt: skip
def test_hostile_captures_take_no_more_than_linear_time(made: Callable[[], bytes], seconds: float) -> None:
    data = made()
    start = time.process_time()
    capture = make.read(data)
    assert time.process_time() - start < seconds
    assert capture.packets


def test_a_quarter_of_a_million_packets_take_about_a_quarter_of_a_second() -> None:
    data = many_records(250_000)
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        assert len(make.read(data).table) == 250_000
        best = min(best, time.process_time() - start)
    assert best < 1.2, "usually 0.25 s; slack for slow and busy machines"


_MEASURE = """
import resource, sys
from pcapreport.capture import Limits, read_capture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
capture = read_capture(sys.stdin.buffer, limits=Limits(ratio_free_bytes=100 << 20, ratio=10))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, capture.packets)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs by system")
@pytest.mark.parametrize(
    "made",
    [lambda: many_records(200_000), lambda: make.pcap_header() + make.pcap_record(make.SEGMENT[:54]) * 500_000,
     many_interfaces, lambda: _quickly(make.pcap_header() + make.pcap_record(bytes(200_000)) * 1_500),
     never_sound_again],
    ids=["usual", "small packets", "interfaces", "bomb", "damaged"],
)  # fmt: skip
def test_memory_is_a_small_multiple_of_the_input_plus_the_limits(made: Callable[[], bytes]) -> None:
    data = made()
    done = subprocess.run([sys.executable, "-c", _MEASURE], input=data, capture_output=True, check=True)
    kilobytes = int(done.stdout.split()[0])
    assert kilobytes * 1024 < 8 * len(data) + (200 << 20)


def zeros(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(make.pcap_header() + bytes(300 << 20))


def empty_records(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(make.pcap_header() + make.pcap_record(bytes(60)) * 4_000_000)


def large_records(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(make.pcap_header() + make.pcap_record(bytes(60_000)) * 5_000)


_REPORT = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "pcapreport", "report", *sys.argv[1:]])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("used", used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(done.returncode)
"""
"""In a small process of its own, since a child's peak begins with the size of its parent."""


def _quickly(data: bytes) -> bytes:
    return gzip.compress(data, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs by system")
@pytest.mark.parametrize(
    ("bomb", "pack"),
    [(zeros, _quickly), (zeros, bz2.compress), (empty_records, _quickly), (large_records, _quickly)],
    ids=["zeros-gzip", "zeros-bzip2", "empty-records-gzip", "large-records-gzip"],
)
def test_a_bomb_ends_in_a_report_that_says_where_reading_stopped(
    bomb: Callable[[Callable[[bytes], bytes]], bytes], pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (tmp_path / "bomb").write_bytes(bomb(pack))
    done = subprocess.run(
        [sys.executable, "-c", _REPORT, str(tmp_path / "bomb"), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert f"decompresses to more than {256 << 20} bytes" in done.stderr and "decompress it first" in done.stderr
    seconds, peak = done.stdout.split("used ")[1].split()
    assert float(seconds) < 10, "of the processor; usually 2 s"
    assert int(peak) < 500_000
