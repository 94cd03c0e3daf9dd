"""What the pages' templates call to say something in the language that is spoken.

Parts that are markup stay so; everything else is made visible and escaped, as `printed` does for the templates' plain
expressions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from pcapreport.language import BETWEEN_SENTENCES, spoken_language, translated
from pcapreport.report import wording

HTML_LANGUAGES = {"zh": "zh-Hans"}
"""Where a language's own name does not tell in which script it is written."""


def printed(value: Any) -> Any:
    """What a template's expression prints: text made visible (markup was made from text that was), null as nothing."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return wording.visible(value)
    return "" if value is None else value


def phrase(form: str, **parts: Any) -> Markup:
    """A text of the page in the language that is spoken; parts that are markup stay so, all others are escaped."""
    shown = {name: printed(value) for name, value in parts.items()}
    return Markup(escape(translated(form))).format(**shown) if parts else Markup(escape(translated(form)))


def counted(n: int, one: str, several: str, **parts: Any) -> Markup:
    """The same, where a number `n` decides between two forms."""
    shown = {name: printed(value) for name, value in parts.items()}
    return Markup(escape(translated(one, several, n))).format(n=n, **shown)


def joined(items: Iterable[Any], between: str) -> Markup:
    """Items in a row with a form between each two."""
    return Markup(escape(translated(between))).join(printed(item) for item in items)


def sentences(*texts: Any) -> Markup:
    """Those that are not empty, one after the other."""
    return joined(filter(None, texts), BETWEEN_SENTENCES)


def html_language() -> str:
    """The language that is spoken, as HTML names it."""
    return HTML_LANGUAGES.get(spoken_language(), spoken_language())
