"""Thresholds and timers, immutable, each with its source. Nothing else in the program holds a number of this kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class TimeWaitProfile:
    """How long a system keeps TIME-WAIT: nominally `two_msl_ns`, up to `slack_ns` longer by its timers' grain."""

    name: str
    two_msl_ns: int
    slack_ns: int
    source: str


def _profiles() -> Mapping[str, TimeWaitProfile]:
    rows = (
        ("linux", 60, 2.1, "TCP_TIMEWAIT_LEN in the kernel's include/net/tcp.h; its timer wheel adds up to 2.05 s"),
        ("rfc9293", 240, 0, "RFC 9293 section 4: MSL arbitrarily defined to be 2 minutes"),
        ("windows", 120, 1, "TcpTimedWaitDelay, since Vista (240 s before)"),
        ("bsd", 60, 1, "TCPTV_MSL 30 s in the BSD headers; often tuned by sysctl"),
        ("macos", 30, 1, "MSL 15 s in XNU's tcp_timer.h"),
    )
    return MappingProxyType(
        {
            name: TimeWaitProfile(name, two_msl * SECOND, int(slack * SECOND), text)
            for name, two_msl, slack, text in rows
        }
    )


TIME_WAIT_PROFILES = _profiles()


def time_wait_profile(choice: str) -> TimeWaitProfile:
    """The profile named by --time-wait: a name of TIME_WAIT_PROFILES, "auto", or seconds.

    "auto" takes Linux, by far the most common system that closes connections first; the page calls it a guess.
    Raises ValueError for anything else.
    """
    if choice == "auto":
        linux = TIME_WAIT_PROFILES["linux"]
        return TimeWaitProfile("linux (a guess)", linux.two_msl_ns, linux.slack_ns, linux.source)
    if choice in TIME_WAIT_PROFILES:
        return TIME_WAIT_PROFILES[choice]
    seconds = float(choice)
    if not 0 <= seconds <= 3600:
        raise ValueError(f"{choice}: TIME-WAIT must be 0 to 3600 seconds")
    return TimeWaitProfile(f"{choice} s (given)", int(seconds * SECOND), 0, "given on the command line")


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be changed about an analysis."""

    time_wait: TimeWaitProfile = field(default_factory=lambda: time_wait_profile("auto"))
    jitter_ns: int = 50 * MILLISECOND
    """How much longer than the quickest round trip a segment may take before it is held to be lost or ignored.
    Above a delayed ACK (40 ms on Linux), below the shortest retransmission timeout (200 ms on Linux)."""
    beside_tap_ns: int = 200_000
    """An endpoint that answers within this time is the capturing host itself (its kernel takes 20 to 100 us)."""
    shortest_rto_ns: int = 200 * MILLISECOND
    """No sender repeats for a timeout sooner (TCP_RTO_MIN on Linux; RFC 6298 section 2.4 asks for 1 s)."""
    copy_window_ns: int = 10 * MILLISECOND
    """Identical segments closer than this are copies of one (made by the network or by the capture): no sender
    repeats a segment that soon with all fields the same."""
    reordering_ns: int = 3 * MILLISECOND
    """Without a handshake to measure the round trip, segments this close in time may have changed places
    (Wireshark's default)."""
    unanswered_ns: int = SECOND
    """A FIN or SYN that stays unanswered this long before the capture ends counts as unanswered; a delayed ACK takes
    less than 0.5 s (RFC 9293 MUST-40)."""
    fast_retransmit_acks: int = 3
    """Duplicate ACKs that start a fast retransmit (RFC 5681 section 3.2)."""
