"""The geometry of a sequence diagram: where every row, band, arrow and word stands.

Time runs down, one row of its own height per ladder row, so that labels never meet however close two packets were.
On each lifeline lies a lane of named bands, one band a state. A segment's sender changes state where the arrow
leaves it, the receiver where the arrow arrives: the same rule for both ends. All lengths are user units of a drawing
`WIDTH` wide; this module knows no SVG, and sequence_diagram.py, which draws, computes no place.

An arrow falls the steeper the longer its way takes against the pause until the next row, and stands on the line of
the tap where the row's time says that it passed: the ends' shares are half the round trips between them and the tap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pcapreport.report.columns import columns
from pcapreport.report.model import (
    RETRANSMISSION_RULES,
    Certainty,
    Connection,
    EndpointHistory,
    LadderRow,
    Sender,
    Severity,
    TimeWait,
)
from pcapreport.report.row_words import caption, is_sent, row_note, row_values
from pcapreport.report.wording import frame_list, moment, short

WIDTH = 720.0
LANE = 98.0
"""Width of a state lane: the longest name, SYN-RECEIVED, in the lane's type."""
EDGE = 4.0
"""Width of a band's solid edge along its lifeline."""
CLIENT_LINE, SERVER_LINE = 196.0, 542.0
TIME_RIGHT, MARK_X, FRAME_LEFT = 79.0, 89.0, 648.0
TIME_CHARACTERS = 11
"""What fits left of the lanes; of a longer time the nanoseconds are in the table only."""
HEADER = 56.0
TAIL, LINE = 21.0, 13.0
"""From a row's top to where its arrow may begin; height of a further line of text."""
LEAST_FALL, USUAL_FALL, MOST_FALL = 6.0, 13.0, 18.0
"""Of an arrow from tail to head: as good as at once; where nothing is known; longer than until the next row."""
LOST_AT = 0.66
"""Share of its way after which a lost segment's arrow ends."""
MOST_TIES = 40
ROOM_FOR_WORDS = 34.0
"""Height of a TIME-WAIT from which on its length is written beside it."""
HEIGHT = {"segment": 41.0, "burst": 43.0, "phantom": 41.0, "gap": 34.0, "event": 31.0}
FOOT = 20.0
LABEL_CHARACTERS = 50
"""What fits between the lifelines in the label's type."""
NAME_AGAIN = 460.0
"""A long band repeats its name so that it is in sight when the page is scrolled."""

NO_STATE = "#8A929A"
FAMILY_COLOUR = {
    "LISTEN": NO_STATE,
    "SYN-SENT": "#E69F00",
    "SYN-RECEIVED": "#E69F00",
    "ESTABLISHED": "#009E73",
    "FIN-WAIT-1": "#56B4E9",
    "FIN-WAIT-2": "#56B4E9",
    "CLOSING": "#56B4E9",
    "CLOSE-WAIT": "#CC79A7",
    "LAST-ACK": "#CC79A7",
    "TIME-WAIT": "#D6C400",
    "CLOSED": NO_STATE,
}
"""One colour for each family: opening, open, closing first, closing second, waiting, none."""


class Band(NamedTuple):
    """One state in one lane; `state` is "" where the state is unknown."""

    side: Sender
    state: str
    top: float
    bottom: float
    certainty: Certainty = "proven"
    named: bool = True
    """There is room for its name, or the next part of the diagram has it."""


class Tie(NamedTuple):
    """From a transmission to its repetition, beside the lifeline of who sent both."""

    sender: Sender
    top: float
    bottom: float


class Wait(NamedTuple):
    """The 2MSL of a TIME-WAIT, beside its lane."""

    side: Sender
    top: float
    bottom: float
    restarts: tuple[float, ...]
    words: str
    """"" where there is no room for them."""

    @property
    def words_at(self) -> float:
        """Their baseline."""
        return self.top + min(self.bottom - self.top - 6, 30)


class Arrow(NamedTuple):
    """A segment (or a folded burst) on its way; both ends lie on lifelines."""

    sender: Sender
    x1: float
    y1: float
    x2: float
    y2: float
    line: Literal["sent", "again", "phantom"]
    burst: bool
    reset: bool
    lost: bool = False


class Text(NamedTuple):
    """A line of text with its baseline; `strong` is written first and bold."""

    x: float
    y: float
    text: str
    strong: str = ""


class Row(NamedTuple):
    """The box of one ladder row, over the whole width."""

    kind: str
    top: float
    bottom: float
    severity: Severity | None


