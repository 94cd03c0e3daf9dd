"""All formats of a report in one zip with their checksums: the same bytes whenever it is made.

The names within are the same for every capture: a ticket system shows the name of the zip itself.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping

from pcapreport.language import phrase, say

NAMES = {
    "html": "report.html",
    "md": "summary.md",
    "png": "summary.png",
    "pdf": "report.pdf",
    "json": "report.json",
}
"""Format -> name within the zip."""
SUMS, LEFT_OUT = "SHA256SUMS", "LEFT-OUT.txt"
FIRST_TO_GO = ("json", "pdf")
"""What is left out of a zip that would be too large, in this order; both can be had without it."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: the files' own time would differ from run to run."""
_MODE = 0o100644 << 16


def fitted(parts: Mapping[str, bytes], most: int | None, page: Callable[[int], bytes]) -> bytes:
    """The zip of these formats, in at most so many bytes if that can be.

    A larger one goes without the document, then without the PDF, and says so in a file of its own; then `page(bytes)`
    makes a shorter page.
    """
    files = {NAMES[name]: data for name, data in parts.items()}
    packed = bundle(files)
    if most is None:
        return packed
    gone = []
    for name in FIRST_TO_GO:
        if len(packed) > most and (data := files.pop(NAMES[name], None)):
            gone.append(_left_out(name, data, most))
            packed = bundle({**files, LEFT_OUT: "".join(gone).encode()})
    if gone:
        files[LEFT_OUT] = "".join(gone).encode()
    while len(packed) > most:
        before = len(files[NAMES["html"]])
        files[NAMES["html"]] = page(before // 2)
        packed = bundle(files)
        if len(files[NAMES["html"]]) >= before:
            break
    return packed


def _left_out(name: str, data: bytes, most: int) -> str:
    told = phrase(
        "{file}: {size:,} bytes, SHA-256 {sum}. Left out so that this zip stays within {most:,} bytes (--max-size). "
        "The same command with {format} among the formats of --format writes it beside the zip.",
        file=NAMES[name],
        size=len(data),
        sum=hashlib.sha256(data).hexdigest(),
        most=most,
        format=name,
    )
    return say(told) + "\n"


def bundle(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, by name, and of their SHA-256 sums as `sha256sum -c` reads them."""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted({**files, SUMS: sums.encode()}.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, _MODE, 3
            archive.writestr(entry, data)
    return buffer.getvalue()
