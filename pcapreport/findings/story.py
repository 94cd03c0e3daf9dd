"""One connection told in two or three plain sentences, from its histories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pcapreport.capture.packet_table import Flag
from pcapreport.findings import time_wait_words
from pcapreport.findings.model import Evidence, Finding, Severity
from pcapreport.findings.wording import The, address, duration, frames, side_name
from pcapreport.language import counted
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
    sentences = [_opened(connection, evidence, history)]
    if history.opening not in ("refused", "unanswered"):
        sentences.append(_closed(connection, evidence, history, own))
        sentences += _time_waits(evidence, history)
    sentences += _trouble(own)
    return " ".join(sentence for sentence in sentences if sentence)


def _opened(connection: int, evidence: Evidence, history: ConnectionHistory) -> str:
    client, server = (address(end) for end in evidence.table.endpoints(connection))
    steps = frames(_steps(connection, evidence))
    texts = {
        "three-way": f"{client} (client) opened the connection to {server} (server) in three steps ({steps}).",
        "fast-open": f"{client} (client) opened the connection to {server} (server) with data in its SYN ({steps}).",
        "simultaneous": f"{client} (client) and {server} (server) opened the connection at the same time ({steps}).",
        "refused": f"{client} (client) asked {server} (server) for a connection and was refused ({steps}).",
        "unanswered": f"{client} (client) asked {server} (server) for a connection; no answer was captured ({steps}).",
        "incomplete": f"{client} (client) began a connection to {server} (server) that never fully opened ({steps}).",
        "one-sided": f"{client} (client) connected to {server} (server), of which no segment was captured.",
    }
    unknown = f"{client} (client) and {server} (server) were connected before the capture began."
    return texts.get(history.opening, unknown)


def _steps(connection: int, evidence: Evidence) -> list[int]:
    """Frames of the handshake: each SYN that counted, and what completed it or refused."""
    table = evidence.table
    start, stop = int(table.bounds[connection]), int(table.bounds[connection + 1])
    flags, side = table.flags[start : min(stop, start + 16)].tolist(), table.side[start : start + 16].tolist()
    ending = Flag.RST if evidence.histories.like(connection).opening in ("refused", "incomplete") else Flag(0)
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


def _closed(connection: int, evidence: Evidence, history: ConnectionHistory, own: list[Finding]) -> str:
    amounts = _exchanged(connection, evidence)
    client, server = _fin(history.client), _fin(history.server)
    endings = {
        "client-first": _in_order(CLIENT, client, server),
        "server-first": _in_order(SERVER, server, client),
        "simultaneous": f"both closed at the same time ({frames(sorted(f for f in (client, server) if f))})",
    }
    if history.closing in endings:
        return f"{amounts}; {endings[history.closing]}."
    if history.closing.startswith("reset-by-"):
        told = next((finding.summary for finding in own if finding.rule in RESETS), "")
        return f"{amounts}. {told or 'The ' + history.closing[9:] + ' reset the connection.'}"
    if history.closing == "half-closed":
        side = CLIENT if client else SERVER
        fin = client or server
        where = f" (frame {fin})" if fin else ""
        return f"{amounts}; the {side_name(side)} closed{where}, the {side_name(1 - side)} did not."
    if history.opening == "incomplete":
        return ""
    return f"{amounts}; the connection was still open when the capture ended, as far as it shows."


def _in_order(side: int, first: int | None, second: int | None) -> str:
    def named(frame: int | None) -> str:
        return f" (frame {frame})" if frame else ""

    return f"the {side_name(side)} closed first{named(first)}, then the {side_name(1 - side)}{named(second)}"


def _fin(end: EndpointHistory) -> int | None:
    """The frame of its FIN, as its history names it."""
    return next((item.frame for item in end.transitions if item.state in (State.FIN_WAIT_1, State.LAST_ACK)), None)


def _exchanged(connection: int, evidence: Evidence) -> str:
    table, passes = evidence.table, evidence.passes
    rows = table.rows_of(connection)
    fresh = np.where(passes.live[rows], np.maximum(table.length[rows] - passes.known[rows], 0), 0)
    total, of_server = int(fresh.sum()), int((fresh * table.side[rows]).sum())
    if not total:
        return "No data was exchanged"
    return f"The client sent {counted(total - of_server, '{n:,} byte', '{n:,} bytes')}, the server {counted(of_server, '{n:,} byte', '{n:,} bytes')}"


def _time_waits(evidence: Evidence, history: ConnectionHistory) -> Iterator[str]:
    zero = evidence.capture.first_ns or 0
    for side, end in enumerate((history.client, history.server)):
        if end.time_wait is not None:
            yield _time_wait(side, end.time_wait, zero)


def _time_wait(side: int, ledger: TimeWait, zero: int) -> str:
    entered = _span(ledger.entered, zero)
    until, length = _span(ledger.expires, zero), duration(ledger.two_msl)
    begin = f"{The(side)} entered TIME-WAIT at {entered} s"
    if ledger.ended_by == "expiry":
        return f"{begin} and left it at {until} s (2MSL {length}, profile {ledger.profile})."
    at = f" (frame {ledger.ended_frame})" if ledger.ended_frame else ""
    if ledger.ended_by == "reset":
        shown = any(syn.meeting is Meeting.AFTER_RESET for syn in ledger.later_syns)
        unless = "" if shown else ", unless this host ignores resets in TIME-WAIT"
        return f"{begin}; a RST{at} ended it early{unless}."
    if ledger.ended_by == "reuse":
        last = ledger.later_syns[-1] if ledger.later_syns else None
        why = f": its SYN was {time_wait_words.told(last)}" if last and last.frame == ledger.ended_frame else ""
        return f"{begin}; a new connection on the same ports{at} ended it early{why}."
    return (
        f"{begin} and stays there until {until} s (2MSL {length}, profile {ledger.profile}); the capture ends before."
    )


def _span(bounds: tuple[int | None, int | None], zero: int) -> str:
    """ "0.102", "60.1 to 62.2", seconds since the first packet."""
    known = [f"{(bound - zero) / SECOND:.3f}".rstrip("0").rstrip(".") for bound in bounds if bound is not None]
    if not known:
        return "an unknown time,"
    return known[0] if len(set(known)) == 1 else f"{known[0]} to {known[-1]}"


def _trouble(own: list[Finding]) -> Iterator[str]:
    """The gravest thing that the story has not told yet."""
    rest = [f for f in own if f.rule not in TOLD and f.severity is not Severity.NOTE]
    if rest:
        yield rest[0].summary
