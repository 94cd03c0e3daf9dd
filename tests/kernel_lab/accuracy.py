"""How right the reports on the runs of this repository are, in words of Markdown, and what they tell wrong.

``python -m tests.kernel_lab accuracy`` writes all of it; the tests hold the files against what it would write.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from . import sent_again
from .scoring import CaptureScore, score_run
from .tables import failures, grouped
from .tally import Tally, share

HERE = Path(__file__).parent
RUNS = HERE / "runs"
FOLDERS = sorted(path.parent for path in RUNS.glob("*/meta.json"))
README, ACCURACY = HERE.parents[1] / "README.md", HERE / "ACCURACY.md"
KNOWN, UNDECIDABLE = RUNS / "known-wrong.txt", RUNS / "undecidable.txt"
_BEGIN, _END = "<!-- accuracy: written by python -m tests.kernel_lab accuracy -->", "<!-- /accuracy -->"
_VARIANTS = {
    "full": "complete",
    "caploss": "packets missed",
    "late": "late start",
    "early": "early end",
    "oneway": "one direction",
}
_CAUSES = {
    "WRONG": "States told wrong in a complete capture that could tell them",
    "FALSE": "Told as proven, but never so",
    "IMPOSSIBLE": "The true last state is neither the one told nor among those told possible",
    "OWNER": "TIME-WAIT told of an end that was not in it, or not told of one that was",
    "EXPIRY": "The kernel's TIME-WAIT ended outside the interval told",
    "INVENTED": "States told of a capture that starts in mid-connection which never were",
    "OUTSIDE": "The true moment is outside the interval told (of a complete capture, or told as proven)",
    "EXTRA": "Connections that never were",
}
_Column = tuple[str, Callable[[Tally], str]]
_COLUMNS: Sequence[_Column] = (
    ("Connections", lambda t: f"{t.connections}"),
    ("can be told", lambda t: f"{t.connections - t.hidden}"),
    ("both ends right", lambda t: share(t.right - t.hidden_right, t.connections - t.hidden)),
    ("right of all", lambda t: share(t.right, t.connections)),
    ("right or possible", lambda t: share(t.among, t.connections)),
    ("proven, false", lambda t: f"{t.proven}, {t.false}"),
    ("moments in interval", lambda t: f"{share(t.within, t.moments)} of {t.moments}"),
    ("width near, far, mid", lambda t: ", ".join(_width(t, place) for place in t.widths)),
    ("TIME-WAIT owner", lambda t: f"{share(t.owners, t.waits)} of {t.waits}"),
    ("expiry", lambda t: f"{t.expired} of {t.expiries}"),
    ("invented", lambda t: f"{t.invented} of {t.midstream}"),
)


def _width(tally: Tally, place: str) -> str:
    found = tally.width(place)
    if found is None:
        return "-"
    trips = f" ({tally.width_in_trips:.2f} RTT)" if place == "mid" and tally.width_in_trips is not None else ""
    return f"{found:.2f} ms{trips}"


def update() -> int:
    """Score the runs of this repository and write everything that tells of it."""
    runs = [(score_run(folder), sent_again.score_run(folder)) for folder in FOLDERS]
    scores = [score for found, _ in runs for score in found]
    labels = sent_again.table(sent_again.total(again for _, again in runs))
    README.write_text(readme(README.read_text(), scores, labels))
    ACCURACY.write_text(by_scenario(scores))
    KNOWN.write_text(known_wrong(scores))
    UNDECIDABLE.write_text(undecidable(scores))
    print(f"{len(scores)} captures of {len(FOLDERS)} runs; {sum(1 for _ in serious(scores))} known to be wrong")
    return 0


# -- tables ------------------------------------------------------------------------------------------------------------


def readme(text: str, scores: Sequence[CaptureScore], labels: str) -> str:
    """README.md with the table of these scores and the one of what was sent again."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{by_variant(scores)}\n{labels}\n{_END}{after}"


