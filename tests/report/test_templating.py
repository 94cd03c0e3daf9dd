"""Templates are compiled once and kept, and nothing depends on that."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import DictLoader

from pcapreport.report import templating
from pcapreport.report.page_words import shown

PAGE = DictLoader({"page": "<p>{{ word }}</p>"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(templating.sys, "dont_write_bytecode", False)
    monkeypatch.setattr(templating, "files", lambda _: tmp_path)
    return tmp_path / "__pycache__"


def said() -> str:
    return templating.environment_of(PAGE, shown, kept=True).get_template("page").render(word="a<b")


def test_what_was_compiled_is_kept_and_says_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = said()
    assert first == "<p>a&lt;b</p>" and len(list(folder.iterdir())) == 1
    monkeypatch.setattr(templating._Environment, "compile", None)  # so that compiling it again would fail
    assert said() == first


def test_what_cannot_be_kept_or_read_is_compiled_again(folder: Path) -> None:
    folder.write_text("no folder")
    assert said() == "<p>a&lt;b</p>"
    folder.unlink()
    said()
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:-9])
    assert said() == "<p>a&lt;b</p>"


def test_templates_of_the_user_are_not_kept(folder: Path) -> None:
    templating.environment_of(PAGE, shown, kept=False).get_template("page")
    assert not folder.exists()
