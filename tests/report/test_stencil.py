"""What is encoded together is to the byte what is encoded one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcapreport.capture import read_capture
from pcapreport.report import history_records, model
from pcapreport.report.history_records import endpoints_record, endpoints_texts
from pcapreport.report.stencil import Stencil, numbers, seconds, strings, where
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.vantage import UNKNOWN_NS, find_vantages

SAMPLES = sorted((Path(__file__).parents[2] / "sample_pcaps").glob("*.pcap*"))
NS = st.integers(-(1 << 62), 1 << 62)
encode = model.encoder().encode


@given(st.lists(st.tuples(NS, st.none() | NS, st.integers(0, 1 << 32), st.text()), max_size=20))
def test_a_filled_stencil_is_each_record_encoded(rows: list[tuple[int, int | None, int, str]]) -> None:
    stencil = Stencil(len(rows))
    at, until, frame = (np.array([row[i] or 0 for row in rows], np.int64) for i in range(3))
    given_until = np.array([row[1] is not None for row in rows], bool)
    texts = [row[3] for row in rows]
    filled = stencil.fill(
        model.Transition(
            state=stencil.texts(strings(texts)),
            entered_s=(stencil.seconds(at), stencil.texts(where(given_until, seconds(until)))),
            estimate_s=stencil.optional(given_until, seconds(until)),
            frame=stencil.numbers(frame),
            rule="E1",
            certainty="proven",
        )
    )
    one_by_one = [
        model.Transition(
            state=text,
            entered_s=(a / SECOND, None if b is None else b / SECOND),
            estimate_s=None if b is None else b / SECOND,
            frame=c,
            rule="E1",
            certainty="proven",
        )
        for a, b, c, text in rows
    ]
    assert list(filled) == [encode(record) for record in one_by_one]


def test_a_text_that_looks_like_a_slot_is_none() -> None:
    stencil = Stencil(1)
    record = model.Endpoint(address="\0" + "0\0", port=stencil.numbers(np.array([80])))
    assert list(stencil.fill(record)) == [encode(model.Endpoint(address="\0" + "0\0", port=80))]


def test_no_record_is_filled_as_none_and_no_number_is_no_text() -> None:
    stencil = Stencil(0)
    nothing = np.empty(0, np.int64)
    assert list(stencil.fill(model.Endpoint(address="a", port=stencil.numbers(nothing)))) == []
    assert numbers(nothing) == seconds(nothing) == []


@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_histories_told_together_are_those_told_one_by_one(
    path: Path, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a round trip was not measured, which is another estimate."""
    monkeypatch.setattr(history_records, "LEAST_ALIKE", least)
    capture = read_capture(path)
    table = find_connections(capture.table, Settings())
    histories = reconstruct_all(table, capture.last_ns or 0, Settings())
    trips, clock = find_vantages(table, Settings()).round_trip.copy(), Clock(capture.first_ns or 0)
    trips[::3, 0] = trips[1::3, 1] = UNKNOWN_NS
    one_by_one = [
        encode(endpoints_record(one, trip, clock)) for one, trip in zip(histories, trips.tolist(), strict=True)
    ]
    for family in histories.families:
        expected = [one_by_one[member] for member in family.members.tolist()]
        assert endpoints_texts(family, histories, trips, clock) == expected


def test_one_column_told_since_two_moments_is_two_columns() -> None:
    times, stencil = np.array([3 * SECOND, 5 * SECOND]), Stencil(2)
    record = model.TimeSpent(client_s=stencil.seconds(times), server_s=stencil.seconds(times, SECOND))
    assert [json.loads(text) for text in stencil.fill(record)] == [
        {"client_s": 3.0, "server_s": 2.0},
        {"client_s": 5.0, "server_s": 4.0},
    ]
