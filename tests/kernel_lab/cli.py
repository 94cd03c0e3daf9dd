"""The command line of the laboratory: play scenarios, score what was recorded."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import traceback
from pathlib import Path
from typing import Any

from .play import perform
from .record import write
from .scenarios import SCENARIOS
from .tracing import KernelTrace


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernel_lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="play scenarios and record them (needs root)")
    run.add_argument("--out", type=Path, required=True, metavar="DIR")
    run.add_argument("--scenarios", default="", metavar="A,B", help="only these")
    run.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each scenario")
    run.add_argument("--first-seed", type=int, default=0, metavar="N")
    run.add_argument("--connections", type=int, default=4, metavar="N", help="plays side by side in a run")
    run.add_argument("--to-the-end", action="store_true", help="go on until every TIME-WAIT is over")
    run.add_argument("--compact", action="store_true", help="headers only, compressed, as the runs of this repository")
    run.add_argument("--jobs", type=int, default=4, metavar="N", help="runs at a time")
    score = commands.add_parser("score", help="compare reports with what was recorded")
    score.add_argument("folder", type=Path, metavar="DIR")
    score.add_argument("--wrong", action="store_true", help="name every connection that is told wrong")
    score.add_argument("--scorer", type=Path, metavar="SCORE.PY", help="check against another scorer's counts")
    commands.add_parser("accuracy", help="write what the runs of this repository score: tables, lists of what is wrong")
    verdicts = commands.add_parser("verdicts", help="judge verdicts by runs of known cause, and perhaps record these")
    verdicts.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="of this repository unless given")
    verdicts.add_argument("--record", action="store_true", help="record them anew first (needs root)")
    verdicts.add_argument("--causes", default="", metavar="A,B", help="record only these")
    verdicts.add_argument("--first-seed", type=int, default=0, metavar="N", help="others than those recorded")
    verdicts.add_argument("--jobs", type=int, default=6, metavar="N", help="plays at a time")
    verdicts.add_argument("--all", action="store_true", help="show every verdict, not only those that are not right")
    commands.add_parser("list", help="name the scenarios")
    chosen = parser.parse_args(arguments)
    if chosen.command == "list":
        for name, scenario in SCENARIOS.items():
            print(f"{name:20} {scenario.summary}")
        return 0
    if chosen.command == "run":
        return _run(chosen)
    if chosen.command == "accuracy":
        from .accuracy import update

        return update()
    if chosen.command == "verdicts":
        return _verdicts(chosen)
    from .tables import report

    return report(chosen.folder, chosen.wrong, chosen.scorer)


def _verdicts(chosen: argparse.Namespace) -> int:
    from . import verdicts

    folder = chosen.folder or verdicts.RUNS
    if chosen.record:
        from .causes.record import record

        if record(folder, [name for name in chosen.causes.split(",") if name], chosen.jobs, chosen.first_seed):
            return 2
    return verdicts.report(folder, chosen.all)


def _run(chosen: argparse.Namespace) -> int:
    names = [name for name in chosen.scenarios.split(",") if name] or list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        print(f"no such scenario: {', '.join(unknown)}")
        return 2
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    jobs = [
        (name, seed, slot, chosen)
        for slot, (seed, name) in enumerate(((seed, name) for seed in seeds for name in names), os.getpid() * 7)
    ]
    failed = 0
    with multiprocessing.get_context("fork").Pool(chosen.jobs, maxtasksperchild=10) as pool:
        for line in pool.imap_unordered(_one, jobs):
            print(line, flush=True)
            failed += line.startswith("FAILED")
    return 1 if failed else 0


def _one(job: tuple[str, int, int, argparse.Namespace]) -> str:
    name, seed, slot, chosen = job
    try:
        meta = record_one(name, seed, chosen.connections, slot, chosen.out, chosen.to_the_end, chosen.compact)
    except Exception:
        return f"FAILED {name}-{seed}: {traceback.format_exc()}"
    notes = [*meta["errors"], *meta["warnings"]]
    return f"{meta['run']}: {meta['connections']} connections, {meta['packets']} packets" + "".join(
        f"\n    {note}" for note in notes
    )


def record_one(
    name: str, seed: int, connections: int, slot: int, out: Path, to_the_end: bool = False, compact: bool = False
) -> dict[str, Any]:
    """Play and record one run."""
    trace = KernelTrace()
    try:
        run = perform(SCENARIOS[name], seed, connections, slot, trace, to_the_end)
    finally:
        trace.close()
    return write(run, out / f"{name}-{seed}", compact)
