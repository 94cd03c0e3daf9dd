"""Wireshark's sequence analysis, segment by segment: the rules in full, for conversations that are out of the plain.

The rules are those of tshark 4.0.17 with its defaults, read twice (`-2`). Numbers are raw and compared modulo 2^32 as
Wireshark compares them; a number that is 0 means "not known yet" to it wherever it says so here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.wireshark.marks import LARGEST_NUMBER, NUMBER_SHIFT, Mark

FIN, SYN, RST, ACK = int(Flag.FIN), int(Flag.SYN), int(Flag.RST), int(Flag.ACK)
(
    RETRANSMISSION, FAST_RETRANSMISSION, SPURIOUS_RETRANSMISSION, OUT_OF_ORDER, LOST_SEGMENT, ACK_LOST_SEGMENT,
    DUPLICATE_ACK, ZERO_WINDOW, ZERO_WINDOW_PROBE, ZERO_WINDOW_PROBE_ACK, KEEP_ALIVE, KEEP_ALIVE_ACK, WINDOW_UPDATE,
    WINDOW_FULL, REUSED_PORTS,
) = (int(mark) for mark in Mark)  # fmt: skip
MASK = 0xFFFFFFFF
HALF = 1 << 31
UNKNOWN_WINDOW = MASK
"""Before a side's first segment; above any window that a segment can tell."""
FAST_RETRANSMISSION_NS = 20_000_000
REORDERING_NS = 3_000_000
"""How late a segment may be to be out of order, where the capture shows no handshake to measure the path by."""
LARGEST_SCALE = 14
"""RFC 7323 section 2.3."""
MPTCP_SUBTYPES = 0xFF
"""Those that Wireshark keeps: RFC 8684 section 3, 0 to 7."""
UNTOLD, UNSCALED = -1, -2
"""Of a window scale: no SYN has said anything about it; windows are not scaled."""
ALREADY_SAID = -1
"""Of a count of duplicate ACKs: that the other side acknowledged what was not seen has been said."""


class Segment(NamedTuple):
    """What the analysis reads of a row."""

    time_ns: int
    side: int
    seq: int
    ack: int
    flags: int
    length: int
    window: int
    window_scale: int
    """-1: the segment has no such option."""
    mptcp: int
    """Bits of subtypes."""
    sound: bool
    """The TCP header is as long as it says; otherwise the analysis passes over the segment."""


class _Flow:
    """What is remembered of one direction."""

    __slots__ = (
        "base", "next", "next_ns", "covered", "window", "ack", "ack_ns", "duplicates", "last", "scale", "opening",
        "mptcp",
    )  # fmt: skip

    def __init__(self) -> None:
        self.base: int | None = None
        """The initial sequence number, or what is taken for it."""
        self.next = self.next_ns = 0
        """The highest end of a segment, and when it was reached."""
        self.covered = 0
        """The end of what a correct peer may acknowledge: up to the first hole."""
        self.window, self.ack, self.ack_ns = UNKNOWN_WINDOW, 0, 0
        """Of the last segment, as its header has them."""
        self.duplicates = 0
        self.last = 0
        """Marks of the last segment."""
        self.scale = UNTOLD
        self.opening = False
        """A SYN was sent, and no acknowledgment without SYN yet: windows are not scaled."""
        self.mptcp = 0


class _Conversation:
    """What is remembered of a 4-tuple until a SYN begins another one."""

    __slots__ = ("flows", "syn_ns", "round_trip_ns", "mptcp", "syn_acks")

    def __init__(self) -> None:
        self.flows = (_Flow(), _Flow())
        self.syn_ns = 0
        self.round_trip_ns = 0
        self.mptcp = 0
        self.syn_acks: list[tuple[int, int, int]] = []
        """(position, side, sequence number)."""


