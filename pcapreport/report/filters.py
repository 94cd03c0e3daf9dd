"""Wireshark display filters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain


def frames_filter(frames: Sequence[int], most: int = 40) -> str:
    """Wireshark display filter for frames; runs become ranges, and beyond `most` parts the rest is left out."""
    parts: list[str] = []
    start = previous = None
    for frame in chain(frames, (None,)):
        if previous is not None and frame is not None and frame == previous + 1:
            previous = frame
            continue
        if start is not None:
            parts.append(f"{start}" if start == previous else f"{start}..{previous}")
            if len(parts) > most:
                break
        start = previous = frame
    if not parts:
        return ""
    return (
        f"frame.number == {parts[0]}" if parts == [str(frames[0])] else f"frame.number in {{{', '.join(parts[:most])}}}"
    )
