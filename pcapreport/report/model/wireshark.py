"""What Wireshark calls the same segments."""

from __future__ import annotations

from pcapreport.report.model.base import Record


class WiresharkDifference(Record, frozen=True, kw_only=True):
    """Frames that have one of Wireshark's fields and are called otherwise here, or the other way round."""

    wireshark: bool
    """They have the field; otherwise only this report has what corresponds to it."""
    called: str
    """The rule that names them here; "" where none does."""
    reason: str
    count: int
    frames: list[int]
    """The first ones."""
    filter: str


class WiresharkField(Record, frozen=True, kw_only=True):
    """How often Wireshark marks a segment with one of its fields, and how often this report says the same."""

    field: str
    wireshark: int
    ours: int | None
    """None: nothing here corresponds to it."""
    differences: list[WiresharkDifference]


class OtherWord(Record, frozen=True, kw_only=True):
    """A frame that Wireshark calls otherwise."""

    frame: int
    wireshark: list[str]
    """Its fields without "tcp.analysis."."""
    called: list[str]
    """Rules that name it here."""
    reason: str
