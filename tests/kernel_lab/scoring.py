"""Compares the report's histories with the truth, capture by capture.

Of each end the states count from the one at the capture's first frame of the connection to the last that a captured
packet caused or shows, or that came by the last frame other than silently (a timer, a crash). Earlier states may be
told or not, later ones may if they are true or told as assumed. A state left by the very packet that brought it may be
left out, and so may the CLOSED or LISTEN that everything starts with.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pcapreport.pipeline import analyze

TOLERANCE = 1500
"""ns: captures with microseconds cut their times."""
_STARTS = ("CLOSED", "LISTEN")
_SHORT = {"SYN-RECEIVED": "SYN_RCVD"}


class Claim(NamedTuple):
    """A state that the report tells, and when it says it was entered (ns since 1970)."""

    state: str
    low: int | None
    high: int | None
    certainty: str


class Entry(NamedTuple):
    """A state that the kernel was in."""

    state: str
    low: int
    high: int
    transient: bool
    seen: bool
    """A captured packet caused or shows it."""
    silent: bool


@dataclass
class EndScore:
    """One end of a connection in a capture."""

    connection: int
    side: str
    truth: list[str]
    first: int
    """Index of the state at the connection's first frame in the capture."""
    core: int
    """Index of the last state that the capture must tell."""
    told: list[Claim]
    right: bool = False
    missing: bool = False
    false_proven: list[str] = field(default_factory=list)
    moments: int = 0
    outside: list[tuple[str, str, float | None, float | None]] = field(default_factory=list)
    """(state, certainty, claimed interval in ms relative to the true moment)."""
    widths: list[int] = field(default_factory=list)
    proven: int = 0
    untold: int = 0


@dataclass
class CaptureScore:
    """All connections of a capture."""

    run: str
    scenario: str
    capture: str
    ends: list[EndScore]
    extra: int = 0

    @property
    def tap(self) -> str:
        """Where it was captured."""
        return self.capture.partition(".")[0]

    @property
    def variant(self) -> str:
        """How it was spoiled; "full" if it was not."""
        return self.capture.partition(".")[2] or "full"

    def by_connection(self) -> dict[int, list[EndScore]]:
        """The ends, by connection."""
        grouped: dict[int, list[EndScore]] = defaultdict(list)
        for end in self.ends:
            grouped[end.connection].append(end)
        return grouped


class Recorded:
    """A run as it was recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
        self.connections = {line["conn"]: line for line in lines if line["type"] == "conn"}
        self.transitions: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for line in lines:
            if line["type"] == "transition":
                self.transitions[line["conn"], line["side"]].append(line)
        with gzip.open(folder / "ledger.jsonl.gz", "rt") as ledger:
            self.ledger = [json.loads(line) for line in ledger]

    @property
    def captures(self) -> list[str]:
        """Their names, without the ending."""
        return [capture["file"].removesuffix(".pcap") for capture in self.meta["captures"]]

    def frames(self, capture: str) -> dict[int, list[tuple[int, int, int]]]:
        """Per connection (frame, time, packet) of what the capture holds."""
        near = {"client": "A", "server": "B"}.get(capture.partition(".")[0])
        found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for packet in self.ledger:
            number = packet["frames"].get(capture)
            if number is None or "conn" not in packet:
                continue
            if near is None:
                at = packet["t_mid"]
            else:
                at = packet["t_send"] if packet["dir"] == near else packet["t_deliver"][0]
            found[packet["conn"]].append((number, at, packet["id"]))
        return {connection: sorted(frames) for connection, frames in found.items()}


def score_run(folder: Path) -> list[CaptureScore]:
    """Every capture of a run through the whole line, against its truth."""
    run = Recorded(folder)
    return [score_capture(run, capture) for capture in run.captures]


def score_capture(run: Recorded, capture: str) -> CaptureScore:
    """One capture of a run."""
    document = msgspec.to_builtins(analyze(run.folder / f"{capture}.pcap"))
    told = _told(document)
    frames = run.frames(capture)
    packets = {packet for held in frames.values() for _, _, packet in held}
    ends: list[EndScore] = []
    for number, held in sorted(frames.items(), key=lambda item: item[0]):
        line = run.connections[number]
        pair = tuple((a, int(p)) for a, p in (line[side].rsplit("|", 1) for side in "AB"))
        match = min(told.get(frozenset(pair), ()), key=lambda c: abs(c["at"] - held[0][1]), default=None)
        if match is not None:
            told[frozenset(pair)].remove(match)
        for side, end in zip("AB", pair, strict=True):
            if side in line.get("spoofed", ()) or side in line.get("stateless", ()):
                continue
            claims = match["ends"][end] if match is not None else []
            scored = _score_end(run, number, side, held, packets, claims)
            scored.missing = match is None
            ends.append(scored)
    extra = sum(len(left) for left in told.values())
    return CaptureScore(run.meta["run"], run.meta["scenario"], capture, ends, extra)


def _told(document: dict[str, Any]) -> dict[frozenset[Any], list[dict[str, Any]]]:
    """The document's connections by their two ends."""
    start = _nanoseconds(document["capture"]["start"])
    found: dict[frozenset[Any], list[dict[str, Any]]] = defaultdict(list)
    for connection in document["connections"]:
        ends = {}
        for role in ("client", "server"):
            address = connection[role]["address"], connection[role]["port"]
            ends[address] = _claims(connection["endpoints"][role]["history"], start)
        at = start + round(connection["start_s"] * 1e9)
        found[frozenset(ends)].append({"at": at, "ends": ends})
    return found


