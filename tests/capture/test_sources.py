"""Where bytes come from, and what bounds them: compression, streams without end, bombs."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import sys
import types
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from pcapreport.capture import Limits, read_capture
from pcapreport.errors import UnreadableCapture

from . import builders as make
from .builders import SEGMENT, read

ZSTD = b"\x28\xb5\x2f\xfd"


class Unpacked:
    """Stands for a decompressing file of any zstd package: zlib behind zstd's magic number."""

    def __init__(self, packed: BinaryIO, **_: object) -> None:
        self._data = BytesIO(zlib.decompress(packed.read()[len(ZSTD) :]))

    def read1(self, size: int) -> bytes:
        return self._data.read(size)


def without_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("name", ["compression.zstd", "backports.zstd"])
def test_zstd_is_undone_by_the_module_of_newer_pythons(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_zstd(monkeypatch)
    monkeypatch.setitem(sys.modules, name, cast(Any, types.SimpleNamespace(ZstdFile=Unpacked)))
    capture = read(ZSTD + zlib.compress(make.pcap([SEGMENT] * 3)))
    assert (capture.compression, capture.packets) == ("zstd", 3)


def test_zstd_is_undone_by_the_package_zstandard(monkeypatch: pytest.MonkeyPatch) -> None:
    zstandard = pytest.importorskip("zstandard")
    data = make.pcap([SEGMENT] * 500)
    packed = zstandard.ZstdCompressor().compress(data[:9_000]) + zstandard.ZstdCompressor().compress(data[9_000:])
    assert read(packed).packets == 500
    cut = read(packed[: len(packed) - 20])
    assert not cut.complete


def test_zstd_without_any_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_zstd(monkeypatch)
    with pytest.raises(UnreadableCapture, match=r"zstd.*install the Python package zstandard.*3\.14.*zstd -d"):
        read(ZSTD + bytes(100))


class Endless(io.RawIOBase):
    """A stream that never ends, and counts what was taken from it."""

    def __init__(self, start: bytes, rest: bytes) -> None:
        self.start, self.rest, self.taken = start, rest, 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "nobody may ask an endless stream for all it has"
        part = self.start or self.rest * (size // len(self.rest))
        self.start = b""
        self.taken += len(part)
        return part


def test_an_endless_stream_that_is_no_capture_is_left_at_once() -> None:
    stream = Endless(b"", b"\0")
    with pytest.raises(UnreadableCapture, match="no capture"):
        read_capture(cast(BinaryIO, stream), name="-")
    assert stream.taken <= 2 << 20


def test_an_endless_capture_is_read_up_to_the_limit() -> None:
    stream = Endless(make.pcap_header(), make.pcap_record(SEGMENT))
    capture = read_capture(cast(BinaryIO, stream), name="-", limits=Limits(decompressed_bytes=40 << 20))
    assert capture.packets > 500_000
    assert [problem.code for problem in capture.problems][0] == "size_limit"
    assert f"more than the {40 << 20} bytes allowed" in capture.problems[0].message
    assert not capture.complete


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_a_device_is_no_endless_capture() -> None:
    with pytest.raises(UnreadableCapture, match="no capture"):
        read_capture("/dev/zero")


def test_a_gzip_bomb_that_is_no_capture_is_left_at_once() -> None:
    bomb = gzip.compress(bytes(200 << 20), 1)
    with pytest.raises(UnreadableCapture, match="no capture"):
        read(bomb)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_bomb_stops_at_the_ratio(pack: Any) -> None:
    packed = pack(make.pcap_header() + make.pcap_record(bytes(60_000)) * 500)
    limits = Limits(ratio=20, ratio_free_bytes=1 << 20)
    capture = read_capture(BytesIO(packed), limits=limits)
    allowed = max(1 << 20, 20 * len(packed))
    assert [problem.code for problem in capture.problems] == ["decompression_limit", "record_cut"]
    assert (
        f"decompresses to more than {allowed} bytes, the most allowed for {len(packed)}" in capture.problems[0].message
    )
    assert capture.packets == (allowed - 24) // 60_016


def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda *_: Full())
    with pytest.raises(UnreadableCapture, match="No space left.*TMPDIR"):
        read(gzip.compress(make.pcap([SEGMENT] * 20)))


@pytest.mark.parametrize("count", [10, 20_000])
def test_the_digest_is_that_of_the_file_as_given_however_large(count: int) -> None:
    data = make.pcap([SEGMENT] * count)
    assert read(data).sha256 == hashlib.sha256(data).hexdigest()
    packed = gzip.compress(data)
    assert read(packed).sha256 == hashlib.sha256(packed).hexdigest()


def test_a_capture_hidden_under_another_name_is_known_by_its_content(tmp_path: Path) -> None:
    for name, data in (("a.txt", make.pcap([SEGMENT])), ("b.pcap", gzip.compress(make.section() + make.interface()))):
        path = tmp_path / name
        path.write_bytes(data)
        assert read_capture(path).complete
