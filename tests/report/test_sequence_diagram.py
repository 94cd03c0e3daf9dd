"""Properties of the diagram's geometry, on hand-made ladders and on many random ones."""

import random
import re

import documents
import pytest

from pcapreport.report.diagram_layout import CLIENT_LINE, FAMILY_COLOUR, HEADER, SERVER_LINE, WIDTH, lay_out
from pcapreport.report.diagram_parts import HIGHEST, in_parts
from pcapreport.report.model import LadderRow
from pcapreport.report.sequence_diagram import sequence_diagram


def random_connection(seed: int):
    """A connection whose ladder and states are drawn at random: every kind of row, every state, any order."""
    dice = random.Random(seed)
    rows, frame = [], 0
    for _ in range(dice.randint(1, 40)):
        kind = dice.choice(["segment", "segment", "burst", "gap", "phantom", "event"])
        has_frames = kind in ("segment", "burst")
        frame += has_frames
        rows.append(
            LadderRow(
                kind=kind,
                time_s=dice.choice([None, dice.random()]),
                client_state=dice.choice([*FAMILY_COLOUR, ""]),
                server_state=dice.choice([*FAMILY_COLOUR, ""]),
                sender=None if kind in ("gap", "event") else dice.choice(["client", "server"]),
                frames=[frame] if has_frames else [],
                flags=dice.choice(["SYN", "RST, ACK", "ACK"]),
                text=dice.choice(["", "beside it " * 20]),
                rules=dice.choice([[], ["retransmission"]]),
                severity=dice.choice([None, "note", "error"]),
            )
        )
    script = documents.Script(rows=[*rows])
    script.begin(dice.choice([None, "ESTABLISHED"]), dice.choice([None, "LISTEN"]))
    return documents.connection(script, start_s=0.0, end_s=1.0)


@pytest.fixture(params=[*(n for n in documents.DOCUMENTS if n != "empty"), *range(40)], ids=str)
def diagram(request):
    if isinstance(request.param, int):
        return lay_out(random_connection(request.param))
    return lay_out(documents.DOCUMENTS[request.param]().connections[0])


def test_rows_follow_each_other_without_overlap(diagram):
    assert diagram.rows[0].top == HEADER
    for above, below in zip(diagram.rows, diagram.rows[1:], strict=False):
        assert above.top < above.bottom == below.top
    assert diagram.rows[-1].bottom < diagram.height


def test_labels_of_one_column_never_meet(diagram):
    for column in (diagram.labels, diagram.times, diagram.frames):
        baselines = [text.y for text in column]
        assert all(b - a >= 12 for a, b in zip(baselines, baselines[1:], strict=False))


def test_arrows_fall_from_lifeline_to_lifeline_inside_their_row(diagram):
    rows = [row for row in diagram.rows if row.kind not in ("gap", "event")]
    assert len(rows) == len(diagram.arrows)
    for arrow, row in zip(diagram.arrows, rows, strict=True):
        expected = (CLIENT_LINE, SERVER_LINE) if arrow.sender == "client" else (SERVER_LINE, CLIENT_LINE)
        assert (arrow.x1, arrow.x2) == expected
        assert row.top < arrow.y1 < arrow.y2 < row.bottom


def test_a_label_stands_above_its_arrow(diagram):
    for arrow in diagram.arrows:
        row = next(row for row in diagram.rows if row.top < arrow.y1 < row.bottom)
        for label in (text for text in diagram.labels if row.top < text.y < row.bottom):
            assert label.y < arrow.y1


def test_bands_fill_each_lane_and_leave_room_for_a_name(diagram):
    for side in ("client", "server"):
        bands = [band for band in diagram.bands if band.side == side]
        assert bands
        assert bands[-1].bottom == diagram.height
        for above, below in zip(bands, bands[1:], strict=False):
            assert above.bottom == below.top
            assert above.state != below.state
        assert all(band.bottom - band.top >= 15 for band in bands)


def test_a_state_begins_at_the_tail_of_the_senders_arrow_and_at_the_head_at_the_receiver():
    diagram = lay_out(documents.clean_close().connections[0])
    syn = diagram.arrows[0]
    bands = {(band.side, band.state): band for band in diagram.bands}
    assert bands["client", "SYN-SENT"].top == syn.y1
    assert bands["server", "LISTEN"].bottom == diagram.arrows[1].y1
    assert bands["client", "ESTABLISHED"].top == diagram.arrows[1].y2
    assert bands["client", "TIME-WAIT"].top == diagram.arrows[-2].y2
    assert bands["client", "TIME-WAIT"].bottom == diagram.events[0]


def test_lines_tell_what_was_sent_again_what_was_not_captured_and_what_was_a_reset():
    arrows = lay_out(documents.reset().connections[0]).arrows
    assert {"sent", "again", "phantom"} == {arrow.line for arrow in arrows}
    assert [arrow.reset for arrow in arrows] == [False] * (len(arrows) - 1) + [True]
    drawn = sequence_diagram(documents.reset().connections[0], "title", "description")
    assert "not captured" in drawn
    assert drawn.count("stroke-dasharray") >= 2


def test_the_drawing_has_words_attributes_only_and_its_width():
    drawn = sequence_diagram(documents.clean_close().connections[0], "A title", "A description")
    assert drawn.startswith('<svg role="group"')
    assert f'viewBox="0 0 {WIDTH:.0f} ' in drawn
    assert "<title>A title, part 1 of 2</title><desc>A description</desc>" in drawn
    assert "style=" not in drawn and "class=" not in drawn and "url(" not in drawn
    for state in ("SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-2", "LAST-ACK", "TIME-WAIT"):
        assert f">{state}</text>" in drawn


def test_a_connection_without_details_has_no_drawing():
    assert sequence_diagram(documents.reset().connections[1], "", "") == ""


def test_a_long_diagram_is_cut_between_rows_and_nothing_is_lost_or_told_twice(diagram):
    parts = in_parts(diagram)
    assert [part.top for part in parts] == [0, *(part.height for part in parts[:-1])]
    assert parts[-1].height == diagram.height
    for column in ("rows", "values", "arrows", "labels", "times", "frames", "breaks", "events"):
        assert sum((getattr(part, column) for part in parts), ()) == getattr(diagram, column)
    for part in parts:
        assert part.height - part.top <= HIGHEST + 30 or len(part.rows) == 1
        shapes = [*((row.top, row.bottom) for row in part.rows), *((arrow.y1, arrow.y2) for arrow in part.arrows)]
        assert all(part.top <= a < b <= part.height for a, b in shapes)
        for side in ("client", "server"):
            bands = [band for band in part.bands if band.side == side]
            assert bands[0].top == max(part.top, min(b.top for b in diagram.bands if b.side == side))
            assert bands[-1].bottom == part.height
            assert all(band.top + 14 < part.height for band in bands if band.named)
    assert [wait.words for part in parts for wait in part.waits if wait.words] == [
        wait.words for wait in diagram.waits if wait.words
    ]


def test_parts_of_a_drawing_are_numbered_and_link_to_the_lines_of_their_own_rows():
    connection = random_connection(3)
    count = len(connection.detail.ladder)
    drawn = sequence_diagram(connection, "A title", "", [f"f{n}" for n in range(count)])
    assert drawn.count("<svg") == len(in_parts(lay_out(connection))) > 1
    assert "<title>A title, part 1 of " in drawn and drawn.count(">client</tspan>") == 1
    assert re.findall(r'href="#(f\d+)"', drawn) == [f"f{n}" for n in range(count)]
