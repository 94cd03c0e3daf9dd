"""The result document as Markdown to paste into a ticket: verdict, evidence, findings, connections.

Hostile text may neither break a table nor become markup, a link, a reference or a mention in the ticket system: what a
capture can name stands in code spans, everything else is escaped. It fits into one comment: where it would not, it has
shorter texts and fewer rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple

from pcapreport.language import counted, forms, phrase, say, sentences, speaking
from pcapreport.report.advice import actor, next_steps
from pcapreport.report.anonymity import anonymity
from pcapreport.report.model import Connection, Document, Finding
from pcapreport.report.timeline import MOST_EVENTS, Event, timeline
from pcapreport.report.wording import (
    SEVERITY_MARK,
    SEVERITY_RANK,
    duration,
    frame_filter,
    frame_list,
    moment,
    number,
    packets_read,
    runs,
    short,
    spoken,
    visible,
)

MOST_CHARACTERS = 65_000
"""GitHub and GitLab cut a comment at 65,536 characters; there are always fewer than this."""
FRAME_RUNS = 12


class Room(NamedTuple):
    """How much is told."""

    rows: int
    """Of each table."""
    items: int
    """Of each list."""
    longest: int
    """Characters of one text."""


ROOMS = (Room(60, 30, 2_000), Room(60, 20, 600), Room(25, 12, 400), Room(8, 6, 240), Room(0, 3, 120))
_room: ContextVar[Room] = ContextVar("room", default=ROOMS[0])
_EMOJI = re.compile(r":(?=(?:\w*[g-z_+-][\w+-]*|100|1234|a|b|ab|abcd?|bee|bed|de|face):)", re.I)
"""A colon before an emoji's name; hexadecimal digits between colons are an address unless there is such an emoji."""
_REFERENCE = re.compile(r"[@#]|[!$%&~^](?=[\w\"'])|www(?=\.)|:(?=//)", re.I)
"""What ticket systems make mentions, references to issues and the like, or links of."""
_MARKUP = re.compile(r"([\\`*_{}\[\]|~$])")
_BEGINNING = re.compile(r"^(?:[-=+]|\d+(?=[.)](?:\s|$)))")
"""Of a list or a rule, where it begins a text."""
MORE_FINDINGS = forms(
    "{n:,} more finding not listed; the JSON has them all.", "{n:,} more findings not listed; the JSON has them all."
)
MORE_EVENTS = forms("{n:,} more event of less weight left out.", "{n:,} more events of less weight left out.")
MORE_CONNECTIONS = forms(
    "{n:,} more connection not listed; the JSON has them all.",
    "{n:,} more connections not listed; the JSON has them all.",
)


def render_markdown(document: Document) -> str:
    """The ticket text; tables are in the dialect that GitHub, GitLab and most editors share."""
    most = document.options.get("max_size") or MOST_CHARACTERS * 4
    for room in ROOMS:
        token = _room.set(room)
        try:
            with speaking(document.language, document.messages):
                text = _written(document)
        finally:
            _room.reset(token)
        if len(text) < MOST_CHARACTERS and len(text.encode()) <= most:
            break
    return text


