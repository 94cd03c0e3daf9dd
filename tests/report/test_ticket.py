"""What goes into a ticket: the short page, the Markdown, the picture, the bundle."""

import hashlib
import io
import random
import re
import struct
import zipfile

import documents
import msgspec
import pytest

from pcapreport.batch.formats import Renderings
from pcapreport.language import spoken_language
from pcapreport.report import card, model
from pcapreport.report.advice import actor, next_steps
from pcapreport.report.bundle import LEFT_OUT, SUMS, bundle, fitted
from pcapreport.report.card import MARGIN, WIDTH, Sheet, _lanes, _words, render_card
from pcapreport.report.html import render_html
from pcapreport.report.summary import render_markdown
from pcapreport.report.timeline import timeline


def for_ticket(document: model.Document) -> model.Document:
    return msgspec.structs.replace(document, options={**document.options, "profile": "ticket"})


@pytest.mark.parametrize("name", sorted(documents.DOCUMENTS))
def test_the_short_page_is_shorter_and_says_who_should_act(name):
    document = documents.DOCUMENTS[name]()
    page, full = render_html(for_ticket(document)), render_html(document)
    assert len(page) < len(full) or not document.connections
    assert "Who should act" in page
    assert page.count('class="connection"') == min(1, sum(c.detail is not None for c in document.connections))


def test_who_should_act_follows_the_verdict():
    for name, expected in (("refused", "runs the server (198.51.100.80)"), ("clean_close", "Nobody")):
        assert expected in actor(documents.DOCUMENTS[name]())
    undecided = documents.refused()
    verdict = msgspec.structs.replace(undecided.verdict, side="undecidable")
    assert "Not decided" in actor(msgspec.structs.replace(undecided, verdict=verdict))


def test_next_steps_are_those_of_the_rules_that_the_verdict_rests_on():
    page = model.Page(
        title="Refused",
        means="m",
        why_it_matters="w",
        likely_causes="l",
        what_to_do="Start it.",
        known_problems="k",
        references=[],
        wireshark="",
    )
    document = documents.refused()
    rule = document.verdict.findings[0]
    document = msgspec.structs.replace(document, manual={rule: page, "another": page})
    assert next_steps(document) == [("Refused", "Start it.")]
    assert "Start it" in render_html(for_ticket(document))
    assert "Start it" in render_markdown(document)


def test_the_picture_is_small_and_the_same_every_time():
    pytest.importorskip("matplotlib")
    for name, make in documents.DOCUMENTS.items():
        made_card = render_card(make())
        assert made_card[:8] == b"\x89PNG\r\n\x1a\n", name
        width, height = struct.unpack(">II", made_card[16:24])
        assert width == 1200 and 200 < height < 1100
        assert len(made_card) < 2**20
        assert made_card == render_card(make())


