"""What a file is, by its first bytes: a capture, or what else, and what to do about it."""

from __future__ import annotations

from pcapreport.capture import pcap, pcapng, snoop
from pcapreport.capture.source import SNIFFED, Source
from pcapreport.errors import UnreadableCapture


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
        reason = f"the {smallest}-byte {container} header is cut: there are only {size} bytes"
        raise UnreadableCapture(opened.name, reason, "copy the file again from where it was captured", size)
    return container


_FOREIGN = (
    (b"\x7fELF", "is an ELF program, no capture"),
    (b"MZ", "is a Windows program, no capture"),
    (b"PK\x03\x04", "is a zip archive", "unpack it and give the capture inside"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-zip archive", "unpack it and give the capture inside"),
    (b"Rar!", "is a RAR archive", "unpack it and give the capture inside"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4", "decompress it with `lz4 -d` first"),
    (b"snoop\0", "is a snoop capture of a version other than 2", "convert it: editcap -F pcapng IN OUT"),
    (b"\x52\x54\x53\x53", "is a Network Monitor capture", "convert it: editcap -F pcapng IN OUT"),
    (b"GMBU", "is a Network Monitor capture", "convert it: editcap -F pcapng IN OUT"),
    (b"XCP\0", "is a NetXRay or Sniffer capture", "convert it: editcap -F pcapng IN OUT"),
    (b"TRSNIFF data", "is a Sniffer capture", "convert it: editcap -F pcapng IN OUT"),
    (b"%PDF", "is a PDF document, no capture"),
    (b"\x89PNG", "is a picture, no capture"),
    (b"\x0a\x0d\x0d\x0a", "begins like pcapng but has no byte-order magic", "copy it again from where it was captured"),
    (b"\xd4\xc3\xb2", "is cut within the first four bytes", "copy it again from where it was captured"),
)
"""First bytes, the reason, and the advice where it is not the usual one."""

_USUAL_ADVICE = "give a pcap or pcapng file, as tcpdump -w, dumpcap or Wireshark write them"


def _foreign(start: bytes) -> tuple[str, str]:
    """Why these first bytes are no capture, and what to do."""
    if not start:
        return "is empty (0 bytes)", "capture again; the capturing program may not have flushed or had no permission"
    for magic, reason, *advice in _FOREIGN:
        if start.startswith(magic):
            return reason, advice[0] if advice else _USUAL_ADVICE
    if start[257:262] == b"ustar":
        return "is a tar archive", "unpack it and give the capture inside"
    lowered = start.lstrip()[:64].lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "is an HTML page, no capture", "the download probably gave a login or error page; fetch the file again"
    if _is_text(start):
        return "is text, no capture", "record with tcpdump -w FILE, not by saving its printed output"
    return f"is no capture that is known here (it begins with {start[:4].hex(' ')})", _USUAL_ADVICE


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in start)
