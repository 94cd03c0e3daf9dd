"""How the array passes over connections are made: see passes.py for what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pcapreport.findings.columns import column, sack_permitted
from pcapreport.findings.gaps import judge_gaps
from pcapreport.findings.holes import coverage
from pcapreport.findings.old_duplicates import old_duplicates
from pcapreport.findings.segmented import NONE, Flows, latest_before
from pcapreport.findings.unseen import late_syn_acks, skipped_ids, stalled_writes
from pcapreport.settings import Settings
from pcapreport.tcp import sequence
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FAR = 1 << 29
"""A number this far from the ones around it belongs to no window of this connection (RFC 7323 section 2.2: 2^30)."""
UNKNOWN = -1


class PassWork:
    """The passes over whole connections in the making."""

    def __init__(self, table: ConnectionTable, settings: Settings) -> None:
        self.table = table
        self.settings = settings
        self.connection = table.connection
        self.first = np.repeat(table.bounds[:-1], np.diff(table.bounds))
        self.client = table.side == CLIENT
        self.flow = self.connection * 2 + table.side
        self.flows = Flows(table.side, table.bounds[:-1])
        self.ordinary = (table.flags & RST) == 0
        self.top = np.full(2 * len(table), NONE)
        """Of each flow the highest end of its rows but RSTs; NONE without any."""
        at = np.flatnonzero(self.ordinary)
        np.maximum.at(self.top, self.flow[at], table.end[at])

    def columns(self) -> dict[str, Any]:
        """The fields of `Passes` but the first two, which the table has."""
        table = self.table
        original = table.original
        acking, credible = (table.flags & ACK) != 0, self._credible_ack()
        live = (original < 0) & ((table.flags & RST) == 0) & ~self._foreign() & (credible | ~acking)
        acks = live & acking
        sent, peer_sent = self.flows.highest_before(table.end, live)
        own_ack, acked, acked_at_end = self.flows.highest_before_and_last(table.ack, acks)
        has_sack = table.packets["sack"][table.row] >= 0
        previous, previous_peer = self._latest(live)
        running = {
            "live": live,
            "acks": acks,
            "sent_before": sent,
            "peer_sent_before": peer_sent,
            "acked_before": acked,
            "acked_at_end": self._of_peer(acked_at_end),
            "own_ack_before": own_ack,
            "sacked_before": self.flows.highest_before(self._sack_edge(has_sack), has_sack & acks)[1],
            "previous": previous,
            "previous_peer": previous_peer,
            "previous_send": self._latest(live & (table.end > table.seq))[0],
            "peer_window_zero": self._window_zero(previous_peer),
            "first_fin": self._first_fin(live),
            "round_trip_ns": self._round_trips(live),
        }
        return running | self._derived(running, has_sack)

    def _derived(self, run: dict[str, Any], has_sack: Bools) -> dict[str, Any]:
        """What follows from the running values."""
        table, live, sent = self.table, run["live"], run["sent_before"]
        covered = coverage(table.seq, table.end, sent, self.flow, live)
        keep_alive, probe = self._keep_alives(run)
        known = self._without_probe_bytes(np.where(keep_alive, 0, covered.known), live, keep_alive)
        duplicate = self._duplicate_acks(run, has_sack, keep_alive)
        before = self._duplicates_before(run["acks"], run["own_ack_before"], duplicate)
        asking = live & ~keep_alive
        requested = (before > 0) | (run["sacked_before"] > table.seq)
        trips = run["round_trip_ns"][self.connection]
        late = asking & (covered.filled > 0) & (known == 0)
        old = old_duplicates(table, self.flow, live, asking & (known > 0), run["previous"])
        return {
            "duplicates_before": before,
            "known": known,
            "filled": covered.filled,
            "opener": covered.opener,
            "missing": covered.missing,
            "keep_alive": keep_alive,
            "probe": probe,
            "duplicate_ack": duplicate,
            "hidden": self._hidden(asking, run, trips),
            "wandered": old.wandered,
            "overtook": old.overtook,
            "gaps": judge_gaps(table, self.flow, late, covered.opener, requested, trips, self.settings),
        }

    def _of_peer(self, of_flows: Ints) -> Ints:
        """Per row what is known of the other side's flow, given that of each flow with rows; NONE without."""
        known = np.full(2 * len(self.table), NONE)
        known[self.flows.number[self.flows.first]] = of_flows
        return np.asarray(known[self.flow ^ 1])

    def _latest(self, wanted: Bools) -> tuple[Ints, Ints]:
        by_client = latest_before(wanted & self.client, self.first)
        by_server = latest_before(wanted & ~self.client, self.first)
        return np.where(self.client, by_client, by_server), np.where(self.client, by_server, by_client)

    def _foreign(self) -> Bools:
        """Rows with another incarnation's numbers, or with a number that fits neither neighbour of its flow."""
        table, count = self.table, len(self.table.row)
        seen, is_syn = table.isn_seen.reshape(-1), (table.flags & SYN) != 0
        odd = np.flatnonzero((table.seq < 0) | is_syn & (table.seq != 0))
        foreign = np.zeros(count, bool)
        foreign[odd] = seen[self.flow[odd]]
        syn = np.full(2 * len(table), count)
        at = np.flatnonzero(is_syn)[::-1]
        syn[self.flow[at]] = at
        first = self.flows.order[self.flows.first]
        late = seen.copy()
        late[self.flow[first]] &= syn[self.flow[first]] > first
        if late.any():
            early = np.flatnonzero(late[self.flow])
            early = early[early < syn[self.flow[early]]]
            ack, top = table.ack[early], np.maximum(self.top[self.flow[early] ^ 1], 0)
            strange = (ack < 0) | (ack > top) | (np.abs(table.seq[early]) > 1 << 20)
            foreign[early[strange]] = True
        foreign[self._lonely()] = True
        return np.asarray(foreign)

    def _lonely(self) -> Ints:
        """Rows, but SYNs, whose number is far from that of the row of their flow before and of the one behind."""
        order, seq = self.flows.order, self.table.seq
        steps = np.abs(np.diff(seq[order])) > FAR
        if not steps.any():
            return order[:0]
        steps &= np.diff(self.flows.number) == 0
        rows = order[1:-1][steps[1:] & steps[:-1]]
        return np.asarray(rows[(self.table.flags[rows] & SYN) == 0])

    def _credible_ack(self) -> Bools:
        """The acknowledgment number is not far from anything the other side sent."""
        table, peer = self.table, self.flow ^ 1
        lowest = np.where(table.isn_seen.reshape(-1), 0, -FAR)
        lowest[self.top == NONE] = NONE
        highest = np.where(self.top == NONE, -NONE, self.top)
        peer_top = highest[peer]
        beyond = np.flatnonzero(table.ack > peer_top)
        credible = table.ack >= lowest[peer]
        credible[beyond[table.ack[beyond] - peer_top[beyond] >= FAR]] = False
        credible[beyond[self._taken_back(beyond, self.ordinary)]] = False
        return np.asarray(credible)

    def _taken_back(self, beyond: Ints, ordinary: Bools) -> Bools:
        """Of rows that acknowledge what the other side never sent: their sender's last word is less. A third party's
        segment, which RFC 9293 section 3.10.7.4 answers and drops."""
        table = self.table
        acking = ordinary & ((table.flags & ACK) != 0)
        last = np.full(2 * len(table), -1)
        at = np.flatnonzero(acking)
        last[self.flow[at]] = at
        final = last[self.flow[beyond]]
        late = table.time_ns[final] > table.time_ns[beyond] + self.settings.jitter_ns
        return np.asarray(acking[beyond] & (table.ack[final] < table.ack[beyond]) & late)

    def _window_zero(self, previous_peer: Ints) -> Bools:
        table = self.table
        shut = (table.window == 0) & ((table.flags & SYN) == 0)
        if not shut.any():
            return np.asarray(shut)
        return np.asarray((previous_peer >= 0) & shut[previous_peer])

    def _keep_alives(self, run: dict[str, Any]) -> tuple[Bools, Bools]:
        """(keep-alives and probes, of these the zero-window probes)."""
        table, zero = self.table, run["peer_window_zero"]
        rows = np.flatnonzero(run["live"] & ((table.flags & (SYN | FIN | ACK)) == ACK) & (table.length <= 1))
        sent, acked, seq, one = run["sent_before"][rows], run["acked_before"][rows], table.seq[rows], table.length[rows]
        below = (seq == sent - 1) | ((seq == acked - 1) & (seq < sent))
        garbage = (seq + 1 == sent) & (acked >= sent)
        pushed = zero[rows] & (seq >= acked) & (seq >= sent - 1)
        rows = rows[np.where(one, garbage | pushed, below)]
        rows = rows[~self._just_before(rows, run["previous"][rows])]
        keep_alive = np.zeros(len(zero), bool)
        keep_alive[rows] = True
        return keep_alive, keep_alive & zero

    def _just_before(self, rows: Ints, before: Ints) -> Bools:
        """Of empty segments: alike closer than any sender repeats them. Copies that nothing else tells."""
        table = self.table
        close = (before >= 0) & (table.time_ns[rows] - table.time_ns[before] <= self.settings.copy_window_ns)
        for values in (table.seq, table.end, table.ack, table.window):
            close &= values[rows] == values[before]
        return np.asarray(close & (column(table, "ts_val", rows) == column(table, "ts_val", before)))

    def _without_probe_bytes(self, known: Ints, live: Bools, keep_alive: Bools) -> Ints:
        """A byte that only probed a closed window before is not sent again when it goes out with the data behind it."""
        probes = keep_alive & (self.table.length > 0)
        if not probes.any():
            return known
        sent, _ = self.flows.highest_before(self.table.end, live & ~probes)
        return np.where(self.table.seq >= sent, 0, known)

    def _sack_edge(self, has_sack: Bools) -> Ints:
        """Highest right edge of the SACK blocks of each row, relative as `ack` is; 0 without a block."""
        table = self.table
        edge = np.zeros(len(table.row), np.int64)
        if not has_sack.any():
            return edge
        rows = table.row[has_sack]
        blocks = table.packets.sack_blocks[table.packets["sack"][rows]]
        raw_ack = table.packets["ack"][rows].astype(np.uint32)
        beyond = sequence.distances(blocks[:, :, 1], np.repeat(raw_ack[:, None], blocks.shape[1], axis=1))
        beyond[(blocks[:, :, 0] == blocks[:, :, 1])] = 0
        edge[has_sack] = table.ack[has_sack] + np.maximum(beyond.max(axis=1, initial=0), 0)
        return edge

    def _duplicate_acks(self, run: dict[str, Any], has_sack: Bools, keep_alive: Bools) -> Bools:
        table, found = self.table, np.zeros(len(has_sack), bool)
        empty = run["acks"] & ~keep_alive & (table.length == 0) & (table.ack == run["own_ack_before"])
        rows = np.flatnonzero(empty & (run["peer_sent_before"] > table.ack))
        rows = rows[(table.seq[rows] == run["sent_before"][rows]) & ((table.flags[rows] & (SYN | FIN)) == 0)]
        previous, peer, sack = run["previous"][rows], run["previous_peer"][rows], has_sack[rows]
        same_window = (table.window[rows] == table.window[previous]) & ((table.flags[previous] & SYN) == 0)
        answers = keep_alive[peer] & (peer > previous)
        answers |= (
            column(table, "mptcp", rows) != 0
        ) & ~sack  # speaks of the whole connection (RFC 8684 section 3.3.2)
        # RFC 6675 section 2: with SACK in use a duplicate says what arrived.
        tells = sack | ~self._selective()[self.connection[rows]]
        found[rows[(previous >= 0) & tells & (same_window | sack) & ~answers]] = True
        return found

    def _selective(self) -> Bools:
        """Per connection: both sides permitted selective acknowledgments."""
        permitted = sack_permitted(self.table)
        return np.asarray(permitted[:, CLIENT] & permitted[:, SERVER])

    def _hidden(self, live: Bools, run: dict[str, Any], trips: Ints) -> Bools:
        table, sent = self.table, run["sent_before"]
        syn_ack = (table.flags & (SYN | ACK)) == (SYN | ACK)
        fresh = live & (table.end > table.seq) & (table.seq == sent) & ~syn_ack
        ordinary = live & ((sent == NONE) | (table.seq == sent))
        skipped = skipped_ids(table, self.flow, ordinary, fresh, run["previous"], trips, self.settings)
        send, peer = run["previous_send"], run["previous_peer"]
        stalled = stalled_writes(table, self.flow, fresh, send, peer, run["acked_before"], self.settings)
        return skipped | stalled | late_syn_acks(table, self.connection, live & syn_ack & (sent == NONE), self.settings)

    def _first_fin(self, live: Bools) -> Ints:
        first = np.full(2 * len(self.table), len(live))
        rows = np.flatnonzero(live & ((self.table.flags & FIN) != 0))[::-1]
        first[self.flow[rows]] = rows
        return first

    def _duplicates_before(self, acks: Bools, own_ack: Ints, duplicate: Bools) -> Ints:
        return self.flows.count_since(duplicate, acks & (self.table.ack > own_ack))

    def _round_trips(self, live: Bools) -> Ints:
        """Per connection the handshake's round trip."""
        table = self.table
        control = table.flags & (SYN | ACK)
        syns = live & self.client & (control == SYN)
        syn_acks = live & ~self.client & (control == (SYN | ACK))
        third = live & self.client & ((control & SYN) == 0)
        syn, again = self._nth(syns, 0), self._nth(syns, 1)
        answer, answered_again = self._nth(syn_acks, 0), self._nth(syn_acks, 1)
        done = self._nth(third, 0)
        clean = (syn >= 0) & (answer > syn) & (done > answer) & (again < 0) & (answered_again < 0)
        return np.where(clean, np.maximum(table.time_ns[done] - table.time_ns[syn], 0), UNKNOWN)

    def _nth(self, mask: Bools, nth: int) -> Ints:
        """Per connection the position of its nth row where `mask`, or -1."""
        at = np.flatnonzero(mask)
        first = np.searchsorted(at, self.table.bounds)
        there = first[:-1] + nth < first[1:]
        found = np.full(len(self.table), -1)
        found[there] = at[first[:-1][there] + nth]
        return found