def test_the_picture_keeps_to_what_is_allowed():
    pytest.importorskip("matplotlib")
    document = documents.time_wait_restart()
    large = len(render_card(document))
    for most in (large - 1, large // 2):
        card = render_card(msgspec.structs.replace(document, options={"max_size": most}))
        assert card[:8] == b"\x89PNG\r\n\x1a\n" and len(card) <= most
        assert struct.unpack(">I", card[16:20])[0] < 1200
    assert render_card(msgspec.structs.replace(document, options={"max_size": 100})) == b""


def test_nothing_on_the_picture_leaves_it():
    pytest.importorskip("matplotlib")
    for make in documents.DOCUMENTS.values():
        sheet = Sheet(lambda text, size, bold: len(text) * size * 0.6)
        _words(sheet, make())
        for connection in make().connections[:1]:
            _lanes(sheet, connection)
        for line in sheet.lines:
            assert line.text.isprintable()
            half = len(line.text) * line.size * 0.6 / (2 if line.centred else 1)
            assert line.x >= MARGIN and line.x + half <= WIDTH - MARGIN + 1
        assert all(block.x >= MARGIN and block.x + block.width <= WIDTH - MARGIN + 1 for block in sheet.blocks)


def test_the_timeline_tells_each_change_and_finding_once_in_order_of_time():
    for name, make in documents.DOCUMENTS.items():
        for connection in make().connections:
            events, left_out = timeline(connection, 1000)
            assert left_out == 0, name
            changes = [(side, state) for event in events for side, state, _ in event.states]
            ends = connection.endpoints
            for side, end in (("client", ends.client), ("server", ends.server)):
                assert [state for one, state in changes if one == side] == [
                    change.state for change in end.history if change.frame is not None
                ]
            told = [finding for event in events for finding in event.findings]
            assert sorted(map(id, told)) == sorted(map(id, connection.findings))
            times = [event.time_s for event in events if event.time_s is not None]
            assert times == sorted(times)
            frames = [event.frame for event in events if event.frame is not None]
            assert len(frames) == len(set(frames))


def test_a_short_timeline_keeps_what_weighs_most():
    connection = documents.reset().connections[0]
    whole, _ = timeline(connection, 1000)
    short, left_out = timeline(connection, 4)
    assert len(short) == 4 and left_out == len(whole) - 4
    assert [event for event in whole if event in short] == short
    kept = max(event.rank for event in short)
    assert all(event.rank >= kept for event in whole if event not in short)
    assert any(finding.severity == "error" for event in short for finding in event.findings)


def test_the_short_page_has_the_timeline_of_its_connection():
    page = render_html(for_ticket(documents.reset()))
    (table,) = re.findall(r'<table class="timeline">.*?</table>', page, re.S)
    assert "What happened on connection 1, in order of time" in table
    assert "31.48 s" in table and "ESTABLISHED" in table and "Reset" in table
    assert page.index('id="act"') < page.index('id="timeline"') < page.index('id="findings"')
    assert 'id="timeline"' not in render_html(for_ticket(documents.empty()))


def unpacked(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def checked(packed: bytes) -> dict[str, bytes]:
    """What a bundle holds beside its sums, which are right."""
    files = unpacked(packed)
    sums = files.pop(SUMS).decode().splitlines()
    assert sums == [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
    return files


def test_the_bundle_holds_all_with_their_sums_and_never_changes():
    files = {"a.html": b"<p>", "a.json": b"{}", "a.md": b"#"}
    packed = bundle(files)
    assert packed == bundle(dict(reversed(files.items())))
    assert checked(packed) == files


@pytest.mark.parametrize("pdf", [False, True])
def test_its_files_have_the_same_names_for_every_capture(pdf, monkeypatch):
    monkeypatch.setattr("pcapreport.report.pdf.render_pdf", lambda document, templates: b"%PDF-")
    document = documents.hostile()
    asked = frozenset(("zip", "json", "pdf") if pdf else ("zip", "json"))
    made = {name: b"".join(pieces) for name, pieces in Renderings(document, [model.encode(document)]).of(asked)}
    assert set(made) == asked
    files = checked(made["zip"])
    assert set(files) == {"report.html", "summary.md", "summary.png", "report.json"} | (
        {"report.pdf"} if pdf else set()
    )
    assert files["report.json"] == made["json"] == model.encode(document)
    assert files["report.html"] == render_html(document).encode()
    assert files["summary.md"] == render_markdown(document).encode()


def noise(size: int) -> bytes:
    """Bytes that a zip does not make smaller."""
    return random.Random(size).randbytes(size)


def test_a_bundle_too_large_leaves_out_the_document_then_the_pdf_then_parts_of_the_page():
    parts = {"html": noise(40_000), "md": b"#", "png": noise(1_000), "pdf": noise(30_000), "json": noise(50_000)}
    asked = []

    def page(most):
        asked.append(most)
        return noise(max(most, 5_000))

    whole = {"report.html", "summary.md", "summary.png", "report.pdf", "report.json"}
    assert set(checked(fitted(parts, None, page))) == set(checked(fitted(parts, 200_000, page))) == whole
    without = checked(fitted(parts, 80_000, page))
    assert set(without) == whole - {"report.json"} | {LEFT_OUT}
    (line,) = without[LEFT_OUT].decode().splitlines()
    digest = hashlib.sha256(parts["json"]).hexdigest()
    assert line.startswith(f"report.json: 50,000 bytes, SHA-256 {digest}.") and "80,000 bytes (--max-size)" in line
    assert "with json among the formats" in line
    shorter = fitted(parts, 60_000, page)
    assert len(shorter) <= 60_000 and asked == []
    assert set(checked(shorter)) == whole - {"report.json", "report.pdf"} | {LEFT_OUT}
    assert [line.split(":")[0] for line in checked(shorter)[LEFT_OUT].decode().splitlines()] == [
        "report.json",
        "report.pdf",
    ]
    small = fitted(parts, 20_000, page)
    assert len(small) <= 20_000 and asked == [20_000, 10_000]
    assert len(checked(small)["report.html"]) == 10_000
    assert small == fitted(parts, 20_000, page)
    smallest = checked(fitted(parts, 100, page))  # cannot be had
    assert len(smallest["report.html"]) == 5_000


def test_a_picture_in_chinese_needs_a_font_and_is_in_english_without(monkeypatch):
    chinese = documents.refused().spoken_in("zh")
    monkeypatch.setattr(card, "han_font", lambda: "")
    assert card.render_card(chinese) == card.render_card(documents.refused())
    asked = []
    monkeypatch.setattr(card, "han_font", lambda: "Some Han")
    monkeypatch.setattr(card, "picture", lambda draw, inches, dpi, font: asked.append(spoken_language()) or b"")
    card.render_card(chinese)
    card.render_card(documents.refused())
    assert asked == ["zh", "en"]