class Diagram(NamedTuple):
    """All shapes of one diagram."""

    height: float
    rows: tuple[Row, ...]
    bands: tuple[Band, ...]
    arrows: tuple[Arrow, ...]
    labels: tuple[Text, ...]
    """Centred between the lifelines."""
    times: tuple[Text, ...]
    frames: tuple[Text, ...]
    breaks: tuple[float, ...]
    """Heights at which both lifelines are broken."""
    events: tuple[float, ...]
    """Heights of what happened without a segment."""
    ends: tuple[tuple[str, str], tuple[str, str]]
    """(role, endpoint) of the client and of the server."""
    tap: float | None
    """Where between the lifelines the capture was taken; None where it is not known."""
    ties: tuple[Tie, ...]
    waits: tuple[Wait, ...]
    values: tuple[str, ...]
    """Of each row its raw values, for who points at it."""
    top: float = 0.0
    """Where it begins; more than 0 in all parts but the first of a diagram that is drawn in parts."""


def lay_out(connection: Connection) -> Diagram:
    """Place every row of the connection's ladder."""
    ladder = connection.detail.ladder if connection.detail else []
    notes = [row_note(item) for item in ladder]
    rows = tuple(_rows(ladder, notes))
    height = (rows[-1].bottom if rows else HEADER) + FOOT
    placed = list(zip(ladder, rows, strict=True))
    way = _way(connection)
    beside = zip(placed, notes, _pauses(ladder), strict=True)
    falls = [_fall(item, row, note, way, pause) for (item, row), note, pause in beside]
    ends = connection.endpoints
    lanes: tuple[tuple[Sender, EndpointHistory], ...] = (("client", ends.client), ("server", ends.server))
    return Diagram(
        height=height,
        rows=rows,
        bands=tuple(band for side, end in lanes for band in _bands(side, end, placed, falls, height)),
        arrows=tuple(
            _arrow(item, fall) for item, fall in zip(ladder, falls, strict=True) if item.sender and is_sent(item)
        ),
        labels=tuple(
            label for (item, row), note in zip(placed, notes, strict=True) for label in _labels(item, row, note)
        ),
        times=tuple(
            Text(TIME_RIGHT, row.top + 14, _time(item.time_s))
            for item, row in placed
            if item.time_s is not None and item.kind != "gap"
        ),
        frames=tuple(
            Text(FRAME_LEFT, row.top + 14, short(frame_list(item.frames, 2), 12)) for item, row in placed if item.frames
        ),
        breaks=tuple(_middle(row) for row in rows if row.kind == "gap"),
        events=tuple(_middle(row) for row in rows if row.kind == "event"),
        ends=(
            ("client", short(f"{connection.client.address}:{connection.client.port}", 46)),
            ("server", short(f"{connection.server.address}:{connection.server.port}", 46)),
        ),
        tap=None if way is None else CLIENT_LINE + way.share * (SERVER_LINE - CLIENT_LINE),
        ties=tuple(_ties(ladder, falls)),
        waits=tuple(wait for side, end in lanes for wait in _waits(side, end.time_wait, placed, falls)),
        values=tuple(row_values(item) for item in ladder),
    )


def _time(seconds: float) -> str:
    exact = moment(seconds)
    return exact if len(exact) <= TIME_CHARACTERS else f"{seconds:.6f}"


def _rows(ladder: Sequence[LadderRow], notes: Sequence[str]) -> Iterator[Row]:
    top = HEADER
    for item, note in zip(ladder, notes, strict=True):
        bottom = top + HEIGHT[item.kind] + (LINE if note else 0)
        yield Row(item.kind, top, bottom, item.severity)
        top = bottom


def _middle(row: Row) -> float:
    return (row.top + row.bottom) / 2


class _Way(NamedTuple):
    """How long a segment is under way from end to end, and the client's share of that."""

    seconds: float
    share: float


def _way(connection: Connection) -> _Way | None:
    """Half the round trips to both ends; None where the capture does not tell them."""
    vantage = connection.vantage
    if vantage is None or vantage.place == "unknown":
        return None
    trips = [trip or 0.0 for trip in (vantage.client_round_trip_s, vantage.server_round_trip_s)]
    share = {"client": 0.0, "server": 1.0}.get(vantage.place)
    if share is None:
        share = trips[0] / sum(trips) if sum(trips) else 0.5
    return _Way(sum(trips) / 2, share)


def _pauses(ladder: Sequence[LadderRow]) -> Iterator[float | None]:
    """Seconds from each row to the next one with a later time; None at the end."""
    times = [item.time_s for item in ladder]
    later: float | None = None
    pauses: list[float | None] = []
    for time in reversed(times):
        pauses.append(None if time is None or later is None else max(later - time, 0.0))
        later = time if time is not None else later
    return reversed(pauses)


