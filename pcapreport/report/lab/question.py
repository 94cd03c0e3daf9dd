"""A question and its answer, before they become a record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pcapreport.language import Text, phrase
from pcapreport.report.filters import frames_filter
from pcapreport.report.model import LabQuestion

Values = dict[str, int | float | str | None]


def undecided(why: Text) -> Text:
    """The answer where there is none."""
    return phrase("This cannot be decided from this capture: {why}.", why=why)


def question(
    name: str,
    topic: str,
    text: Text,
    answers: Iterable[Text],
    how: Text,
    frames: Sequence[int | None] = (),
    values: Values | None = None,
    tolerance: float = 0.0,
    decided: bool = True,
) -> LabQuestion:
    """`frames` and `values` may hold None, for what was not captured."""
    named = sorted({frame for frame in frames if frame is not None})
    return LabQuestion(
        id=name,
        topic=topic,
        text=text,
        answers=list(answers),
        how=how,
        decided=decided,
        frames=named,
        filter=frames_filter(named),
        values={key: value for key, value in (values or {}).items() if value is not None},
        tolerance=tolerance,
    )
