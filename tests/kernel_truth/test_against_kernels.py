"""What both ends' kernels say they were in, against what the result document says, over captures of 64 runs.

The runs and their scorer are not part of this repository; without them the tests are skipped.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pcapreport.pipeline import analyze
from pcapreport.report.model import encode

TRUTH = Path(__file__).parents[2] / ".." / "shared" / "kernel_truth"
TAPS = ("client", "middle", "server")

pytestmark = pytest.mark.skipif(not (TRUTH / "runs").is_dir(), reason=f"the kernels' own records are not at {TRUTH}")


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"kernel_truth_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=1)
def records() -> list[dict[str, Any]]:
    """One scored record a capture: counts in "c", lists of what is wrong in "l"."""
    score, adapter = imported(TRUTH / "score.py"), imported(TRUTH / "adapters" / "pcapreport.py")
    scored = []
    for folder in sorted((TRUTH / "runs").iterdir()):
        run = score.Run(str(folder))
        for named in run.meta["captures"]:
            document = json.loads(encode(analyze(folder / named["file"])))
            record = score.score_capture(run, named["file"].removesuffix(".pcap"), adapter.convert(document))
            scored.append(record)
    return scored


def chosen(variant: str, tap: str = "*") -> list[dict[str, Any]]:
    found = [r for r in records() if fnmatch.fnmatch(r["variant"], variant) and fnmatch.fnmatch(r["vantage"], tap)]
    assert found, f"no captures of {variant} at {tap}"
    return found


def total(of: Sequence[dict[str, Any]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for record in of:
        counts.update(record["c"])
    return counts


def table(of: Sequence[dict[str, Any]]) -> str:
    """The scorer's own summary, and every wrong or outside claim."""
    lines: list[str] = []
    imported(TRUTH / "score.py").summarise(of, lambda r: f"{r['vantage']} {r['variant']}", "by capture", lines)
    for record in of:
        where = f"{record['run']} {record['capture']}"
        lines += [f"WRONG {where}: {wrong}" for wrong in record["l"].get("wrong", ())]
        lines += [f"OUTSIDE {where}: {outside}" for outside in record["l"].get("outside", ())]
        lines += [f"MISSING {where}: connection {missing}" for missing in record["l"].get("missing", ())]
    return "\n".join(lines)


@pytest.mark.parametrize("tap", TAPS)
def test_both_ends_states_are_right_on_every_connection_of_a_full_capture(tap: str) -> None:
    full = chosen("full", tap)
    counts = total(full)
    assert counts["conns"] > 90
    assert counts["conn_core_ok"] == counts["conns"], table(full)
    assert counts["conn_missing"] == counts["conn_extra"] == 0, table(full)


@pytest.mark.parametrize("tap", TAPS)
def test_the_true_moment_lies_in_the_interval(tap: str) -> None:
    full = chosen("full", tap)
    counts = total(full)
    assert counts["tr"] > 700
    assert counts["tr_in"] >= 0.999 * counts["tr"], table(full)


def test_the_named_cause_is_the_packet_that_the_kernel_acted_on() -> None:
    """Not always: of two copies that passed the tap only one arrived, and the capture need not tell which."""
    counts = total(chosen("full"))
    assert counts["cause_ok"] >= 0.98 * counts["cause"], table(chosen("full"))


def test_no_proven_state_is_false_in_any_capture() -> None:
    """Captures with packets missing, a late start, an early end or one direction only are among them."""
    counts = total(chosen("*"))
    assert counts["claim_certain"] > 2000
    assert counts["claimok_certain"] == counts["claim_certain"], table(chosen("*"))


@pytest.mark.parametrize("variant", ["full", "early", "caploss", "late", "oneway"])
def test_no_proven_moment_is_false(variant: str) -> None:
    of = chosen(variant)
    counts = total(of)
    assert counts["tr_cert_certain"] > 0
    assert counts["tr_certok_certain"] == counts["tr_cert_certain"], table(of)


def test_a_capture_that_ends_early_tells_right_what_it_tells() -> None:
    """Of 7 captures with 8 connections one end may be told with a state too few."""
    early = chosen("early")
    counts = total(early)
    assert counts["ep_core_ok"] >= counts["eps"] - 1, table(early)


def test_intervals_are_narrow_enough_to_say_something() -> None:
    """An interval without bounds would always be right: of the median transition both bounds are within 0.1 s."""
    full = chosen("full")
    widths = sorted(width for record in full for width in record["l"].get("tr_width", ()))
    counts = total(full)
    assert counts["tr_open"] <= 0.01 * counts["tr"]
    assert widths[len(widths) // 2] < 100_000_000


def test_frames_named_as_sent_again_are_those_the_kernel_sent_again() -> None:
    counts = total(chosen("full"))
    assert counts["rtx_true"] > 100
    assert counts["rtx_fp"] == 0, table(chosen("full"))
    assert counts["rtx_tp_seen"] == counts["rtx_true_seen"], table(chosen("full"))
