"""The register of scenarios and the decorators that enter a function into it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.bench import EthernetBench, PathBench
from lab.path import MIDDLE
from lab.recorders import Pcap, Recorder

SCENARIOS: dict[str, Scenario] = {}


@dataclass(frozen=True)
class Scenario:
    """A named capture and the function that makes its file."""

    name: str
    file_name: str
    summary: str
    make: Callable[[Path], None]


def on_path(
    recorder: Recorder | None = None, *, delay: float = 0.02, taps: tuple[float, ...] = (MIDDLE,)
) -> Callable[[Callable[[PathBench], None]], Callable[[PathBench], None]]:
    """Register a scenario played over the scripted path and recorded by its taps."""
    chosen = recorder or Pcap()

    def register(play: Callable[[PathBench], None]) -> Callable[[PathBench], None]:
        def make(target: Path) -> None:
            with PathBench(delay, taps) as bench:
                play(bench)
                bench.path.wait_until_quiet()
            target.write_bytes(chosen.encode(bench.path.frames))

        _enter(play, chosen.suffix, make)
        return play

    return register


def on_ethernet(
    *, offload: bool = False
) -> Callable[[Callable[[EthernetBench, Path], None]], Callable[[EthernetBench, Path], None]]:
    """Register a scenario played over a veth pair; it starts tcpdump itself."""

    def register(play: Callable[[EthernetBench, Path], None]) -> Callable[[EthernetBench, Path], None]:
        def make(target: Path) -> None:
            with EthernetBench(offload=offload) as bench:
                play(bench, target)

        _enter(play, ".pcap", make)
        return play

    return register


def _enter(play: Callable[..., None], suffix: str, make: Callable[[Path], None]) -> None:
    """Name the scenario after its function."""
    name = play.__name__.replace("_", "-")
    summary = (inspect.getdoc(play) or "").partition("\n")[0]
    SCENARIOS[name] = Scenario(name, name + suffix, summary, make)
