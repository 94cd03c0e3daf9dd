"""One connection told in two or three plain sentences, from its histories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.findings import time_wait_words
from pcapreport.findings.model import Evidence, Finding, Severity
from pcapreport.findings.wording import The, address, duration, frames, side_name
from pcapreport.language import Text, counted, phrase, sentences
from pcapreport.settings import SECOND
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory, Meeting, TimeWait
from pcapreport.tcp.states import State

RESETS = ("reset_by_middlebox", "fin_wait_2_orphaned", "reset")
TOLD = frozenset({"connection_refused", "syn_unanswered", "syn_filtered", "handshake_incomplete", *RESETS})
"""Rules whose summary takes the place of a sentence of the story."""
RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def tell(connection: int, evidence: Evidence, findings: Iterable[Finding]) -> str:
    """The story of a connection. `findings` may be all; giving only its own is faster."""
    own = sorted((f for f in findings if f.connection == connection), key=lambda f: RANK[f.severity])
    history = evidence.histories[connection]
    told: list[str] = [_opened(connection, evidence, history)]
    if history.opening not in ("refused", "unanswered"):
        told += _closed(connection, evidence, history, own)
        told += _time_waits(evidence, history)
    told += _trouble(own)
    return sentences(*told)


OPENED = {
    "three-way": phrase("{client} (client) opened the connection to {server} (server) in three steps ({frames})."),
    "fast-open": phrase(
        "{client} (client) opened the connection to {server} (server) with data in its SYN ({frames})."
    ),
    "simultaneous": phrase(
        "{client} (client) and {server} (server) opened the connection at the same time ({frames})."
    ),
    "refused": phrase("{client} (client) asked {server} (server) for a connection and was refused ({frames})."),
    "unanswered": phrase(
        "{client} (client) asked {server} (server) for a connection; no answer was captured ({frames})."
    ),
    "incomplete": phrase(
        "{client} (client) began a connection to {server} (server) that never fully opened ({frames})."
    ),
    "one-sided": phrase("{client} (client) connected to {server} (server), of which no segment was captured."),
    "midstream": phrase("{client} (client) and {server} (server) were connected before the capture began."),
}


def _opened(connection: int, evidence: Evidence, history: ConnectionHistory) -> Text:
    client, server = (address(end) for end in evidence.table.endpoints(connection))
    form = OPENED.get(history.opening, OPENED["midstream"])
    return phrase(form, client=client, server=server, frames=frames(_steps(connection, evidence)))


def _steps(connection: int, evidence: Evidence) -> list[int]:
    """Frames of the handshake: each SYN that counted, and what completed it or refused."""
    table = evidence.table
    start, stop = int(table.bounds[connection]), int(table.bounds[connection + 1])
    flags, side = table.flags[start : min(stop, start + 16)].tolist(), table.side[start : start + 16].tolist()
    ending = Flag.RST if evidence.histories.like(connection).opening in ("refused", "incomplete") else 0
    chosen: list[int] = []
    kinds: set[tuple[int, int]] = set()
    for at, (bits, who) in enumerate(zip(flags, side, strict=False)):
        kind = (who, bits & (Flag.SYN | Flag.ACK | Flag.RST))
        if bits & (Flag.SYN | ending) and kind not in kinds:
            kinds.add(kind)
            chosen.append(at)
        elif len(kinds) > 1 and not bits & (Flag.SYN | Flag.RST) and who == CLIENT:
            chosen.append(at)
            break
    return [int(table.frame[start + at]) for at in chosen] or [int(table.frame[start])]


def _closed(connection: int, evidence: Evidence, history: ConnectionHistory, own: list[Finding]) -> Iterator[str]:
    reset_by = {"reset-by-client": CLIENT, "reset-by-server": SERVER}.get(history.closing)
    if reset_by is not None:
        yield phrase("{amounts}.", amounts=_exchanged(connection, evidence))
        told = next((finding.summary for finding in own if finding.rule in RESETS), "")
        yield told or phrase("{who} reset the connection.", who=The(reset_by))
        return
    ending = _ending(history)
    if ending is not None:
        yield phrase("{amounts}; {ending}.", amounts=_exchanged(connection, evidence), ending=ending)


def _ending(history: ConnectionHistory) -> Text | None:
    """How it closed without a reset."""
    client, server = _fin(history.client), _fin(history.server)
    if history.closing == "client-first":
        return _in_order(CLIENT, client, server)
    if history.closing == "server-first":
        return _in_order(SERVER, server, client)
    if history.closing == "simultaneous":
        return phrase("both closed at the same time ({frames})", frames=frames(sorted(filter(None, (client, server)))))
    if history.closing == "half-closed":
        side = CLIENT if client else SERVER
        return phrase(
            "the {side} closed{where}, the {other} did not",
            side=side_name(side),
            where=_named(client or server),
            other=side_name(1 - side),
        )
    if history.opening == "incomplete":
        return None
    return phrase("the connection was still open when the capture ended, as far as it shows")


def _in_order(side: int, first: int | None, second: int | None) -> Text:
    return phrase(
        "the {side} closed first{first}, then the {other}{second}",
        side=side_name(side),
        first=_named(first),
        other=side_name(1 - side),
        second=_named(second),
    )


def _named(frame: int | None) -> str:
    return phrase(" (frame {frame})", frame=frame) if frame else ""


def _fin(end: EndpointHistory) -> int | None:
    """The frame of its FIN, as its history names it."""
    return next((item.frame for item in end.transitions if item.state in (State.FIN_WAIT_1, State.LAST_ACK)), None)


def _exchanged(connection: int, evidence: Evidence) -> Text:
    table, passes = evidence.table, evidence.passes
    rows = table.rows_of(connection)
    fresh = np.where(passes.live[rows], np.maximum(table.length[rows] - passes.known[rows], 0), 0)
    total, of_server = int(fresh.sum()), int((fresh * table.side[rows]).sum())
    if not total:
        return phrase("No data was exchanged")
    return phrase(
        "The client sent {client}, the server {server}",
        client=counted(total - of_server, "{n:,} byte", "{n:,} bytes"),
        server=counted(of_server, "{n:,} byte", "{n:,} bytes"),
    )


def _time_waits(evidence: Evidence, history: ConnectionHistory) -> Iterator[Text]:
    zero = evidence.capture.first_ns or 0
    for side, end in enumerate((history.client, history.server)):
        if end.time_wait is not None:
            yield _time_wait(side, end.time_wait, zero)


_LEFT = phrase("{who} entered TIME-WAIT at {entered} and left it at {until} (2MSL {length}, profile {profile}).")
_STAYS = phrase(
    "{who} entered TIME-WAIT at {entered} and stays there until {until} (2MSL {length}, profile {profile}); the "
    "capture ends before."
)
_RESET = phrase("{who} entered TIME-WAIT at {entered}; a RST{frame} ended it early.")
_RESET_UNLESS = phrase(
    "{who} entered TIME-WAIT at {entered}; a RST{frame} ended it early, unless this host ignores resets in TIME-WAIT."
)
_REUSED = phrase("{who} entered TIME-WAIT at {entered}; a new connection on the same ports{frame} ended it early.")
_REUSED_BY = phrase(
    "{who} entered TIME-WAIT at {entered}; a new connection on the same ports{frame} ended it early: its SYN was "
    "{told}."
)


def _time_wait(side: int, ledger: TimeWait, zero: int) -> Text:
    who, entered, frame = The(side), _span(ledger.entered, zero), _named(ledger.ended_frame)
    if ledger.ended_by == "reset":
        shown = any(syn.meeting is Meeting.AFTER_RESET for syn in ledger.later_syns)
        return phrase(_RESET if shown else _RESET_UNLESS, who=who, entered=entered, frame=frame)
    if ledger.ended_by == "reuse":
        last = ledger.later_syns[-1] if ledger.later_syns else None
        if last is None or last.frame != ledger.ended_frame:
            return phrase(_REUSED, who=who, entered=entered, frame=frame)
        return phrase(_REUSED_BY, who=who, entered=entered, frame=frame, told=time_wait_words.told(last))
    return phrase(
        _LEFT if ledger.ended_by == "expiry" else _STAYS,
        who=who,
        entered=entered,
        until=_span(ledger.expires, zero),
        length=duration(ledger.two_msl),
        profile=ledger.profile,
    )


def _span(bounds: tuple[int | None, int | None], zero: int) -> Text:
    """ "0.102 s", "60.1 to 62.2 s", since the first packet."""
    known = [f"{(bound - zero) / SECOND:.3f}".rstrip("0").rstrip(".") for bound in bounds if bound is not None]
    if not known:
        return phrase("an unknown time")
    if len(set(known)) == 1:
        return phrase("{time} s", time=known[0])
    return phrase("{first} to {last} s", first=known[0], last=known[-1])


def _trouble(own: list[Finding]) -> Iterator[str]:
    """The gravest thing that the story has not told yet."""
    rest = [f for f in own if f.rule not in TOLD and f.severity is not Severity.NOTE]
    if rest:
        yield rest[0].summary
