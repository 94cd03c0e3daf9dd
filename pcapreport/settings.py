"""Thresholds, timers and limits, immutable, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcapreport.pseudonyms import Pseudonyms

from pcapreport.language import phrase

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class TimeWaitProfile:
    """How long a system keeps TIME-WAIT: nominally `two_msl_ns`, up to `slack_ns` longer by its timers' grain."""

    name: str
    two_msl_ns: int
    slack_ns: int
    source: str
    guessed: bool = False
    """Taken for want of a better one: where the host's own system is told by its SYN, that one's profile holds."""


def _profiles() -> Mapping[str, TimeWaitProfile]:
    rows = (
        (
            "linux",
            60,
            2.1,
            phrase("TCP_TIMEWAIT_LEN in the kernel's include/net/tcp.h; its timer wheel adds up to 2.05 s"),
        ),
        ("rfc9293", 240, 0, phrase("RFC 9293 section 4: MSL arbitrarily defined to be 2 minutes")),
        ("windows", 120, 1, phrase("TcpTimedWaitDelay, since Vista (240 s before)")),
        ("bsd", 60, 1, phrase("TCPTV_MSL 30 s in the BSD headers; often tuned by sysctl")),
        ("macos", 30, 1, phrase("MSL 15 s in XNU's tcp_timer.h")),
    )
    return MappingProxyType(
        {
            name: TimeWaitProfile(name, two_msl * SECOND, int(slack * SECOND), text)
            for name, two_msl, slack, text in rows
        }
    )


TIME_WAIT_PROFILES = _profiles()


ASSUMED_SYSTEM = "linux"
"""Of hosts that nothing tells the system of: by far the most common one that closes connections first."""

EPHEMERAL_PORTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "linux": (32768, 60999),  # net.ipv4.ip_local_port_range
        "windows": (
            49152,
            65535,
        ),  # since Vista (netsh int ipv4 show dynamicport tcp), as IANA has it
        "macos": (49152, 65535),  # net.inet.ip.portrange.first and .last
        "bsd": (10000, 65535),  # FreeBSD: IPPORT_EPHEMERALFIRST and IPPORT_EPHEMERALLAST in sys/netinet/in.h
    }
)
"""First and last port from which a system opens connections unless it is configured otherwise."""

EPHEMERAL_PORTS_NEAR = 0.5
"""A client that holds this share of its range in TIME-WAIT towards one server runs short: from half of it on, Linux has
used up the ports of the parity that connect() tries first and searches among the others (__inet_hash_connect in
net/ipv4/inet_hashtables.c); and its open connections, and what the capture does not show, hold ports as well."""


