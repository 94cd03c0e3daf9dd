"""The register of scenarios and the decorator that enters a function into it."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from kernel_lab.play import Scenario, Settings, Talk

SCENARIOS: dict[str, Scenario] = {}
Play = Callable[[Talk], None]


def on_both(**settings: str) -> Settings:
    """The same IPv4 (and TCP) settings on both hosts."""
    named = {f"ipv4/{name}": value for name, value in settings.items()}
    return {"A": named, "B": dict(named)}


def scenario(
    *paths: str, settings: Callable[[int], Settings] = lambda seed: {}, to_the_end: bool = False
) -> Callable[[Play], Play]:
    """Register a play under its function's name; ``settings`` are chosen by the seed of the run."""

    def register(play: Play) -> Play:
        summary = " ".join((inspect.getdoc(play) or "").split())
        SCENARIOS[play.__name__] = Scenario(play.__name__, summary, play, paths or ("clean",), settings, to_the_end)
        return play

    return register
