"""What all parts of the document share: the base record and the closed lists of words."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Side = Literal["client", "server", "network", "capture"]
Sender = Literal["client", "server"]
Severity = Literal["note", "warning", "error"]
Confidence = Literal["high", "medium", "low"]
Certainty = Literal["proven", "supposed", "assumed"]
Interval = tuple[float | None, float | None]
Status = Literal["new", "unchanged"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every part of the document."""


def spelled(word: str) -> Any:
    """A word of one of the document's closed lists, as a plain string (decoding checks that it is in its list)."""
    return str(word)
