"""The same counted by another scorer."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from pcapreport.pipeline import analyze
from pcapreport.report.model import encode

from .recorded import Recorded
from .scoring import CaptureScore


def compare(folders: Sequence[Path], scores: Sequence[CaptureScore], path: Path) -> int:
    """Count the same with another scorer of the same truth; 1 where the two disagree."""
    theirs, adapter = _module(path), _module(path.parent / "adapters" / "pcapreport.py")
    mine = {(score.run, score.capture): _counts(score) for score in scores}
    differing = 0
    for folder in folders:
        with tempfile.TemporaryDirectory() as plain:
            _unpack(folder, Path(plain))
            run = theirs.Run(plain)
        for capture, file in Recorded(folder).captures.items():
            document = json.loads(encode(analyze(file)))
            run.led.sort(key=lambda packet: packet["frames"].get(capture, 0))  # what comes first is so by its frame
            found = theirs.score_capture(run, capture, adapter.convert(document))["c"]
            names = ("conns", "conn_core_ok", "tr", "tr_in", "claim_certain", "claimok_certain")
            counts = tuple(found.get(name, 0) for name in names)
            if counts != mine[run.meta["run"], capture]:
                differing += 1
                print(f"DIFFERS {run.meta['run']} {capture}: {mine[run.meta['run'], capture]} here, {counts} there")
    print(f"{len(mine) - differing} of {len(mine)} captures counted alike")
    return 1 if differing else 0


def _unpack(folder: Path, target: Path) -> None:
    """The files of a run other than captures, in the names and forms that were before compression."""
    for file in folder.iterdir():
        if file.name == "truth.jsonl.gz":
            (target / "truth.jsonl").write_bytes(gzip.decompress(file.read_bytes()))
        elif ".pcap" not in file.name:
            shutil.copy(file, target)


def _counts(score: CaptureScore) -> tuple[int, ...]:
    pairs = score.by_connection().values()
    moments = sum(e.moments for e in score.ends)
    within = moments - sum(len(e.outside) + e.untold for e in score.ends)
    proven = sum(e.proven for e in score.ends)
    false = sum(len(e.false_proven) for e in score.ends)
    return len(pairs), sum(all(e.right for e in pair) for pair in pairs), moments, within, proven, proven - false


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"other_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module
