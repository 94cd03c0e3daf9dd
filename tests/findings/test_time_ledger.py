"""What the ledger of time must keep to, whatever the capture."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapreport.capture import read_capture
from pcapreport.findings.model import Evidence
from pcapreport.findings.passes import Passes
from pcapreport.findings.time_ledger import Part, TimeLedger
from pcapreport.report.model import Responses
from pcapreport.report.time_records import Times
from pcapreport.settings import MILLISECOND, SECOND, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all

from .scenario import START, Frame, Scenario, load

SCENARIOS = {path.stem: load(path) for path in sorted((Path(__file__).parent / "scenarios").glob("*.pkt"))}
SAMPLES = sorted((Path(__file__).parents[2] / "sample_pcaps").glob("*.pcap*"))


def adds_up(evidence: Evidence, ledger: TimeLedger) -> None:
    table = evidence.table
    for connection, spent in enumerate(ledger.spent.tolist()):
        times = table.time_ns[table.rows_of(connection)]
        assert min(spent) >= 0
        assert sum(spent) == int(times.max() - times.min())


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_parts_add_up_in_scenarios(name: str) -> None:
    evidence = SCENARIOS[name].evidence()
    adds_up(evidence, evidence.ledger)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_parts_add_up_in_samples(path: Path) -> None:
    capture, chosen = read_capture(path), Settings()
    table = find_connections(capture.table)
    histories = reconstruct_all(table, capture.last_ns or 0, chosen)
    evidence = Evidence(capture, table, histories, Passes.of(table, chosen), chosen)
    adds_up(evidence, evidence.ledger)


flag_sets = st.sampled_from([2, 18, 16, 24, 17, 25, 4, 20, 0])
frames = st.lists(
    st.builds(
        Frame,
        time_ns=st.integers(0, 20).map(lambda n: START + n * 100 * MILLISECOND),
        sender=st.sampled_from("CS"),
        flags=flag_sets,
        seq=st.integers(0, 40),
        length=st.integers(0, 10),
        ack=st.integers(0, 40),
        window=st.sampled_from([0, 10, 1_000]),
        ip_id=st.integers(0, 20),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(frames)
def test_parts_add_up_whatever_is_sent(sent: list[Frame]) -> None:
    evidence = Scenario("any", list(sent)).evidence()
    adds_up(evidence, evidence.ledger)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5_000), st.integers(1, 5_000), st.booleans())
def test_who_thinks_is_told(question_ms: int, answer_ms: int, server_asks: bool) -> None:
    """A conversation over a path that takes no time: each pause belongs to whoever speaks next."""
    asks, answers = ("S", "C") if server_asks else ("C", "S")
    moment = START + SECOND
    talk = [
        Frame(START, "C", 2, 0, 0, 0, 64_000, 1),
        Frame(START, "S", 18, 0, 0, 1, 64_000, 1),
        Frame(START, "C", 16, 1, 0, 1, 64_000, 2),
        Frame(moment, asks, 24, 1, 100, 1, 64_000, 3),
        Frame(moment, answers, 16, 1, 0, 101, 64_000, 4),
        Frame(moment + answer_ms * MILLISECOND, answers, 24, 1, 50, 101, 64_000, 5),
        Frame(moment + answer_ms * MILLISECOND, asks, 16, 101, 0, 51, 64_000, 6),
        Frame(moment + (answer_ms + question_ms) * MILLISECOND, asks, 24, 101, 70, 51, 64_000, 7),
    ]
    spent = Scenario("talk", list(talk)).evidence().ledger.spent[0]
    asker, answerer = (Part.SERVER, Part.CLIENT) if server_asks else (Part.CLIENT, Part.SERVER)
    assert spent[answerer] == answer_ms * MILLISECOND
    assert spent[asker] == question_ms * MILLISECOND + SECOND


def test_response_times_name_the_slowest() -> None:
    evidence = SCENARIOS["slow_response"].evidence()
    (text,) = Times.of_all(evidence).responses
    responses = msgspec.json.decode(text, type=Responses)
    turns = evidence.ledger.turns
    worst = int(np.argmax(np.where(turns.side == 1, turns.took_ns, -1)))
    assert responses.longest_s == int(turns.took_ns[worst]) / SECOND
    assert responses.longest_response_frame == int(evidence.table.frame[turns.answered[worst]])
    assert responses.count == int((turns.side == 1).sum())
    assert responses.median_s <= responses.p95_s <= responses.longest_s
