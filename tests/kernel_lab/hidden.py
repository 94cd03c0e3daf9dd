"""What a capture cannot tell of an end, known from the truth alone: whatever is told there is a guess, if a good one.

- Nothing it sent was captured, nor an ACK of it: it may have heard its peer, or not be there.
- Its SYN was not captured, nor a SYN-ACK that answers it: it looks as if it had been listening.
- It closed with data still queued: FIN-WAIT-1 began before its FIN left, and something arrived in between; or its FIN
  was neither captured nor acknowledged.
- A state came by a segment that is not in the capture, and of what the end sent in that state nothing is there.
- A segment that could have moved it passed the tap, was lost behind it, and the end is not seen again.
- A FIN that met its own was lost behind the tap, and it sent nothing until the next copy came: it looks as if it had
  got the first, and its answer had been lost.
- What it sent since was lost before the tap, all of it, and its peer repeats what it had answered: it looks as if that
  had been lost behind the tap.
- The capture starts when the end was not in ESTABLISHED: a FIN, or the handshake, had passed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .segments import MODULUS

if TYPE_CHECKING:
    from .scoring import EndScore, Entry, Held, View

_LATE = 1 << 63
_PROMPT = 20_000_000
"""ns in which an answer comes."""
_AWAITS_ACK = ("SYN_RCVD", "FIN_WAIT_1", "CLOSING", "LAST_ACK")


def hidden(view: View, end: EndScore, entries: Sequence[Entry], held: Held) -> str:
    """Why the capture cannot tell this end's states; empty if it can."""
    captured = [(at, view.run.by_id[number]) for _, at, number in held]
    own = [packet for _, packet in captured if packet["dir"] == end.side and packet["origin"] != "injected"]
    answers = [packet["tcp"] for _, packet in captured if packet["dir"] != end.side]
    acked = {answer["ack"] for answer in answers if "." in answer["flags"]}
    if not own and not acked and end.core > 0:
        return "nothing of it was captured"
    if _opened_unseen(end, captured):
        return "its SYN was not captured"
    if end.midstream and entries[end.first].state != "ESTABLISHED":
        return "the capture starts too late"
    for i in range(end.first + 1, end.core + 1):
        begun, left = entries[i].high, entries[i + 1].low if i + 1 < len(entries) else _LATE
        if entries[i].state in ("FIN_WAIT_1", "LAST_ACK") and _unseen_close(view, entries[i], left, own, acked):
            return "it closed with data queued"
        if (
            not entries[i].seen
            and not entries[i].transient
            and not _shown(end, entries[i].state, begun, left, captured)
        ):
            return "a state left no trace"
    if _either_lost(view, end, entries, captured, own):
        return "a FIN or its answer was lost"
    if _unheard(view, end, entries, captured):
        return "its answers were lost before the tap"
    return _lost_behind(view, end, entries, captured, own)


def _opened_unseen(end: EndScore, captured: Sequence[tuple[int, dict[str, Any]]]) -> bool:
    if "SYN_SENT" not in end.truth or end.midstream:
        return False
    opened = any(packet["dir"] == end.side and packet["tcp"]["flags"] == "S" for _, packet in captured)
    answered = any(packet["dir"] != end.side and packet["tcp"]["flags"] == "S." for _, packet in captured)
    return not opened and not answered


def _shown(end: EndScore, state: str, begun: int, left: int, captured: Sequence[tuple[int, dict[str, Any]]]) -> bool:
    """Whether something captured tells the state from the one before: what the end, or its peer, sent in it."""
    peers = [packet for _, packet in captured if packet["dir"] != end.side]
    if state == "FIN_WAIT_2":
        heard = (packet for packet in peers if "F" not in packet["tcp"]["flags"] and "t_deliver" in packet)
        return any(begun - _PROMPT <= packet["t_deliver"][0] <= left for packet in heard)
    if state in ("CLOSE_WAIT", "CLOSING", "TIME_WAIT") and not peers:
        return False
    own = (packet for _, packet in captured if packet["dir"] == end.side and packet["origin"] != "injected")
    return any(begun <= packet.get("t_send", 0) <= left for packet in own)


def _unseen_close(view: View, entry: Entry, left: int, own: Sequence[dict[str, Any]], acked: set[int]) -> bool:
    if entry.evidence is None:
        return True
    fin = view.run.by_id[entry.evidence]
    captured = any("F" in packet["tcp"]["flags"] for packet in own)
    behind = (fin["tcp"]["seq"] + fin["tcp"]["len"] + 1) % MODULUS
    return fin["t_send"] > left or not captured and behind not in acked


def _either_lost(
    view: View,
    end: EndScore,
    entries: Sequence[Entry],
    captured: Sequence[tuple[int, dict[str, Any]]],
    own: Sequence[dict[str, Any]],
) -> bool:
    fins = [(at, packet) for at, packet in captured if packet["dir"] != end.side and "F" in packet["tcp"]["flags"]]
    taken = min((fin["t_deliver"][0] for _, fin in fins if "t_deliver" in fin), default=_LATE)
    for at, lost in fins:
        distance = view.run.distance(view.capture, end.side)
        met = at + distance + distance // 4
        met_own = "FIN_WAIT_1" in (_state_at(entries, met), _state_at(entries, min(met + _PROMPT, taken)))
        answered = any(met < packet.get("t_send", 0) < taken for packet in own)
        if "t_deliver" not in lost and met_own and not answered:
            return True
    return False


def _unheard(
    view: View, end: EndScore, entries: Sequence[Entry], captured: Sequence[tuple[int, dict[str, Any]]]
) -> bool:
    since = entries[end.core].low
    mine = (p for p in view.run.ledger if p["conn"] == end.connection and p["dir"] == end.side)
    later = [p["id"] in view.packets for p in mine if p.get("t_send", 0) >= since]
    heard = [p["tcp"] for at, p in captured if p["dir"] != end.side and (set("SF") & set(p["tcp"]["flags"]))]
    repeated = len(heard) > len({(tcp["seq"], tcp["flags"]) for tcp in heard})
    return repeated and bool(later) and not any(later)


def _state_at(entries: Sequence[Entry], at: int) -> str:
    return next(entry.state for entry in reversed(entries) if entry.low <= at and not entry.by_timer)


def _lost_behind(
    view: View,
    end: EndScore,
    entries: Sequence[Entry],
    captured: Sequence[tuple[int, dict[str, Any]]],
    own: Sequence[dict[str, Any]],
) -> str:
    last_sent = max((packet["t_send"] for packet in own if "t_send" in packet), default=0)
    for at, packet in captured:
        if packet["dir"] == end.side or "t_deliver" in packet:
            continue
        known_at = at + view.run.distance(view.capture, end.side)
        moves = set(packet["tcp"]["flags"]) & set("SFR") or _state_at(entries, known_at) in _AWAITS_ACK
        if moves and known_at > last_sent:
            return "a segment was lost behind the tap"
    return ""


def restarted_unseen(view: View, end: EndScore, since: int) -> bool:
    """Whether something reached an end in TIME-WAIT of which the capture has neither it nor an answer."""
    mine = [packet for packet in view.run.ledger if packet["conn"] == end.connection]
    own = (packet for packet in mine if packet["dir"] == end.side and packet["id"] in view.packets)
    answers = [packet["t_send"] for packet in own if "t_send" in packet]
    for packet in mine:
        if packet["dir"] == end.side or packet["id"] in view.packets:
            continue
        arrived = packet.get("t_deliver", (0,))[0]
        if arrived > since and not any(arrived <= at <= arrived + _PROMPT for at in answers):
            return True
    return False
