"""One line a capture: what the index says about each, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from pcapreport.language import (
    Text,
    as_string,
    counted,
    joined,
    messages_of,
    phrase,
    sentences,
)
from pcapreport.message import Message
from pcapreport.report.model import Document, Endpoint, RuleCount, Severity, SlowConnection, Talker, Totals
from pcapreport.report.shown import page_anchors
from pcapreport.report.wording import SEVERITY_RANK

Status = Literal["ok", "damaged", "unreadable", "timeout", "crashed"]
READ: tuple[Status, ...] = ("ok", "damaged")
"""Of these there is something to tell."""
OPENED = ("three-way", "fast-open", "simultaneous")
RESET = ("reset-by-client", "reset-by-server")
ORDERLY = ("client-first", "server-first", "simultaneous")


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


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """A slow connection of a capture."""

    connection: int
    """Its number there."""
    anchor: str
    """Where the report tells of it; "" where it does not list it."""
    client: str
    """Address and port."""
    server: str
    took_s: float


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
    formats: list[str] = []
    """In which there is a report, each beside the others under its name."""
    sha256: str = ""
    size_bytes: int = 0
    start: str | None = None
    duration_s: float = 0.0
    packets: int = 0
    tcp_packets: int = 0
    connections: int = 0
    opened: int = 0
    """Connections that were seen to open."""
    refused: int = 0
    reset: int = 0
    """Connections that a reset ended once they were open, or half open."""
    orderly: int = 0
    """Connections that both sides closed with a FIN."""
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
    retransmitted_share: float | None = None
    """Of all TCP packets; null without any."""
    round_trip_s: float | None = None
    """The median of the round trips that clean handshakes tell; null where none does."""
    time_wait_peak: int = 0
    """The most that one host held in TIME-WAIT at once."""
    rules: dict[str, RuleCount] = {}
    """Findings by rule."""
    hosts: int = 0
    talkers: list[Talker] = []
    """The hosts that sent and received most."""
    slowest_handshakes: list[Slow] = []
    slowest_responses: list[Slow] = []
    known_by: list[str] = []
    """Of some connections what each has in every capture of it, a colon, and its number here."""
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
        size_bytes=capture.size_bytes,
        start=capture.start,
        duration_s=capture.duration_s,
        packets=capture.packets,
        tcp_packets=capture.tcp_packets,
        complete=capture.complete,
        severity=worst,
        findings={level: count for level, count in sorted(totals.findings.items()) if count},
        verdict=document.verdict.text,
        side=document.verdict.side,
        retransmitted=totals.retransmitted,
        retransmitted_share=totals.retransmitted / capture.tcp_packets if capture.tcp_packets else None,
        time_waits=totals.time_waits,
        time_wait_peak=max((host.peak for host in document.hosts), default=0),
        rules=totals.rules,
        new=None if document.baseline is None else {level: n for level, n in document.baseline.new_by_severity.items()},
        gone=0 if document.baseline is None else len(document.baseline.gone),
        lab=_class_entry(document),
        **_fates(totals),
        **_across(document),
    )
    return with_messages(entry)


def _fates(totals: Totals) -> dict[str, Any]:
    """How many connections opened and ended in which way."""
    return {
        "connections": totals.connections,
        "opened": _sum(totals.openings, OPENED),
        "refused": totals.closings.get("refused", 0),
        "reset": _sum(totals.closings, RESET),
        "resets": _sum(totals.closings, (*RESET, "refused")),
        "orderly": _sum(totals.closings, ORDERLY),
    }


def _across(document: Document) -> dict[str, Any]:
    """What is compared with other captures; nothing of a document that does not tell it."""
    across = document.across
    if across is None:
        return {}
    anchors = _anchors(document)
    return {
        "round_trip_s": across.round_trip_s,
        "hosts": across.hosts,
        "talkers": across.talkers,
        "slowest_handshakes": [_slow(one, anchors) for one in across.slowest_handshakes],
        "slowest_responses": [_slow(one, anchors) for one in across.slowest_responses],
        "known_by": [f"{key}:{number}" for key, number in across.known_by.items()],
    }


def _sum(counts: Mapping[str, int], kinds: Iterable[str]) -> int:
    return sum(counts.get(kind, 0) for kind in kinds)


def _anchors(document: Document) -> dict[int, str]:
    """Where the report tells of each connection: by itself, or in its list."""
    told = {one.id: one.detail is not None for one in document.connections}
    full = document.options.get("profile", "full") == "full"
    return {number: at if told[number] else f"row-{at}" for number, at in page_anchors(document.connections) if full}


def _slow(one: SlowConnection, anchors: Mapping[int, str]) -> Slow:
    return Slow(
        connection=one.connection,
        anchor=anchors.get(one.connection, ""),
        client=_end(one.client),
        server=_end(one.server),
        took_s=one.took_s,
    )


def _end(end: Endpoint) -> str:
    return f"[{end.address}]:{end.port}" if ":" in end.address else f"{end.address}:{end.port}"


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
    """What could not be read, then by the worst finding and how many there are, damaged ones first; equals by name."""
    return sorted(
        entries,
        key=lambda e: (
            e.status in READ,
            SEVERITY_RANK[e.severity],
            -e.findings.get("error", 0),
            -e.findings.get("warning", 0),
            e.status == "ok",
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
    read = [e for e in entries if e.status in READ]
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


def index_document(entries: Sequence[IndexEntry], key_id: str = "", stale: Sequence[str] = ()) -> Iterator[bytes]:
    """`index.json` in pieces: the sentence and the lines, in the order given, which is that of the page.

    `stale`: names of captures that are no more, though there still are reports on them.
    """
    told: dict[str, object] = {"schema_version": "1.0", "summary": summary_sentence(entries)}
    if key_id:
        told |= {"anonymize": True, "key_id": key_id}
    if stale:
        told["stale"] = list(stale)
    encoder = msgspec.json.Encoder(enc_hook=as_string)
    yield encoder.encode(told)[:-1] + b',"captures":['
    for number, entry in enumerate(entries):
        yield (b",\n" if number else b"\n") + encoder.encode(entry)
    yield b"\n]}\n"
