"""The ladder of one connection as plain text, for a terminal or a ticket: the rows of the sequence diagram in type.

Both lifelines stand at fixed columns, each side's state is written outside its line where it changes, and an arrow
carries its label. Every string passes `wording.visible`, so no capture can send control sequences to a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.language import counted
from pcapreport.report.anonymity import anonymity
from pcapreport.report.diagram_layout import caption
from pcapreport.report.model import RETRANSMISSION_RULES, Connection, Document, Finding, LadderRow
from pcapreport.report.wording import (
    SEVERITY_MARK,
    duration,
    frame_list,
    moment,
    number,
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
        lines.append(visible(connection.detail.ladder_omitted))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(connection: Connection, room: int) -> str:
    client = visible(f"client {connection.client.address}:{connection.client.port}")
    server = visible(f"server {connection.server.address}:{connection.server.port}")
    total = room + _FIXED
    if len(client) + len(server) + TIME + 4 > total:
        return f"{'':{TIME}} {client}\n{server:>{total}}"
    return f"{'time, s':>{TIME}} {client}{server:>{total - TIME - 1 - len(client) - FRAMES - 1}} {'frame':>{FRAMES}}"


def _row(row: LadderRow, client: str, server: str, room: int) -> Iterator[str]:
    """One line for the row, and one for each further thing said beside it."""
    middle, notes = _middle(row, room)
    time = moment(row.time_s) if row.kind != "gap" else ""
    frames = short(frame_list(row.frames, 2), FRAMES)
    bar = "┊" if row.kind == "gap" else "│"
    yield f"{time:>{TIME}} {client[:STATE]:>{STATE}} {bar}{middle}{bar} {server[:STATE]:<{STATE}} {frames:>{FRAMES}}"
    for note in notes:
        yield f"{'':{TIME}} {'':{STATE}} {bar}{short(note, room):^{room}}{bar}"


def _middle(row: LadderRow, room: int) -> tuple[str, list[str]]:
    """What stands between the lifelines, and what follows below it."""
    strong, plain = caption(row)
    label = visible(" ".join(filter(None, [strong, plain.replace("\u2002", " ")])))
    rules = [spoken(rule) for rule in row.rules]
    mark = f"{SEVERITY_MARK[row.severity]} " if row.severity else ""
    notes = [mark + "; ".join(rules)] if rules else []
    if row.text and row.kind not in ("gap", "event"):
        notes.insert(0, visible(row.text))
    if row.sender is None or row.kind in ("gap", "event"):
        return f"{short(label, room):^{room}}", notes
    shaft = _shaft(row)
    label = short(label, room - 6)
    line = f" {label} ".center(room - 1, shaft)
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
        lines.append(f"{side}:")
        for t in end.history:
            at = "unknown" if t.entered_s[0] is None and t.entered_s[1] is None else _since(t.entered_s)
            frame = f"frame {t.frame}" if t.frame is not None else "no frame"
            lines.append(f"  {visible(t.state):<{STATE}} {at:>{TIME}}  {t.certainty:<8}  {frame}  {visible(t.rule)}")
    return "\n".join(lines) + "\n"


def _since(entered: tuple[float | None, float | None]) -> str:
    earliest, latest = entered
    return moment(earliest) if earliest is not None else f"<= {moment(latest)}"


def summary_text(document: Document, limit: int = 20) -> str:
    """Verdict, counts, findings and connections for a terminal; at most `limit` lines of either list."""
    capture, verdict = document.capture, document.verdict
    others = "".join(f", {number(count)} {visible(kind)}" for kind, count in capture.other_packets.items())
    lines = [visible(capture.file)]
    if anonymity(document):
        lines.append(visible(anonymity(document)))
    if not capture.complete:
        lines.append(
            "The capture is damaged or cut short: " + "; ".join(visible(p.message) for p in capture.problems[:3])
        )
    lines += ["", visible(verdict.text), f"Side at fault: {verdict.side}; confidence: {verdict.confidence}"]
    lines += [f"  {visible(fact)}" for fact in verdict.evidence]
    lines += [f"  Cannot be told: {visible(gap)}" for gap in verdict.cannot_know]
    lines += [
        "",
        f"{counted(capture.packets, '{n:,} packet', '{n:,} packets')} read: {number(capture.tcp_packets)} TCP{others}; "
        f"{counted(document.totals.connections, '{n:,} connection', '{n:,} connections')}; {duration(capture.duration_s)}",
    ]
    found = [*document.findings, *(f for c in document.connections for f in c.findings)]
    found.sort(key=lambda f: ("error", "warning", "note").index(f.severity))
    lines += _listed("Findings", [_finding_line(f) for f in found], limit)
    lines += _listed("Connections", [_connection_line(c) for c in document.connections], limit)
    return "\n".join(lines) + "\n"


def _listed(head: str, lines: list[str], limit: int) -> list[str]:
    """A headed list, cut in words; nothing for an empty one."""
    if not lines:
        return []
    cut = [f"  and {number(len(lines) - limit)} more"] if len(lines) > limit else []
    return ["", head, *lines[:limit], *cut]


def _finding_line(finding: Finding) -> str:
    frames = (
        f" [{'frame' if len(finding.frames) == 1 else 'frames'} {frame_list(finding.frames, 6)}]"
        if finding.frames
        else ""
    )
    return (
        f"  {SEVERITY_MARK[finding.severity]} {finding.severity:<7} {finding.side:<7} {visible(finding.rule)}: "
        f"{visible(finding.summary)}{frames}"
    )


def _connection_line(c: Connection) -> str:
    client, server = f"{c.client.address}:{c.client.port}", f"{c.server.address}:{c.server.port}"
    return (
        f"  {c.id:>4}  {visible(client)} > {visible(server)}  {visible(c.opening)}, {visible(c.closing)}, "
        f"{counted(c.packets, '{n:,} packet', '{n:,} packets')}, {duration(c.end_s - c.start_s)}"
    )
