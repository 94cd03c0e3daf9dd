"""Tables and lists of scores, and the same counted by another scorer."""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from pcapreport.pipeline import analyze

from .scoring import CaptureScore, score_run


def report(folder: Path, wrong: bool, scorer: Path | None) -> int:
    """Print the scores of all runs in a folder by scenario and tap; 0 unless another scorer disagrees."""
    folders = sorted(path.parent for path in folder.glob("*/meta.json"))
    scores = [score for run in folders for score in score_run(run)]
    for line in table(scores):
        print(line)
    if wrong:
        for line in failures(scores):
            print(line)
    return 0 if scorer is None else _compare(folders, scores, scorer)


def table(scores: Sequence[CaptureScore]) -> Iterator[str]:
    """Lines: full captures by scenario and tap, spoiled ones by kind, and the sums."""
    yield f"{'scenario':20} {'tap':14}  conns   right  proven  false  moments  within        ms"
    groups: dict[tuple[str, str], list[CaptureScore]] = defaultdict(list)
    for score in scores:
        full = score.variant == "full"
        groups[score.scenario if full else "~ spoiled", score.tap if full else score.variant].append(score)
        groups["~~ all", score.tap if full else "spoiled"].append(score)
    for (scenario, tap), of in sorted(groups.items()):
        ends = [end for score in of for end in score.ends]
        told = [all(e.right for e in pair) for score in of for pair in score.by_connection().values()]
        moments, outside = sum(e.moments for e in ends), sum(len(e.outside) + e.untold for e in ends)
        widths = [width for e in ends for width in e.widths]
        width = f"{statistics.median(widths) / 1e6:9.3f}" if widths else " " * 9
        false = sum(len(e.false_proven) for e in ends)
        yield (
            f"{scenario:20} {tap:14} {len(told):6} {_percent(sum(told), len(told))} {sum(e.proven for e in ends):7} "
            f"{false:6} {moments:8} {_percent(moments - outside, moments)} {width}"
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:6.2f}%" if whole else "      -"


def failures(scores: Sequence[CaptureScore]) -> Iterator[str]:
    """A line for each end that is told wrong, falsely proven or misdated."""
    for score in scores:
        for end in score.ends:
            where = f"{score.run} {score.capture} connection {end.connection} {end.side}"
            states = [claim.state for claim in end.told]
            if not end.right:
                yield f"WRONG {where}: truth {end.truth} from {end.first} to {end.core}, told {states}"
            if end.false_proven:
                yield f"FALSE {where}: proven {end.false_proven}, truth {end.truth}, told {states}"
            for state, certainty, low, high in end.outside:
                yield f"OUTSIDE {where}: {state} {certainty} [{_ms(low)}, {_ms(high)}] ms beside the truth"
        if score.extra:
            yield f"EXTRA {score.run} {score.capture}: {score.extra} connections that never were"


def _ms(value: float | None) -> str:
    return "open" if value is None else f"{value:.3f}"


# -- another scorer ----------------------------------------------------------------------------------------------------


def _compare(folders: Sequence[Path], scores: Sequence[CaptureScore], path: Path) -> int:
    """Count the same with another scorer of the same truth; 1 where the two disagree."""
    theirs, adapter = _module(path), _module(path.parent / "adapters" / "pcapreport.py")
    mine = {(score.run, score.capture): _counts(score) for score in scores}
    differing = 0
    for folder in folders:
        run = theirs.Run(str(folder))
        for described in run.meta["captures"]:
            capture = described["file"].removesuffix(".pcap")
            document = json.loads(msgspec.json.encode(analyze(folder / described["file"])))
            found = theirs.score_capture(run, capture, adapter.convert(document))["c"]
            names = ("conns", "conn_core_ok", "tr", "tr_in", "claim_certain", "claimok_certain")
            counts = tuple(found.get(name, 0) for name in names)
            if counts != mine[run.meta["run"], capture]:
                differing += 1
                print(f"DIFFERS {run.meta['run']} {capture}: {mine[run.meta['run'], capture]} here, {counts} there")
    print(f"{len(mine) - differing} of {len(mine)} captures counted alike")
    return 1 if differing else 0


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
