"""The candidate rows suffice: all the other rows together would change no state, cause or name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.settings import Settings
from pcapreport.tcp import candidates, histories
from pcapreport.tcp.connections import ConnectionTable, find_connections
from pcapreport.tcp.history import Certainty, ConnectionHistory, EndpointHistory, Transition

from .captures import captures
from .talks import Step, on_the_wire, scripts
from .wire import ACK, FIN, PSH, RST, SYN, connections_of

LONGEST = 4000
"""Connections with more rows are left out of the comparison: the reconstructor looks at each row many times."""


def reconstructed(table: ConnectionTable, end: int, all_rows: bool) -> list[ConnectionHistory]:
    """Histories from the candidate rows, or from all rows but copies, which are no segments of their own."""
    with pytest.MonkeyPatch.context() as patch:
        if all_rows:
            patch.setattr(candidates, "candidate_rows", lambda table: np.flatnonzero(table.original < 0))
        return list(histories.reconstruct_all(table, end, Settings()))


def differences(candidate: EndpointHistory, full: EndpointHistory) -> list[str]:
    """What the candidate rows tell otherwise than all rows do.

    They may be less sure of a state, may name another copy of the segment that caused it, and may bound it otherwise,
    as the quickest and the slowest answer may be among the rows left out. The intervals still have to meet.
    """
    if [one[:2] for one in map(_name, candidate.transitions)] != [one[:2] for one in map(_name, full.transitions)]:
        return [f"{list(map(_name, candidate.transitions))} from candidates, {list(map(_name, full.transitions))}"]
    found = []
    for a, b in zip(candidate.transitions, full.transitions, strict=True):
        if a.certainty is Certainty.PROVEN and b.certainty is not Certainty.PROVEN:
            found.append(f"{a.state} proven from candidates, {b.certainty}")
        if not _meet(a, b):
            found.append(f"{a.state} in [{a.earliest}, {a.latest}] from candidates, [{b.earliest}, {b.latest}]")
    if len(candidate.withdrawn) != len(full.withdrawn):
        found.append(f"withdrawn {candidate.withdrawn} from candidates, {full.withdrawn}")
    return found


def _name(item: Transition) -> tuple[str, str, str, int | None]:
    return (str(item.state), item.rule, str(item.certainty), item.frame)


def _meet(a: Transition, b: Transition) -> bool:
    starts = [i.earliest for i in (a, b) if i.earliest is not None]
    ends = [i.latest for i in (a, b) if i.latest is not None]
    return not starts or not ends or max(starts) <= min(ends)


def compare(table: ConnectionTable, end: int) -> list[str]:
    some, all_of_them = (reconstructed(table, end, whole) for whole in (False, True))
    found = []
    for index, (a, b) in enumerate(zip(some, all_of_them, strict=True)):
        where = f"connection {index + 1}"
        for side, one, other in (("client", a.client, b.client), ("server", a.server, b.server)):
            found += [f"{where}, {side}: {text}" for text in differences(one, other)]
        if (a.opening, a.closing) != (b.opening, b.closing):
            found.append(f"{where}: {a.opening}, {a.closing} from candidates, {b.opening}, {b.closing}")
    return found


@pytest.mark.parametrize("collection", ["samples", "others", "kernels"])
def test_candidate_rows_suffice_in_real_captures(collection: str) -> None:
    found = captures(collection)
    if not found:
        pytest.skip(f"the captures of collection {collection!r} are not here")
    wrong = []
    for file, capture in found:
        table = find_connections(capture.table)
        if max(np.diff(table.bounds)) <= LONGEST:
            wrong += [f"{file}: {text}" for text in compare(table, capture.last_ns or 0)]
    assert not wrong, "\n".join(wrong)


@settings(max_examples=100, deadline=None)
@given(scripts(6), st.integers(0, 5), st.integers(0, 120), st.data())
def test_candidate_rows_suffice_with_bulk_data_in_the_middle(
    script: list[Step], where: int, bulk: int, data: st.DataObject
) -> None:
    """A script with an exchange of any length put in where both ends are known to be established."""
    calm = next((i for i, s in enumerate(script) if s.flags & (FIN | RST) or i > 3), len(script))
    opened = [s for s in script[:calm] if not s.flags & SYN]
    base = [max((s.seq + s.length for s in opened if s.side == side), default=1) for side in (0, 1)]
    middle = [
        Step(0, PSH | ACK, base[0] + 100 * n, base[1], 100) if n % 2 == 0 else Step(1, ACK, base[1], base[0] + 100 * n)
        for n in range(2 * (bulk // 2))
    ]
    grown = 100 * len(middle)
    rest = [
        s._replace(seq=s.seq + grown) if s.side == 0 and s.seq >= base[0]
        else s._replace(ack=s.ack + grown) if s.side == 1 and s.flags & ACK and s.ack >= base[0]
        else s
        for s in script[calm:]
    ]  # fmt: skip
    whole = [*script[:calm], *middle, *rest]
    pauses = [data.draw(st.sampled_from((1_000_000, 20_000_000, 300_000_000))) for _ in whole]
    wires = on_the_wire(whole, pauses)
    assert compare(connections_of(wires), wires[-1].time_ns) == []


def test_bulk_data_is_left_out() -> None:
    wires = on_the_wire([Step(0, PSH | ACK, 1 + 100 * n, 1, 100) for n in range(10_000)], [1000] * 10_000)
    assert len(candidates.candidate_rows(connections_of(wires))) < 50


def test_every_syn_fin_and_rst_that_is_no_copy_is_a_candidate() -> None:
    for _, capture in captures("samples"):
        table = find_connections(capture.table)
        control = np.flatnonzero((table.flags & int(SYN | FIN | RST) != 0) & (table.original < 0))
        assert set(control.tolist()) <= set(candidates.candidate_rows(table).tolist())


def test_an_empty_capture_has_no_candidates() -> None:
    assert candidates.candidate_rows(connections_of([])).tolist() == []
