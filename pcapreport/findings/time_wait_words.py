"""What became of a SYN that met TIME-WAIT, in words with its numbers."""

from __future__ import annotations

from pcapreport.findings.wording import duration
from pcapreport.tcp.history import LaterSyn, Meeting


def told(syn: LaterSyn) -> str:
    """Without the sentence's capital and full stop: the page, the story and the findings all have it."""
    return _TEXTS[syn.meeting](syn) + _again(syn)


def why_accepted(syn: LaterSyn) -> str:
    """The reason alone: "its sequence number 9 is above 5, ..."."""
    if syn.meeting is Meeting.NEWER_TIMESTAMP:
        return f"{_stamps(syn)} (RFC 6191), while {_numbers(syn)}"
    newer = f", and {_stamps(syn)}" if syn.last_stamp is not None and syn.newer else ""
    return f"{_numbers(syn)}{newer}"


def _numbers(syn: LaterSyn) -> str:
    above = "is above" if syn.higher else "is not above"
    return f"its sequence number {syn.seq} {above} {syn.next_seq}, up to which the old connection had come"


def _stamps(syn: LaterSyn) -> str:
    if syn.stamp is None:
        return "it carries no timestamp, which the old connection did" if syn.last_stamp is not None else ""
    if syn.last_stamp is None:
        return f"its timestamp {syn.stamp} has none of the old connection to be compared with"
    compared = "is newer than" if syn.newer else "is not newer than"
    return f"its timestamp {syn.stamp} {compared} the old connection's last, {syn.last_stamp}"


def _both(syn: LaterSyn) -> str:
    stamps = _stamps(syn)
    return _numbers(syn) + (f", and {stamps}" if stamps else "")


def _again(syn: LaterSyn) -> str:
    return "" if syn.again is None else f"; the next SYN came {duration(max(syn.again, 0))} later"


def _accepted(syn: LaterSyn) -> str:
    perhaps = "; TIME-WAIT may have run out by then as well" if syn.may_be_over else ""
    return f"accepted: {why_accepted(syn)}{perhaps}"


def _after_expiry(syn: LaterSyn) -> str:
    return "met no TIME-WAIT: it had run out, or nearly so, by the profile"


def _accepted_all_the_same(syn: LaterSyn) -> str:
    return f"accepted, though {_both(syn)}: TIME-WAIT must have ended before, sooner than the profile says"


def _challenged(syn: LaterSyn) -> str:
    reset = f", which a RST answered (frame {syn.reset})" if syn.reset is not None else ""
    return f"not accepted: {_both(syn)}; an ACK with the old numbers answered it (frame {syn.answer}){reset}"


def _unanswered(syn: LaterSyn) -> str:
    outdated = not syn.higher and not (syn.newer and syn.last_stamp is not None)
    why = "dropped in silence, or lost" if outdated else "lost, or its answer was, for it would have been acceptable"
    return f"not answered in this capture: {_both(syn)}; {why}"


def _by_owner(syn: LaterSyn) -> str:
    compared = f": {_stamps(syn)}" if syn.stamp is not None else ""
    return (
        f"sent by the host that waited: it connected anew from the same port{compared} (Linux allows that from 1 s "
        "after the last timestamp on, tcp_tw_reuse)"
    )


_TEXTS = {
    Meeting.HIGHER_SEQUENCE: _accepted,
    Meeting.NEWER_TIMESTAMP: _accepted,
    Meeting.AFTER_EXPIRY: _after_expiry,
    Meeting.AFTER_RESET: lambda syn: "accepted: a RST had ended TIME-WAIT before",
    Meeting.ACCEPTED: _accepted_all_the_same,
    Meeting.CHALLENGED: _challenged,
    Meeting.REFUSED: lambda syn: f"refused by a RST (frame {syn.answer}): nothing waited or listened there any more",
    Meeting.UNANSWERED: _unanswered,
    Meeting.BY_OWNER: _by_owner,
}
