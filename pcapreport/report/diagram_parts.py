"""A long sequence diagram cut into parts that stand below each other: seamless on a screen, and a printed page takes as
many whole ones as it has room for. Nothing is lost at the bottom of a sheet, and no row is torn.
"""

from __future__ import annotations

from math import ceil

from pcapreport.report.diagram_layout import Band, Diagram, Row, Text

HIGHEST = 340.0
"""About a third of a printed page: no more of one is left empty where the next part finds no room."""

LEAST_NAMED = 18.0
"""Height of a band's beginning above a cut that has room for its name."""


def in_parts(diagram: Diagram) -> list[Diagram]:
    """The diagram cut between rows into parts about as high as each other, none higher than HIGHEST unless a single row
    is."""
    cuts = _cuts(diagram)
    return [_between(diagram, top, bottom) for top, bottom in cuts] if len(cuts) > 1 else [diagram]


def _cuts(diagram: Diagram) -> list[tuple[float, float]]:
    """(top, bottom) of each part."""
    if diagram.height <= HIGHEST:
        return [(diagram.top, diagram.height)]
    wanted = diagram.height / ceil(diagram.height / HIGHEST)
    borders = [0.0]
    for row, following in zip(diagram.rows, diagram.rows[1:], strict=False):
        too_high = following.bottom - borders[-1] > HIGHEST
        if too_high or row.bottom - borders[-1] >= wanted:
            borders.append(row.bottom)
    return list(zip(borders, [*borders[1:], diagram.height], strict=True))


def _between(diagram: Diagram, top: float, bottom: float) -> Diagram:
    """What lies between two heights. Lines that run across are left whole for the part's frame to clip; words belong to
    one part only."""

    def inside(y: float) -> bool:
        return top <= y < bottom

    def texts(all_of_them: tuple[Text, ...]) -> tuple[Text, ...]:
        return tuple(text for text in all_of_them if inside(text.y))

    def has(row: Row) -> bool:
        return inside(row.top)

    return diagram._replace(
        top=top,
        height=bottom,
        rows=tuple(filter(has, diagram.rows)),
        values=tuple(words for row, words in zip(diagram.rows, diagram.values, strict=True) if has(row)),
        bands=tuple(_piece(band, top, bottom) for band in diagram.bands if band.top < bottom and band.bottom > top),
        arrows=tuple(arrow for arrow in diagram.arrows if inside(arrow.y1)),
        labels=texts(diagram.labels),
        times=texts(diagram.times),
        frames=texts(diagram.frames),
        breaks=tuple(filter(inside, diagram.breaks)),
        events=tuple(filter(inside, diagram.events)),
        ties=tuple(tie for tie in diagram.ties if tie.top < bottom and tie.bottom > top - 3),
        waits=tuple(
            wait if inside(wait.words_at) else wait._replace(words="")
            for wait in diagram.waits
            if wait.top < bottom and wait.bottom > top
        ),
    )


def _piece(band: Band, top: float, bottom: float) -> Band:
    """A band's part; where too little is left of it above the cut, its name stands below."""
    if top <= band.top and band.bottom <= bottom and band.named:
        return band
    named = band.bottom <= bottom or bottom - max(band.top, top) >= LEAST_NAMED
    return band._replace(top=max(band.top, top), bottom=min(band.bottom, bottom), named=named)
