"""Snoop files (RFC 1761)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest

from pcapreport.capture import Capture

from . import builders as make
from .builders import SEGMENT, START, read


def snoop_record(
    data: bytes, micro: int = 0, drops: int = 0, wire_len: int | None = None, pad: int | None = None
) -> bytes:
    padding = bytes(-len(data) % 4 if pad is None else pad)
    sent = len(data) if wire_len is None else wire_len
    return struct.pack(">6I", sent, len(data), 24 + len(data) + len(padding), drops, START, micro) + data + padding


def snoop(records: Iterable[bytes], data_link: int = 4) -> bytes:
    return b"snoop\0\0\0" + struct.pack(">II", 2, data_link) + b"".join(records)


def sequences(capture: Capture) -> list[int]:
    return [int(number) for number in capture.table["seq"]]


def test_records_with_times_lengths_and_drops() -> None:
    capture = read(snoop([snoop_record(SEGMENT, 5), snoop_record(SEGMENT[:55], 7, 3, len(SEGMENT))]))
    assert (capture.container, capture.byte_order, capture.packets, capture.complete) == ("snoop", "big", 2, True)
    assert capture.table["time_ns"].tolist() == [START * 10**9 + 5_000, START * 10**9 + 7_000]
    assert capture.table["cap_len"].tolist() == [59, 55]
    assert capture.table["payload_len"].tolist() == [5, 5]
    assert capture.interfaces[0].drops == 3


def test_an_unknown_data_link_is_named_and_counted() -> None:
    capture = read(snoop([snoop_record(SEGMENT)], 17))
    assert capture.other_packets == {"snoop data link 17": 1}
    assert capture.interfaces[0].link_name == "snoop data link 17"


@pytest.mark.parametrize("length", [0, 23, 0x7FFF_FFFF])
def test_reading_goes_on_behind_a_record_of_impossible_length(length: int) -> None:
    good = [snoop_record(make.ethernet(make.ipv4(make.tcp(seq=number)))) for number in range(7)]
    good[3] = good[3][:8] + struct.pack(">I", length) + good[3][12:]
    capture = read(snoop(good))
    assert sequences(capture) == [0, 1, 2, 4, 5, 6]
    assert [(problem.code, problem.skipped) for problem in capture.problems] == [("absurd_length", len(good[3]))]


def test_a_record_that_claims_more_than_it_holds_keeps_what_it_holds() -> None:
    bad = struct.pack(">6I", 500, 400, 24 + 60, 0, START, 0) + SEGMENT + b"\0"
    capture = read(snoop([bad, snoop_record(SEGMENT)]))
    assert capture.packets == 2
    assert capture.table["cap_len"].tolist() == [60, 59]
    assert [problem.code for problem in capture.problems] == ["captured_above_block"]
    assert not capture.complete


@pytest.mark.parametrize("cut", range(1, 84))
def test_a_cut_last_record_is_reported(cut: int) -> None:
    capture = read(snoop([snoop_record(SEGMENT)] * 3)[:-cut])
    assert capture.packets == 2
    assert not capture.complete


def test_records_that_lead_nowhere_are_not_followed_for_ever() -> None:
    """Found by fuzzing: a record that says it takes no bytes at all leads to itself."""
    looping = bytearray(snoop_record(SEGMENT))
    looping[8:12] = bytes(4)
    beyond = struct.pack(">6I", 5_000, 5_000, 5_024, 0, START, 0)
    capture = read(snoop([snoop_record(SEGMENT), beyond, snoop_record(SEGMENT), looping]))
    assert capture.packets == 1
    assert [problem.code for problem in capture.problems] == ["record_cut"]
