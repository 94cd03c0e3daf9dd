"""The catalogues say all that the program says, in every language: nothing untranslated, doubtful or out of date."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import catalogue
import pytest
from babel.messages.catalog import Message

from pcapreport.language import LANGUAGES, phrase, say, speaking

OTHERS = LANGUAGES[1:]
FIRST_FORM = {"phrase": 0, "translated": 0, "forms": 0, "counted": 1}
"""Where the first form stands among the arguments."""
PLACE = re.compile(r"\{(\w+)(?:![rsa])?(?::[^{}]*)?\}")


def messages(language: str) -> Iterator[Message]:
    return (message for message in catalogue.read(language) if message.id)


def strings(message: Message) -> list[str]:
    return list(message.string) if isinstance(message.string, tuple) else [str(message.string)]


def ids(message: Message) -> list[str]:
    return list(message.id) if isinstance(message.id, tuple | list) else [str(message.id)]


@pytest.mark.parametrize("language", OTHERS)
def test_every_form_of_the_program_is_in_the_catalogue_and_no_other(language: str) -> None:
    ours = {form if isinstance(form, str) else form[0] for form in catalogue.forms()}
    theirs = {ids(message)[0] for message in messages(language)}
    assert theirs - ours == set(), "run: python -m tests.catalogue update"
    assert ours - theirs == set(), "run: python -m tests.catalogue update, and translate"


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_untranslated_or_fuzzy(language: str) -> None:
    assert [ids(one)[0] for one in messages(language) if not all(strings(one))] == []
    assert [ids(one)[0] for one in messages(language) if one.fuzzy] == []


@pytest.mark.parametrize("language", OTHERS)
def test_translations_keep_every_part(language: str) -> None:
    """Each placeholder of the English stands in the translation, and no other."""
    for one in messages(language):
        allowed = [set(PLACE.findall(form)) for form in ids(one)]
        for string in strings(one):
            assert set(PLACE.findall(string)) in allowed, (ids(one)[0], string)
            string.format(**{name: 1 for name in set().union(*allowed)}) if any(allowed) else None


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_sentence_was_left_in_place(language: str) -> None:
    """A translation has a character of its own script wherever the English has words."""
    same = [ids(one)[0] for one in messages(language) if ids(one)[0] in strings(one)]
    assert [form for form in same if re.search(r"[a-z]{3,} [a-z]{3,}", PLACE.sub("", form))] == []


@pytest.mark.parametrize("language", OTHERS)
def test_frames_are_written_so_that_the_page_links_them(language: str) -> None:
    for one in messages(language):
        for string in strings(one):
            assert not re.search(r"第 ?\{frame", string), string


@pytest.mark.parametrize("language", OTHERS)
def test_what_the_program_reads_is_what_was_written(language: str) -> None:
    path = catalogue.po_path(language)
    assert path.with_suffix(".mo").read_bytes() == catalogue.compiled(catalogue.read(language)), (
        "run: python -m tests.catalogue compile"
    )
    assert path.read_bytes() == catalogue.written(catalogue.updated(language)), "run: python -m tests.catalogue update"


@pytest.mark.parametrize("language", OTHERS)
def test_translations_are_packaged(language: str) -> None:
    assert Path(catalogue.po_path(language)).with_suffix(".mo").exists()
    with speaking(language):
        assert say(phrase("client")) != "client"


def test_no_form_is_hidden_from_the_tool_that_gathers_them() -> None:
    """Babel overlooks what stands within an f-string, or within a further call of another text's parts."""
    gathered = {form if isinstance(form, str) else form[0] for form in catalogue.forms()}
    hidden = []
    for path in (catalogue.ROOT / "pcapreport").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in FIRST_FORM:
                form = dict(enumerate(call.args)).get(FIRST_FORM[call.func.id])
                if isinstance(form, ast.Constant) and form.value not in gathered:
                    hidden.append((path.name, call.lineno, form.value))
    assert hidden == []