def by_variant(scores: Sequence[CaptureScore]) -> str:
    """A row for each kind of capture and tap, and how much there is of it."""
    rows = list(_rows(scores, lambda score: (score.variant, score.tap), ("Capture", "Tap")))
    connections = sum(Tally.of([score]).connections for score in scores if score.capture == "middle")
    scenarios = len({score.scenario for score in scores})
    runs = len({score.run for score in scores})
    return f"{connections} connections, {scenarios} scenarios, {runs} runs, {len(scores)} captures.\n\n" + "".join(rows)


def by_scenario(scores: Sequence[CaptureScore]) -> str:
    """The page of tables by scenario, and of what no capture can tell."""
    parts = [
        "# How right, by scenario\n\n",
        "Written by `python -m tests.kernel_lab accuracy`; its columns are explained in the README.\n",
        "\n## Complete captures\n\n",
        *_rows((s for s in scores if s.variant == "full"), lambda s: (s.scenario, s.tap), ("Scenario", "Tap")),
        "\n## Spoiled captures\n\n",
        *_rows((s for s in scores if s.variant != "full"), lambda s: (s.scenario, s.variant), ("Scenario", "Capture")),
        "\n## Ends that a capture cannot tell\n\n",
        "| Why | Ends | Told right | Told right or possible |\n|---|---|---|---|\n",
    ]
    ends = [end for score in scores for end in score.ends if end.hidden]
    for reason, count in sorted(Counter(end.hidden for end in ends).items()):
        alike = [end for end in ends if end.hidden == reason]
        right, among = sum(end.right for end in alike), sum(end.among for end in alike)
        parts.append(f"| {reason} | {count} | {share(right, count)} | {share(among, count)} |\n")
    return "".join(parts)


def _rows(
    scores: Iterable[CaptureScore], key: Callable[[CaptureScore], tuple[str, ...]], names: Sequence[str]
) -> Iterator[str]:
    heads = [*names, *(name for name, _ in _COLUMNS)]
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
    for group, tally in grouped(scores, key):
        cells = [*(_VARIANTS.get(name, name) for name in group), *(value(tally) for _, value in _COLUMNS)]
        yield f"| {' | '.join(cells)} |\n"


# -- lists -------------------------------------------------------------------------------------------------------------


def serious(scores: Iterable[CaptureScore]) -> Iterator[str]:
    """What must not be told, by its first words: see _CAUSES."""
    for score in scores:
        full = score.variant == "full"
        for line in failures([score]):
            kind, _, told = line.partition(" ")
            decidable = not line.endswith(")")
            if kind == "WRONG" and not (full and decidable) or kind == "OWNER" and not decidable:
                continue
            if kind == "OUTSIDE" and not (full or " proven [" in told):
                continue
            yield line.partition(":")[0]


def known_wrong(scores: Iterable[CaptureScore]) -> str:
    """All that is serious, by kind; a test fails on anything else."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in serious(scores):
        if line not in found[line.split()[0]]:
            found[line.split()[0]].append(line)
    parts = ["# What reports on these captures tell wrong. Written by python -m tests.kernel_lab accuracy.\n"]
    for kind, words in _CAUSES.items():
        if found[kind]:
            parts += [f"\n# {words}: {len(found[kind])}\n", *(f"{line}\n" for line in found[kind])]
    return "".join(parts)


def undecidable(scores: Iterable[CaptureScore]) -> str:
    """The ends whose states no capture like this one can tell, with the reason (see hidden.py)."""
    found: dict[str, list[str]] = defaultdict(list)
    for score in scores:
        for end in score.ends:
            if end.hidden:
                found[end.hidden].append(f"{score.run} {score.capture} connection {end.connection} {end.side}")
    parts = ["# Ends whose states a capture cannot tell. Written by python -m tests.kernel_lab accuracy.\n"]
    for reason, lines in sorted(found.items()):
        parts += [f"\n# {reason}: {len(lines)}\n", *(f"{line}\n" for line in lines)]
    return "".join(parts)