def _written(document: Document) -> str:
    blocks = [
        *_head(document),
        *_timeline(document),
        *_findings(document),
        *_connections(document),
        escaped(anonymity(document)),
        _foot(document),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(text: str) -> str:
    """Prose: no character of it is markup, no word a link, a reference, a mention or an emoji.

    What would become one has a zero-width space after its first sign: backslashes are gone before those are sought.
    """
    text = _EMOJI.sub(":\u200b", short(text, _room.get().longest).strip())
    text = _REFERENCE.sub(lambda sign: sign[0] + "\u200b", re.sub(r"(?<=\w)@", "\u200b@", text))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BEGINNING.sub(_backslashed, _MARKUP.sub(r"\\\1", text))


def _backslashed(beginning: re.Match[str]) -> str:
    """A number keeps its digits: the sign behind it is what makes it one of a list."""
    return beginning[0] + "\u200b" if beginning[0].isdigit() else "\\" + beginning[0]


def code(text: str) -> str:
    """A code span, which backticks cannot leave."""
    inside = short(text, _room.get().longest).replace("`", "'").strip()
    return f"`{inside}`" if inside else ""


def cell(text: str) -> str:
    """A code span in a table: pipes cannot end its cell, and no backslash before one can free it."""
    return code(text).replace("\\|", "\\\u200b|").replace("|", "\\|")


def _head(document: Document) -> list[str]:
    capture, verdict = document.capture, document.verdict
    damage = ""
    if not capture.complete:
        problems = say("; ").join(escaped(say(p.message)) for p in capture.problems[:3])
        damage = say(phrase("The capture is damaged or cut short."))
        damage = f"**{damage}** {problems}"
    return [
        f"## {code(capture.file)}",
        damage,
        f"**{escaped(say(verdict.text))}**" if verdict.text.strip() else "",
        say("; ").join((_side_at_fault(verdict.side), _confidence(verdict.confidence))),
        _list(phrase("How we know:"), [say(fact) for fact in verdict.evidence]),
        _list(phrase("What this capture cannot tell:"), [say(limit) for limit in verdict.cannot_know]),
        say(phrase("Who should act: {who}", who=escaped(actor(document)))),
        _list(phrase("Next steps:"), [_step(*step) for step in next_steps(document)]),
        _counts(document),
    ]


def _step(title: str, step: str) -> str:
    return say(phrase("{title}: {step}", title=say(title), step=say(step)))


def _side_at_fault(side: str) -> str:
    if side == "none":
        return say(phrase("no side at fault"))
    if side == "undecidable":
        return say(phrase("side at fault: cannot be decided"))
    strong = f"**{say(side)}**"
    return say(phrase("side at fault: {side}", side=strong))


def _confidence(confidence: str) -> str:
    return say(phrase("confidence: {confidence}", confidence=say(confidence)))


def _counts(document: Document) -> str:
    capture = document.capture
    packets = packets_read(capture, escaped)
    connections = counted(document.totals.connections, "{n:,} connection", "{n:,} connections")
    span = duration(capture.duration_s)
    return say(phrase("{packets}; {connections} in {time}.", packets=packets, connections=connections, time=span))


def _list(head: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    told = [f"- {escaped(item)}" for item in items[: _room.get().items]]
    return "\n".join([say(head), "", *told, *(["- …"] if len(told) < len(items) else [])])


def _table(heads: Sequence[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [[say(head) for head in heads], ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _timeline(document: Document) -> list[str]:
    """Of the worst connection, where the ticket is to have it."""
    worst = min(document.connections, key=lambda c: (c.detail is None, SEVERITY_RANK[c.severity]), default=None)
    if document.options.get("profile") != "ticket" or worst is None:
        return []
    events, left_out = timeline(worst, min(_room.get().rows, MOST_EVENTS))
    if not events:
        return []
    heads = [phrase("Time, s"), phrase("Frame"), phrase("Sender"), phrase("What"), phrase("States entered")]
    told = [escaped(head) for head in (*heads, phrase("Findings that begin here"))]
    title = phrase("Timeline of connection {number}", number=worst.id)
    return [
        f"### {escaped(title)}",
        _table(told, [_event_row(event) for event in events]),
        _left_out(left_out, MORE_EVENTS),
    ]


def _event_row(event: Event) -> list[str]:
    return [
        moment(event.time_s),
        "" if event.frame is None else str(event.frame),
        say(event.sender or ""),
        escaped(" ".join(filter(None, (say(part) for part in event.what)))),
        say("; ").join(f"{say(side)} {escaped(state)}" for side, state, _ in event.states),
        say("; ").join(
            f"{SEVERITY_MARK[f.severity]} {escaped(say(f.title) or spoken(f.rule))}" for f in event.findings
        ),
    ]


def _findings(document: Document) -> list[str]:
    found: list[tuple[str, Finding]] = [(say(phrase("capture")), f) for f in document.findings]
    found += [(str(c.id), f) for c in document.connections for f in c.findings]
    if not found:
        return []
    found.sort(key=lambda pair: SEVERITY_RANK[pair[1].severity])
    rows = [
        [
            f"{SEVERITY_MARK[f.severity]} {say(f.severity)}",
            cell(f.rule),
            where,
            say(f.side),
            escaped(say(f.summary)),
            _frames(f),
        ]
        for where, f in found[: _room.get().rows]
    ]
    heads = [
        phrase("Severity"),
        phrase("Rule"),
        phrase("Connection"),
        phrase("Side"),
        phrase("What was seen"),
        phrase("Wireshark filter"),
    ]
    return [
        "### " + say(phrase("Findings")),
        _table(heads, rows),
        _left_out(sum(document.totals.findings.values()) - len(rows), MORE_FINDINGS),
    ]


def _frames(finding: Finding) -> str:
    shown = finding.filter or (frame_filter(finding.frames) if finding.frames else "")
    if len(runs(finding.frames)) <= FRAME_RUNS and len(visible(shown)) <= _room.get().longest:
        return cell(shown)
    first = frame_list(finding.frames, FRAME_RUNS)
    return say(counted(len(finding.frames), "{n:,} frame: {frames}", "{n:,} frames: {frames}", frames=first))


def _connections(document: Document) -> list[str]:
    if not document.connections:
        return []
    worst_first = sorted(document.connections, key=lambda c: (SEVERITY_RANK[c.severity], c.id))
    rows = [_connection_row(c) for c in worst_first[: _room.get().rows]]
    heads = [
        phrase("No."),
        phrase("Client"),
        phrase("Server"),
        phrase("Opening"),
        phrase("Closing"),
        phrase("Packets"),
        phrase("Bytes each way"),
        phrase("Duration"),
        phrase("States"),
    ]
    return [
        "### " + say(phrase("Connections")),
        _table(heads, rows),
        _left_out(document.totals.connections - len(rows), MORE_CONNECTIONS),
    ]


def _connection_row(c: Connection) -> list[str]:
    most = _room.get().items
    states = [
        f"{say(side)} "
        + " > ".join([*(escaped(t.state) for t in end.history[:most]), *(["…"] if len(end.history) > most else [])])
        for side, end in (("client", c.endpoints.client), ("server", c.endpoints.server))
    ]
    return [
        str(c.id),
        cell(f"{c.client.address}:{c.client.port}"),
        cell(f"{c.server.address}:{c.server.port}"),
        escaped(spoken(c.opening)),
        escaped(spoken(c.closing)),
        number(c.packets),
        f"{number(c.metrics.client_bytes)} / {number(c.metrics.server_bytes)}",
        duration(c.end_s - c.start_s),
        say("; ").join(states).replace(">", "&gt;"),
    ]


def _left_out(n: int, forms: tuple[str, str]) -> str:
    return say(counted(n, *forms)) if n > 0 else ""


def _foot(document: Document) -> str:
    tool, capture = document.tool, document.capture
    made = phrase(
        "Made by {name} {version} from {file}, SHA-256 {hash}.",
        name=escaped(tool.name),
        version=escaped(tool.version),
        file=code(capture.file),
        hash=code(capture.sha256),
    )
    return say(sentences(made, phrase("Times are seconds since the first packet.")))
