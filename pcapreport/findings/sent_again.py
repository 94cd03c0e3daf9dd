"""Which segments were sent again, and why: each under exactly one rule."""

from __future__ import annotations

import numpy as np

from pcapreport.findings.columns import Bools, Ints, sack_permitted
from pcapreport.findings.model import Evidence
from pcapreport.findings.old_duplicates import last_with_these_numbers
from pcapreport.findings.passes import Passes
from pcapreport.findings.segmented import NONE
from pcapreport.settings import MILLISECOND, SECOND
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN
from pcapreport.tcp.host_profile import LINUX, systems_of_ends

SHORTEST_TIMEOUT_NS = 200 * MILLISECOND
"""Linux's least retransmission timeout; others wait longer (RFC 6298: 1 s)."""


def classify(evidence: Evidence) -> dict[str, Ints]:
    """Rule -> the rows that fall under it."""
    table, passes = evidence.table, evidence.passes
    left = np.flatnonzero(evidence.sent_again)
    rules: dict[str, Ints] = {}
    for rule, applies in (
        ("syn_ack_retransmission", lambda rows: (table.flags[rows] & (SYN | ACK)) == (SYN | ACK)),
        ("syn_retransmission", lambda rows: (table.flags[rows] & SYN) != 0),
        ("fin_retransmission", lambda rows: _repeated_fin(table, passes, rows)),
        ("spurious_retransmission", lambda rows: table.end[rows] <= passes.acked_before[rows]),
        ("fast_retransmission", lambda rows: _prompted(evidence, rows)),
        ("tail_loss_probe", lambda rows: _tail_loss_probe(evidence, rows)),
    ):
        mask = applies(left)
        rules[rule], left = left[mask], left[~mask]
    rules["retransmission"] = left
    return rules


def _repeated_fin(table: ConnectionTable, passes: Passes, rows: Ints) -> Bools:
    nothing_new = (table.length[rows] == 0) | (table.end[rows] <= passes.sent_before[rows])
    return np.asarray(((table.flags[rows] & FIN) != 0) & nothing_new)


def sent_again(evidence: Evidence) -> Bools:
    """Rows that carry numbers their sender had sent before, as far as this tap can tell."""
    passes = evidence.passes
    repeated = passes.live & ~passes.keep_alive & (passes.known > 0)
    repeated |= passes.gaps.resent | passes.hidden | passes.overtook
    repeated &= ~passes.wandered & ~_crossing_syn_ack(evidence)
    return np.asarray(repeated | _strange_syns_again(evidence))


def _strange_syns_again(evidence: Evidence) -> Bools:
    """SYNs with numbers of no part in this connection (an answer to an old SYN) that the same side sent before."""
    table, passes = evidence.table, evidence.passes
    strange = ~passes.live & (passes.original < 0) & ((table.flags & (SYN | RST)) == SYN)
    if not strange.any():
        return np.zeros(len(strange), bool)
    before = last_with_these_numbers(table, passes.connection * 2 + table.side, strange)
    late = table.time_ns - table.time_ns[before] >= evidence.settings.shortest_rto_ns
    return np.asarray(strange & (before >= 0) & late)


def _crossing_syn_ack(evidence: Evidence) -> Bools:
    """The SYN that goes out once more as SYN-ACK in a simultaneous open (RFC 9293 MUST-10): an answer, if it
    comes before the first timeout (RFC 6298 section 2.1)."""
    table, passes = evidence.table, evidence.passes
    both = SYN | ACK
    syn_ack: Bools = passes.live & ((table.flags & both) == both) & (passes.known > 0)
    for row in np.flatnonzero(syn_ack):
        before = slice(table.bounds[passes.connection[row]], row)
        mine, kind = table.side[before] == table.side[row], table.flags[before] & both
        asked = table.time_ns[before][~mine & (kind == SYN)]
        prompt = not len(asked) or table.time_ns[row] - asked[-1] < SECOND - evidence.settings.jitter_ns
        syn_ack[row] = prompt and not np.any(mine & (kind == both))
    return syn_ack


def _prompted(evidence: Evidence, rows: Ints) -> Bools:
    """Duplicate or selective ACKs had just named the gap."""
    table, passes, settings = evidence.table, evidence.passes, evidence.settings
    named = passes.duplicates_before[rows] >= settings.fast_retransmit_acks
    named |= passes.sacked_before[rows] > table.seq[rows]
    round_trip = np.maximum(passes.round_trip_ns, 0)[passes.connection[rows]]
    peer = passes.previous_peer[rows]
    since = table.time_ns[rows] - table.time_ns[peer]
    return np.asarray(named & (peer >= 0) & (since <= round_trip + settings.jitter_ns))


def _tail_loss_probe(evidence: Evidence, rows: Ints) -> Bools:
    """The last segment once more, earlier than a timeout could, or while older data waits (a timeout sends that).

    Linux probes before each first timeout where SACK is in use (tcp_schedule_loss_probe in net/ipv4/tcp_output.c); with
    one segment on its way it waits as long as the timeout.
    """
    table, passes = evidence.table, evidence.passes
    seq, end, acked = table.seq[rows], table.end[rows], passes.acked_before[rows]
    before = passes.previous_send[rows]
    last = (end == passes.sent_before[rows]) & (passes.known[rows] == end - seq)
    first_time = (passes.known[before] == 0) & (before >= 0)
    older_waits = (acked != NONE) & (acked < seq)
    early = table.time_ns[rows] - table.time_ns[before] < SHORTEST_TIMEOUT_NS
    found = np.asarray(last & first_time)
    if not (found & ~(older_waits | early)).any():
        return found
    return np.asarray(found & (older_waits | early | _probes(table, passes, rows)))


def _probes(table: ConnectionTable, passes: Passes, rows: Ints) -> Bools:
    """Rows of Linux in a connection in which both sides permitted SACK."""
    permitted, connection = sack_permitted(table), passes.connection[rows]
    both = permitted[:, CLIENT] & permitted[:, SERVER]
    return np.asarray(both[connection] & (systems_of_ends(table)[connection, table.side[rows]] == LINUX))
