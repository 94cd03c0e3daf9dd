"""Plays the causes, one a run, and writes what the three taps saw with the truth: ``verdict_runs/NAME-N/``."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.path import Frame
from lab.recorders import RAW, Gzipped, Pcap

from kernel_lab.play import Lab, path
from kernel_lab.record import _HEADERS, _seen

from . import CAUSES
from .register import TAPS, Cause
from .stage import Stage, as_seen


def record(out: Path, names: list[str], jobs: int, first: int = 0) -> int:
    """Record each of the named causes in all its variants, from this seed on; returns how many failed."""
    plays = [(name, first + number) for name in names or CAUSES for number in range(CAUSES[name].seeds)]
    plays.sort(key=lambda play: CAUSES[play[0]].family != "close")  # the longest ones first
    tasks = [(name, number, slot, out) for slot, (name, number) in enumerate(plays, os.getpid() * 7)]
    failed = 0
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=8) as pool:
        for line in pool.imap_unordered(_one, tasks):
            print(line, flush=True)
            failed += line.startswith("FAILED")
    return failed


def _one(task: tuple[str, int, int, Path]) -> str:
    name, number, slot, out = task
    try:
        truth = _record_one(CAUSES[name], number, slot, out / f"{name}-{number}")
    except Exception:
        return f"FAILED {name}-{number}: {traceback.format_exc()}"
    return f"{name}-{number}: {truth['cause']} ({truth['where']})"


def _record_one(cause: Cause, number: int, slot: int, folder: Path) -> dict[str, Any]:
    chance = random.Random(f"{cause.name}/{number}")
    epoch = time.time_ns() - time.monotonic_ns()
    with Lab(slot, path("clean", chance), cause.settings(number), chance) as lab:
        stage = Stage(lab, number, random.Random(f"{cause.name}/{number}/play"), (4, 6)[chance.random() < 0.3])
        stage.side, stage.hidden_at = cause.side, cause.hidden_at
        cause.play(stage)
        _settle(lab)
        lab.wire.stop()
        ledger = lab.wire.ledger
    folder.mkdir(parents=True, exist_ok=True)
    recorder = Gzipped(Pcap(RAW, True, _HEADERS))
    taps = []
    for tap in TAPS:
        frames = [Frame(at + epoch, as_seen(packet, tap), packet.sender == "A") for at, packet in _seen(ledger, tap)]
        if frames:
            taps.append(tap)
            (folder / f"{tap}.pcap.gz").write_bytes(recorder.encode(frames))
    truth = {
        "name": cause.name, "family": cause.family, "cause": stage.side, "where": stage.where, "taps": taps,
        "hidden_at": list(stage.hidden_at), "params": {k: str(v) for k, v in stage.params.items()},
        "version": stage.version,
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(truth) + "\n")
    return truth


def _settle(lab: Lab) -> None:
    """Until the wire is quiet, or 10 s have passed."""
    time.sleep(0.2)  # what was done last takes its time to be seen
    until = time.monotonic() + 10
    while time.monotonic() < until and lab.wire.idle < 0.6:
        with suppress(InterruptedError):
            time.sleep(0.05)
