"""What is written on the rows of a ladder, in the language spoken: the diagram, its table and the terminal share it."""

from __future__ import annotations

from pcapreport.language import counted, joined, phrase, say
from pcapreport.report.model import LadderRow
from pcapreport.report.wording import duration, frame_list, moment, number, spoken


def is_sent(item: LadderRow) -> bool:
    """It is a segment or several on their way, and not what happened without one."""
    return item.sender is not None and item.kind not in ("gap", "event")


def caption(item: LadderRow) -> tuple[str, str]:
    """What to write on a row, in the language spoken: first the words that matter (flags, count), then the numbers."""
    if item.kind == "gap":
        silent = duration(item.end_s - item.time_s) if item.end_s is not None and item.time_s is not None else ""
        return silent, say(item.text or phrase("without a segment"))
    if item.kind == "event":
        return "", say(item.text)
    if item.kind == "burst":
        span = "" if item.seq is None else say(phrase("from seq {seq}", seq=item.seq))
        size = counted(item.length, "{n:,} byte", "{n:,} bytes") if item.length else f"ack {item.ack}"
        segments = counted(item.count, "{n:,} segment", "{n:,} segments")
        return say(joined((segments, size), ", ")), span if item.length else ""
    numbers = [
        f"seq {item.seq}" if item.seq is not None else "",
        f"ack {item.ack}" if item.ack is not None else "",
        f"len {number(item.length)}" if item.length else "",
        say(phrase("(not captured)")) if item.kind == "phantom" else "",
    ]
    return item.flags, "\u2002".join(filter(None, numbers))


def row_note(item: LadderRow) -> str:
    """The second line of a row: text beside a segment, and the findings that name it."""
    if item.kind in ("gap", "event"):
        return ""
    return say("; ").join(filter(None, [say(item.text), *(spoken(rule) for rule in item.rules)]))


def row_values(item: LadderRow) -> str:
    """What a row stands for, exactly; its states and findings are written beside it."""
    strong, plain = caption(item)
    words = f"{strong} {plain}".replace("\u2002", " ") if is_sent(item) else f"{strong} {plain}".strip()
    parts = [
        frame_list(item.frames, 6) if item.frames else "",
        f"{moment(item.time_s)} s" if item.time_s is not None else "",
        say(phrase("{sender}: {segment}", sender=say(item.sender or ""), segment=words)) if is_sent(item) else words,
        say(phrase("window {bytes}", bytes=number(item.window))) if item.window is not None else "",
        say(item.text) if is_sent(item) else "",
        say(phrase("again of frame {frame}", frame=item.again_of)) if item.again_of is not None else "",
    ]
    return say("; ").join(filter(None, parts))
