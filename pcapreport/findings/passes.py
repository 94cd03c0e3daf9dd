"""Array passes over all connections at once, shared by the detectors.

Everything here is a fact about a row and what stood before it at this tap, in capture order; only `gaps`, `hidden`
and `wandered` are judgements. The rows of one connection stand together, so a running value needs only to be kept
from crossing into the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag
from pcapreport.findings.columns import column, sack_permitted
from pcapreport.findings.gaps import Gaps, judge_gaps
from pcapreport.findings.holes import coverage
from pcapreport.findings.old_duplicates import old_duplicates
from pcapreport.findings.segmented import NONE, count_since, highest_before, latest_before
from pcapreport.findings.unseen import late_syn_acks, skipped_ids, stalled_writes
from pcapreport.settings import Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FAR = 1 << 29
"""A number this far from the ones around it belongs to no window of this connection (RFC 7323 section 2.2: 2^30)."""
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Passes:
    """Arrays aligned with the rows of the connection table; "before" means earlier in the same connection."""

    connection: Ints
    original: Ints
    """The row this one is a copy of, or -1."""
    live: Bools
    """Neither a copy nor a reset, with numbers of this connection: what the running values are made of."""
    acks: Bools
    """Live, and its acknowledgment number counts."""
    sent_before: Ints
    """Highest `end` its sender had shown before (NONE: it had sent nothing)."""
    peer_sent_before: Ints
    """Highest `end` the other side had shown before."""
    acked_before: Ints
    """Highest acknowledgment of its sender's numbers by the other side before."""
    acked_at_end: Ints
    """Highest acknowledgment of its sender's numbers by the other side in the whole connection."""
    own_ack_before: Ints
    """Highest acknowledgment its sender had sent before."""
    sacked_before: Ints
    """Highest right edge of a SACK block about its sender's numbers before."""
    duplicates_before: Ints
    """Duplicate ACKs of the other side since that last acknowledged something new."""
    previous: Ints
    """The last live row of the same side before, or -1."""
    previous_peer: Ints
    """The last live row of the other side before, or -1."""
    previous_send: Ints
    """The last live row of the same side before that brought data, SYN or FIN, or -1."""
    known: Ints
    filled: Ints
    opener: Ints
    missing: Ints
    """See holes.Coverage."""
    peer_window_zero: Bools
    """The other side's last word was a window of 0."""
    keep_alive: Bools
    """Asks for an acknowledgment with a number below the next one, bringing nothing (window probes included)."""
    probe: Bools
    """A zero-window probe."""
    duplicate_ack: Bools
    """RFC 5681 section 2: repeats its last acknowledgment while data is outstanding."""
    hidden: Bools
    """New here, but sent before: its first transmission never passed this tap (see `unseen`)."""
    wandered: Bools
    """An old duplicate: not sent again but on its way for long."""
    overtook: Bools
    """Sent again, but passed before the transmission that it repeats (see `old_duplicates`)."""
    gaps: Gaps
    """What fills a gap: delivered late or sent again."""
    round_trip_ns: Ints
    """Per connection: SYN to the first segment after the SYN-ACK; UNKNOWN where the handshake was not clean."""

    @classmethod
    def of(cls, table: ConnectionTable, settings: Settings | None = None) -> Passes:
        """All passes over `table`."""
        return _Work(table, settings or Settings()).passes()


