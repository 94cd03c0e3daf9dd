"""What goes into a ticket: the short page, the Markdown, the picture, the bundle."""

import hashlib
import io
import struct
import zipfile

import documents
import msgspec
import pytest

from pcapreport.language import spoken_language
from pcapreport.report import card, model
from pcapreport.report.advice import actor, next_steps
from pcapreport.report.bundle import SUMS, bundle
from pcapreport.report.card import render_card
from pcapreport.report.html import render_html
from pcapreport.report.summary import render_markdown


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
        picture = render_card(make())
        assert picture[:8] == b"\x89PNG\r\n\x1a\n", name
        assert struct.unpack(">II", picture[16:24]) == (1200, 630)
        assert len(picture) < 2**20
        assert picture == render_card(make())


def test_the_bundle_holds_all_with_their_sums_and_never_changes():
    files = {"a.html": b"<p>", "a.json": b"{}", "a.md": b"#"}
    packed = bundle(files)
    assert packed == bundle(dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        sums = archive.read(SUMS).decode().splitlines()
        assert sums == [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
        assert {name: archive.read(name) for name in archive.namelist() if name != SUMS} == files


def test_a_picture_in_chinese_needs_a_font_and_is_in_english_without(monkeypatch):
    chinese = documents.refused().spoken_in("zh")
    monkeypatch.setattr(card, "han_font", lambda: "")
    assert card.render_card(chinese) == card.render_card(documents.refused())
    asked = []
    monkeypatch.setattr(card, "han_font", lambda: "Some Han")
    monkeypatch.setattr(card, "picture", lambda draw, inches, dpi, font: asked.append((spoken_language(), font)) or b"")
    card.render_card(chinese)
    card.render_card(documents.refused())
    assert asked == [("zh", "Some Han"), ("en", "")]
