"""What a file is, by its first bytes: a capture, or what else, and what to do about it."""

from __future__ import annotations

from pcapreport.capture import pcap, pcapng, snoop
from pcapreport.capture.source import SNIFFED, Source
from pcapreport.errors import UnreadableCapture
from pcapreport.language import Text, phrase


def is_capture(start: bytes) -> bool:
    """These (at least 12, decompressed) first bytes are those of a capture that can be read."""
    return bool(pcapng.byte_order(start) or pcap.byte_order(start) or snoop.version(start) == snoop.VERSION)


def recognise(opened: Source) -> str:
    """ "pcap", "pcapng" or "snoop"; raises UnreadableCapture with a reason for everything else."""
    start = bytes(opened.buffer[:SNIFFED])
    if pcapng.byte_order(start):
        container, smallest = "pcapng", pcapng.SMALLEST_SECTION
    elif pcap.byte_order(start):
        container, smallest = "pcap", pcap.FILE_HEADER
    elif snoop.version(start) == snoop.VERSION:
        container, smallest = "snoop", snoop.FILE_HEADER
    else:
        reason, advice = _foreign(start)
        raise UnreadableCapture(opened.name, reason, advice)
    size = len(opened.buffer)
    if size < smallest:
        reason = phrase(
            "the {whole}-byte {container} header is cut: there are only {size} bytes",
            whole=smallest,
            container=container,
            size=size,
        )
        raise UnreadableCapture(opened.name, reason, phrase("copy the file again from where it was captured"), size)
    return container


_USUAL_ADVICE = phrase("give a pcap or pcapng file, as tcpdump -w, dumpcap or Wireshark write them")
_UNPACK = phrase("unpack it and give the capture inside")
_CONVERT = phrase("convert it: editcap -F pcapng IN OUT")
_COPY = phrase("copy it again from where it was captured")
_FOREIGN = (
    (b"\x7fELF", phrase("is an ELF program, no capture"), _USUAL_ADVICE),
    (b"MZ", phrase("is a Windows program, no capture"), _USUAL_ADVICE),
    (b"PK\x03\x04", phrase("is a zip archive"), _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", phrase("is a 7-zip archive"), _UNPACK),
    (b"Rar!", phrase("is a RAR archive"), _UNPACK),
    (b"\x04\x22\x4d\x18", phrase("is compressed with lz4"), phrase("decompress it with `lz4 -d` first")),
    (b"snoop\0", phrase("is a snoop capture of a version other than 2"), _CONVERT),
    (b"\x52\x54\x53\x53", phrase("is a Network Monitor capture"), _CONVERT),
    (b"GMBU", phrase("is a Network Monitor capture"), _CONVERT),
    (b"XCP\0", phrase("is a NetXRay or Sniffer capture"), _CONVERT),
    (b"TRSNIFF data", phrase("is a Sniffer capture"), _CONVERT),
    (b"%PDF", phrase("is a PDF document, no capture"), _USUAL_ADVICE),
    (b"\x89PNG", phrase("is a picture, no capture"), _USUAL_ADVICE),
    (b"\x0a\x0d\x0d\x0a", phrase("begins like pcapng but has no byte-order magic"), _COPY),
    (b"\xd4\xc3\xb2", phrase("is cut within the first four bytes"), _COPY),
)
"""First bytes, the reason, and the advice."""


def _foreign(start: bytes) -> tuple[Text, Text]:
    """Why these first bytes are no capture, and what to do."""
    if not start:
        advice = phrase("capture again; the capturing program may not have flushed or had no permission")
        return phrase("is empty (0 bytes)"), advice
    for magic, reason, advice in _FOREIGN:
        if start.startswith(magic):
            return reason, advice
    if start[257:262] == b"ustar":
        return phrase("is a tar archive"), _UNPACK
    lowered = start.lstrip()[:64].lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        advice = phrase("the download probably gave a login or error page; fetch the file again")
        return phrase("is an HTML page, no capture"), advice
    if _is_text(start):
        return phrase("is text, no capture"), phrase("record with tcpdump -w FILE, not by saving its printed output")
    reason = phrase("is no capture that is known here (it begins with {bytes})", bytes=start[:4].hex(" "))
    return reason, _USUAL_ADVICE


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in start)