class _Work:
    """The passes in the making."""

    def __init__(self, table: ConnectionTable, settings: Settings) -> None:
        self.table = table
        self.settings = settings
        self.connection = table.connection
        self.starts = table.bounds[:-1]
        self.client = table.side == CLIENT
        self.flow = self.connection * 2 + table.side

    def passes(self) -> Passes:
        table = self.table
        original = table.original
        acking, credible = (table.flags & Flag.ACK) != 0, self._credible_ack()
        live = (original < 0) & ((table.flags & Flag.RST) == 0) & ~self._foreign() & (credible | ~acking)
        acks = live & acking
        sent, peer_sent = self._highest(table.end, live)
        own_ack, acked = self._highest(table.ack, acks)
        has_sack = column(table, "sack") >= 0
        previous, previous_peer = self._latest(live)
        running = {
            "original": original,
            "live": live,
            "acks": acks,
            "sent_before": sent,
            "peer_sent_before": peer_sent,
            "acked_before": acked,
            "acked_at_end": self._acked_at_end(acks),
            "own_ack_before": own_ack,
            "sacked_before": self._highest(self._sack_edge(has_sack), has_sack & acks)[1],
            "previous": previous,
            "previous_peer": previous_peer,
            "previous_send": self._latest(live & (table.end > table.seq))[0],
            "peer_window_zero": self._window_zero(previous_peer),
            "round_trip_ns": self._round_trips(live),
        }
        return self._derived(running, has_sack)

    def _derived(self, run: dict[str, Any], has_sack: Bools) -> Passes:
        """What follows from the running values."""
        table, live, sent = self.table, run["live"], run["sent_before"]
        covered = coverage(table.seq, table.end, sent, self.flow, live)
        keep_alive, probe = self._keep_alives(live, sent, run["acked_before"], run["peer_window_zero"])
        known = self._without_probe_bytes(np.where(keep_alive, 0, covered.known), live, keep_alive)
        duplicate = self._duplicate_acks(run, has_sack, keep_alive)
        before = self._duplicates_before(run["acks"], run["own_ack_before"], duplicate)
        asking = live & ~keep_alive
        requested = (before > 0) | (run["sacked_before"] > table.seq)
        trips = run["round_trip_ns"][self.connection]
        late = asking & (covered.filled > 0) & (known == 0)
        old = old_duplicates(table, self.flow, live, asking & (known > 0), run["previous"])
        return Passes(
            **run,
            connection=self.connection,
            duplicates_before=before,
            known=known,
            filled=covered.filled,
            opener=covered.opener,
            missing=covered.missing,
            keep_alive=keep_alive,
            probe=probe,
            duplicate_ack=duplicate,
            hidden=self._hidden(asking, run, trips),
            wandered=old.wandered,
            overtook=old.overtook,
            gaps=judge_gaps(table, self.flow, late, covered.opener, requested, trips, self.settings),
        )

    def _highest(self, values: Ints, wanted: Bools) -> tuple[Ints, Ints]:
        """Per row the highest value before: (of its own side, of the other side)."""
        by_client = highest_before(values, wanted & self.client, self.starts, self.connection)
        by_server = highest_before(values, wanted & ~self.client, self.starts, self.connection)
        return np.where(self.client, by_client, by_server), np.where(self.client, by_server, by_client)

    def _acked_at_end(self, acks: Bools) -> Ints:
        best = np.full(2 * len(self.table), NONE)
        np.maximum.at(best, (self.flow ^ 1)[acks], self.table.ack[acks])
        return np.asarray(best[self.flow])

    def _latest(self, wanted: Bools) -> tuple[Ints, Ints]:
        by_client = latest_before(wanted & self.client, self.starts, self.connection)
        by_server = latest_before(wanted & ~self.client, self.starts, self.connection)
        return np.where(self.client, by_client, by_server), np.where(self.client, by_server, by_client)

    def _foreign(self) -> Bools:
        """Rows with another incarnation's numbers, or with a number that fits neither neighbour of its flow."""
        table, count = self.table, len(self.table.row)
        seen = table.isn_seen[self.connection, table.side] if count else np.zeros(0, bool)
        is_syn = (table.flags & Flag.SYN) != 0
        foreign = seen & ((table.seq < 0) | is_syn & (table.seq != 0))
        syn = np.full(2 * len(table), count)
        at = np.flatnonzero(is_syn)[::-1]
        syn[self.flow[at]] = at
        top = np.zeros(2 * len(table), np.int64)
        np.maximum.at(top, self.flow, np.where((table.flags & Flag.RST) == 0, table.end, 0))
        strange = (table.ack < 0) | (table.ack > top[self.flow ^ 1]) | (np.abs(table.seq) > 1 << 20)
        foreign |= seen & (np.arange(count) < syn[self.flow]) & strange
        order = np.argsort(self.flow, kind="stable")
        steps = np.abs(np.diff(table.seq[order])) > FAR
        steps &= np.diff(self.flow[order]) == 0
        lonely = np.zeros(count, bool)
        lonely[order[1:-1]] = steps[1:] & steps[:-1]
        return np.asarray(foreign | lonely & ~is_syn)

    def _credible_ack(self) -> Bools:
        """The acknowledgment number is not far from anything the other side sent."""
        table = self.table
        top = np.full(2 * len(table), NONE)
        ordinary = (table.flags & Flag.RST) == 0
        np.maximum.at(top, self.flow[ordinary], table.end[ordinary])
        peer = self.flow ^ 1
        silent = top[peer] == NONE
        known = table.isn_seen.reshape(-1)[peer] if len(peer) else np.zeros(0, bool)
        near = (table.ack < top[peer] + FAR) & (table.ack >= np.where(known, 0, -FAR))
        return np.asarray(silent | near & ~self._taken_back(top[peer], ordinary))

    def _taken_back(self, peer_top: Ints, ordinary: Bools) -> Bools:
        """Acknowledges what the other side never sent, and its sender's last word is less: a third party's segment,
        which RFC 9293 section 3.10.7.4 answers and drops."""
        table = self.table
        acking = ordinary & ((table.flags & Flag.ACK) != 0)
        last = np.full(2 * len(table), -1)
        at = np.flatnonzero(acking)
        last[self.flow[at]] = at
        final = last[self.flow]
        late = table.time_ns[final] > table.time_ns + self.settings.jitter_ns
        return np.asarray(acking & (table.ack > peer_top) & (table.ack[final] < table.ack) & late)

    def _window_zero(self, previous_peer: Ints) -> Bools:
        table = self.table
        syn = (table.flags[previous_peer] & Flag.SYN) != 0
        return np.asarray((previous_peer >= 0) & (table.window[previous_peer] == 0) & ~syn)

    def _keep_alives(self, live: Bools, sent: Ints, acked: Ints, zero: Bools) -> tuple[Bools, Bools]:
        """(keep-alives and probes, of these the zero-window probes)."""
        table = self.table
        plain = live & ((table.flags & (Flag.SYN | Flag.FIN | Flag.ACK)) == Flag.ACK)
        plain &= ~self._just_before(live)
        below = (table.seq == sent - 1) | ((table.seq == acked - 1) & (table.seq < sent))
        empty = plain & (table.length == 0) & below
        one = plain & (table.length == 1)
        garbage = one & (table.end == sent) & (acked >= table.end)
        pushed = one & zero & (table.seq >= acked) & (table.seq >= sent - 1)
        return empty | garbage | pushed, (empty | garbage | pushed) & zero

    def _just_before(self, live: Bools) -> Bools:
        """Empty segments alike closer than any sender repeats them: copies that nothing else tells."""
        table, before = self.table, self._latest(live)[0]
        close = (before >= 0) & (table.time_ns - table.time_ns[before] <= self.settings.copy_window_ns)
        for values in (table.seq, table.end, table.ack, table.window, column(table, "ts_val")):
            close &= values == values[before]
        return np.asarray(close)

    def _without_probe_bytes(self, known: Ints, live: Bools, keep_alive: Bools) -> Ints:
        """A byte that only probed a closed window before is not sent again when it goes out with the data behind it."""
        probes = keep_alive & (self.table.length > 0)
        if not probes.any():
            return known
        sent, _ = self._highest(self.table.end, live & ~probes)
        return np.where(self.table.seq >= sent, 0, known)

    def _sack_edge(self, has_sack: Bools) -> Ints:
        """Highest right edge of the SACK blocks of each row, relative as `ack` is; 0 without a block."""
        table = self.table
        edge = np.zeros(len(table.row), np.int64)
        rows = table.row[has_sack]
        blocks = table.packets.sack_blocks[table.packets["sack"][rows]]
        raw_ack = table.packets["ack"][rows].astype(np.uint32)
        beyond = sequence.distances(blocks[:, :, 1], np.repeat(raw_ack[:, None], blocks.shape[1], axis=1))
        beyond[(blocks[:, :, 0] == blocks[:, :, 1])] = 0
        edge[has_sack] = table.ack[has_sack] + np.maximum(beyond.max(axis=1, initial=0), 0)
        return edge

    def _duplicate_acks(self, run: dict[str, Any], has_sack: Bools, keep_alive: Bools) -> Bools:
        table, previous, peer = self.table, run["previous"], run["previous_peer"]
        control = (table.flags & (Flag.SYN | Flag.FIN)) != 0
        repeats = run["acks"] & ~control & ~keep_alive & (table.length == 0) & (table.seq == run["sent_before"])
        repeats &= (table.ack == run["own_ack_before"]) & (previous >= 0)
        same_window = (table.window == table.window[previous]) & ((table.flags[previous] & Flag.SYN) == 0)
        answers = keep_alive[peer] & (peer > previous)
        repeats &= has_sack | ~self._selective()  # RFC 6675 section 2: with SACK in use it says what arrived
        answers |= (column(table, "mptcp") != 0) & ~has_sack  # speaks of the whole connection (RFC 8684 section 3.3.2)
        return np.asarray(repeats & (same_window | has_sack) & (run["peer_sent_before"] > table.ack) & ~answers)

    def _selective(self) -> Bools:
        """Both sides permitted selective acknowledgments."""
        permitted = sack_permitted(self.table)
        return np.asarray((permitted[:, CLIENT] & permitted[:, SERVER])[self.connection])

    def _hidden(self, live: Bools, run: dict[str, Any], trips: Ints) -> Bools:
        table, sent = self.table, run["sent_before"]
        syn_ack = (table.flags & (Flag.SYN | Flag.ACK)) == (Flag.SYN | Flag.ACK)
        fresh = live & (table.end > table.seq) & (table.seq == sent) & ~syn_ack
        ordinary = live & ((sent == NONE) | (table.seq == sent))
        skipped = skipped_ids(table, self.flow, ordinary, fresh, run["previous"], trips, self.settings)
        send, peer = run["previous_send"], run["previous_peer"]
        stalled = stalled_writes(table, self.flow, fresh, send, peer, run["acked_before"], self.settings)
        return skipped | stalled | late_syn_acks(table, self.connection, live & syn_ack & (sent == NONE), self.settings)

    def _duplicates_before(self, acks: Bools, own_ack: Ints, duplicate: Bools) -> Ints:
        advance = acks & (self.table.ack > own_ack)
        counts = [count_since(duplicate & mine, advance & mine, self.starts) for mine in (self.client, ~self.client)]
        return np.where(self.client, counts[SERVER], counts[CLIENT])

    def _round_trips(self, live: Bools) -> Ints:
        """Per connection the handshake's round trip."""
        table = self.table
        control = table.flags & (Flag.SYN | Flag.ACK)
        third = live & self.client & ((table.flags & Flag.SYN) == 0)
        syn = self._nth(live & self.client & (control == Flag.SYN), 0)
        again = self._nth(live & self.client & (control == Flag.SYN), 1)
        answer = self._nth(live & ~self.client & (control == (Flag.SYN | Flag.ACK)), 0)
        answered_again = self._nth(live & ~self.client & (control == (Flag.SYN | Flag.ACK)), 1)
        done = self._nth(third, 0)
        clean = (syn >= 0) & (answer > syn) & (done > answer) & (again < 0) & (answered_again < 0)
        return np.where(clean, np.maximum(table.time_ns[done] - table.time_ns[syn], 0), UNKNOWN)

    def _nth(self, mask: Bools, nth: int) -> Ints:
        """Per connection the position of its nth row where `mask`, or -1."""
        found = np.full(len(self.table), -1)
        at = np.flatnonzero(mask)
        owner = self.connection[at]
        rank = np.arange(len(at)) - np.searchsorted(owner, owner)
        chosen = rank == nth
        found[owner[chosen]] = at[chosen]
        return found
