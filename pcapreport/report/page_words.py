"""What the pages' templates call to say something in the language that is spoken.

Parts that are markup stay so; everything else is made visible and escaped, as `shown` does for the templates' plain
expressions. A page has tens of thousands of them: what is shown again and again is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

from markupsafe import Markup, escape

from pcapreport.language import BETWEEN_SENTENCES, spoken_language, translated
from pcapreport.report import wording

HTML_LANGUAGES = {"zh": "zh-Hans"}
"""Where a language's own name does not tell in which script it is written."""


_markup: Callable[[str], Markup] = partial(str.__new__, Markup)
"""What is HTML already, without being asked whether it is."""
SHORT = 200
"""Characters of texts that are remembered as they are shown: states, addresses and flags come again and again."""


def shown(value: Any) -> str:
    """What a template's expression puts into the page, as HTML: text made visible and escaped, markup as it is (it was
    made from text that was), null as nothing."""
    kind = type(value)
    if kind is Markup:
        return str.__str__(value)
    if kind is str:
        return _shown_short(value) if len(value) <= SHORT else _shown(value)
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return _shown(value)
    return "" if value is None else str(escape(value))


def _shown(text: str) -> str:
    return str(escape(wording.visible(text)))


_shown_short = lru_cache(maxsize=4096)(_shown)


@lru_cache(maxsize=2048)
def _escaped(form: str) -> str:
    """A form of ours as HTML; its parts are still to be filled in."""
    return str(escape(form))


@lru_cache(maxsize=1024)
def _whole(form: str) -> Markup:
    """A form without parts."""
    return Markup(_escaped(form))


def _part(value: Any) -> Any:
    """A part of a form as it is filled in: numbers as they are, for the form says how they are written."""
    return value if type(value) is int or type(value) is float else shown(value)


def phrase(form: str, **parts: Any) -> Markup:
    """A text of the page in the language that is spoken; parts that are markup stay so, all others are escaped."""
    told = translated(form)
    if not parts:
        return _whole(told)
    return _markup(_escaped(told).format(**{name: _part(value) for name, value in parts.items()}))


def counted(n: int, one: str, several: str, **parts: Any) -> Markup:
    """The same, where a number `n` decides between two forms."""
    told = translated(one, several, n)
    return _markup(_escaped(told).format(n=n, **{name: _part(value) for name, value in parts.items()}))


def joined(items: Iterable[Any], between: str) -> Markup:
    """Items in a row with a form between each two."""
    return _markup(_escaped(translated(between)).join(map(shown, items)))


def sentences(*texts: Any) -> Markup:
    """Those that are not empty, one after the other."""
    return joined(filter(None, texts), BETWEEN_SENTENCES)


def html_language() -> str:
    """The language that is spoken, as HTML names it."""
    return HTML_LANGUAGES.get(spoken_language(), spoken_language())
