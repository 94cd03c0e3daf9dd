"""One line a capture: what the batch page and `index.json` say about each, worst first."""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from pcapreport.language import LANGUAGES, Message, as_string, counted, messages_of, speaking
from pcapreport.report.html import render_template
from pcapreport.report.model import Document, Severity
from pcapreport.report.wording import SEVERITY_RANK, number

Status = Literal["ok", "damaged", "unreadable", "timeout"]
_STATUS_RANK: dict[Status, int] = {"unreadable": 0, "timeout": 0, "damaged": 1, "ok": 2}


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One capture of a batch. Counts are zero where nothing could be read."""

    file: str
    """As the user named it, relative to the given directory."""
    status: Status
    message: str = ""
    """Why it is not "ok", in one line."""
    report: str = ""
    """Relative address of the page; "" if none was written."""
    json: str = ""
    sha256: str = ""
    start: str | None = None
    duration_s: float = 0.0
    packets: int = 0
    tcp_packets: int = 0
    connections: int = 0
    complete: bool = False
    severity: Severity | None = None
    """The worst finding, of the capture or of any connection."""
    findings: dict[str, int] = {}
    """Findings by severity."""
    verdict: str = ""
    side: str = "none"
    time_waits: int = 0
    """Endpoints that entered TIME-WAIT."""
    resets: int = 0
    """Connections that a reset ended."""
    retransmitted: int = 0
    """Frames that sent bytes, SYN or FIN again."""
    new: dict[str, int] | None = None
    """Findings by severity that an earlier run did not have; null where none was compared with."""
    gone: int = 0
    """Findings of that run that are no more."""
    messages: dict[str, Message] = {}
    """How these texts were made, as in the result document."""


def entry_of(document: Document, file: str, report: str, json: str) -> IndexEntry:
    """The index line of one analysed capture; `report` and `json` are addresses relative to the index."""
    capture = document.capture
    totals = document.totals
    worst = min(
        (level for level, count in totals.findings.items() if count), key=SEVERITY_RANK.__getitem__, default=None
    )
    entry = IndexEntry(
        file=file,
        status="ok" if capture.complete else "damaged",
        message="" if capture.complete else _damage(document, file),
        report=report,
        json=json,
        sha256=capture.sha256,
        start=capture.start,
        duration_s=capture.duration_s,
        packets=capture.packets,
        tcp_packets=capture.tcp_packets,
        connections=totals.connections,
        complete=capture.complete,
        severity=worst,
        findings={level: count for level, count in sorted(totals.findings.items()) if count},
        verdict=document.verdict.text,
        side=document.verdict.side,
        time_waits=totals.time_waits,
        resets=sum(totals.closings.get(kind, 0) for kind in ("reset-by-client", "reset-by-server", "refused")),
        retransmitted=totals.retransmitted,
        new=None if document.baseline is None else {level: n for level, n in document.baseline.new_by_severity.items()},
        gone=0 if document.baseline is None else len(document.baseline.gone),
    )
    return with_messages(entry)


def with_messages(entry: IndexEntry) -> IndexEntry:
    """With what it takes to say its texts in another language."""
    return msgspec.structs.replace(entry, messages=messages_of(entry))


def _damage(document: Document, file: str) -> str:
    """The first problem of a damaged capture in one line."""
    for problem in document.capture.problems[:1]:
        place = "" if problem.offset is None else f"byte {problem.offset}: "
        return f"{file}: {place}{problem.message}"
    return f"{file}: incomplete"


def worst_first(entries: Iterable[IndexEntry]) -> list[IndexEntry]:
    """Unreadable, then damaged, then by the worst finding and how many there are; equals by name."""
    return sorted(
        entries,
        key=lambda e: (
            _STATUS_RANK[e.status],
            SEVERITY_RANK[e.severity],
            -e.findings.get("error", 0),
            -e.findings.get("warning", 0),
            e.file,
        ),
    )


_STATUS_WORDS: dict[Status, str] = {
    "ok": "read whole",
    "damaged": "damaged",
    "unreadable": "unreadable",
    "timeout": "given up at the time limit",
}


def summary_sentence(entries: Sequence[IndexEntry]) -> str:
    """Counts that add up: "28 captures: 26 read whole, 1 damaged, 1 unreadable; 12 with errors at worst, ..."."""
    by_status = Counter(e.status for e in entries)
    parts = [f"{number(by_status[s])} {words}" for s, words in _STATUS_WORDS.items() if by_status[s] or s == "ok"]
    read = [e for e in entries if e.status in ("ok", "damaged")]
    worst = Counter(e.severity for e in read)
    levels = [f"{number(worst[s])} with {s}s at worst" for s in ("error", "warning", "note") if worst[s]]
    if worst[None]:
        levels.append(f"{number(worst[None])} without findings")
    of_read = f"; of those read, {', '.join(levels)}" if levels else ""
    packets, tcp = sum(e.packets for e in read), sum(e.tcp_packets for e in read)
    connections = counted(sum(e.connections for e in read), "{n:,} connection", "{n:,} connections")
    return (
        f"{counted(len(entries), '{n:,} capture', '{n:,} captures')}: {', '.join(parts)}{of_read}. "
        f"{counted(packets, '{n:,} packet', '{n:,} packets')} in all, {number(tcp)} of them TCP; {connections}."
    )


def render_index(
    entries: Iterable[IndexEntry],
    templates: pathlib.Path | None = None,
    language: str = LANGUAGES[0],
    key_id: str = "",
) -> str:
    """The batch page; `templates` may hold templates that replace the packaged ones.

    `key_id`: of the key by which names are replaced, if they are.
    """
    ordered = worst_first(entries)
    messages = {english: message for entry in ordered for english, message in entry.messages.items()}
    with speaking(language, messages):
        return render_template(
            "index.html.jinja", templates, entries=ordered, summary=summary_sentence(ordered), key_id=key_id
        )


def index_document(entries: Iterable[IndexEntry], key_id: str = "") -> bytes:
    """`index.json`: the sentence and the lines, in the order of the page."""
    ordered = worst_first(entries)
    told = {"schema_version": "1.0", "summary": summary_sentence(ordered), "captures": ordered}
    replaced = {"anonymize": True, "key_id": key_id} if key_id else {}
    return msgspec.json.encode(told | replaced, enc_hook=as_string)
