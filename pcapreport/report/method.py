"""What the document says of how it was made: what is claimed, on what grounds, and what was assumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pcapreport.language import Text, joined, phrase
from pcapreport.settings import SECOND, TIME_WAIT_PROFILES, Settings
from pcapreport.tcp.host_profile import SYSTEM_NAMES

METHOD = (
    phrase("The capture was read as it stands; nothing was sent, resolved or looked up."),
    phrase(
        "A tap sees segments, not endpoints. A state is proven where that endpoint's own segment shows it, supposed"
        " where its cause passed the tap, and assumed where only a timer or a convention says so."
    ),
    phrase(
        "Each state carries the interval of capture time in which it was entered; an open end means that the capture"
        " does not bound it."
    ),
    phrase(
        "Within its interval the likeliest moment is estimated from the round trip between the tap and that endpoint,"
        " the quickest answer captured: half of it after a segment to the endpoint passed the tap, half of it before"
        " one of its own did. The two ways need not take the same time; the interval is what the capture proves."
    ),
    phrase(
        "Where the capture was taken is told by how fast each side answers what passes the tap, and by the TTL with"
        " which its segments arrive; a side that answers within 0.2 ms, the other taking far longer, is the host of"
        " the tap."
    ),
    phrase(
        "What an endpoint received is judged by what it sent afterwards: a reset or a FIN that it went on to ignore"
        " moved nothing."
    ),
    phrase(
        "Frames are counted over all records of the file, from 1, as Wireshark counts them; sequence numbers are"
        " relative to each side's initial sequence number."
    ),
)


def method(settings: Settings, thresholds: Mapping[str, str] | None) -> list[str]:
    """A sentence or two on each point; `thresholds`: those that are not the usual ones, as they were changed."""
    return [*METHOD, _two_msl_sentence(settings), *_changes(thresholds)]


def _changes(thresholds: Mapping[str, str] | None) -> Iterator[Text]:
    if thresholds:
        told = [f"{name} {change}" for name, change in thresholds.items()]
        yield phrase("Thresholds that are not the usual ones here: {thresholds}.", thresholds=joined(told))


def _two_msl_sentence(settings: Settings) -> Text:
    profile = settings.time_wait
    if profile.guessed:
        lengths = (
            phrase("{system} {seconds:g} s", system=spoken, seconds=TIME_WAIT_PROFILES[name].two_msl_ns / SECOND)
            for name, spoken in SYSTEM_NAMES.items()
        )
        return phrase(
            "How long TIME-WAIT lasts is taken from the system that each host's own SYN or SYN, ACK looks like"
            " ({lengths}), and for hosts that it does not tell from Linux; no segment shows how long it really lasts.",
            lengths=joined(lengths),
        )
    return phrase(
        "TIME-WAIT is taken to last {seconds:g} s and up to {slack:g} s more ({profile}: {source}); no segment shows"
        " how long it really lasts.",
        seconds=profile.two_msl_ns / SECOND,
        slack=profile.slack_ns / SECOND,
        profile=profile.name,
        source=profile.source,
    )
