"""IP addresses as the packet table keeps them (version, upper and lower 64 bits), as text and as hashes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import numpy as np
import numpy.typing as npt

from pcapreport.tcp import hashing
from pcapreport.tcp.hashing import Numbers


@lru_cache(maxsize=1 << 16)
def text_of(version: int, high: int, low: int) -> str:
    """As people write it (RFC 5952 for IPv6)."""
    if version == 4:
        return f"{low >> 24}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return str(IPv6Address(high << 64 | low))


def hashed(columns: Sequence[npt.NDArray[np.generic]]) -> Numbers:
    """64 bits for each row of version, upper and lower half (and a port, or another such address, if those follow):
    two addresses that share them would be taken for one."""
    return hashing.mixed([np.asarray(column, np.uint64) for column in columns])


def hash_of(address: str) -> int:
    """What `hashed` makes of this address alone."""
    parsed = ip_address(address)
    high, low = divmod(int(parsed), 1 << 64)
    return int(hashed([np.array([number], np.uint64) for number in (parsed.version, high, low)])[0])
