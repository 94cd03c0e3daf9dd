"""What the SYNs of plain conversations say: window scales and the round trip; and which conversations open oddly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.findings.wireshark.conversations import Bools, Ints
from pcapreport.findings.wireshark.rows import ACK, SYN, Numbers, Rows
from pcapreport.findings.wireshark.walk import LARGEST_SCALE


class Handshakes(NamedTuple):
    """Arrays of c conversations.

    `scale` (c, 2): by how much each side's windows are scaled; `told` (c, 2): it is known. `opened`: the first row
    without SYN of a conversation that begins with one, else a number above all rows; `round_trip_ns`: from the last
    SYN in front of it. `repeated`: bare SYNs behind the first one. `odd`: SYNs that only a walk can follow.
    """

    scale: Numbers
    told: Bools
    opened: Ints
    round_trip_ns: Ints
    repeated: Ints
    odd: Bools


def handshakes_of(rows: Rows, bounds: Ints, window_scale: npt.NDArray[np.int8]) -> Handshakes:
    """Plain: a SYN, the SYN-ACK of the other side before anything else, or one of them; both repeated at will."""
    count = len(bounds) - 1
    is_syn, acknowledges = rows.has(SYN), rows.has(ACK)
    syns, others = np.flatnonzero(is_syn), np.flatnonzero(~is_syn)
    behind = np.append(others, len(is_syn))[np.searchsorted(others, bounds[:-1])]
    of, bare, said = rows.conversation[syns], ~acknowledges[syns], window_scale[syns]
    first = _first_of_flow(syns, of * 2 + rows.side[syns], 2 * count)
    odd = np.zeros(count, bool)
    odd[of[_out_of_place(rows, syns, first, bare, behind[of])]] = True
    odd[of[(bare != ~acknowledges[first]) | (said != window_scale[first]) | (rows.seq[syns] != rows.seq[first])]] = True
    odd[rows.conversation[others[window_scale[others] >= 0]]] = True
    scale, told = np.zeros((count, 2), np.uint32), np.zeros((count, 2), bool)
    scale[of, rows.side[syns]] = np.clip(said, 0, LARGEST_SCALE)
    told[of, rows.side[syns]] = True
    unscaled = np.zeros(count, bool)
    unscaled[of[said < 0]] = True
    scale[unscaled], told[unscaled] = 0, True
    repeated = bare & (syns != first)
    odd[of[repeated & (said >= 0) & unscaled[of]]] = True  # it tells its scale again, and that counts
    opened, round_trip_ns = _round_trips(rows, bounds, syns[bare], behind)
    odd[(opened < len(is_syn)) & (round_trip_ns == 0)] = True
    mute = others[~acknowledges[others]]
    mute = mute[((rows.own[mute] < 0) | is_syn[rows.own[mute]]) & (mute + 1 < bounds[rows.conversation[mute] + 1])]
    odd[rows.conversation[mute]] = True
    return Handshakes(scale, told, opened, round_trip_ns, syns[repeated], odd)


def _first_of_flow(syns: Ints, flow: Ints, count: int) -> Ints:
    """For each SYN the first one of its direction."""
    first = np.zeros(count, np.int64)
    first[flow[::-1]] = syns[::-1]
    return first[flow]


def _out_of_place(rows: Rows, syns: Ints, first: Ints, bare: Bools, behind: Ints) -> Bools:
    """Which SYNs begin their direction too late: a bare one behind anything, a SYN-ACK behind more than SYNs."""
    late = np.where(bare, syns != rows.start[syns], (rows.own[syns] >= 0) | (syns > behind))
    found: Bools = (syns == first) & late
    return found


def _round_trips(rows: Rows, bounds: Ints, bare: Ints, behind: Ints) -> tuple[Ints, Ints]:
    """(`opened`, `round_trip_ns`); a SYN at time 0 is none to Wireshark."""
    opened = np.full(len(behind), len(rows.seq))
    round_trip_ns = np.zeros(len(behind), np.int64)
    leading = bare[bare < behind[rows.conversation[bare]]]
    last = np.zeros(len(behind), np.int64)
    last[rows.conversation[leading]] = leading
    of = np.unique(rows.conversation[leading])
    of = of[(behind[of] < bounds[of + 1]) & (rows.time_ns[last[of]] != 0)]
    opened[of] = behind[of]
    round_trip_ns[of] = rows.time_ns[behind[of]] - rows.time_ns[last[of]]
    return opened, round_trip_ns
