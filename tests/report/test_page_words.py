"""What templates call to say something: no part can become markup, and none loses its marks."""

from __future__ import annotations

from markupsafe import Markup

from pcapreport import language
from pcapreport.report.page_words import counted, html_language, joined, phrase, sentences

HOSTILE = "<b>\x1b[31m\u202e{x}"


def test_parts_are_escaped_and_made_visible_but_markup_stays():
    shown = phrase("{file} has {link}", file=HOSTILE, link=Markup('<a href="#f1">1</a>'))
    assert shown == '&lt;b&gt;\\x1b[31m\\u202e{x} has <a href="#f1">1</a>'
    assert phrase("a < b") == "a &lt; b"


def test_a_number_decides_between_forms_with_parts():
    forms = "{n:,} frame called {rule} here", "{n:,} frames called {rule} here"
    assert counted(1, *forms, rule=Markup("<code>x</code>")) == "1 frame called <code>x</code> here"
    assert counted(1200, *forms, rule=HOSTILE) == "1,200 frames called &lt;b&gt;\\x1b[31m\\u202e{x} here"


def test_rows_and_sentences_leave_out_nothing_but_the_empty():
    assert joined(["a", HOSTILE, Markup("<i>b</i>")], ", ") == "a, &lt;b&gt;\\x1b[31m\\u202e{x}, <i>b</i>"
    assert sentences("One.", "", "Two.") == "One. Two."
    assert joined([], ", ") == ""


def test_a_text_is_said_once_even_within_another(monkeypatch):
    class Backwards:
        def gettext(self, form):
            return {"client": "resu", "The {side} asked.": "{side} dekse."}.get(form, form)

    monkeypatch.setattr(language, "_catalogue", lambda name: Backwards())
    with language.speaking("zh"):
        assert phrase("The {side} asked.", side=language.phrase("client")) == "resu dekse."
        assert html_language() == "zh-Hans"
    assert html_language() == "en"
