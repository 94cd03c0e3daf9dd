"""Where on the path the capture was taken: at the client, at the server, or in between.

An end that answers what passes the tap within microseconds is the host of the tap; one that takes longer is as far
away as its quickest answer tells. That is the first witness: the kernel itself acknowledges the SYN, the SYN-ACK and
the first data, at once, whatever its program does. A TTL that was reduced excludes that its sender is the tap's host.
Segments larger than the receiver's MSS are put together or taken apart by a host's network card (segmentation
offload): seen at an end, seldom in between.

Only the first rows of each connection are looked at, and of these only answers that follow at once on what they
acknowledge; so a delayed ACK can make a distance too large but the quickest of them, and never one too small.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.language import phrase
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HEAD_ROWS = 24
"""Rows looked at in each connection: the handshake, and the first data each way."""
FAR_TIMES_NEAR = 4
"""The far end must be so many times further away than the near one; on a fast network both answer within 0.2 ms."""
APART_TIMES = 1.5
"""No end is beside the tap where both take longer than so many times what one beside it may, about as long each."""
BUSY_TIMES = 5
"""A busy host may take so many times longer; it counts as beside the tap where offloaded segments show that it is."""
INITIAL_TTLS = np.array([32, 64, 128, 255])
"""What systems start with: 64 Linux, BSD, macOS; 128 Windows; 255 routers; 32 very old ones."""
UNKNOWN_NS = -1


WORDS = (phrase("unknown"), phrase("client"), phrase("server"), phrase("middle"))
"""For places, so that translators find them; documents hold the plain words."""


class Place(IntEnum):
    """Where the tap is."""

    UNKNOWN = 0
    CLIENT = 1
    SERVER = 2
    MIDDLE = 3


class Vantage(NamedTuple):
    """What is known of one connection's tap; pairs are (client, server)."""

    place: Place
    round_trip: tuple[int, int]
    """From the tap to that end and back, ns: the quickest answer; UNKNOWN_NS without one."""
    samples: tuple[int, int]
    """Answers that it is the quickest of."""
    ttl: tuple[int, int]
    """Of that end's first segment; 0: it has none."""
    hops: tuple[int, int]
    """Routers that it has passed, from the nearest usual initial TTL; 0 where it has none."""
    oversize: bool
    """Some segment is larger than its receiver's MSS."""


class Vantages(NamedTuple):
    """The vantages of c connections, as arrays: `place`, `oversize` (c,), the others (c, 2)."""

    place: npt.NDArray[np.uint8]
    round_trip: Ints
    samples: Ints
    ttl: Ints
    hops: Ints
    oversize: Bools

    def of(self, connection: int) -> Vantage:
        """Of one connection."""

        def pair(column: Ints) -> tuple[int, int]:
            return int(column[connection, 0]), int(column[connection, 1])

        pairs = pair(self.round_trip), pair(self.samples), pair(self.ttl), pair(self.hops)
        return Vantage(Place(self.place[connection]), *pairs, bool(self.oversize[connection]))


def find_vantages(table: ConnectionTable, settings: Settings) -> Vantages:
    """The vantage of each connection."""
    count = len(table)
    head = _head_rows(table)
    connection = table.connection[head]
    side = table.side[head].astype(np.int64)
    flow = connection * 2 + side
    round_trip, samples = _answers(table, head, flow, count)
    ttl = np.zeros(2 * count, np.int64)
    ttl[flow[::-1]] = table.packets["ttl"][table.row[head][::-1]]
    initial = INITIAL_TTLS[np.searchsorted(INITIAL_TTLS, ttl)]
    hops = np.where(ttl > 0, initial - ttl, 0)
    oversize = _oversize(table, head, flow, count)
    place = _places(_by_side(round_trip), _by_side(hops), oversize, settings.beside_tap_ns)
    return Vantages(place, _by_side(round_trip), _by_side(samples), _by_side(ttl), _by_side(hops), oversize)


def _by_side(of_flows: Ints) -> Ints:
    return of_flows.reshape(-1, 2)


Head = Ints | slice
"""Rows of the connection table: all as a slice, so that its columns need not be copied."""


