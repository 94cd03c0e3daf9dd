"""How much the reader takes on before it stops and says so."""

from __future__ import annotations

from dataclasses import dataclass

MAX_RECORD_BYTES = 262_144
"""Largest sensible captured length; libpcap's MAXIMUM_SNAPLEN and Wireshark's WTAP_MAX_PACKET_SIZE_STANDARD."""

MAX_DECOMPRESSED_BYTES = 64 << 30
"""64 GiB: beyond any capture that one sitting of analysis makes sense for."""

MAX_SNAPLEN = 128 << 20
"""Longest record that a file may allow itself by its own snaplen: libpcap's largest, for D-Bus and USB."""

MAX_BLOCK_OVERHEAD = 16 << 20
"""Most bytes that the options of one packet may take (comments of 64 KiB each, and more than one)."""

MAX_RATIO = 250
"""Captures shrink to a half up to a thirtieth; gzip can reach 1032:1 (zlib's technical notes), the others far more."""

RATIO_FREE_BYTES = 1 << 30
"""The ratio is not looked at below this decompressed size: a small capture of idle packets may shrink a lot."""

MAX_DAMAGES = 1_000
"""Damaged places of one file after which reading stops: each costs a search, and such a file is no evidence."""

MAX_ICMP_ERRORS = 100_000
"""ICMP errors kept as evidence; those beyond are counted."""

MAX_COMMENTS = 1_000
MAX_COMMENT_CHARACTERS = 4_096
"""Comments are for people; what is beyond this is no comment."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one capture may cost, in bytes."""

    decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
    ratio: int = MAX_RATIO
    ratio_free_bytes: int = RATIO_FREE_BYTES
    record_bytes: int = MAX_RECORD_BYTES
    """Captured length above which a record is damage, unless the file's own snaplen is larger."""

    def record(self, snaplen: int) -> int:
        """Captured bytes above which a record is damage, in a file or of an interface of this snaplen."""
        return max(self.record_bytes, min(snaplen, MAX_SNAPLEN))

    def block(self, snaplen: int) -> int:
        """Bytes of a whole pcapng packet block above which it is damage."""
        return self.record(snaplen) + MAX_BLOCK_OVERHEAD

    def allowed(self, compressed_bytes: int) -> int:
        """Bytes that a compressed file of this size may grow to."""
        return min(self.decompressed_bytes, max(self.ratio_free_bytes, self.ratio * compressed_bytes))


DEFAULT_LIMITS = Limits()