def _fall(item: LadderRow, row: Row, note: str, way: _Way | None, pause: float | None) -> tuple[float, float]:
    """Heights of an arrow's tail and head; the middle of a row without one."""
    if not is_sent(item):
        return _middle(row), _middle(row)
    top = row.top + TAIL + (LINE if note else 0)
    if way is None:
        tail = top + (MOST_FALL - USUAL_FALL) / 2
        return tail, tail + USUAL_FALL
    part = 1.0 if not pause else min(way.seconds / pause, 1.0)
    fall = LEAST_FALL + part * (MOST_FALL - LEAST_FALL)
    before_tap = way.share if item.sender == "client" else 1 - way.share
    tail = top + before_tap * (MOST_FALL - fall)
    return tail, tail + fall


def _bands(
    side: Sender,
    end: EndpointHistory,
    placed: Sequence[tuple[LadderRow, Row]],
    falls: Sequence[tuple[float, float]],
    height: float,
) -> Iterator[Band]:
    """The side's states from the top of the diagram to its foot, each as certain as its history says.

    It changes state where the arrow leaves it, or where it arrives.
    """
    if not placed:
        return
    states = [item.client_state if side == "client" else item.server_state for item, _ in placed]
    borders = [fall[side != item.sender] for (item, _), fall in zip(placed, falls, strict=True)]
    first = end.history[0].state if end.history else ""
    sure = _Certainties(end)
    state, top = first, HEADER
    if first == states[0] and first in ("SYN-SENT", "SYN-RECEIVED"):
        top = borders[0]
    elif not states[0]:
        state = ""
    certainty = sure.of(state)
    for after, border in zip(states, borders, strict=True):
        if after != state:
            if border > top:
                yield Band(side, state, top, border, certainty)
            state, top, certainty = after, border, sure.of(after)
    yield Band(side, state, top, height, certainty)


class _Certainties:
    """How certain the states of a side are, asked for in the order in which it went through them."""

    def __init__(self, end: EndpointHistory) -> None:
        self._left = list(end.history)

    def of(self, state: str) -> Certainty:
        """Of the next stay in this state."""
        for at, item in enumerate(self._left):
            if item.state == state:
                del self._left[: at + 1]
                return item.certainty
        return "assumed"


def _arrow(item: LadderRow, fall: tuple[float, float]) -> Arrow:
    sender: Sender = item.sender or "client"
    tail, head = fall
    x1, x2 = (CLIENT_LINE, SERVER_LINE) if sender == "client" else (SERVER_LINE, CLIENT_LINE)
    again = bool(RETRANSMISSION_RULES.intersection(item.rules))
    line: Literal["sent", "again", "phantom"] = "phantom" if item.kind == "phantom" else "again" if again else "sent"
    return Arrow(sender, x1, tail, x2, head, line, item.kind == "burst", "RST" in item.flags, item.lost)


def _ties(ladder: Sequence[LadderRow], falls: Sequence[tuple[float, float]]) -> Iterator[Tie]:
    """Between the rows of a transmission and of its repetition."""
    row_of = {frame: at for at, item in enumerate(ladder) for frame in item.frames}
    repeated = [(row_of[item.again_of], at) for at, item in enumerate(ladder) if item.again_of in row_of]
    for first, again in repeated[:MOST_TIES]:
        if first < again:
            yield Tie(ladder[again].sender or "client", falls[first][0], falls[again][0])


def _waits(
    side: Sender,
    wait: TimeWait | None,
    placed: Sequence[tuple[LadderRow, Row]],
    falls: Sequence[tuple[float, float]],
) -> Iterator[Wait]:
    """From the entry to the row in which it ends, or to the last one."""
    if wait is None:
        return
    states = [item.client_state if side == "client" else item.server_state for item, _ in placed]
    if "TIME-WAIT" not in states:
        return
    borders = [fall[side != item.sender] for (item, _), fall in zip(placed, falls, strict=True)]
    entered = states.index("TIME-WAIT")
    last = len(states) - 1 - states[::-1].index("TIME-WAIT")
    bottom = borders[min(last + 1, len(borders) - 1)]
    restarts = {restart.frame for restart in wait.restarts}
    starts = [border for (item, _), border in zip(placed, borders, strict=True) if restarts.intersection(item.frames)]
    if bottom > borders[entered]:
        words = f"2MSL {wait.two_msl_s:g} s" if bottom - borders[entered] >= ROOM_FOR_WORDS else ""
        yield Wait(side, borders[entered], bottom, tuple(starts), words)


def _labels(item: LadderRow, row: Row, note: str) -> Iterator[Text]:
    middle = (CLIENT_LINE + SERVER_LINE) / 2
    strong, plain = caption(item)
    baseline = _middle(row) + 4 if item.kind in ("gap", "event") and not note else row.top + 14
    strong = short(strong, LABEL_CHARACTERS)
    yield Text(middle, baseline, short(plain, LABEL_CHARACTERS - columns(strong)), strong)
    if note:
        yield Text(middle, baseline + LINE, short(note, LABEL_CHARACTERS + 6))