def time_wait_profile(choice: str) -> TimeWaitProfile:
    """The profile named by --time-wait: a name of TIME_WAIT_PROFILES, "auto", or seconds.

    "auto" is the profile of each host's system where its SYN or SYN-ACK tells it (tcp/host_profile.py). What is
    returned for it holds for the other hosts: Linux, by far the most common system; the page calls it a guess.
    Raises ValueError for anything else.
    """
    if choice == "auto":
        linux = TIME_WAIT_PROFILES[ASSUMED_SYSTEM]
        return TimeWaitProfile(phrase("linux (a guess)"), linux.two_msl_ns, linux.slack_ns, linux.source, guessed=True)
    if choice in TIME_WAIT_PROFILES:
        return TIME_WAIT_PROFILES[choice]
    seconds = float(choice)
    if not 0 <= seconds <= 3600:
        raise ValueError(f"{choice}: TIME-WAIT must be 0 to 3600 seconds")
    name = phrase("{seconds} s (given)", seconds=choice)
    return TimeWaitProfile(name, int(seconds * SECOND), 0, phrase("given on the command line"))


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule of findings that a project has switched off or lowered."""

    severity: str
    """"off", "note" or "warning"."""
    reason: str


def _threshold(default: int, means: str) -> int:
    """A field that `--set` changes; of a name that ends in _ns it takes a time."""
    return field(default=default, metadata={"means": means})


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be changed about an analysis."""

    time_wait: TimeWaitProfile = field(default_factory=lambda: time_wait_profile("auto"))
    rules: tuple[tuple[str, RuleChange], ...] = ()
    """By the name of the rule."""
    jitter_ns: int = _threshold(
        50 * MILLISECOND,
        "How much longer than the quickest round trip a segment may take before it is held to be lost or ignored. "
        "Above a delayed ACK (40 ms on Linux), below the shortest retransmission timeout (200 ms on Linux).",
    )
    beside_tap_ns: int = _threshold(
        200_000,
        "An endpoint that answers within this time is the capturing host itself (its kernel takes 20 to 100 us).",
    )
    shortest_rto_ns: int = _threshold(
        200 * MILLISECOND,
        "No sender repeats for a timeout sooner (TCP_RTO_MIN on Linux; RFC 6298 section 2.4 asks for 1 s).",
    )
    burst_ns: int = _threshold(
        MILLISECOND,
        "What a host sends within this time it may have decided on at once (many segments of one write or close).",
    )
    copy_window_ns: int = _threshold(
        10 * MILLISECOND,
        "Identical segments closer than this are copies of one (made by the network or by the capture): no sender "
        "repeats a segment that soon with all fields the same.",
    )
    reordering_ns: int = _threshold(
        3 * MILLISECOND,
        "Without a handshake to measure the round trip, segments this close in time may have changed places "
        "(Wireshark's default).",
    )
    unanswered_ns: int = _threshold(
        SECOND,
        "A FIN or SYN that stays unanswered this long before the capture ends counts as unanswered; a delayed ACK "
        "takes less than 0.5 s (RFC 9293 MUST-40).",
    )
    fast_retransmit_acks: int = _threshold(3, "Duplicate ACKs that start a fast retransmit (RFC 5681 section 3.2).")
    slow_ns: int = _threshold(
        SECOND,
        "An application that takes longer makes people wait: beyond a second they notice and lose the thread (Miller, "
        "Response time in man-computer conversational transactions, 1968; Nielsen, Usability Engineering, 1993).",
    )
    excessive_retransmissions: int = _threshold(
        3,
        "Retransmissions of one segment from which on they are excessive: R1, at which a host begins to doubt the path "
        "(RFC 9293 section 3.8.3, SHLD-10).",
    )
    smallest_mss: int = _threshold(
        536, "A segment of no more bytes fits every IPv4 path: its size is not what loses it (RFC 9293 section 3.7.1)."
    )
    longest_ack_delay_ns: int = _threshold(
        SECOND // 2, "The longest that an acknowledgment may be delayed (RFC 9293 section 3.8.6.3, MUST-40)."
    )
    keep_alive_ns: int = _threshold(
        7_200 * SECOND,
        "Keep-alives must by default not be sent after less idle time (RFC 9293 section 3.8.4, MUST-28).",
    )
    held_up_ns: int = _threshold(
        200 * MILLISECOND,
        "A sender that a full window held up for less in all lost less than a single timeout would have cost it.",
    )
    silly_segments: int = _threshold(
        10, "So many small segments that each fill the window make it silly; fewer may be chance."
    )
    silly_part: int = _threshold(
        4,
        "A segment is small below this part of its sender's largest; a receiver should not offer less than half its "
        "buffer or a full segment (RFC 9293 section 3.8.6.2.2).",
    )
    forged_hops: int = _threshold(
        2,
        "A hop limit that differs by more from all others of its sender was not set by it: routes that balance load "
        "differ by a hop or two (RFC 2991 section 2; Augustin et al., Avoiding traceroute anomalies with Paris "
        "traceroute, 2006).",
    )
    close_wait_lingers_ns: int = _threshold(
        60 * SECOND,
        "CLOSE-WAIT for longer outlasts its peer: Linux gives up FIN-WAIT-2 after tcp_fin_timeout, 60 s "
        "(net/ipv4/tcp.c).",
    )
    flood_syns: int = _threshold(
        100,
        "SYNs to one address and port that stay half-open within flood-window, from which on it is a flood: Linux "
        "queues 128 to 4096 of them (tcp_max_syn_backlog) and keeps each for a minute or so (RFC 4987 section 2).",
    )
    flood_window_ns: int = _threshold(10 * SECOND, "The time that flood-syns are counted in.")
    scan_targets: int = _threshold(
        20,
        "Ports or hosts that one host tried within scan-window, from which on it scans; Snort's port scan detection "
        "takes 5 to 25 in a minute.",
    )
    scan_window_ns: int = _threshold(60 * SECOND, "The time that scan-targets are counted in.")


