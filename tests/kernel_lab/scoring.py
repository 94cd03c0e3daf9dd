"""Compares the report's histories with the truth, capture by capture.

Of each end the states count from the one at the capture's first frame of the connection to the last that a captured
packet caused or shows, or that came by the last frame other than silently (a timer, a crash). Earlier states may be
told or not, later ones may if they are true or told as assumed. A state left by the very packet that brought it may be
left out, and so may the CLOSED or LISTEN that everything starts with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pcapreport.language import as_string

from .hidden import hidden, restarted_unseen
from .recorded import NEAR, Recorded, document_of

TOLERANCE = 1500
"""ns: captures with microseconds cut their times."""
_STARTS = ("CLOSED", "LISTEN")
_HANDSHAKE = ("LISTEN", "SYN_SENT", "SYN_RCVD")
_SHORT = {"SYN-RECEIVED": "SYN_RCVD"}
Interval = tuple[int | None, int | None]
Held = Sequence[tuple[int, int, int]]
"""(frame, time, packet) of what a capture holds of a connection."""


class Claim(NamedTuple):
    """A state that the report tells, and when it says it was entered (ns since 1970)."""

    state: str
    low: int | None
    high: int | None
    certainty: str


class Told(NamedTuple):
    """What the report tells of one end."""

    claims: list[Claim]
    possible: frozenset[str]
    """States that it may be in at the end."""
    entered: Interval | None
    """Of its TIME-WAIT; None without one."""
    expires: Interval | None


NOTHING = Told([], frozenset(), None, None)


class Entry(NamedTuple):
    """A state that the kernel was in."""

    state: str
    low: int
    high: int
    transient: bool
    seen: bool
    """A captured packet caused or shows it."""
    silent: bool
    by_timer: bool = False
    evidence: int | None = None
    """The packet that shows it, captured or not."""


@dataclass
class Wait:
    """An end's TIME-WAIT, truth against ledger."""

    demanded: bool
    """The kernel was in TIME-WAIT and the capture must tell it."""
    told: bool
    allowed: bool
    """The kernel was in TIME-WAIT at some time."""
    entry_within: bool | None = None
    expiry_within: bool | None = None
    """None unless the kernel's timer ended it and the capture shows what set the timer."""

    @property
    def right(self) -> bool:
        """Told where it must be, and only where it may be."""
        return self.allowed if self.told else not self.demanded


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
    near: str = "mid"
    """Whether the tap is at its own interface ("near"), at its peer's ("far"), or in the middle of the path."""
    right: bool = False
    among: bool = False
    """Its true state at the end is the one told, or one of those told possible."""
    hidden: str = ""
    """Why this capture cannot tell its states; known from the truth alone."""
    wait: Wait | None = None
    midstream: bool = False
    invented: list[str] = field(default_factory=list)
    """States told of a capture that starts in mid-connection which never were or which it cannot know."""
    missing: bool = False
    false_proven: list[str] = field(default_factory=list)
    moments: int = 0
    outside: list[tuple[str, str, float | None, float | None]] = field(default_factory=list)
    """(state, certainty, claimed interval in ms relative to the true moment)."""
    widths: list[int] = field(default_factory=list)
    open: int = 0
    """Intervals without a bound."""
    proven: int = 0
    untold: int = 0


@dataclass
class CaptureScore:
    """All connections of a capture."""

    run: str
    scenario: str
    capture: str
    round_trip: int
    """ns, of the path of the run."""
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


def score_run(folder: Path) -> list[CaptureScore]:
    """Every capture of a run through the whole line, against its truth."""
    run = Recorded(folder)
    return [score_capture(run, capture) for capture in run.captures]


def score_capture(run: Recorded, capture: str) -> CaptureScore:
    """One capture of a run."""
    document = msgspec.to_builtins(document_of(run.captures[capture]), enc_hook=as_string)
    told = _told(document)
    frames = run.frames(capture)
    view = View(run, capture, {packet for held in frames.values() for _, _, packet in held})
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
            scored = _score_end(view, number, side, held, match["ends"][end] if match is not None else NOTHING)
            scored.missing = match is None
            ends.append(scored)
    extra = sum(len(left) for left in told.values())
    return CaptureScore(run.meta["run"], run.meta["scenario"], capture, run.round_trip, ends, extra)


def _told(document: dict[str, Any]) -> dict[frozenset[Any], list[dict[str, Any]]]:
    """The document's connections by their two ends."""
    start = _nanoseconds(document["capture"]["start"])
    found: dict[frozenset[Any], list[dict[str, Any]]] = defaultdict(list)
    for connection in document["connections"]:
        ends = {}
        for role in ("client", "server"):
            address = connection[role]["address"], connection[role]["port"]
            ends[address] = _told_of_end(connection["endpoints"][role], start)
        at = start + round(connection["start_s"] * 1e9)
        found[frozenset(ends)].append({"at": at, "ends": ends})
    return found


