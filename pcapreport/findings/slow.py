"""Who took the time: answers that a server thought about for long, and what most of a connection's time went to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.findings.grouping import finding
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Severity, Side
from pcapreport.findings.time_ledger import Ints, Part, TimeLedger
from pcapreport.findings.wording import duration, frames, side_name
from pcapreport.language import counted, phrase
from pcapreport.settings import Settings
from pcapreport.tcp.connections import SERVER

HALF = 2
MOST_TURNS = 1_000
"""Named in one finding."""
_SIDES = {Part.CLIENT: Side.CLIENT, Part.SERVER: Side.SERVER, Part.NETWORK: Side.NETWORK}
PUSH = Alternative(
    phrase("It waited for something to tell (a long poll, a push); or another server made it wait."), Confidence.LOW
)
QUEUE = Alternative(phrase("A segment was held up on the way to the server or back."), Confidence.LOW)


def dominant(ledger: TimeLedger, settings: Settings) -> Ints:
    """(connections,): the Part of CLIENT, SERVER and NETWORK that at least half of a connection's time went to, if that
    is long; else -1. The handshake is the network's time as well."""
    spent = ledger.spent[:, [Part.CLIENT, Part.SERVER, Part.NETWORK]].copy()
    spent[:, 2] += ledger.spent[:, Part.HANDSHAKE]
    most = spent.argmax(axis=1)
    longest = spent[np.arange(len(spent)), most]
    whole = ledger.spent.sum(axis=1)
    named = (longest >= settings.slow_ns) & (longest * HALF >= whole)
    return np.where(named, np.array([Part.CLIENT, Part.SERVER, Part.NETWORK])[most], -1)


def slow_responses(evidence: Evidence) -> Iterator[Finding]:
    """Answers that the server's application took long for."""
    ledger, settings = evidence.ledger, evidence.settings
    turns = ledger.turns
    slow = np.flatnonzero((turns.side == SERVER) & (turns.own_ns >= settings.slow_ns))
    mostly = dominant(ledger, settings)
    bounds = np.append(np.flatnonzero(np.diff(turns.connection[slow], prepend=-1)), len(slow))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        chosen = slow[start:stop]
        connection = int(turns.connection[chosen[0]])
        yield _slow_response(evidence, connection, chosen, mostly[connection] == Part.SERVER)


def _slow_response(evidence: Evidence, connection: int, chosen: Ints, mostly: bool) -> Finding:
    table, turns = evidence.table, evidence.ledger.turns
    worst = int(chosen[np.argmax(turns.own_ns[chosen])])
    asked, answered = (int(table.frame[rows[worst]]) for rows in (turns.asked, turns.answered))
    own, took = int(turns.own_ns[worst]), int(turns.took_ns[worst])
    rest, several = "", ""
    if took - own >= took // 20:
        rest = phrase(", the other {time} being the network's", time=duration(took - own))
    if len(chosen) > 1:
        time = duration(int(turns.own_ns[chosen].sum()))
        several = counted(
            len(chosen), "; so in {n:,} answer, {time} in all", "; so in {n:,} answers, {time} in all", time=time
        )
    summary = phrase(
        "The server thought {time} about the request that ended in frame {asked} before it answered in frame "
        "{answered}{rest}{several}.",
        time=duration(own),
        asked=asked,
        answered=answered,
        rest=rest,
        several=several,
    )
    rows = np.concatenate([turns.asked[chosen], turns.answered[chosen]])[:MOST_TURNS]
    severity = Severity.WARNING if mostly else Severity.NOTE
    return finding(
        evidence, "slow_response", connection, Side.SERVER, rows, summary, severity, Confidence.MEDIUM, (PUSH, QUEUE)
    )


def limited(evidence: Evidence) -> Iterator[Finding]:
    """Connections that spent most of their time waiting for one application, or for the network."""
    ledger = evidence.ledger
    mostly = dominant(ledger, evidence.settings)
    for connection in np.flatnonzero((mostly == Part.CLIENT) | (mostly == Part.SERVER)).tolist():
        yield from _application(evidence, connection, Part(int(mostly[connection])))
    for connection in np.flatnonzero(mostly == Part.NETWORK).tolist():
        yield _network(evidence, connection)


def _application(evidence: Evidence, connection: int, part: Part) -> Iterator[Finding]:
    """None where it is a single pause: that has its own finding, or is nobody's habit."""
    table, ledger = evidence.table, evidence.ledger
    spent, whole = int(ledger.spent[connection, part]), int(ledger.spent[connection].sum())
    side = part - Part.CLIENT
    start, stop = np.searchsorted(ledger.turns.connection, [connection, connection + 1]).tolist()
    turns = start + np.flatnonzero(ledger.turns.side[start:stop] == side)
    longest = turns[np.argsort(-ledger.turns.own_ns[turns], kind="stable")[:3]]
    if len(longest) < 2 or ledger.turns.own_ns[longest[1]] < evidence.settings.slow_ns:
        return
    rows = ledger.turns.answered[longest]
    named = frames(sorted(table.frame[rows].tolist()))
    summary = phrase(
        "{time} of {whole} went to the {side}'s application, which had nothing to wait for and did not send, longest "
        "before {frames}.",
        time=duration(spent),
        whole=duration(whole),
        side=side_name(side),
        frames=named,
    )
    yield finding(evidence, "application_limited", connection, _SIDES[part], rows, summary, None, Confidence.MEDIUM)


def _network(evidence: Evidence, connection: int) -> Finding:
    table, ledger = evidence.table, evidence.ledger
    parts = ledger.spent[connection]
    spent, whole = int(parts[Part.NETWORK] + parts[Part.HANDSHAKE]), int(parts.sum())
    trip = int(evidence.passes.round_trip_ns[connection])
    first, last = int(table.bounds[connection]), int(table.bounds[connection + 1]) - 1
    begun, ended = int(table.frame[first]), int(table.frame[last])
    length = phrase(": a round trip takes {time}", time=duration(trip)) if trip > 0 else ""
    summary = phrase(
        "{time} of {whole} went to the network (frames {first} to {last}){length}, and neither application was slow.",
        time=duration(spent),
        whole=duration(whole),
        first=begun,
        last=ended,
        length=length,
    )
    return finding(evidence, "network_limited", connection, Side.NETWORK, [first], summary, None, Confidence.MEDIUM)
