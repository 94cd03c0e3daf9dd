"""The register of causes, and the truth that each leaves beside its captures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from kernel_lab.play import Settings

from .stage import Stage

TAPS = ("client", "middle", "server")
Play = Callable[[Stage], None]


@dataclass(frozen=True)
class Cause:
    """A play whose outcome has one known cause.

    ``side``: client, server, network or none; "" if each play says so itself (Stage.blame). ``hidden_at``: taps at
    which no one could tell the side. ``family``: under which the table counts it. ``seeds``: variants to record.
    """

    name: str
    summary: str
    play: Play
    side: str
    family: str
    hidden_at: tuple[str, ...]
    seeds: int
    settings: Callable[[int], Settings]


CAUSES: dict[str, Cause] = {}


def cause(
    side: str,
    family: str,
    seeds: int = 2,
    hidden_at: tuple[str, ...] = (),
    settings: Callable[[int], Settings] = lambda seed: {},
) -> Callable[[Play], Play]:
    """Register a play under its function's name."""

    def register(play: Play) -> Play:
        summary = " ".join((inspect.getdoc(play) or "").split())
        CAUSES[play.__name__] = Cause(play.__name__, summary, play, side, family, hidden_at, seeds, settings)
        return play

    return register
