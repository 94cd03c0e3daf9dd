"""Time stamps of pcapng interfaces: ticks of any resolution to integer nanoseconds, exactly.

Source: draft-ietf-opsawg-pcapng, options if_tsresol and if_tsoffset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import Ints
from pcapreport.settings import MILLISECOND

MAX_SECONDS = 9_223_372_035
"""Whole seconds since the epoch that still fit 63 bits of nanoseconds (the year 2262)."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time stamps of one interface: ticks of 10^-exponent or 2^-exponent seconds, and an offset in seconds."""

    exponent: int = 6
    binary: bool = False
    offset_s: int = 0

    @property
    def resolution(self) -> str:
        return f"2^-{self.exponent}" if self.binary else f"1e-{self.exponent}"

    def nanoseconds(self, ticks: npt.NDArray[np.uint64]) -> Ints:
        """Ticks (n,) -> ns since the epoch (n,), rounded down; clipped to what 63 bits hold."""
        if self.binary:
            seconds, fraction = self._split_binary(ticks)
        else:
            seconds, fraction = self._split_decimal(ticks)
        whole = np.minimum(seconds, np.uint64(MAX_SECONDS)).astype(np.int64)
        offset = max(-MAX_SECONDS, min(self.offset_s, MAX_SECONDS))
        return np.clip(whole + offset, -MAX_SECONDS, MAX_SECONDS) * 1_000_000_000 + fraction.astype(np.int64)

    def _split_binary(self, ticks: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        if self.exponent > 63:
            return np.zeros_like(ticks), np.zeros_like(ticks)
        fraction = ticks & np.uint64((1 << self.exponent) - 1)
        # 10^9 * fraction must fit 64 bits, so of a finer clock only 34 bits of the fraction are used.
        kept = min(self.exponent, 34)
        fraction = (fraction >> np.uint64(self.exponent - kept)) * np.uint64(10**9) >> np.uint64(kept)
        return ticks >> np.uint64(self.exponent), fraction

    def _split_decimal(self, ticks: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        if self.exponent > 19:
            return np.zeros_like(ticks), np.zeros_like(ticks)
        seconds, fraction = np.divmod(ticks, np.uint64(10**self.exponent))
        if self.exponent <= 9:
            return seconds, fraction * np.uint64(10 ** (9 - self.exponent))
        return seconds, fraction // np.uint64(10 ** (self.exponent - 9))

    @classmethod
    def of_options(cls, resolution: bytes, offset: bytes, order: str) -> Clock:
        """The clock that an interface's options describe; a malformed option counts as absent."""
        code = resolution[0] if resolution else 6
        offset_s = 0
        if len(offset) == 8:
            offset_s = int.from_bytes(offset, "little" if order == "<" else "big", signed=True)
        return cls(code & 0x7F, bool(code & 0x80), offset_s)


def steps_back(frame: Ints, time_ns: Ints, before: int | None = None) -> Ints:
    """Where time runs backwards by more than a millisecond: (n, 3) of the frame, its time, and by how many ns.

    `before` is the time of what stood before the first one. Shorter steps are those of frames that two queues of one
    network card delivered in turn.
    """
    if not len(time_ns):
        return np.empty((0, 3), np.int64)
    steps = np.diff(time_ns, prepend=time_ns[0] if before is None else before)
    back = np.flatnonzero(steps < -MILLISECOND)
    return np.stack([frame[back], time_ns[back], -steps[back]], axis=1)
