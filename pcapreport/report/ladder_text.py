"""The ladder of one connection as plain text, for a terminal or a ticket: the rows of the sequence diagram in type.

Both lifelines stand at fixed columns, each side's state is written outside its line where it changes, and an arrow
carries its label. Every string passes `wording.visible`, so no capture can send control sequences to a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.language import counted, phrase, say
from pcapreport.report.anonymity import anonymity
from pcapreport.report.columns import beginning, columns, padded
from pcapreport.report.model import RETRANSMISSION_RULES, Connection, Document, Finding, LadderRow
from pcapreport.report.row_words import caption
from pcapreport.report.wording import (
    SEVERITY_MARK,
    duration,
    frame_list,
    moment,
    packets_read,
    short,
    spoken,
    visible,
)

TIME, STATE, FRAMES = 12, 12, 9
"""Columns of a time, a state name and a frame list."""
LEAST_WIDTH = 72
_FIXED = TIME + 1 + STATE + 1 + 1 + 1 + 1 + STATE + 1 + FRAMES


def ladder_text(connection: Connection, width: int = 100) -> str:
    """The ladder, `width` columns wide (at least 72); a connection without details gets its two histories."""
    if connection.detail is None or not connection.detail.ladder:
        return histories_text(connection)
    room = max(width, LEAST_WIDTH) - _FIXED
    lines = [_head(connection, room)]
    shown: dict[str, str | None] = {"client": None, "server": None}
    for row in connection.detail.ladder:
        states = {"client": row.client_state, "server": row.server_state}
        new = {side: visible(state or "?") if state != shown[side] else "" for side, state in states.items()}
        shown.update(states)
        lines.extend(_row(row, new["client"], new["server"], room))
    if connection.detail.ladder_omitted:
        lines.append(visible(say(connection.detail.ladder_omitted)))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(connection: Connection, room: int) -> str:
    client = visible(f"{say('client')} {connection.client.address}:{connection.client.port}")
    server = visible(f"{say('server')} {connection.server.address}:{connection.server.port}")
    total = room + _FIXED
    if columns(client) + columns(server) + TIME + 4 > total:
        return f"{'':{TIME}} {client}\n{padded(server, total, '>')}"
    time, frame = padded(say(phrase("time, s")), TIME, ">"), padded(say(phrase("frame")), FRAMES, ">")
    return f"{time} {client}{padded(server, total - TIME - 1 - columns(client) - FRAMES - 1, '>')} {frame}"


def _row(row: LadderRow, client: str, server: str, room: int) -> Iterator[str]:
    """One line for the row, and one for each further thing said beside it."""
    middle, notes = _middle(row, room)
    time = moment(row.time_s) if row.kind != "gap" else ""
    frames = short(frame_list(row.frames, 2), FRAMES)
    bar = "┊" if row.kind == "gap" else "│"
    left, right = padded(beginning(client, STATE), STATE, ">"), padded(beginning(server, STATE), STATE)
    yield f"{time:>{TIME}} {left} {bar}{middle}{bar} {right} {frames:>{FRAMES}}"
    for note in notes:
        yield f"{'':{TIME}} {'':{STATE}} {bar}{padded(short(note, room), room, '^')}{bar}"


def _middle(row: LadderRow, room: int) -> tuple[str, list[str]]:
    """What stands between the lifelines, and what follows below it."""
    strong, plain = caption(row)
    label = visible(" ".join(filter(None, [strong, plain.replace("\u2002", " ")])))
    rules = [spoken(rule) for rule in row.rules]
    mark = f"{SEVERITY_MARK[row.severity]} " if row.severity else ""
    notes = [mark + say("; ").join(rules)] if rules else []
    if row.text and row.kind not in ("gap", "event"):
        notes.insert(0, visible(say(row.text)))
    if row.sender is None or row.kind in ("gap", "event"):
        return padded(short(label, room), room, "^"), notes
    shaft = _shaft(row)
    label = f" {short(label, room - 6)} "
    line = label.center(room - 1 - columns(label) + len(label), shaft)
    return (f"{line}▶" if row.sender == "client" else f"◀{line}"), notes


def _shaft(row: LadderRow) -> str:
    if row.kind == "phantom":
        return "·"
    if row.kind == "burst":
        return "═"
    return "╌" if RETRANSMISSION_RULES.intersection(row.rules) else "─"


def histories_text(connection: Connection) -> str:
    """Both state histories, one line a state."""
    lines = []
    for side, end in (("client", connection.endpoints.client), ("server", connection.endpoints.server)):
        lines.append(say(phrase("{side}:", side=say(side))))
        for t in end.history:
            unknown = t.entered_s[0] is None and t.entered_s[1] is None
            at = padded(say(phrase("unknown")) if unknown else _since(t.entered_s), TIME, ">")
            frame = say(phrase("frame {frame}", frame=t.frame) if t.frame is not None else phrase("no frame"))
            certainty = padded(say(t.certainty), 8)
            lines.append(f"  {padded(visible(t.state), STATE)} {at}  {certainty}  {frame}  {visible(t.rule)}")
    return "\n".join(lines) + "\n"


def _since(entered: tuple[float | None, float | None]) -> str:
    earliest, latest = entered
    return moment(earliest) if earliest is not None else f"<= {moment(latest)}"


def summary_text(document: Document, limit: int = 20) -> str:
    """Verdict, counts, findings and connections for a terminal; at most `limit` lines of either list."""
    capture, verdict = document.capture, document.verdict
    lines = [visible(capture.file)]
    if anonymity(document):
        lines.append(visible(anonymity(document)))
    if not capture.complete:
        problems = say("; ").join(visible(say(p.message)) for p in capture.problems[:3])
        lines.append(visible(phrase("The capture is damaged or cut short: {problems}", problems=problems)))
    sides = phrase(
        "Side at fault: {side}; confidence: {confidence}", side=say(verdict.side), confidence=say(verdict.confidence)
    )
    lines += ["", visible(say(verdict.text)), say(sides)]
    lines += [f"  {visible(say(fact))}" for fact in verdict.evidence]
    limits = [phrase("Cannot be told: {limit}", limit=visible(say(gap))) for gap in verdict.cannot_know]
    lines += [f"  {say(limit)}" for limit in limits]
    lines += ["", _counts(document)]
    found = [*document.findings, *(f for c in document.connections for f in c.findings)]
    found.sort(key=lambda f: ("error", "warning", "note").index(f.severity))
    lines += _listed(phrase("Findings"), [_finding_line(f) for f in found], limit)
    lines += _listed(phrase("Connections"), [_connection_line(c) for c in document.connections], limit)
    return "\n".join(lines) + "\n"


def _counts(document: Document) -> str:
    capture = document.capture
    packets = packets_read(capture, visible)
    connections = counted(document.totals.connections, "{n:,} connection", "{n:,} connections")
    return say("; ").join((packets, say(connections), duration(capture.duration_s)))


def _listed(head: str, lines: list[str], limit: int) -> list[str]:
    """A headed list, cut in words; nothing for an empty one."""
    if not lines:
        return []
    more = phrase("and {more:,} more", more=len(lines) - limit)
    return ["", say(head), *lines[:limit], *([f"  {say(more)}"] if len(lines) > limit else [])]


def _finding_line(finding: Finding) -> str:
    words = visible(say(finding.summary))
    if finding.frames:
        named = frame_list(finding.frames, 6)
        several = len(finding.frames) > 1
        frames = phrase("frames {frames}", frames=named) if several else phrase("frame {frame}", frame=named)
        words += f" [{say(frames)}]"
    head = f"{padded(say(finding.severity), 7)} {padded(say(finding.side), 7)}"
    return f"  {SEVERITY_MARK[finding.severity]} {head} {visible(finding.rule)}: {words}"


def _connection_line(c: Connection) -> str:
    client, server = f"{c.client.address}:{c.client.port}", f"{c.server.address}:{c.server.port}"
    packets = say(counted(c.packets, "{n:,} packet", "{n:,} packets"))
    told = say(", ").join((visible(say(c.opening)), visible(say(c.closing)), packets, duration(c.end_s - c.start_s)))
    return f"  {c.id:>4}  {visible(client)} > {visible(server)}  {told}"
