"""Safe to attach: whatever packets carried, not a byte of it is in any file that is written or line that is printed."""

from __future__ import annotations

import base64
import importlib
import io
import re
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from capture.builders import ethernet, ipv4, pcap, pcap_header, pcap_record, tcp, udp
from click.testing import CliRunner

from pcapreport.cli import cli

SAMPLES = Path(__file__).parents[1] / "sample_pcaps"
MARKER = b"Zq7SECRETx9"
"""What every payload is filled with: no word or number of ours has any five bytes of it."""
NEAR = 5
TEXTUAL = ("html", "json", "md", "zip", "png")
SYN, ACK, FIN, RST = 2, 0x10, 1, 4


def fill(size: int, at: int = 0) -> bytes:
    return (MARKER * (size // len(MARKER) + 2))[at % len(MARKER) :][:size]


def with_marked_payloads(sample: Path) -> bytes:
    """A capture in the pcap format with every TCP payload replaced, byte for byte."""
    data = bytearray(sample.read_bytes())
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    (link,) = struct.unpack_from(order + "I", data, 20)
    at = 24
    while at < len(data):
        (held,) = struct.unpack_from(order + "I", data, at + 8)
        start = at + 16
        ip = start + {1: 14, 101: 0}[link]
        long = 40 if data[ip] >> 4 == 6 else (data[ip] & 15) * 4
        payload = ip + long + (data[ip + long + 12] >> 4) * 4
        end = start + held
        data[payload:end] = fill(end - payload, payload)
        at = end
    return bytes(data)


def everything_else() -> bytes:
    """Payloads where reports might quote them: odd protocols, quoted segments, fragments, retransmissions that differ,
    segments beyond the window, keep-alives with a byte, a half-written record."""
    quoted = ipv4(tcp(fill(8), 40_000, 80, 1, 2))
    frames = [
        ethernet(ipv4(tcp(seq=0, ack=0, flags=SYN, options=b"\x02\x04\x05\xb4"))),
        ethernet(ipv4(tcp(b"", 80, 40_000, 1, 1, SYN | ACK), src="10.0.0.2", dst="10.0.0.1")),
        ethernet(ipv4(tcp(fill(60)))),
        ethernet(ipv4(tcp(fill(60, 5)))),
        ethernet(ipv4(tcp(fill(400), seq=90_000))),
        ethernet(ipv4(tcp(fill(1), seq=60))),
        ethernet(ipv4(tcp(fill(20), 80, 40_000, 2, 61, urgent=7, flags=0x38), src="10.0.0.2", dst="10.0.0.1")),
        ethernet(ipv4(udp(fill(80)), 17)),
        ethernet(ipv4(udp(fill(300), 5353, 53), 17)),
        ethernet(ipv4(b"\x03\x03" + bytes(6) + quoted + fill(30), 1, src="10.0.0.9", dst="10.0.0.1")),
        ethernet(ipv4(fill(64), 253)),
        ethernet(ipv4(fill(64), 6, fragment=0x2000)),
        ethernet(fill(90), 0x88B5),
        ethernet(fill(60), 0x0800),
        fill(200),
        ethernet(ipv4(tcp(fill(40), offset=2))),
        ethernet(ipv4(tcp(b"", flags=RST, seq=61) + fill(12))),
        ethernet(ipv4(tcp(fill(33), seq=500, flags=FIN | ACK))),
    ]
    return pcap(frames) + pcap_record(fill(100))[:60]


def damaged() -> bytes:
    """Nonsense between two sound stretches, and a record whose length is nonsense as well."""
    sound = b"".join(pcap_record(ethernet(ipv4(tcp(fill(50), seq=1 + 50 * n))), fraction=n) for n in range(40))
    return pcap_header() + sound + fill(999) + sound + struct.pack("<IIII", 1, 2, 0x7FFFFFF0, 3) + fill(300)


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (
        "half-close-with-late-data.pcap",
        "loss-with-fast-retransmit.pcap",
        "fast-open.pcap",
        "keep-alives.pcap",
    ):
        (folder / name).write_bytes(with_marked_payloads(SAMPLES / name))
    (folder / "everything-else.pcap").write_bytes(everything_else())
    (folder / "damaged.pcap").write_bytes(damaged())
    (folder / "no-capture.pcap").write_bytes(b"\xd4\xc3\xb2\xa1" + fill(900))
    return folder


def opened(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """A file, and what it holds in packed form."""
    yield name, data
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for inner in archive.namelist():
                yield from opened(f"{name}/{inner}", archive.read(inner))
    elif name.endswith(".pdf"):
        for number, stream in enumerate(re.findall(rb"stream\n(.*?)\nendstream", data, re.S)):
            if stream[:1] == b"x":
                yield f"{name}/{number}", zlib.decompress(stream)
    elif name.endswith(".png"):
        pixels = b"".join(re.findall(rb"IDAT(.*?)(?=.{8}I(?:DAT|END))", data, re.S))
        yield f"{name}/text", data.replace(pixels, b"")


def shapes() -> set[bytes]:
    """Every stretch of the marker: as it is, as hexadecimal digits of either case, and as base64."""
    endless = MARKER * 3
    plain = {endless[at : at + NEAR] for at in range(len(MARKER))}
    hexadecimal = {one.hex(*between).encode() for one in plain for between in ((), (" ",), (":",))}
    coded = {base64.b64encode(endless[at : at + 9])[:8] for at in range(len(MARKER))}
    escaped = {"".join(f"\\x{byte:02x}" for byte in one).encode() for one in plain}
    return plain | hexadecimal | {one.upper() for one in hexadecimal} | coded | escaped


def assert_free(name: str, data: bytes) -> None:
    for inner, text in opened(name, data):
        found = [shape for shape in shapes() if shape in text]
        assert not found, f"{inner} has {found[0]!r}: {text[max(text.index(found[0]) - 80, 0) :][:200]!r}"


def test_the_marker_would_be_found(captures: Path) -> None:
    for path in captures.iterdir():
        with pytest.raises(AssertionError):
            assert_free(path.name, path.read_bytes())
    with pytest.raises(AssertionError):
        assert_free("x", b"..." + MARKER[3:9].hex(" ").encode())


@pytest.mark.parametrize("profile", ["full", "ticket"])
def test_no_file_and_no_line_has_a_byte_of_what_packets_carried(profile: str, captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--profile", profile, "--format", ",".join(TEXTUAL), "--jobs", "1", "-v", "--checksums"]
    shown = CliRunner().invoke(cli, ["report", str(captures), "-o", str(out), *arguments])
    assert_free("what was printed", shown.output.encode())
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len([path for path in written if path.suffix == ".html"]) >= 7
    for path in written:
        assert_free(path.name, path.read_bytes())


def test_neither_has_the_terminal_nor_paper(captures: Path, tmp_path: Path) -> None:
    for path in captures.iterdir():
        shown = CliRunner().invoke(cli, ["show", str(path)])
        assert_free("show", shown.output.encode() + str(shown.exception).encode())
    try:
        importlib.import_module("weasyprint")
    except (ImportError, OSError):
        pytest.skip("WeasyPrint or its Pango is missing")
    source = str(captures / "everything-else.pcap")
    CliRunner().invoke(cli, ["report", source, "-o", str(tmp_path), "--profile", "ticket", "--format", "pdf"])
    made = tmp_path / "everything-else.pcap.pdf"
    assert_free(made.name, made.read_bytes())
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing")
    told = subprocess.run(["pdftotext", made, "-"], capture_output=True, check=True).stdout
    assert b"everything-else.pcap" in told
    assert_free("what the PDF says", told)
