"""One line a capture: what the batch page and `index.json` say about each, worst first."""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from pcapreport.batch.class_index import render_class
from pcapreport.language import (
    LANGUAGES,
    Message,
    Text,
    as_string,
    counted,
    joined,
    messages_of,
    phrase,
    sentences,
    speaking,
)
from pcapreport.report.html import render_template
from pcapreport.report.model import Document, Severity
from pcapreport.report.wording import SEVERITY_RANK

Status = Literal["ok", "damaged", "unreadable", "timeout", "crashed"]
_STATUS_RANK: dict[Status, int] = {"unreadable": 0, "timeout": 0, "crashed": 0, "damaged": 1, "ok": 2}


class ClassEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What an instructor is told of one capture of a class."""

    parts: dict[str, bool]
    """Whether the reported connection shows its handshake, data, teardown and time_wait."""
    opening: str
    release: str
    content: str
    """SHA-256 of the decompressed bytes."""
    segments: str
    connections: list[str]
    """See report/likeness.py."""


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
    lab: ClassEntry | None = None
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
        lab=_class_entry(document),
    )
    return with_messages(entry)


def _class_entry(document: Document) -> ClassEntry | None:
    lab, capture = document.lab, document.capture
    if lab is None:
        return None
    return ClassEntry(
        parts=lab.parts,
        opening=lab.opening.kind,
        release=lab.release.kind,
        content=capture.content_sha256 or capture.sha256,
        segments=lab.segments,
        connections=lab.connections,
    )


def with_messages(entry: IndexEntry) -> IndexEntry:
    """With what it takes to say its texts in another language."""
    return msgspec.structs.replace(entry, messages=messages_of(entry))


def _damage(document: Document, file: str) -> str:
    """The first problem of a damaged capture in one line."""
    for problem in document.capture.problems[:1]:
        if problem.offset is None:
            return phrase("{file}: {problem}", file=file, problem=problem.message)
        return phrase("{file}: byte {offset}: {problem}", file=file, offset=problem.offset, problem=problem.message)
    return phrase("{file}: incomplete", file=file)


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
    "ok": phrase("{n:,} read whole"),
    "damaged": phrase("{n:,} damaged"),
    "unreadable": phrase("{n:,} unreadable"),
    "timeout": phrase("{n:,} given up at the time limit"),
    "crashed": phrase("{n:,} that ended their process"),
}
_WORST_WORDS: dict[Severity | None, str] = {
    "error": phrase("{n:,} with errors at worst"),
    "warning": phrase("{n:,} with warnings at worst"),
    "note": phrase("{n:,} with notes at worst"),
    None: phrase("{n:,} without findings"),
}


def summary_sentence(entries: Sequence[IndexEntry]) -> Text:
    """Counts that add up: "28 captures: 26 read whole, 1 damaged, 1 unreadable; 12 with errors at worst, ..."."""
    by_status = Counter(e.status for e in entries)
    read = [e for e in entries if e.status in ("ok", "damaged")]
    worst = Counter(e.severity for e in read)
    captures = counted(len(entries), "{n:,} capture", "{n:,} captures")
    statuses = joined(
        phrase(str(form), n=by_status[s]) for s, form in _STATUS_WORDS.items() if by_status[s] or s == "ok"
    )
    levels = joined(phrase(str(form), n=worst[level]) for level, form in _WORST_WORDS.items() if worst[level])
    if levels:
        first = phrase(
            "{captures}: {statuses}; of those read, {levels}.", captures=captures, statuses=statuses, levels=levels
        )
    else:
        first = phrase("{captures}: {statuses}.", captures=captures, statuses=statuses)
    rest = phrase(
        "{packets} in all, {tcp:,} of them TCP; {connections}.",
        packets=counted(sum(e.packets for e in read), "{n:,} packet", "{n:,} packets"),
        tcp=sum(e.tcp_packets for e in read),
        connections=counted(sum(e.connections for e in read), "{n:,} connection", "{n:,} connections"),
    )
    return sentences(first, rest)


def render_index(
    entries: Iterable[IndexEntry],
    templates: pathlib.Path | None = None,
    language: str = LANGUAGES[0],
    lab: bool = False,
    key_id: str = "",
) -> str:
    """The batch page, or that of a class; `templates` may hold templates that replace the packaged ones.

    `key_id`: of the key by which names are replaced, if they are.
    """
    ordered = worst_first(entries)
    messages = {english: message for entry in ordered for english, message in entry.messages.items()}
    with speaking(language, messages):
        if lab:
            return render_class(ordered, templates, key_id)
        return render_template(
            "index.html.jinja", templates, entries=ordered, summary=summary_sentence(ordered), key_id=key_id
        )


def index_document(entries: Iterable[IndexEntry], key_id: str = "") -> bytes:
    """`index.json`: the sentence and the lines, in the order of the page."""
    ordered = worst_first(entries)
    told = {"schema_version": "1.0", "summary": summary_sentence(ordered), "captures": ordered}
    replaced = {"anonymize": True, "key_id": key_id} if key_id else {}
    return msgspec.json.encode(told | replaced, enc_hook=as_string)
