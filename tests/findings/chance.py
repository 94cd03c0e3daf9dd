"""Conversations made by chance, with all that sequence analysis has a rule for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pcapreport.capture.packet_table import COLUMNS, Flag, PacketTable

FIN, SYN, RST, PSH, ACK = (int(flag) for flag in (Flag.FIN, Flag.SYN, Flag.RST, Flag.PSH, Flag.ACK))
START = 1_700_000_000 * 10**9
STEPS = (1, 1000, 100_000, 2_000_000, 2_999_999, 10_000_000, 30_000_000, 1_500_000_000)
"""ns between segments, about the limits of the rules."""
SERVER = 0xC0A80101


class Sent(NamedTuple):
    """One segment; `side` 0 connects."""

    time_ns: int
    side: int
    seq: int
    ack: int
    flags: int
    length: int
    window: int
    scale: int
    mptcp: int


class _Talk:
    """One conversation as it is made up; `wild`: also what no end would send."""

    def __init__(self, chance: random.Random, wild: bool) -> None:
        self.chance, self.wild = chance, wild
        self.isn = [chance.randrange(1 << 32) if chance.random() < 0.7 else -chance.randrange(3000) for _ in "ab"]
        self.next = self.isn[:]
        self.windows = [chance.choice((0, 100, 200, 300) if wild else (100, 200, 300)) for _ in "ab"]
        self.mptcp = wild and chance.random() < 0.02
        self.time_ns = START + chance.randrange(10**9)
        self.sent: list[list[tuple[int, int]]] = [[], []]
        self.segments: list[Sent] = []

    def send(self, side: int, seq: int, ack: int, flags: int, length: int = 0) -> None:
        step = self.chance.choice(STEPS)
        self.time_ns += step if self.chance.random() < 0.97 else -min(step, 10_000_000)
        scale = self.chance.choice((-1, 1, 1)) if flags & SYN else -1
        mptcp = self.chance.choice((2, 5, 7)) if self.mptcp and self.chance.random() < 0.3 else -1
        numbers = (seq % (1 << 32), ack % (1 << 32), flags, length, self.windows[side], scale, mptcp)
        self.segments.append(Sent(self.time_ns, side, *numbers))

    def open(self) -> None:
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            self.send(0, self.isn[0], self.chance.choice((0, 0, 0, 77)), SYN, self.chance.choice((0, 0, 0, 10)))
        self.next[0] += 1
        if self.chance.random() < 0.8:
            self.send(1, self.isn[1], self.next[0], SYN | ACK)
            self.next[1] += 1
            if self.chance.random() < 0.1:
                self.send(self.chance.randrange(2), self.isn[0], 0, SYN)
        if self.chance.random() < 0.8:
            self.send(0, *self.next, ACK)

    def go_on(self) -> None:
        acks = self.next[::-1]
        for _ in range(self.chance.randrange(2, 60)):
            side = self.chance.randrange(2)
            if self.chance.random() < 0.1:
                self.windows[side] = self.chance.choice((0, 1, 10, 100, 200) if self.wild else (10, 100, 200))
            acks[side] = self.acknowledgment(side, acks[side])
            seq, length, flags = self.piece(side)
            self.send(side, seq, acks[side], flags, length)
            if length:
                self.sent[side].append((seq, length))
            end = seq + length + bool(flags & (SYN | FIN))
            if 0 < (end - self.next[side]) % (1 << 32) < 2000:
                self.next[side] = end

    def acknowledgment(self, side: int, before: int) -> int:
        peer, chance = 1 - side, self.chance
        kind = chance.random()
        if kind < 0.25:
            return self.next[peer]
        if kind < 0.3:
            return self.next[peer] + chance.choice((1, 10, 20))
        if kind < 0.4 and self.sent[peer]:
            return sum(chance.choice(self.sent[peer][-4:]))
        return chance.randrange(1 << 32) if self.wild and kind > 0.995 else before

    def piece(self, side: int) -> tuple[int, int, int]:
        """(sequence number, length, flags)."""
        chance, following = self.chance, self.next[side]
        kind = chance.random() * (1 if self.wild or chance.random() < 0.005 else 0.62)
        if kind < 0.3:
            return following, chance.choice((1, 1, 10, 20, 50)), ACK
        if kind < 0.4:
            return following + chance.choice((1, 1, 10, 20)), chance.choice((1, 10, 20)), ACK
        if kind < 0.5 and self.sent[side]:
            seq, length = chance.choice(self.sent[side][-5:])
            return seq, max(length + chance.choice((0, 0, 0, -1, 5, 1)), 0), ACK
        if kind < 0.56:
            return following - 1, chance.choice((0, 0, 1, 1, 5)), ACK
        if kind < 0.6:
            return following, 0, FIN | ACK
        if 0.62 < kind < 0.68:
            other = chance.choice((self.isn[side], self.isn[side], self.isn[side] + 500))
            return other, 0, chance.choice((SYN, SYN | ACK))
        if 0.68 < kind < 0.72:
            return following, 0, chance.choice((RST, RST | ACK, PSH))
        if 0.72 < kind < 0.74:
            return (
                chance.randrange(1 << 32),
                chance.choice((0, 1, 10)),
                chance.choice((ACK, ACK, chance.randrange(512))),
            )
        return following, 0, ACK


def conversation(chance: random.Random, wild: bool) -> list[Sent]:
    """One conversation; a tame one has neither zero windows nor, but seldom, control flags in its middle."""
    talk = _Talk(chance, wild)
    if chance.random() < 0.6:
        talk.open()
    talk.go_on()
    return talk.segments


def packets_by_chance(seed: int, count: int, wild: bool) -> PacketTable:
    """The packet table of so many conversations, each a 4-tuple, in turns as far as they go."""
    chance = random.Random(seed)
    return packets_of([conversation(chance, wild) for _ in range(count)])


def packets_of(conversations: list[list[Sent]]) -> PacketTable:
    """One segment of each in turn, so that a capture holds all at once."""
    segments = list(_in_turns(conversations))
    columns = {name: np.zeros(len(segments), column.dtype) for name, column in COLUMNS.items()}
    columns["frame"] += np.arange(1, len(segments) + 1)
    columns["ip_version"][:], columns["sack"][:] = 4, -1
    number = np.array([number for number, _ in segments], np.uint64)
    side = np.array([segment.side for _, segment in segments])
    lower = np.where(number % 2 == 0, 0x0A000000, 0xC0B00000) + number
    for way, port, connects in (("src_lo", "sport", 0), ("dst_lo", "dport", 1)):
        columns[way][:] = np.where(side == connects, lower, SERVER)
        columns[port][:] = np.where(side == connects, 1000, 2000)
    fields = {"time_ns": 0, "seq": 2, "ack": 3, "flags": 4, "payload_len": 5, "window": 6, "window_scale": 7}
    for name, at in fields.items():
        columns[name][:] = [segment[at] for _, segment in segments]
    columns["mptcp"][:] = [1 << segment.mptcp if segment.mptcp >= 0 else 0 for _, segment in segments]
    return PacketTable(columns, np.empty((0, 4, 2), np.uint32), ("ethernet",))


def _in_turns(conversations: list[list[Sent]]) -> Iterator[tuple[int, Sent]]:
    for turn in range(max(map(len, conversations))):
        for number, segments in enumerate(conversations):
            if turn < len(segments):
                yield number, segments[turn]