def _head_rows(table: ConnectionTable) -> Head:
    """Positions of the first rows of each connection, ascending, without copies: what was captured twice answers
    nothing."""
    counts, copied = np.diff(table.bounds), table.original >= 0
    if not len(counts) or counts.max() <= HEAD_ROWS:
        return np.flatnonzero(~copied) if copied.any() else slice(None)
    sizes = np.minimum(counts, HEAD_ROWS)
    shift = table.bounds[:-1] - np.cumsum(sizes) + sizes
    head = np.repeat(shift, sizes) + np.arange(int(sizes.sum()))
    return head[~copied[head]]


def _answers(table: ConnectionTable, head: Head, flow: Ints, count: int) -> tuple[Ints, Ints]:
    """Per flow (quickest answer of its sender to what passed the tap, ns; how many answers)."""
    end, flags, time = table.end[head], table.flags[head], table.time_ns[head]
    asked, answered = slice(None, -1), slice(1, None)
    pairs = (flow[answered] ^ flow[asked]) == 1  # the other side of the same connection
    pairs &= end[asked] == table.ack[head][answered]
    pairs &= end[asked] > table.seq[head][asked]
    pairs &= (flags[answered] & int(Flag.ACK) != 0) & (flags[asked] & int(Flag.RST) == 0)
    at = np.flatnonzero(pairs)
    at = at[_sent_once(flow, end, at)]
    took, whose = time[at + 1] - time[at], flow[at + 1]
    sound = took >= 0
    took, whose = took[sound], whose[sound]
    quickest = np.full(2 * count, np.iinfo(np.int64).max)
    np.minimum.at(quickest, whose, took)
    samples = np.bincount(whose, minlength=2 * count)
    return np.where(samples > 0, quickest, UNKNOWN_NS), samples


def _sent_once(flow: Ints, end: Ints, at: Ints) -> Bools:
    """Whether nothing before row `at` of the same flow reached as far (Karn: else the answer may be to that)."""
    low = int(end.min(initial=0))
    lifted = (flow >> 1) * (int(end.max(initial=0)) - low + 2)
    lifted += end
    lifted += 1 - low
    one = (flow & 1) != 0
    of_zero, of_one = (np.maximum.accumulate(np.where(own, lifted, 0)) for own in (~one, one))
    before = np.where(one[at], of_one[at - 1], of_zero[at - 1])
    return np.asarray((before < lifted[at]) | (at == 0))


def _oversize(table: ConnectionTable, head: Head, flow: Ints, count: int) -> Bools:
    """Per connection: some segment is larger than the MSS that its receiver told (RFC 9293 3.7.1)."""
    rows = table.row[head]
    told = np.zeros(2 * count, np.int64)
    syns = np.flatnonzero(table.flags[head] & int(Flag.SYN) != 0)
    told[flow[syns]] = table.packets["mss"][rows[syns]]
    chosen = np.zeros(count, bool)
    if not told.any():
        return chosen
    length = table.length[head]
    long = np.flatnonzero(length > told[told > 0].min())
    most = told[flow[long] ^ 1]
    chosen[flow[long[(most > 0) & (length[long] > most)]] >> 1] = True
    return chosen


def _places(round_trip: Ints, hops: Ints, oversize: Bools, beside: int) -> npt.NDArray[np.uint8]:
    known = round_trip != UNKNOWN_NS
    near = known & (round_trip <= np.where(oversize, BUSY_TIMES * beside, beside)[:, None]) & (hops == 0)
    other = round_trip[:, ::-1]
    far = known[:, ::-1] & (other > beside) & (other >= FAR_TIMES_NEAR * round_trip)
    here = near & (far | (hops[:, ::-1] > 0))
    place = np.full(len(round_trip), Place.UNKNOWN, np.uint8)
    apart = known & (round_trip > APART_TIMES * beside) & (other < FAR_TIMES_NEAR * round_trip)
    apart |= known & (round_trip > BUSY_TIMES * beside) | (hops > 0)
    place[apart.all(axis=1) & ~here.any(axis=1)] = Place.MIDDLE
    place[here[:, 0] & ~here[:, 1]] = Place.CLIENT
    place[here[:, 1] & ~here[:, 0]] = Place.SERVER
    return place
