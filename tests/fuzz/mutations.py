"""Mutations that know where a capture's fields are: its header, its records or blocks, and the packets' headers.

A flipped byte somewhere mostly lands in payload. These aim at what a reader believes: magic, version, link type and
snaplen, lengths, times, interface numbers, option codes, and the first bytes of a frame, where the protocols are.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from random import Random

MOST_UNPACKED = 1 << 20
"""Bytes of a compressed seed that are mutated inside; larger ones are mutated as they are."""

NUMBERS = (0, 1, 2, 4, 12, 20, 40, 63, 65_535, 65_536, 262_144, 262_145, 1 << 24, 0x7FFF_FFFF, 0xFFFF_FFFF)
"""What lengths, counts and times are set to; the limits of the reader are among them."""

KINDS = (0, 1, 2, 3, 4, 5, 6, 9, 10, 0xBAD, 0x0A0D_0D0A, 4, 6, 17, 41, 43, 44, 47, 51, 60, 97, 101, 108, 113, 137, 276)
"""What types are set to: blocks, options, IP protocols and link types."""

_HEADERS = 96
"""Bytes of a frame among which its protocol headers are."""


def mutate(data: bytes, random: Random, most: int = 1 << 16) -> bytes:
    """The same capture with one to five things wrong with it, at most `most` bytes long."""
    if data[:2] == b"\x1f\x8b" and random.random() < 0.8:
        plain = _unpacked(data)
        if plain:
            return gzip.compress(mutate(plain, random, MOST_UNPACKED), 1)[:most]
    mutant = bytearray(data)
    for _ in range(random.randint(1, 5)):
        spots = _spots(mutant)
        random.choice(_MUTATIONS)(mutant, spots, random)
    return bytes(mutant[:most])


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, MOST_UNPACKED)
    except zlib.error:
        return b""


Spot = tuple[int, int, int]
"""Where a record or block starts, where its packet or body starts, where it ends."""
Mutation = Callable[[bytearray, list[Spot], Random], None]


def _spots(data: bytearray) -> list[Spot]:
    """The records or blocks of a capture as far as they can be followed; none if it has none."""
    start = bytes(data[:4])
    if start == b"\n\r\r\n":
        return _follow(data, 0, "<" if data[8:9] == b"\x4d" else ">", 4, 0, 28)
    if start == b"snoo":
        return _follow(data, 16, ">", 8, 0, 24)
    order = "<" if start[-1:] == b"\xa1" else ">"
    head = 24 if b"\x34" in start and b"\xcd" in start else 16
    return _follow(data, 24, order, 8, head, head)


def _follow(data: bytearray, at: int, order: str, length_at: int, extra: int, head: int) -> list[Spot]:
    spots = []
    while at + head <= len(data) and len(spots) < 4_096:
        end = at + extra + struct.unpack_from(order + "I", data, at + length_at)[0]
        if not at < end <= len(data):
            break
        spots.append((at, min(at + head, end), end))
        at = end
    return spots


def _in_header(data: bytearray, spots: list[Spot], random: Random) -> None:
    """A number of the file's own header."""
    _set(data, random.randrange(0, 28, 2), random)


def _in_record(data: bytearray, spots: list[Spot], random: Random) -> None:
    """A number of a record's or block's header, or of its last bytes: length, time, interface, options."""
    if spots:
        start, body, end = random.choice(spots)
        at = random.choice([random.randrange(start, body, 2), max(start, end - 4 * random.randint(1, 8))])
        _set(data, at, random)


def _in_packet(data: bytearray, spots: list[Spot], random: Random) -> None:
    """Some of the first bytes of a packet, where its protocol headers are."""
    if spots:
        _, body, end = random.choice(spots)
        for _ in range(random.randint(1, 4)):
            at = body + random.randrange(_HEADERS)
            if at < end:
                data[at] = random.choice([random.randrange(256), data[at] ^ 1 << random.randrange(8), 0, 255])


def _anywhere(data: bytearray, spots: list[Spot], random: Random) -> None:
    for _ in range(random.randint(1, 8)):
        if data:
            data[random.randrange(len(data))] = random.randrange(256)


def _move(data: bytearray, spots: list[Spot], random: Random) -> None:
    """A record is taken out, put elsewhere, or is there more than once."""
    if spots:
        start, _, end = random.choice(spots)
        record = bytes(data[start:end])
        if random.random() < 0.5:
            del data[start:end]
        place = random.choice(spots)[0]
        data[place:place] = record * random.choice([0, 1, 1, 1, 3, 40])


def _noise(data: bytearray, spots: list[Spot], random: Random) -> None:
    """Foreign bytes between two records, or zeros as a crashed machine leaves them."""
    place = random.choice(spots)[0] if spots else random.randint(0, len(data))
    size = random.choice([1, 2, 3, 4, 16, 61, 400])
    data[place:place] = bytes(size) if random.random() < 0.3 else random.randbytes(size)


def _cut(data: bytearray, spots: list[Spot], random: Random) -> None:
    """The end is missing, or a stretch in the middle."""
    start = random.randint(0, len(data))
    stop = len(data) if random.random() < 0.6 else start + random.randint(0, 64)
    del data[start:stop]


def _shorten(data: bytearray, spots: list[Spot], random: Random) -> None:
    """A record keeps fewer bytes and says so, as with a small snaplen (records of classic pcap)."""
    if spots and data[:4] != b"\n\r\r\n":
        start, body, end = random.choice(spots)
        if end - body > 1 and body - start >= 16:
            kept = random.randrange(end - body)
            struct.pack_into("<I" if data[3] == 0xA1 else ">I", data, start + 8, kept)
            del data[body + kept : end]


def _deepen(data: bytearray, spots: list[Spot], random: Random) -> None:
    """A stretch of a packet's headers comes twice, so that what is nested is nested deeper."""
    if spots:
        _, body, end = random.choice(spots)
        start = body + random.randrange(_HEADERS)
        again = data[start : min(end, start + random.choice([2, 4, 8, 20, 40]))]
        if again:
            data[start:end] = (again + data[start:end])[: end - start]


def _set(data: bytearray, at: int, random: Random) -> None:
    """Write a number of one, two or four bytes in either order: a telling one, or near to what is there."""
    size = random.choice([1, 2, 4, 4])
    order = random.choice(["little", "little", "big"])
    if at + size > len(data):
        return
    known = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
    choices = [random.choice(NUMBERS), random.choice(KINDS), known + random.randint(-8, 8), random.randrange(1 << 32)]
    data[at : at + size] = (random.choice(choices) % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]


_MUTATIONS: tuple[Mutation, ...] = (
    _in_header, _in_record, _in_record, _in_packet, _in_packet, _in_packet, _anywhere, _move, _noise, _cut, _shorten,
    _deepen,
)  # fmt: skip
