"""The verdict as a picture that tickets show inline: the sentence, the facts, the states of both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pcapreport.language import phrase, say, speaking
from pcapreport.report.advice import actor
from pcapreport.report.columns import wrapped
from pcapreport.report.diagram_layout import FAMILY_COLOUR, NO_STATE
from pcapreport.report.model import Connection, Document
from pcapreport.report.plots import han_font, picture
from pcapreport.report.svg import SIDE_COLOUR
from pcapreport.report.wording import SEVERITY_RANK, short, visible

INCHES, DPI = (12.0, 6.3), 100
"""1200 by 630 dots, the size in which previews are shown."""
WIDE, FACT_LINES = 82, 7
INK, FAINT = "#1B1F23", "#57606A"


def render_card(document: Document) -> bytes:
    """A PNG, the same bytes each time; none without matplotlib, in English without a font for what is asked."""

    def draw(figure: Any) -> None:
        y = _words(figure, document)
        worst = _worst(document)
        if worst is not None:
            _lanes(figure, worst, y)

    font = han_font() if document.language == "zh" else ""
    with speaking(document.language if font else "en", document.messages):
        return picture(draw, INCHES, DPI, font)


def _worst(document: Document) -> Connection | None:
    detailed = [one for one in document.connections if one.detail is not None and one.detail.ladder]
    return min(detailed, key=lambda one: SEVERITY_RANK[one.severity], default=None)


def _words(figure: Any, document: Document) -> float:
    """File, verdict, side and facts from the top; returns where they end."""
    verdict = document.verdict
    figure.text(0.03, 0.945, _plain(short(document.capture.file, 90)), color=FAINT, size=12)
    lines = wrapped(_plain(say(verdict.text)), WIDE)[:5]
    figure.text(0.03, 0.915, "\n".join(lines), color=INK, size=17, weight="bold", va="top", linespacing=1.25)
    y = 0.905 - 0.058 * len(lines)
    side = {"none": phrase("no side at fault"), "undecidable": phrase("side at fault: cannot be decided")}.get(
        verdict.side
    ) or phrase("side: {side}", side=say(verdict.side))
    figure.text(0.03, y, _plain(side), color=SIDE_COLOUR.get(verdict.side, INK), size=14, weight="bold", va="top")
    y -= 0.06
    facts = [line for fact in verdict.evidence[:3] for line in _bullet(fact)][:FACT_LINES]
    figure.text(0.03, y, "\n".join(facts), color=INK, size=12, va="top", linespacing=1.3)
    y -= 0.045 * len(facts) + 0.03
    lines = wrapped(_plain(phrase("Who should act: {who}", who=actor(document))), 118)[:3]
    figure.text(0.03, y, "\n".join(lines), color=FAINT, size=12, va="top", linespacing=1.3)
    return y - 0.045 * len(lines) - 0.03


def _bullet(fact: str) -> Iterator[str]:
    first, *rest = wrapped(_plain(say(fact)), 118) or [""]
    yield f"\u2022 {first}"
    yield from (f"   {line}" for line in rest)


def _plain(text: str) -> str:
    """No control characters, and no formula: matplotlib reads what stands between dollar signs as one."""
    return visible(text).replace("$", "\\$")


def _lanes(figure: Any, connection: Connection, top: float) -> None:
    """Both sides' states, left to right by row of the diagram."""
    if top < 0.16:
        return
    axes = figure.add_axes((0.03, 0.05, 0.94, min(top - 0.08, 0.2)))
    axes.set_axis_off()
    ladder = connection.detail.ladder if connection.detail else []
    for place, (side, states) in enumerate(
        (("client", [row.client_state for row in ladder]), ("server", [row.server_state for row in ladder]))
    ):
        for start, stop, state in _stays(states):
            colour = FAMILY_COLOUR.get(state, NO_STATE)
            axes.barh(-place, stop - start, left=start, height=0.6, color=colour, alpha=0.45, edgecolor="#FFFFFF")
            if state and (stop - start) / len(states) > 0.075:
                axes.text((start + stop) / 2, -place, state, ha="center", va="center", size=9, color=INK)
        end = getattr(connection, side)
        axes.text(
            0, -place + 0.34, f"{say(side)} {end.address}:{end.port}", size=9, color=SIDE_COLOUR[side], va="bottom"
        )
    axes.set_xlim(0, max(len(ladder), 1))
    axes.set_ylim(-1.4, 0.8)


def _stays(states: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first row, row behind, state) of each stay."""
    start = 0
    for at in range(1, len(states) + 1):
        if at == len(states) or states[at] != states[start]:
            yield start, at, states[start]
            start = at