MAX_RECORD_BYTES = 262_144
"""Largest sensible captured length; libpcap's MAXIMUM_SNAPLEN and Wireshark's WTAP_MAX_PACKET_SIZE_STANDARD."""

MAX_DECOMPRESSED_BYTES = 64 << 30
"""64 GiB: beyond any capture that one sitting of analysis makes sense for."""

MAX_SNAPLEN = 128 << 20
"""Longest record that a file may allow itself by its own snaplen: libpcap's largest, for D-Bus and USB."""

MAX_BLOCK_OVERHEAD = 16 << 20
"""Most bytes that the options of one packet may take (comments of 64 KiB each, and more than one)."""

MAX_RATIO = 40
"""Captures shrink to a half up to a thirtieth; gzip can reach 1032:1 (zlib's technical notes), the others far more.
What a test stream of zeros shrinks to is beyond it too; decompressed beforehand it is read without this limit."""

RATIO_FREE_BYTES = 256 << 20
"""The ratio is not looked at below this decompressed size: a small capture of idle packets may shrink a lot."""

MAX_DAMAGES = 1_000
"""Damaged places of one file after which reading stops: each costs a search, and such a file is no evidence."""

MAX_ICMP_ERRORS = 100_000
"""ICMP errors kept as evidence; those beyond are counted."""

MAX_COMMENTS = 1_000
MAX_COMMENT_CHARACTERS = 4_096
"""Comments are for people; what is beyond this is no comment."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one capture may cost, in bytes."""

    decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
    ratio: int = MAX_RATIO
    ratio_free_bytes: int = RATIO_FREE_BYTES
    record_bytes: int = MAX_RECORD_BYTES
    """Captured length above which a record is damage, unless the file's own snaplen is larger."""

    def record(self, snaplen: int) -> int:
        """Captured bytes above which a record is damage, in a file or of an interface of this snaplen."""
        return max(self.record_bytes, min(snaplen, MAX_SNAPLEN))

    def block(self, snaplen: int) -> int:
        """Bytes of a whole pcapng packet block above which it is damage."""
        return self.record(snaplen) + MAX_BLOCK_OVERHEAD

    @classmethod
    def up_to(cls, most: int) -> Limits:
        """Limits for who knows that a capture may grow to so many bytes."""
        return cls(decompressed_bytes=most, ratio_free_bytes=most)

    def allowed(self, compressed_bytes: int) -> int:
        """Bytes that a compressed file of this size may grow to."""
        return min(self.decompressed_bytes, max(self.ratio_free_bytes, self.ratio * compressed_bytes))


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a capture is to be read."""

    limits: Limits = DEFAULT_LIMITS
    checksums: bool = False
    """Verify TCP checksums."""
    frames: bool = False
    """Keep the bytes at hand, to take single frames apart."""
    pseudonyms: Pseudonyms | None = None
    """What replaces addresses and names (None: they stay)."""


DEFAULT_READING = Reading()

WORTH_SHARING = 50_000
"""TCP segments from which on a second process saves more time than it takes to tell it what to do."""

BYTES_PER_ROW, BYTES_PER_CONNECTION = 600, 3_700
"""What a segment and a connection cost in memory on their way through the analysis, measured on captures of a million
segments in one connection, in 77,000 connections, and in 300,000 of one segment each."""

FLOOD_SHARE = 0.8
"""Of the SYNs to that address and port in that time, how many never complete the handshake; users complete theirs."""

SCAN_FAILED_SHARE = 0.8
"""Of these, how many refused or stayed silent; threshold random walk (Jung et al., Fast portscan detection, 2004) takes
80 % of first connections to fail for a scanner, and 20 % for others."""
