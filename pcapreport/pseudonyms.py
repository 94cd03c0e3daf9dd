"""Pseudonyms: other addresses, ports and names in place of the real ones, always the same ones under the same key.

Whoever has the key can tell whether a pseudonym is that of a given name; whoever has not learns of an address with
which others it shares how many leading bits, of a port its class, of a name nothing. Addresses are replaced by
Crypto-PAn (Xu, Fan, Ammar and Moon, Prefix-Preserving IP Address Anonymization, ICNP 2002): two that share exactly n
leading bits have pseudonyms that share exactly n. The only module that imports yacryptopan.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

KEY_BYTES = 32
DIGITS = 8
"""Of a name's pseudonym, hexadecimal: two of a thousand names meet once in ten thousand batches."""

PORT_CLASSES = (0, 1_024, 10_000, 32_768, 49_152, 61_000, 65_536)
"""Where classes of ports begin: well-known, registered and dynamic ones (RFC 6335 section 6), and within these where
systems begin and end to take the ports of clients (settings.EPHEMERAL_PORTS). A port stays in its class, since who is
taken for the client of a connection without a handshake, and how far a host's ports reach, is judged by that; only of
two well-known ports the lower one is taken for the server's, which may then be the other."""

_KEPT = re.compile(r"(\.(pcapng|pcap|cap|ntar|dmp|snoop|pcapgz))?(\.(gz|bz2|xz|zst))?$", re.IGNORECASE)
"""The end of a file name that says what kind of capture it is; another one may say whose."""

_AT_ONCE = 1 << 20
"""Cipher blocks (16 bytes each) handled at once."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """What names are replaced with under one key."""

    key: bytes = field(repr=False)
    """KEY_BYTES of them; never shown."""
    with_ports: bool = False
    """Ports are to be replaced too."""

    @classmethod
    def of_this_run(cls, with_ports: bool = False) -> Self:
        """Under a key that nobody will know again."""
        return cls(secrets.token_bytes(KEY_BYTES), with_ports)

    @property
    def key_id(self) -> str:
        """Tells keys apart and gives none away."""
        return hashlib.sha256(b"pcapreport anonymize key id\0" + self.key).hexdigest()[:8]

    def name(self, kind: str, text: str) -> str:
        """Such as "host-3f9a2c01" for kind "host"; "" for an empty text."""
        if not text:
            return ""
        return f"{kind}-{_digest(self.key, f'name of {kind}', text.encode('utf-8', 'backslashreplace')).hex()[:DIGITS]}"

    def path(self, path: str) -> str:
        """A relative POSIX path of the same depth; its end tells the kind of capture as before."""
        *folders, file = path.split("/")
        found = _KEPT.search(file)
        ending = found[0].lower() if found else ""
        return "/".join([*(self.name("folder", one) for one in folders), self.name("capture", file) + ending])

    def mac(self, address: bytes) -> bytes:
        """Of a link-layer address: locally administered, so that it names no vendor; to a group if that one is.

        All ones (everyone) and all zeros (nobody) stay.
        """
        if len(set(address)) == 1 and address[0] in (0x00, 0xFF):
            return address
        first, *others = _digest(self.key, "mac", address)[: len(address)]
        return bytes([first & 0xFC | 0x02 | address[0] & 0x01, *others])

    def address(self, text: str) -> str:
        """Of an IPv4 or IPv6 address."""
        packed = np.frombuffer(ip_address(text).packed, np.uint8)
        return str(ip_address(self.addresses(packed[np.newaxis]).tobytes()))

    def addresses(self, packed: Bytes) -> Bytes:
        """Of IPv4 or IPv6 addresses as they stand in packets: (n, 4) or (n, 16) bytes."""
        step = max(1, _AT_ONCE // (8 * packed.shape[1]))
        parts = [_encrypted(self.key, packed[start : start + step]) for start in range(0, len(packed), step)]
        return np.concatenate([packed[:0], *parts])

    def ports(self) -> npt.NDArray[np.uint16]:
        """By port: a permutation of each of PORT_CLASSES, or every port itself where they are not to be replaced."""
        return _permuted(self.key) if self.with_ports else np.arange(1 << 16, dtype=np.uint16)


def _digest(key: bytes, purpose: str, data: bytes = b"") -> bytes:
    """32 bytes that are of no use for another purpose."""
    return hmac.digest(key, purpose.encode() + b"\0" + data, "sha256")


def available() -> bool:
    """The library that replaces addresses is there; it comes with an extra of this package."""
    try:
        _crypto_pan(bytes(KEY_BYTES))
    except ImportError:
        return False
    return True


@lru_cache(maxsize=4)
def _crypto_pan(key: bytes) -> Any:
    from yacryptopan import CryptoPAn

    return CryptoPAn(_digest(key, "addresses"))


def _encrypted(key: bytes, packed: Bytes) -> Bytes:
    """What the library's `anonymize_bin` makes of each, but with one call of its cipher for all.

    Bit n of an address is flipped by the first bit of the cipher of a block: n bits of the address, then the padding.
    The library makes these blocks one by one, which takes 0.3 ms an address (1 ms for IPv6), and floods have a hundred
    thousand; so this reaches for its cipher and its padding, and a test holds it to the library's own results.
    """
    library, bits = _crypto_pan(key), 8 * packed.shape[1]
    of_address = np.packbits(np.tri(bits, 128, -1, np.uint8), axis=1).view(np.uint64)
    padding = np.frombuffer(library._padding_int.to_bytes(16, "big"), np.uint64)
    whole = np.zeros((len(packed), 16), np.uint8)
    whole[:, : packed.shape[1]] = packed
    blocks = whole.view(np.uint64)[:, np.newaxis, :] & of_address | padding & ~of_address
    cipher = np.frombuffer(library._cipher.encrypt(blocks.tobytes()), np.uint8)
    flips = cipher.reshape(len(packed), bits, 16)[:, :, 0] >> 7
    return packed ^ np.packbits(flips, axis=1)


@lru_cache(maxsize=4)
def _permuted(key: bytes) -> npt.NDArray[np.uint16]:
    """Ports in the order of keyed numbers, class by class."""
    stream = hashlib.shake_256(_digest(key, "ports")).digest(8 << 16)
    numbers = np.frombuffer(stream, "<u8")
    order = [
        first + np.argsort(numbers[first:end], kind="stable")
        for first, end in zip(PORT_CLASSES[:-1], PORT_CLASSES[1:], strict=True)
    ]
    table = np.concatenate(order).astype(np.uint16)
    table.setflags(write=False)
    return table
