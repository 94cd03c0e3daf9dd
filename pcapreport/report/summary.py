"""The result document as Markdown to paste into a ticket: verdict, evidence, findings, connections.

Hostile text may neither break a table nor become markup, a link or a mention in the ticket system: what a capture can
name stands in code spans, everything else is escaped.
"""

from __future__ import annotations

import re

from pcapreport.language import counted, forms, speaking
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
    side = {"none": "no side at fault", "undecidable": "side at fault: cannot be decided"}.get(
        verdict.side, f"side at fault: **{verdict.side}**"
    )
    damage = ""
    if not capture.complete:
        problems = "; ".join(escaped(p.message) for p in capture.problems[:3])
        damage = f"**The capture is damaged or cut short.** {problems}"
    others = "".join(f", {number(count)} {escaped(kind)}" for kind, count in capture.other_packets.items())
    counts = (
        f"{counted(capture.packets, '{n:,} packet', '{n:,} packets')} read: {number(capture.tcp_packets)} TCP{others}; "
        f"{counted(document.totals.connections, '{n:,} connection', '{n:,} connections')} in {duration(capture.duration_s)}."
    )
    return [
        f"## {code(capture.file)}",
        damage,
        f"**{escaped(verdict.text)}**",
        f"{side}; confidence: {verdict.confidence}",
        _list("How we know:", verdict.evidence),
        _list("What this capture cannot tell:", verdict.cannot_know),
        f"Who should act: {escaped(actor(document))}",
        _list("Next steps:", [f"{title}: {step}" for title, step in next_steps(document)]),
        counts,
    ]


def _list(head: str, items: list[str]) -> str:
    return "\n".join([head, "", *(f"- {escaped(item)}" for item in items)]) if items else ""


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _findings(document: Document) -> list[str]:
    found: list[tuple[str, Finding]] = [("capture", f) for f in document.findings]
    found += [(str(c.id), f) for c in document.connections for f in c.findings]
    if not found:
        return []
    found.sort(key=lambda pair: SEVERITY_RANK[pair[1].severity])
    rows = [
        [
            f"{SEVERITY_MARK[f.severity]} {f.severity}",
            code(f.rule),
            where,
            f.side,
            escaped(f.summary),
            _frames(f),
        ]
        for where, f in found[:FINDING_ROWS]
    ]
    heads = ["Severity", "Rule", "Connection", "Side", "What was seen", "Wireshark filter"]
    return [
        "### Findings",
        _table(heads, rows),
        _left_out(sum(document.totals.findings.values()) - len(rows), MORE_FINDINGS),
    ]


def _frames(finding: Finding) -> str:
    if len(runs(finding.frames)) <= FRAME_RUNS:
        return code(finding.filter or (frame_filter(finding.frames) if finding.frames else ""))
    return f"{counted(len(finding.frames), '{n:,} frame', '{n:,} frames')}: {frame_list(finding.frames, FRAME_RUNS)}"


def _connections(document: Document) -> list[str]:
    if not document.connections:
        return []
    worst_first = sorted(document.connections, key=lambda c: (SEVERITY_RANK[c.severity], c.id))
    rows = [_connection_row(c) for c in worst_first[:CONNECTION_ROWS]]
    heads = ["No.", "Client", "Server", "Opening", "Closing", "Packets", "Bytes each way", "Duration", "States"]
    return [
        "### Connections",
        _table(heads, rows),
        _left_out(document.totals.connections - len(rows), MORE_CONNECTIONS),
    ]


def _connection_row(c: Connection) -> list[str]:
    states = [
        f"{side} " + " > ".join(escaped(t.state) for t in end.history)
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
        "; ".join(states).replace(">", "&gt;"),
    ]


def _left_out(n: int, forms: tuple[str, str]) -> str:
    return counted(n, *forms) if n > 0 else ""


def _foot(document: Document) -> str:
    tool, capture = document.tool, document.capture
    return (
        f"Made by {escaped(tool.name)} {escaped(tool.version)} from {code(capture.file)}, "
        f"SHA-256 {code(capture.sha256)}. Times are seconds since the first packet."
    )


def _without_longest_row(text: str) -> str:
    """The text with its longest table row replaced by words."""
    lines = text.split("\n")
    at = max((i for i, line in enumerate(lines) if line.startswith("| ")), key=lambda i: len(lines[i]))
    columns = lines[at].count(" | ") + 1
    lines[at] = "|" + "row left out for its length|" + "|" * (columns - 1)
    return "\n".join(lines)
