"""Tables and lists of scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from .compare import compare
from .scoring import CaptureScore, score_run
from .tally import Tally, share

_VARIANTS = ("full", "caploss", "late", "early", "oneway")
_COLUMNS: tuple[tuple[str, int, Callable[[Tally], object]], ...] = (
    ("conns", 6, lambda t: t.connections),
    ("right", 8, lambda t: share(t.right, t.connections)),
    ("hidden", 7, lambda t: t.hidden),
    ("right", 8, lambda t: share(t.right - t.hidden_right, t.connections - t.hidden)),
    ("among", 8, lambda t: share(t.among, t.connections)),
    ("proven", 7, lambda t: t.proven),
    ("false", 6, lambda t: t.false),
    ("moments", 8, lambda t: t.moments),
    ("within", 8, lambda t: share(t.within, t.moments)),
    ("open", 5, lambda t: t.open),
    ("near ms", 8, lambda t: _ms(t.width("near"), "")),
    ("far", 8, lambda t: _ms(t.width("far"), "")),
    ("mid", 8, lambda t: _ms(t.width("mid"), "")),
    ("/RTT", 5, lambda t: "" if t.width_in_trips is None else f"{t.width_in_trips:.2f}"),
    ("TW", 6, lambda t: t.waits),
    ("owner", 8, lambda t: share(t.owners, t.waits)),
    ("entry", 8, lambda t: share(t.entered, t.entries)),
    ("expiry", 7, lambda t: f"{t.expired}/{t.expiries}"),
    ("invented", 9, lambda t: f"{t.invented}/{t.midstream}"),
)


def report(folder: Path, wrong: bool, scorer: Path | None) -> int:
    """Print the scores of all runs in a folder; 0 unless another scorer disagrees."""
    folders = sorted(path.parent for path in folder.glob("*/meta.json"))
    scores = [score for run in folders for score in score_run(run)]
    for line in table(scores):
        print(line)
    if wrong:
        for line in failures(scores):
            print(line)
    return 0 if scorer is None else compare(folders, scores, scorer)


def grouped(
    scores: Iterable[CaptureScore], key: Callable[[CaptureScore], tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Tally]]:
    """Tallies by a key, in its order; variants from the full to the most spoiled."""
    groups: dict[tuple[str, ...], list[CaptureScore]] = defaultdict(list)
    for score in scores:
        groups[key(score)].append(score)
    ranks = {name: str(rank) for rank, name in enumerate(_VARIANTS)}
    for names in sorted(groups, key=lambda names: [ranks.get(name, name) for name in names]):
        yield names, Tally.of(groups[names])


def table(scores: Sequence[CaptureScore]) -> Iterator[str]:
    """Lines: by variant and tap, then by scenario, tap and variant."""
    yield f"{'':40}" + "".join(f"{name:>{width}}" for name, width, _ in _COLUMNS)
    for names, tally in grouped(scores, lambda score: (score.variant, score.tap)):
        yield _line(names, tally)
    for names, tally in grouped(scores, lambda score: (score.scenario, score.tap, score.variant)):
        yield _line(names, tally)


def _line(names: Sequence[str], tally: Tally) -> str:
    cells = (f"{value(tally)!s:>{width}}" for _, width, value in _COLUMNS)
    return f"{' '.join(names):40}" + "".join(cells)


def failures(scores: Iterable[CaptureScore]) -> Iterator[str]:
    """A line for each end that is told wrong, falsely proven or misdated, whose TIME-WAIT is, or that was made up."""
    for score in scores:
        pairs = score.by_connection()
        for end in score.ends:
            where = f"{score.run} {score.capture} connection {end.connection} {end.side}"
            states = [claim.state for claim in end.told]
            if not end.right:
                why = f" ({end.hidden})" if end.hidden else ""
                yield f"WRONG {where}: truth {end.truth} from {end.first} to {end.core}, told {states}{why}"
            if not end.among:
                yield f"IMPOSSIBLE {where}: in {end.truth[end.core]}, told {states} and nothing else possible"
            if end.false_proven:
                yield f"FALSE {where}: proven {end.false_proven}, truth {end.truth}, told {states}"
            for state, certainty, low, high in end.outside:
                yield f"OUTSIDE {where}: {state} {certainty} [{_ms(low)}, {_ms(high)}] ms beside the truth"
            if end.wait is not None and not end.wait.right:
                why = next((f" ({one.hidden})" for one in pairs[end.connection] if one.hidden), "")
                yield f"OWNER {where}: TIME-WAIT told {end.wait.told}, truth {end.truth}{why}"
            if end.wait is not None and end.wait.expiry_within is False:
                yield f"EXPIRY {where}: the kernel's TIME-WAIT ended outside what is told"
            if end.invented:
                yield f"INVENTED {where}: {end.invented}, truth {end.truth} from {end.first}"
        if score.extra:
            yield f"EXTRA {score.run} {score.capture}: {score.extra} connections that never were"


def _ms(value: float | None, nothing: str = "open") -> str:
    return nothing if value is None else f"{value:.3f}"
