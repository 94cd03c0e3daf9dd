"""Which system each host runs, guessed from its SYNs and SYN-ACKs alone, and how long it therefore keeps TIME-WAIT.

Each TCP writes the options of its SYN in an order and with a padding of its own, and starts with a TTL and a window of
its own. A host is named only where these agree and no opening of it speaks for another system; else it is "unknown".
Sources: the kernels' own option writers (Linux net/ipv4/tcp_output.c, FreeBSD sys/netinet/tcp_output.c, OpenBSD
sys/netinet/tcp_output.c, XNU bsd/netinet/tcp_output.c), the signatures that p0f 3 lists, and captures of known hosts.
Load balancers and TCP proxies answer with a face of their own; it is theirs that is named, and rightly, since it is
they who keep TIME-WAIT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture import option_order
from pcapreport.capture.openings import OPENING, opens
from pcapreport.language import Text, joined, phrase
from pcapreport.settings import TIME_WAIT_PROFILES, Settings, TimeWaitProfile
from pcapreport.tcp import addresses
from pcapreport.tcp.connections import CLIENT, ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SYSTEMS = ("unknown", "linux", "windows", "macos", "bsd")
UNKNOWN, LINUX, WINDOWS, MACOS, BSD = range(5)

SYSTEM_NAMES = {
    "linux": "Linux",
    "windows": "Windows",
    "macos": phrase("macOS or another Apple system"),
    "bsd": phrase("a BSD"),
}

MOST_HOPS = 30
"""Longer paths are rare (and then the TTL may have begun elsewhere)."""
INITIAL_TTLS = (64, 128, 255)

_LINUX, _LINUX_PLAIN = 0x467, (0x43625, 0x43725)
"""Linux: MSS, SACK permitted, Timestamps without padding between, as no other writes it; with one of the two alone
MSS, NOP, NOP, that one, NOP, Window Scale, which needs its window too (OpenBSD writes the former)."""
_WINDOWS, _WINDOWS_STAMPED = 0x42536, 0x42567
_FREEBSD, _OPENBSD = 0x42567, 0x4362537
_APPLE, _APPLE_FAST_OPEN = 0x4253761, 0x4253768

_USUAL_SEGMENTS = (1460, 1440)
"""MSS of an Ethernet over IPv4 and IPv6: the window still tells of it where a router lowered the MSS on the way."""

_STAMP_BYTES = 12
"""What the Timestamps option leaves less for data in each segment, padding included."""


def initial_ttl(ttl: Ints) -> Ints:
    """What each TTL began as; 0 where that is not clear."""
    found = np.zeros(len(ttl), np.int64)
    for first in INITIAL_TTLS:
        found[(ttl <= first) & (ttl >= first - MOST_HOPS)] = first
    return found


def systems_of_openings(openings: npt.NDArray[np.void] | Mapping[str, npt.NDArray[np.generic]]) -> Ints:
    """Per opening (of type OPENING, or columns named so) which of SYSTEMS it looks like."""
    order, window, mss = (openings[name].astype(np.int64) for name in ("option_order", "window", "mss"))
    scale, first = openings["window_scale"].astype(np.int64), initial_ttl(openings["ttl"].astype(np.int64))
    whole = np.zeros(len(order), bool)
    for segment in (np.maximum(mss, 1), np.maximum(mss - _STAMP_BYTES, 1), *_USUAL_SEGMENTS):
        whole |= (window > 0) & (window % segment == 0)
    full, unix = window == 0xFFFF, first == 64
    found = np.full(len(order), UNKNOWN)
    found[unix & (_begins_with(order, _LINUX) | np.isin(order, _LINUX_PLAIN) & whole & (mss > _STAMP_BYTES + 1))] = (
        LINUX
    )
    found[(first == 128) & ((order == _WINDOWS) | (order == _WINDOWS_STAMPED))] = WINDOWS
    found[unix & full & (scale >= 3) & ((order == _APPLE) | (order == _APPLE_FAST_OPEN))] = MACOS
    found[unix & (full & (order == _FREEBSD) | (window == 16384) & (order == _OPENBSD))] = BSD
    return found


def _begins_with(order: Ints, start: int) -> Bools:
    """The first hex digits of each are those of `start`."""
    begins = np.zeros(len(order), bool)
    for more in range(option_order.MOST):
        begins |= order >> 4 * more == start
    return begins


class HostProfile(NamedTuple):
    """What is said of one host."""

    address: str
    system: str
    """One of SYSTEMS."""
    evidence: tuple[Text, ...]
    """In words."""


class _ByHost(NamedTuple):
    """Openings sorted by host: those of host i are bounds[i]:bounds[i + 1]."""

    openings: npt.NDArray[np.void]
    looks: Ints
    """Per opening which of SYSTEMS."""
    keys: npt.NDArray[np.uint64]
    """Per host the hash of its address, ascending."""
    bounds: Ints


class Hosts:
    """The hosts of a capture by what their openings look like."""

    def __init__(self, openings: npt.NDArray[np.void]) -> None:
        """`openings`: of type OPENING (capture/openings.py)."""
        self._given = openings

    @cached_property
    def _by_host(self) -> _ByHost:
        looks, hashes = systems_of_openings(self._given), addresses.hashed([self._given[name] for name in _ADDRESS])
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])) if len(order) else np.empty(0, np.int64)
        return _ByHost(self._given[order], looks[order], hashes[first], np.append(first, len(order)))

    @cached_property
    def systems(self) -> Ints:
        """Per host which of SYSTEMS."""
        openings, looks, keys, bounds = self._by_host
        counts = np.zeros((len(keys), len(SYSTEMS)), np.int64)
        np.add.at(counts, (np.repeat(np.arange(len(keys)), np.diff(bounds)), looks), openings["count"])
        named = counts[:, 1:]
        one = ((named > 0).sum(axis=1) == 1) & (named.sum(axis=1) >= counts[:, UNKNOWN])
        return np.where(one, named.argmax(axis=1) + 1, UNKNOWN)

    def __len__(self) -> int:
        return len(self._by_host.keys)

    def of_ends(self, table: ConnectionTable, connections: Ints) -> Ints:
        """(n, 2): which of SYSTEMS the client and the server of each of n connections run."""
        first = table.bounds[connections]
        row, from_server = table.row[first], table.side[first] != CLIENT
        version = table.packets["ip_version"][row]
        found = np.empty((len(connections), 2), np.int64)
        for side in (0, 1):
            source = from_server == (side == 1)
            high, low = (
                np.where(source, table.packets[f"src_{part}"][row], table.packets[f"dst_{part}"][row])
                for part in ("hi", "lo")
            )
            found[:, side] = self._systems(version, high, low)
        return found

    def _systems(self, *address: npt.NDArray[np.generic]) -> Ints:
        if not len(self):
            return np.full(len(address[0]), UNKNOWN)
        hashes = addresses.hashed(address)
        keys = self._by_host.keys
        at = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
        return np.where(keys[at] == hashes, self.systems[at], UNKNOWN)

    def profile(self, address: str) -> HostProfile:
        """What is said of this host, the evidence with it."""
        at = self._place(address)
        if at is None:
            return HostProfile(address, "unknown", (_NO_OPENING,))
        openings, looks, _, bounds = self._by_host
        rows = slice(int(bounds[at]), int(bounds[at + 1]))
        system = int(self.systems[at])
        return HostProfile(address, SYSTEMS[system], tuple(_words(openings[rows], looks[rows], system)))

    def _place(self, address: str) -> int | None:
        """Among the hosts that opened or answered."""
        keys = self._by_host.keys
        key = np.uint64(addresses.hash_of(address))
        at = int(np.searchsorted(keys, key))
        return at if at < len(keys) and keys[at] == key else None

    def time_wait_of(self, address: str, settings: Settings) -> TimeWaitProfile:
        """How long this host keeps TIME-WAIT: as was asked for, or as its system does."""
        if not settings.time_wait.guessed:
            return settings.time_wait
        at = self._place(address)
        system = "unknown" if at is None else SYSTEMS[self.systems[at]]
        return TIME_WAIT_PROFILES.get(system, settings.time_wait)

    def busiest(self, most: int) -> list[str]:
        """Of the first so many hosts, those that opened or answered most often first."""
        openings, first = self._by_host.openings, self._by_host.bounds[:-1]
        counts = np.add.reduceat(openings["count"], first) if len(self) else np.empty(0, np.int64)
        chosen = np.argsort(-counts, kind="stable")[:most]
        hosts = openings[first[chosen]]
        return [addresses.text_of(*row) for row in zip(*(hosts[name].tolist() for name in _ADDRESS), strict=True)]


_NO_OPENING = phrase("no SYN and no SYN, ACK of it was captured")
_FITS_NONE = phrase("which fits no system known here")
_LOOKS = ("option_order", "window", "mss", "window_scale", "ttl")
_ADDRESS = ("ip_version", "src_hi", "src_lo")


def _words(openings: npt.NDArray[np.void], looks: Ints, system: int) -> list[Text]:
    """The evidence for the system, or why there is none."""
    named = [SYSTEMS[look] for look in np.unique(looks[looks != UNKNOWN]).tolist()]
    if system == UNKNOWN and len(named) > 1:
        several = joined((SYSTEM_NAMES[name] for name in named), " and ")
        return [
            phrase(
                "its openings look like those of {systems}: more than one system behind one address, so that each of"
                " its connections is judged by its own",
                systems=several,
            )
        ]
    spoken = np.flatnonzero(looks == system)
    usual = openings[spoken[np.argmax(openings["count"][spoken])]]
    text = [_told(usual), _layout(int(usual["option_order"]))]
    if system != UNKNOWN:
        return [*text, phrase("this is how {system} opens connections", system=SYSTEM_NAMES[SYSTEMS[system]])]
    if named:
        few = phrase(
            "which fits no system known here; only a few of its openings look like {system}",
            system=SYSTEM_NAMES[named[0]],
        )
        return [*text, few]
    return [*text, _FITS_NONE]


def _told(opening: np.void) -> Text:
    segment, ttl = "SYN, ACK" if opening["answer"] else "SYN", int(opening["ttl"])
    first = int(initial_ttl(np.array([ttl]))[0])
    window, mss, scale = int(opening["window"]), int(opening["mss"]), int(opening["window_scale"])
    parts = [
        phrase("its {segment} came with TTL {ttl}, which began as {first}", segment=segment, ttl=ttl, first=first)
        if first
        else phrase("its {segment} came with TTL {ttl}, which does not tell what it began as", segment=segment, ttl=ttl)
    ]
    if mss and window and window % mss == 0:
        parts.append(phrase("window {window:,} ({times} times the MSS)", window=window, times=window // mss))
    else:
        parts.append(phrase("window {window:,}", window=window))
    if mss:
        parts.append(phrase("MSS {mss:,}", mss=mss))
    parts.append(phrase("window scale {scale}", scale=scale) if scale >= 0 else phrase("no window scale"))
    return joined(parts)


def _layout(order: int) -> Text:
    if not order:
        return phrase("it carries no options")
    return phrase("its options stand in the order {options}", options=option_order.words(order))


def systems_of_ends(table: ConnectionTable) -> Ints:
    """(connections, 2): which of SYSTEMS each end of each connection looks like by its own first SYN or SYN-ACK that
    looks like any; so several systems behind one address are told apart."""
    found = np.full((len(table), 2), UNKNOWN)
    rows = np.flatnonzero(opens(table.flags))[::-1]
    at = table.row[rows]
    looks = systems_of_openings({name: table.packets[name][at] for name in _LOOKS})
    rows, looks = rows[looks != UNKNOWN], looks[looks != UNKNOWN]
    found[table.connection[rows], table.side[rows]] = looks
    return found


def time_wait_choices(
    hosts: Hosts, table: ConnectionTable, settings: Settings
) -> tuple[Ints, Sequence[TimeWaitProfile]]:
    """((connections, 2): a number per end; the TIME-WAIT profiles so numbered).

    With `--time-wait auto` the profile of the system that this very connection was opened or answered by; where that
    does not tell it, of the host's; and the settings' own for those unknown.
    """
    if not settings.time_wait.guessed:
        return np.zeros((len(table), 2), np.int64), (settings.time_wait,)
    systems = systems_of_ends(table)
    open_to_doubt = np.flatnonzero((systems == UNKNOWN).any(axis=1))
    own = systems[open_to_doubt]
    systems[open_to_doubt] = np.where(own != UNKNOWN, own, hosts.of_ends(table, open_to_doubt))
    return systems, (settings.time_wait, *(TIME_WAIT_PROFILES[name] for name in SYSTEMS[1:]))


NO_HOSTS = Hosts(np.empty(0, OPENING))
