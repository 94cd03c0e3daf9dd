"""What became of a SYN that met TIME-WAIT, in words with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pcapreport.findings.wording import duration
from pcapreport.language import Text, phrase
from pcapreport.tcp.history import LaterSyn, Meeting


def told(syn: LaterSyn) -> Text:
    """Without the sentence's capital and full stop: the page, the story and the findings all have it."""
    text = _TEXTS[syn.meeting](syn)
    if syn.again is None:
        return text
    return phrase("{told}; the next SYN came {time} later", told=text, time=duration(max(syn.again, 0)))


def why_accepted(syn: LaterSyn) -> Text:
    """The reason alone: "its sequence number 9 is above 5, ..."."""
    if syn.meeting is Meeting.NEWER_TIMESTAMP:
        return phrase("{stamps} (RFC 6191), while {numbers}", stamps=_stamps(syn), numbers=_numbers(syn))
    return _both(syn) if syn.last_stamp is not None and syn.newer else _numbers(syn)


def _numbers(syn: LaterSyn) -> Text:
    if syn.higher:
        return phrase(
            "its sequence number {seq} is above {next_seq}, up to which the old connection had come",
            seq=syn.seq,
            next_seq=syn.next_seq,
        )
    return phrase(
        "its sequence number {seq} is not above {next_seq}, up to which the old connection had come",
        seq=syn.seq,
        next_seq=syn.next_seq,
    )


def _stamps(syn: LaterSyn) -> Text | None:
    """None where neither has a timestamp."""
    if syn.stamp is None:
        lacking = phrase("it carries no timestamp, which the old connection did")
        return lacking if syn.last_stamp is not None else None
    if syn.last_stamp is None:
        return phrase("its timestamp {stamp} has none of the old connection to be compared with", stamp=syn.stamp)
    form = _NEWER if syn.newer else _NOT_NEWER
    return phrase(form, stamp=syn.stamp, last=syn.last_stamp)


_NEWER = phrase("its timestamp {stamp} is newer than the old connection's last, {last}")
_NOT_NEWER = phrase("its timestamp {stamp} is not newer than the old connection's last, {last}")


def _both(syn: LaterSyn) -> Text:
    numbers, stamps = _numbers(syn), _stamps(syn)
    return phrase("{numbers}, and {stamps}", numbers=numbers, stamps=stamps) if stamps else numbers


def _accepted(syn: LaterSyn) -> Text:
    if syn.may_be_over:
        return phrase("accepted: {why}; TIME-WAIT may have run out by then as well", why=why_accepted(syn))
    return phrase("accepted: {why}", why=why_accepted(syn))


def _after_expiry(syn: LaterSyn) -> Text:
    return phrase("met no TIME-WAIT: it had run out, or nearly so, by the profile")


def _after_reset(syn: LaterSyn) -> Text:
    return phrase("accepted: a RST had ended TIME-WAIT before")


def _accepted_all_the_same(syn: LaterSyn) -> Text:
    return phrase(
        "accepted, though {why}: TIME-WAIT must have ended before, sooner than the profile says", why=_both(syn)
    )


def _challenged(syn: LaterSyn) -> Text:
    if syn.reset is None:
        return phrase(
            "not accepted: {why}; an ACK with the old numbers answered it (frame {answer})",
            why=_both(syn),
            answer=syn.answer,
        )
    return phrase(
        "not accepted: {why}; an ACK with the old numbers answered it (frame {answer}), which a RST answered (frame "
        "{reset})",
        why=_both(syn),
        answer=syn.answer,
        reset=syn.reset,
    )


def _refused(syn: LaterSyn) -> Text:
    return phrase("refused by a RST (frame {frame}): nothing waited or listened there any more", frame=syn.answer)


def _unanswered(syn: LaterSyn) -> Text:
    if not syn.higher and not (syn.newer and syn.last_stamp is not None):
        return phrase("not answered in this capture: {why}; dropped in silence, or lost", why=_both(syn))
    return phrase(
        "not answered in this capture: {why}; lost, or its answer was, for it would have been acceptable",
        why=_both(syn),
    )


def _by_owner(syn: LaterSyn) -> Text:
    if syn.stamp is None:
        return phrase(
            "sent by the host that waited: it connected anew from the same port (Linux allows that from 1 s after the "
            "last timestamp on, tcp_tw_reuse)"
        )
    return phrase(
        "sent by the host that waited: it connected anew from the same port: {stamps} (Linux allows that from 1 s "
        "after the last timestamp on, tcp_tw_reuse)",
        stamps=_stamps(syn),
    )


_TEXTS: Mapping[Meeting, Callable[[LaterSyn], Text]] = {
    Meeting.HIGHER_SEQUENCE: _accepted,
    Meeting.NEWER_TIMESTAMP: _accepted,
    Meeting.AFTER_EXPIRY: _after_expiry,
    Meeting.AFTER_RESET: _after_reset,
    Meeting.ACCEPTED: _accepted_all_the_same,
    Meeting.CHALLENGED: _challenged,
    Meeting.REFUSED: _refused,
    Meeting.UNANSWERED: _unanswered,
    Meeting.BY_OWNER: _by_owner,
}
