"""The result document as Markdown to paste into a ticket: verdict, evidence, findings, connections.

Hostile text may neither break a table nor become markup, a link or a mention in the ticket system: what a capture can
name stands in code spans, everything else is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcapreport.language import counted, forms, phrase, say, sentences, speaking
from pcapreport.report.advice import actor, next_steps
from pcapreport.report.anonymity import anonymity
from pcapreport.report.model import Connection, Document, Finding
from pcapreport.report.wording import (
    SEVERITY_MARK,
    SEVERITY_RANK,
    duration,
    frame_filter,
    frame_list,
    number,
    runs,
    spoken,
    visible,
)

MOST_CHARACTERS = 60_000
"""GitHub and GitLab cut a comment at 65,536 characters."""
FINDING_ROWS, CONNECTION_ROWS = 60, 60
FRAME_RUNS = 12
MORE_FINDINGS = forms(
    "{n:,} more finding not listed; the JSON has them all.", "{n:,} more findings not listed; the JSON has them all."
)
MORE_CONNECTIONS = forms(
    "{n:,} more connection not listed; the JSON has them all.",
    "{n:,} more connections not listed; the JSON has them all.",
)


def render_markdown(document: Document) -> str:
    """The ticket text; tables are in the dialect that GitHub, GitLab and most editors share."""
    with speaking(document.language, document.messages):
        blocks = [
            *_head(document),
            *_findings(document),
            *_connections(document),
            escaped(anonymity(document)),
            _foot(document),
        ]
        text = "\n\n".join(block for block in blocks if block) + "\n"
        while len(text) > MOST_CHARACTERS and "\n|" in text:
            text = _without_longest_row(text)
    return text


def escaped(text: str) -> str:
    """Prose: no character of it is markup, no word a link or a mention."""
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]()+!|~$])", r"\\\1", text)
    return (
        re.sub(r"[@#]", lambda sign: sign[0] + "\u200b", text).replace("://", ":\u200b//").replace("www.", "www\u200b.")
    )


def code(text: str) -> str:
    """A code span; backticks cannot leave it, pipes cannot end a table's cell."""
    inside = visible(text).replace("`", "'").replace("|", "\\|")
    return f"`{inside}`" if inside.strip() else ""


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
        f"**{escaped(say(verdict.text))}**",
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
    others = "".join(f"{say(', ')}{number(n)} {escaped(say(kind))}" for kind, n in capture.other_packets.items())
    packets = counted(
        capture.packets,
        "{n:,} packet read: {tcp} TCP{others}",
        "{n:,} packets read: {tcp} TCP{others}",
        tcp=number(capture.tcp_packets),
        others=others,
    )
    connections = counted(document.totals.connections, "{n:,} connection", "{n:,} connections")
    span = duration(capture.duration_s)
    return say(phrase("{packets}; {connections} in {time}.", packets=packets, connections=connections, time=span))


def _list(head: str, items: Sequence[str]) -> str:
    return "\n".join([say(head), "", *(f"- {escaped(item)}" for item in items)]) if items else ""


def _table(heads: Sequence[str], rows: list[list[str]]) -> str:
    lines = [[say(head) for head in heads], ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _findings(document: Document) -> list[str]:
    found: list[tuple[str, Finding]] = [(say(phrase("capture")), f) for f in document.findings]
    found += [(str(c.id), f) for c in document.connections for f in c.findings]
    if not found:
        return []
    found.sort(key=lambda pair: SEVERITY_RANK[pair[1].severity])
    rows = [
        [
            f"{SEVERITY_MARK[f.severity]} {say(f.severity)}",
            code(f.rule),
            where,
            say(f.side),
            escaped(say(f.summary)),
            _frames(f),
        ]
        for where, f in found[:FINDING_ROWS]
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
    if len(runs(finding.frames)) <= FRAME_RUNS:
        return code(finding.filter or (frame_filter(finding.frames) if finding.frames else ""))
    first = frame_list(finding.frames, FRAME_RUNS)
    return say(counted(len(finding.frames), "{n:,} frame: {frames}", "{n:,} frames: {frames}", frames=first))


def _connections(document: Document) -> list[str]:
    if not document.connections:
        return []
    worst_first = sorted(document.connections, key=lambda c: (SEVERITY_RANK[c.severity], c.id))
    rows = [_connection_row(c) for c in worst_first[:CONNECTION_ROWS]]
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
    states = [
        f"{say(side)} " + " > ".join(escaped(t.state) for t in end.history)
        for side, end in (("client", c.endpoints.client), ("server", c.endpoints.server))
    ]
    return [
        str(c.id),
        code(f"{c.client.address}:{c.client.port}"),
        code(f"{c.server.address}:{c.server.port}"),
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


def _without_longest_row(text: str) -> str:
    """The text with its longest table row replaced by words."""
    lines = text.split("\n")
    at = max((i for i, line in enumerate(lines) if line.startswith("| ")), key=lambda i: len(lines[i]))
    columns = lines[at].count(" | ") + 1
    lines[at] = "|" + say(phrase("row left out for its length")) + "|" * columns
    return "\n".join(lines)
