"""The promise about any bytes: a table with notes, or one UnreadableCapture; never another exception."""

from __future__ import annotations

from enum import IntEnum
from io import BytesIO

import numpy as np

from pcapreport.capture import Capture, read_capture
from pcapreport.errors import UnreadableCapture
from pcapreport.pipeline import report_on
from pcapreport.report import model
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import render_html
from pcapreport.settings import Limits, Settings

LIMITS = Limits(decompressed_bytes=64 << 20)
"""The usual ones, but that a compressed input stays small enough to try thousands."""


class Depth(IntEnum):
    """How far down the line to go."""

    TABLE = 0
    DOCUMENT = 1
    PAGE = 2
    """Costs ten times the document where there are plots."""


def keep_for(data: bytes, depth: Depth, *, checksums: bool = True) -> Capture | None:
    """Read these bytes and go on down the line; None: they are refused.

    Raises whatever breaks the promise: an AssertionError if what was read is not of one piece, else what was raised.
    """
    try:
        capture = read_capture(BytesIO(data), name="any bytes", limits=LIMITS, checksums=checksums)
    except UnreadableCapture as refusal:
        assert "\n" not in str(refusal)
        return None
    _consistent(capture)
    if depth >= Depth.DOCUMENT:
        document = report_on(capture, Settings(), DocumentOptions()).document
        saved = model.encode(document)
        assert model.encode(model.decode(saved)) == saved
    if depth == Depth.PAGE:
        assert render_html(document).rstrip().endswith("</html>")
    return capture


def _consistent(capture: Capture) -> None:
    """Every record is a row or is counted, once; frames ascend; damage is told."""
    frames = capture.table["frame"].astype(np.int64)
    assert len(np.unique(frames)) + sum(capture.other_packets.values()) == capture.packets
    assert (np.diff(frames) >= 0).all()
    assert (capture.first_ns is None) == (capture.packets == 0)
    assert capture.complete or capture.problems