def _told_of_end(endpoint: dict[str, Any], start: int) -> Told:
    claims: list[Claim] = []
    for item in endpoint["history"]:
        state = _name(item["state"])
        if not claims or claims[-1].state != state:
            claims.append(Claim(state, *_absolute(item["entered_s"], start), item["certainty"]))
    possible = frozenset(map(_name, endpoint["possible_final_states"]))
    wait = endpoint["time_wait"]
    if wait is None:
        return Told(claims, possible, None, None)
    return Told(claims, possible, _absolute(wait["entered_s"], start), _absolute(wait["expires_s"], start))


def _name(state: str) -> str:
    return _SHORT.get(state, state.replace("-", "_"))


def _absolute(interval: Sequence[float | None], start: int) -> Interval:
    low, high = (None if at is None else start + round(at * 1e9) for at in interval)
    return low, high


def _nanoseconds(moment: str | None) -> int:
    """ISO 8601 with nine decimals -> ns since 1970."""
    if not moment:
        return 0
    whole, _, fraction = moment.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))


# -- one end -----------------------------------------------------------------------------------------------------------


@dataclass
class View:
    """A capture of a run."""

    run: Recorded
    capture: str
    packets: set[int]
    """What it holds."""

    def entries(self, connection: int, side: str) -> list[Entry]:
        """The states of one end."""
        lines = self.run.transitions[connection, side]
        start = self.run.connections[connection]["start"][side]
        if lines and start in _STARTS and lines[0]["old"] in _STARTS:
            start = lines[0]["old"]
        entries = [Entry(start, 0, 0, False, False, True)]
        for line in lines:
            causes = {line.get("packet"), line.get("evidence")} - {None}
            seen, timer = bool(causes & self.packets), line.get("cause") == "timer"
            span, transient = (line["t_lo"], line["t_hi"]), bool(line.get("transient"))
            entries.append(Entry(line["new"], *span, transient, seen, not causes, timer, line.get("evidence")))
        return entries


def _score_end(view: View, connection: int, side: str, held: Held, told: Told) -> EndScore:
    entries, claims = view.entries(connection, side), told.claims
    begun, ended = held[0][1], held[-1][1]
    first = max((i for i, entry in enumerate(entries) if entry.high < begun), default=0)
    core = first
    for i, entry in enumerate(entries[first + 1 :], first + 1):
        if entry.seen or entry.low <= ended and not entry.silent:
            core = i
    end = EndScore(connection, side, [entry.state for entry in entries], first, core, claims)
    own = NEAR.get(view.capture.partition(".")[0])
    end.near = "mid" if own is None else "near" if own == side else "far"
    end.right = _tells(entries, first, core, claims)
    end.among = end.right or entries[core].state in told.possible | {claim.state for claim in claims[-1:]}
    pairs = _aligned(entries, claims)
    for i, entry in enumerate(entries[first + 1 : core + 1], first + 1):
        _score_moment(end, entry, claims[pairs[i]] if i in pairs else None)
    used = {j: i for i, j in pairs.items()}
    for j, claim in enumerate(claims):
        if claim.certainty == "proven" and not (j == 0 and claim.state in _STARTS):
            end.proven += 1
            if j not in used:
                end.false_proven.append(claim.state)
    end.midstream = "S" not in view.run.by_id[held[0][2]]["tcp"]["flags"]
    if end.midstream:
        made_up = (j not in used or claims[j].state in _HANDSHAKE and used[j] < first for j in range(len(claims)))
        end.invented = [c.state for c, bad in zip(claims, made_up, strict=True) if bad and c.certainty != "assumed"]
    end.hidden = hidden(view, end, entries, held)
    end.wait = _score_wait(view, end, entries, told)
    return end


def _score_moment(end: EndScore, entry: Entry, claim: Claim | None) -> None:
    if claim is None:
        end.untold += not entry.transient
        end.moments += not entry.transient
        return
    end.moments += 1
    if not _meets((claim.low, claim.high), entry):
        relative = [None if at is None else (at - entry.low) / 1e6 for at in (claim.low, claim.high)]
        end.outside.append((entry.state, claim.certainty, relative[0], relative[1]))
    if claim.low is not None and claim.high is not None:
        end.widths.append(claim.high - claim.low)
    else:
        end.open += 1


def _meets(claimed: Interval, entry: Entry) -> bool:
    low, high = claimed
    return not (high is not None and high + TOLERANCE < entry.low or low is not None and low - TOLERANCE > entry.high)


def _score_wait(view: View, end: EndScore, entries: Sequence[Entry], told: Told) -> Wait | None:
    at = next((i for i, entry in enumerate(entries) if entry.state == "TIME_WAIT"), None)
    if at is None and told.entered is None:
        return None
    wait = Wait(at is not None and end.first < at <= end.core, told.entered is not None, at is not None)
    if at is not None and told.entered is not None and told.expires is not None:
        wait.entry_within = _meets(told.entered, entries[at])
        timed = at + 1 < len(entries) and entries[at + 1].by_timer
        if timed and not end.hidden and not restarted_unseen(view, end, entries[at].low):
            wait.expiry_within = None not in told.expires and _meets(told.expires, entries[at + 1])
    return wait


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
