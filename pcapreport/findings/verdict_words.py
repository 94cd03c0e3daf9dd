"""What verdicts say of connections together: what they have in common, how they fared, what cannot be known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pcapreport.capture.model import Capture
from pcapreport.findings.tally import Tally
from pcapreport.language import Text, counted, joined, phrase

ALIKE = {
    "icmp_unreachable": phrase(
        "{number:,} of {total:,} connections were told by ICMP that the other side cannot be reached."
    ),
    "icmp_time_exceeded": phrase(
        "{number:,} of {total:,} connections had segments that went in circles until their hop limit ran out."
    ),
    "reset_by_middlebox": phrase("{number:,} of {total:,} connections were reset by a box in the path."),
    "pmtu_black_hole": phrase("{number:,} of {total:,} connections lose large segments on the path."),
    "excessive_retransmission": phrase("{number:,} of {total:,} connections had to send one segment again and again."),
    "peer_silent": phrase("{number:,} of {total:,} connections lost the other side."),
    "syn_unanswered": phrase("{number:,} of {total:,} connections got no answer to the SYN."),
    "connection_refused": phrase("{number:,} of {total:,} connections were refused."),
    "fin_unanswered": phrase("{number:,} of {total:,} connections had a FIN that was never acknowledged."),
    "reset": phrase("{number:,} of {total:,} connections were reset."),
    "data_after_close": phrase("{number:,} of {total:,} connections got data after one side had closed."),
    "close_with_unread_data": phrase("{number:,} of {total:,} connections were closed with data unread."),
    "zero_window": phrase("{number:,} of {total:,} connections were held up by a receiver without room."),
    "handshake_incomplete": phrase("{number:,} of {total:,} connections were begun but never opened."),
    "half_closed": phrase("{number:,} of {total:,} connections were closed on one side only."),
    "close_wait_lingering": phrase("{number:,} of {total:,} connections stay in CLOSE-WAIT: one side never closed."),
    "fin_wait_2_orphaned": phrase("{number:,} of {total:,} connections were closed too late for the other side."),
    "syn_filtered": phrase("{number:,} of {total:,} connections met a filter."),
    "time_wait_collision": phrase("{number:,} of {total:,} connections met TIME-WAIT when they opened."),
    "half_open_connection": phrase("{number:,} of {total:,} connections met an older connection when they opened."),
}
"""What connections have in common, by the rule that concerns them."""


def all_orderly(closings: Counter[str], total: int) -> Text:
    """Of connections that all opened and closed in order: who closed first."""
    who = _who_closed(closings, total)
    if total == 1:
        return phrase("The connection opened, exchanged data and closed in order; {who}.", who=who)
    if total == 2:
        return phrase("Both connections opened, exchanged data and closed in order; {who}.", who=who)
    return phrase("All {total:,} connections opened, exchanged data and closed in order; {who}.", total=total, who=who)


CLOSED_FIRST = {
    "client-first": (
        phrase("the client closed first"),
        phrase("the client closed first in each"),
        phrase("the client closed first in {number:,}"),
    ),
    "server-first": (
        phrase("the server closed first"),
        phrase("the server closed first in each"),
        phrase("the server closed first in {number:,}"),
    ),
    "simultaneous": (
        phrase("both sides closed at the same time"),
        phrase("both sides closed at the same time in each"),
        phrase("both sides closed at the same time in {number:,}"),
    ),
}
"""By the closing: of the only connection, of all connections, of some."""


def _who_closed(closings: Counter[str], total: int) -> Text:
    if len(closings) > 1:
        return joined(phrase(CLOSED_FIRST[kind][2], number=number) for kind, number in closings.most_common())
    (kind,) = closings
    return CLOSED_FIRST[kind][total > 1]


def outcome(openings: Counter[str], closings: Counter[str], opened: int, orderly: int, total: int) -> Text:
    """How connections fared, in numbers."""
    unopened = openings["unanswered"] + openings["incomplete"]
    if total == 1:
        said = (
            (opened, phrase("opened")),
            (openings["midstream"], phrase("began before the capture")),
            (unopened, phrase("was not seen to open")),
            (orderly, phrase("closed in order")),
            (closings["open"], phrase("was not seen to end")),
        )
        return phrase("the connection {outcome}", outcome=joined((text for number, text in said if number), " and "))
    forms = (
        (opened, phrase("{number:,} opened")),
        (openings["midstream"], phrase("{number:,} began before the capture")),
        (unopened, phrase("{number:,} not seen to open")),
        (orderly, phrase("{number:,} closed in order")),
        (closings["open"], phrase("{number:,} not seen to end")),
    )
    pieces = joined(phrase(form, number=number) for number, form in forms if number)
    return phrase("of {total:,} connections {outcome}", total=total, outcome=pieces)


def cannot_know(capture: Capture, tally: Tally) -> Iterator[Text]:
    """The limits of this capture, in words."""
    total, rules = tally.connections, tally.rules
    late = tally.openings["midstream"]
    if late:
        yield phrase("How {some} opened: the capture starts later.", some=_some(late, total))
    still_open = tally.closings["open"] + tally.closings["half-closed"]
    if still_open:
        yield phrase("How {some} ended: the capture does not show it.", some=_some(still_open, total))
    if tally.time_waits_open:
        yield counted(
            tally.time_waits_open,
            "Whether TIME-WAIT really lasted as computed: the capture ends before it does in one place.",
            "Whether TIME-WAIT really lasted as computed: the capture ends before it does in {n:,} places.",
        )
    if tally.profile_guessed:
        yield phrase("How long these hosts keep TIME-WAIT: the profile used is a guess.")
    if rules["one_sided"]:
        yield phrase("What the side that was not captured sent and lost.")
    if not capture.complete:
        yield phrase("What stood in the damaged part of the file, and what it would change.")
    if rules["capture_drops"] or rules["ack_lost_segment"]:
        yield phrase("What the segments held that the capture missed.")
    if tally.clients_guessed:
        some = _some(tally.clients_guessed, total)
        yield phrase("For certain, which side is the client of {some}: that is a guess.", some=some)
    if rules["peer_silent"] or rules["syn_unanswered"] or rules["fin_unanswered"]:
        yield phrase("Whether the silent side was down or the path to it: both look the same from here.")


def _some(number: int, total: int) -> Text:
    if number != total:
        return counted(number, "{n:,} connection of {total:,}", "{n:,} connections of {total:,}", total=total)
    return phrase("the connection") if total == 1 else phrase("all {total:,} connections", total=total)
