"""However far a flow has come, its numbers are its own; those a window cannot reach from there are another's."""

from __future__ import annotations

import pytest

from pcapreport.tcp.candidates import candidate_rows
from pcapreport.tcp.connections import CLIENT, SERVER
from pcapreport.tcp.evidence import FOREIGN
from pcapreport.tcp.foreign import ELSEWHERE, set_apart
from pcapreport.tcp.history import ConnectionHistory

from .talks import Step, on_the_wire
from .wire import ACK, FIN, PSH, SYN, Wire, connections_of, histories_of, states_of

STEP = 1 << 27
"""Bytes of one segment here: no real one is so large, but the numbers go on as after many."""
AWAY = 3 << 29
"""Further than a window reaches, and less than half the circle of numbers."""
CLOSED_BY_CLIENT = ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
CLOSED_BY_SERVER = ["LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]


def transfer(client: int, server: int, strays: dict[int, list[Step]] | None = None) -> list[Wire]:
    """A connection in which either side sends so many steps of data, and the client closes first.

    `strays`: further segments, by how many steps of data went before them (-1: behind the SYN).
    """
    steps = [
        Step(CLIENT, SYN, 0, 0),
        *(strays or {}).get(-1, []),
        Step(SERVER, SYN | ACK, 0, 1),
        Step(CLIENT, ACK, 1, 1),
    ]
    sent = [1, 1]
    turns = [
        side for n in range(max(client, server)) for side, most in ((CLIENT, client), (SERVER, server)) if n < most
    ]
    for turn, side in enumerate(turns):
        steps += (strays or {}).get(turn, [])
        steps.append(Step(side, PSH | ACK, sent[side], sent[1 - side], STEP))
        sent[side] += STEP
        steps.append(Step(1 - side, ACK, sent[1 - side], sent[side]))
    steps += (strays or {}).get(len(turns), [])
    a, b = sent
    steps += [
        Step(CLIENT, FIN | ACK, a, b),
        Step(SERVER, ACK, b, a + 1),
        Step(SERVER, FIN | ACK, b, a + 1),
        Step(CLIENT, ACK, a + 1, b + 1),
    ]
    return on_the_wire(steps, [10_000_000] * len(steps))


def closes_in_order(history: ConnectionHistory) -> bool:
    states = states_of(history.client), states_of(history.server)
    return (*states, history.closing) == (CLOSED_BY_CLIENT, CLOSED_BY_SERVER, "client-first")


@pytest.mark.parametrize(("client", "server"), [(7, 0), (8, 0), (9, 0), (16, 0), (70, 0), (0, 70), (70, 40)])
def test_a_transfer_of_gigabytes_closes_in_order(client: int, server: int) -> None:
    (history,) = histories_of(transfer(client, server))
    assert closes_in_order(history)


@pytest.mark.parametrize("away", [-AWAY, AWAY], ids=["below", "above"])
@pytest.mark.parametrize("before", [13, 40, 70])
def test_an_old_number_amid_gigabytes_is_left_out(away: int, before: int) -> None:
    """A FIN of another incarnation, further away than a window reaches, and the ACK that answers it."""
    here = 1 + before * STEP
    strays = [Step(CLIENT, FIN | ACK, here + away, 1), Step(SERVER, ACK, 1, here)]
    (history,) = histories_of(transfer(70, 0, {before: strays}))
    assert closes_in_order(history)
    named = {item.frame for end in (history.client, history.server) for item in end.transitions}
    assert not named & {3 + 2 * before + 1, 3 + 2 * before + 2}


def test_only_the_stray_numbers_are_moved() -> None:
    wires = transfer(70, 0, {40: [Step(CLIENT, ACK, 1 + 40 * STEP - AWAY, 1)]})
    table = connections_of(wires)
    apart, reached = set_apart(table)
    moved = abs(apart.seq) >= ELSEWHERE // 2
    assert table.frame[moved].tolist() == [3 + 80 + 1]
    assert (apart.seq[~moved] == table.seq[~moved]).all() and (apart.ack == table.ack).all()
    assert reached.tolist() == [1 + 70 * STEP + 1, 2]


def test_stray_syns_lead_no_flow_away() -> None:
    """Each less than a window from the one before, together far off."""
    strays = [Step(CLIENT, SYN, n * (FOREIGN - 1000), 0) for n in range(1, 4)]
    (history,) = histories_of(transfer(2, 0, {-1: strays}))
    assert closes_in_order(history)


def test_flows_that_come_no_further_than_a_window_are_left_as_they_are() -> None:
    table = connections_of(transfer(1, 1))
    apart, reached = set_apart(table)
    assert apart is table
    assert not reached.any()


def test_the_last_number_of_gigabytes_is_a_candidate() -> None:
    """And most of what lies between is not."""
    table = connections_of(transfer(200, 0))
    chosen = candidate_rows(set_apart(table)[0])
    data = [row for row in chosen.tolist() if table.length[row]]
    assert max(table.end[data]) == 1 + 200 * STEP
    assert len(chosen) < 80
