"""A language made up for tests: every form of the program with marks around its words.

What stands outside of the marks was not said by `language.say`, or is data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html.parser import HTMLParser
from typing import Any

import msgspec
from catalogue import forms

_PART = re.compile(r"(\{[^{}]*\})")
_TOKENS = {"ack"}
"""Words of ours that are protocol's words elsewhere: "ack 47" stays so in any language."""
_MARKED = re.compile("【[^【】…]*[】…]")
"""A text that was cut ends in an ellipsis."""
_WORD = r"(?<![\w@:./%-])[a-z]{2,}(?:'[a-z]+)?(?![\w@/%-]|[.:][\w/])"
_RUN = re.compile(rf"{_WORD}(?: {_WORD})*")


def marked(form: str) -> str:
    """The form with its words between marks; its parts stand outside."""
    pieces = _PART.split(form)
    return "".join(f"【{p}】" if at % 2 == 0 and re.search("[A-Za-z]", p) else p for at, p in enumerate(pieces))


class Catalogue:
    """In place of gettext's translations."""

    def __init__(self) -> None:
        self.forms = {form for both in forms() for form in ([both] if isinstance(both, str) else both)}

    def gettext(self, form: str) -> str:
        return marked(form) if form in self.forms else form

    def ngettext(self, one: str, several: str, n: int) -> str:
        return self.gettext(one if n == 1 else several)


@cache
def catalogue() -> Catalogue:
    return Catalogue()


class _Words(HTMLParser):
    """Texts of a page that a reader or a screen reader meets; not code, nor what scripts and styles hold."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("code", "script", "style")
        spoken = ("aria-label", "title", "alt") if tag != "script" else tuple(name for name, _ in attrs)
        self.texts += [value for name, value in attrs if name in spoken and value]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(data)


def unsaid_in_page(html: str) -> set[str]:
    """English outside of the marks on a page."""
    page = _Words()
    page.feed(html)
    return {run for text in page.texts for run in unsaid(text)}


def unsaid_in_markdown(text: str) -> set[str]:
    return unsaid(re.sub(r"`[^`\n]*`", " ", text))


def unsaid(text: str) -> set[str]:
    """Runs of lower-case words outside of the marks, and single words that are forms themselves."""
    runs = _RUN.findall(_MARKED.sub(" | ", text))
    return {run for run in runs if " " in run or run in catalogue().forms - _TOKENS}


def texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(record and field, text) of all strings within a record."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from texts(getattr(value, name), f"{type(value).__name__}.{name}")
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from texts(key, field)
            yield from texts(one, field)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one, field)
