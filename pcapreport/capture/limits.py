"""How much the reader takes on before it stops and says so."""

from __future__ import annotations

from dataclasses import dataclass

MAX_RECORD_BYTES = 262_144
"""Largest sensible captured length; libpcap's MAXIMUM_SNAPLEN and Wireshark's WTAP_MAX_PACKET_SIZE_STANDARD."""

MAX_DECOMPRESSED_BYTES = 64 << 30
"""64 GiB: beyond any capture that one sitting of analysis makes sense for."""

MAX_RATIO = 1_100
"""Deflate cannot exceed 1032:1 (zlib's technical notes), so only a bz2, xz or zstd bomb is above this."""

RATIO_FREE_BYTES = 1 << 30
"""The ratio is not looked at below this decompressed size: a small capture of idle packets may shrink a lot."""

MAX_COMMENTS = 1_000
MAX_COMMENT_CHARACTERS = 4_096
"""Comments are for people; what is beyond this is no comment."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one capture may cost, in bytes."""

    decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
    ratio: int = MAX_RATIO
    record_bytes: int = MAX_RECORD_BYTES
    """Captured length above which a record is damage, unless the file's own snaplen is larger."""

    def allowed(self, compressed_bytes: int) -> int:
        """Bytes that a compressed file of this size may grow to."""
        return min(self.decompressed_bytes, max(RATIO_FREE_BYTES, self.ratio * compressed_bytes))


DEFAULT_LIMITS = Limits()