def walk(segments: Iterable[Segment]) -> list[int]:
    """The words (see `analysis`) of the segments of one 4-tuple, in capture order."""
    words: list[int] = []
    conversations = [_Conversation()]
    for position, segment in enumerate(segments):
        conversation, word = _conversation_of(segment, conversations[-1])
        if conversation is not conversations[-1]:
            conversations.append(conversation)
        if not segment.sound:
            words.append(0)
            continue
        if segment.flags & (SYN | ACK) == SYN | ACK:
            conversation.syn_acks.append((position, segment.side, segment.seq))
        words.append(_analyze(segment, conversation, word))
    for conversation in conversations:
        _second_reading(conversation, words)
    return words


def _conversation_of(segment: Segment, conversation: _Conversation) -> tuple[_Conversation, int]:
    """(the conversation of the segment, REUSED_PORTS or 0).

    A SYN with another number than the base begins a new one, whatever the time and the state; with the same number it
    takes the highest end back to what was covered. A SYN-ACK with another number only changes the base.
    """
    own, opens = conversation.flows[segment.side], segment.flags & (SYN | ACK)
    if own.base is None or not opens & SYN:
        return conversation, 0
    if opens & ACK:
        if segment.seq == own.base:
            return conversation, 0
        own.base = segment.seq
        return conversation, REUSED_PORTS
    if segment.seq == own.base:
        own.next = own.covered
        return conversation, 0
    return _Conversation(), REUSED_PORTS


def _second_reading(conversation: _Conversation, words: list[int]) -> None:
    """The second reading compares SYN-ACKs with the base that the first one left."""
    for position, side, seq in conversation.syn_acks:
        own = conversation.flows[side]
        if seq != own.base:
            words[position] |= REUSED_PORTS
            own.base = seq


def _analyze(segment: Segment, conversation: _Conversation, word: int) -> int:
    own, peer = conversation.flows[segment.side], conversation.flows[1 - segment.side]
    if own.base is None:
        own.base = segment.seq if segment.flags & SYN else segment.seq - 1 & MASK
    if peer.base is None and segment.flags & ACK:
        peer.base = segment.ack - 1 & MASK
    word |= _as_sent(segment, own, peer)
    if word & DUPLICATE_ACK:
        if conversation.mptcp != own.mptcp:
            word &= ~DUPLICATE_ACK
        else:
            own.duplicates = max(own.duplicates, 0) + 1
            word |= min(own.duplicates, LARGEST_NUMBER) << NUMBER_SHIFT
    if segment.ack != own.ack:
        own.duplicates = 0
    word |= _acknowledges_unseen(segment, peer)
    word |= _sent_again(segment, own, peer, conversation.round_trip_ns, word)
    _remember(segment, own, word & (KEEP_ALIVE | ZERO_WINDOW_PROBE))
    own.mptcp = conversation.mptcp
    _handshake(segment, conversation)
    return word


def _as_sent(segment: Segment, own: _Flow, peer: _Flow) -> int:
    """Marks that compare a segment with the one before it in either direction."""
    seq, ack, window, length = segment.seq, segment.ack, segment.window, segment.length
    if length == 1 and seq == own.next and peer.window == 0:
        return ZERO_WINDOW_PROBE
    plain = not segment.flags & (SYN | FIN | RST)
    word = 0
    if window == 0 and plain:
        word |= ZERO_WINDOW
    if own.next and _before(own.next, seq) and not segment.flags & RST:
        word |= LOST_SEGMENT
    if length < 2 and seq == own.next - 1 & MASK and plain:
        word |= KEEP_ALIVE
    if length and plain and peer.scale != UNTOLD:
        scale = 0 if peer.opening else max(peer.scale, 0)
        if (seq + length - peer.ack - (peer.window << scale)) & MASK == 0:
            word |= WINDOW_FULL
    if length or not plain or seq != own.next or ack != own.ack:
        return word
    if window != own.window:
        return word | (WINDOW_UPDATE if window else 0)
    if window == 0:
        return word | (ZERO_WINDOW_PROBE_ACK if peer.last & ZERO_WINDOW_PROBE else 0)
    return word | (KEEP_ALIVE_ACK if peer.last & KEEP_ALIVE else DUPLICATE_ACK)