def _claims(history: Sequence[dict[str, Any]], start: int) -> list[Claim]:
    claims: list[Claim] = []
    for item in history:
        state = _SHORT.get(item["state"], item["state"].replace("-", "_"))
        low, high = (None if at is None else start + round(at * 1e9) for at in item["entered_s"])
        if not claims or claims[-1].state != state:
            claims.append(Claim(state, low, high, item["certainty"]))
    return claims


def _nanoseconds(moment: str | None) -> int:
    """ISO 8601 with nine decimals -> ns since 1970."""
    if not moment:
        return 0
    whole, _, fraction = moment.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))


# -- one end -----------------------------------------------------------------------------------------------------------


def _entries(run: Recorded, connection: int, side: str, packets: set[int]) -> list[Entry]:
    lines = run.transitions[connection, side]
    start = run.connections[connection]["start"][side]
    if lines and start in _STARTS and lines[0]["old"] in _STARTS:
        start = lines[0]["old"]
    entries = [Entry(start, 0, 0, False, False, True)]
    for line in lines:
        causes = {line.get("packet"), line.get("evidence")} - {None}
        span = line["t_lo"], line["t_hi"]
        entries.append(Entry(line["new"], *span, bool(line.get("transient")), bool(causes & packets), not causes))
    return entries


def _score_end(
    run: Recorded,
    connection: int,
    side: str,
    held: Sequence[tuple[int, int, int]],
    packets: set[int],
    told: list[Claim],
) -> EndScore:
    entries = _entries(run, connection, side, packets)
    begun, ended = held[0][1], held[-1][1]
    first = max((i for i, entry in enumerate(entries) if entry.high < begun), default=0)
    core = first
    for i, entry in enumerate(entries[first + 1 :], first + 1):
        if entry.seen or entry.low <= ended and not entry.silent:
            core = i
    end = EndScore(connection, side, [entry.state for entry in entries], first, core, told)
    end.right = _tells(entries, first, core, told)
    pairs = _aligned(entries, told)
    for i, entry in enumerate(entries[first + 1 : core + 1], first + 1):
        _score_moment(end, entry, told[pairs[i]] if i in pairs else None)
    used = set(pairs.values())
    for j, claim in enumerate(told):
        if claim.certainty == "proven" and not (j == 0 and claim.state in _STARTS):
            end.proven += 1
            if j not in used:
                end.false_proven.append(claim.state)
    return end


def _score_moment(end: EndScore, entry: Entry, claim: Claim | None) -> None:
    if claim is None:
        end.untold += not entry.transient
        end.moments += not entry.transient
        return
    end.moments += 1
    low, high = claim.low, claim.high
    early = high is not None and high + TOLERANCE < entry.low
    late = low is not None and low - TOLERANCE > entry.high
    if early or late:
        relative = [None if at is None else (at - entry.low) / 1e6 for at in (low, high)]
        end.outside.append((entry.state, claim.certainty, relative[0], relative[1]))
    if low is not None and high is not None:
        end.widths.append(high - low)


def _tells(entries: Sequence[Entry], first: int, core: int, told: Sequence[Claim]) -> bool:
    """Whether the claims are the states from some one up to `first`, through `core`, to some one behind it."""
    states = [claim.state for claim in told]
    shortest = len(told)
    while shortest and told[shortest - 1].certainty == "assumed":
        shortest -= 1
    candidates = [states] if shortest == len(told) else [states, states[:shortest]]
    return any(
        _same(entries[begin : stop + 1], said, begin == 0 and len(entries) > 1)
        for said in candidates
        for begin in range(first + 1)
        for stop in range(core, len(entries))
    )


def _same(entries: Sequence[Entry], states: list[str], from_start: bool) -> bool:
    if from_start:
        # What everything starts with may be left out, and which of the two it was is not asked.
        return _spelt(entries[1:], states) or bool(states) and states[0] in _STARTS and _spelt(entries[1:], states[1:])
    if len(entries) == 1 and entries[0].low == 0:
        return states in ([], [entries[0].state])
    return _spelt(entries, states)


def _spelt(entries: Sequence[Entry], states: Sequence[str]) -> bool:
    if not entries:
        return not states
    if states and states[0] == entries[0].state and _spelt(entries[1:], states[1:]):
        return True
    return entries[0].transient and _spelt(entries[1:], states)


def _aligned(entries: Sequence[Entry], told: Sequence[Claim]) -> dict[int, int]:
    """Longest common subsequence: index of the truth -> index of the claim."""
    rows, columns = len(entries), len(told)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            same = entries[i].state == told[j].state
            best[i][j] = best[i + 1][j + 1] + 1 if same else max(best[i + 1][j], best[i][j + 1])
    pairs, i, j = {}, 0, 0
    while i < rows and j < columns:
        if entries[i].state == told[j].state:
            pairs[i] = j
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