def _acknowledges_unseen(segment: Segment, peer: _Flow) -> int:
    """ACK_LOST_SEGMENT where it acknowledges more than was covered: once for each hole, or for each new
    acknowledgment of the peer where there is no hole to close."""
    if not (peer.covered and segment.flags & ACK and _before(peer.covered, segment.ack)):
        return 0
    if _before(peer.covered, peer.next):
        peer.covered = peer.next
        return ACK_LOST_SEGMENT
    said = peer.duplicates != 0
    peer.duplicates = ALREADY_SAID
    return 0 if said else ACK_LOST_SEGMENT


def _sent_again(segment: Segment, own: _Flow, peer: _Flow, round_trip_ns: int, word: int) -> int:
    """What kind of repetition a segment is that takes up sequence numbers: exactly one, or none."""
    seq, length = segment.seq, segment.length
    control = bool(segment.flags & (SYN | FIN))
    if word & KEEP_ALIVE or not (length or control):
        return 0
    if length and peer.ack and not _before(peer.ack, seq + length & MASK):
        return SPURIOUS_RETRANSMISSION | RETRANSMISSION
    if not own.next or not _before(seq, own.next) or (length > 1 and seq == own.next - 1 & MASK):
        return 0
    asked_for = peer.ack == seq and (peer.duplicates >= 2 or peer.duplicates == ALREADY_SAID)
    if asked_for and 0 <= segment.time_ns - peer.ack_ns < FAST_RETRANSMISSION_NS:
        return FAST_RETRANSMISSION | RETRANSMISSION
    if own.next != seq + length + control & MASK and is_reordering(segment.time_ns - own.next_ns, round_trip_ns):
        return OUT_OF_ORDER
    return RETRANSMISSION


def is_reordering(late_ns: int, round_trip_ns: int) -> bool:
    """Whether so late a segment may just have been overtaken; a clock that steps back makes both very large."""
    limit_ns = round_trip_ns or REORDERING_NS
    return late_ns % (1 << 64) < limit_ns % (1 << 64)


def _remember(segment: Segment, own: _Flow, marks: int) -> None:
    end = segment.seq + segment.length + bool(segment.flags & (SYN | FIN)) & MASK
    if not marks & ZERO_WINDOW_PROBE:
        if not own.next or _before(own.next, end):
            own.next, own.next_ns = end, segment.time_ns
        if not own.covered or segment.seq == own.covered:
            own.covered = own.next
    own.window, own.ack, own.ack_ns, own.last = segment.window, segment.ack, segment.time_ns, marks


def _handshake(segment: Segment, conversation: _Conversation) -> None:
    """What a segment tells about the round trip, the window scales and the operations of Multipath TCP."""
    own, peer = conversation.flows[segment.side], conversation.flows[1 - segment.side]
    acknowledges = bool(segment.flags & ACK)
    if segment.window_scale >= 0:
        own.scale = min(segment.window_scale, LARGEST_SCALE)
    if segment.flags & SYN:
        own.opening = True
        if not acknowledges:
            conversation.syn_ns = segment.time_ns
        if own.scale == UNTOLD:
            own.scale = peer.scale = UNSCALED
        elif acknowledges and peer.scale == UNSCALED:
            own.scale = UNSCALED
    elif acknowledges:
        own.opening = False
        if conversation.syn_ns and not conversation.round_trip_ns:
            conversation.round_trip_ns = segment.time_ns - conversation.syn_ns
    conversation.mptcp |= segment.mptcp & MPTCP_SUBTYPES


def _before(earlier: int, later: int) -> bool:
    """`earlier` comes before `later` on the circle; so do numbers exactly half of it apart, either way."""
    return (earlier - later & MASK) >= HALF
