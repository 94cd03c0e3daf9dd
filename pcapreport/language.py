"""What the program says, and in which language.

A text of ours is made once, in English, with `phrase` and its kin; it is an ordinary string that also remembers the
form and the parts it was made from. Whatever passes it on treats it as the string. Only where it is shown, `say` makes
it again from the translated form, within `speaking`: the document, its ids and its data are the same in every language.

Catalogues are gettext's (locale/LANGUAGE/LC_MESSAGES/pcapreport.mo); the English forms are their message ids. A form
that a program sees as data (names, addresses, file names) is a part, and is never translated.
"""

from __future__ import annotations

import gettext
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pcapreport.message import Message

LANGUAGES = ("en", "zh")
WITHOUT_SPACES = ("zh",)
BETWEEN_SENTENCES = " "
_FIELD = re.compile(r"\{\w+(?:![rsa])?(?::[^{}]*)?\}")
"""A part's place in a form."""
LOCALE = os.path.join(os.path.dirname(__file__), "locale")


_How = tuple[str, dict[str, Any], str, Sequence[Any]]
"""What a message is made of: form, parts, the form for any number but 1, items."""


class Text(str):
    """A text in English, with what it takes to say it in another language."""

    __slots__ = ("_how",)
    _how: Message | _How
    """As a message, or what it was made of here: few texts are ever said in another language."""

    @property
    def message(self) -> Message:
        """How it was made."""
        how = self._how
        if isinstance(how, tuple):
            from pcapreport.message import Message

            form, parts, several, items = how
            told = {name: _part(value) for name, value in parts.items()}
            how = self._how = Message(str(form), told, several, [_part(one) for one in items])
        return how

    def holds_parts(self) -> bool:
        """It is more than a form of the catalogue."""
        how = self._how
        return bool(how[1] or how[3] if isinstance(how, tuple) else how.parts or how.items)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (str(self), self.message)


def _made(english: str, how: Message | _How) -> Text:
    text = Text(english)
    text._how = how
    return text


def phrase(form: str, **parts: Any) -> Text:
    """`form` with its `{parts}` filled in, which may be texts, numbers and data; without parts, `form` as it stands.

    A form that is kept somewhere is a `phrase` without parts there, so that it is gathered.
    """
    text = Text(form.format(**parts) if parts else form)
    text._how = (form, parts, "", ())
    return text


def counted(n: int, one: str, several: str, **parts: Any) -> Text:
    """The form for 1 or the one for another number; `{n:,}` in them is the number."""
    parts = {"n": int(n), **parts}
    text = Text((one if n == 1 else several).format(**parts))
    text._how = (one, parts, several, ())
    return text


def forms(one: str, several: str) -> tuple[str, str]:
    """Both forms for `counted`, where they are chosen at one place and counted at another."""
    return one, several


def remembered(english: str, messages: Mapping[str, Message]) -> str:
    """A text of a saved document with what it takes to say it elsewhere."""
    message = messages.get(english)
    return _made(english, message) if message else english


def joined(items: Iterable[str], between: str = ", ") -> Text:
    """Texts or data in a row; `between` is a form as well: ", ", "; ", " and ", " or "."""
    parts = list(items)
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0]
    if not parts:
        return _made("", ("", {}, "", ()))
    return _made(between.join(parts), (between, {}, "", parts))


def sentences(*texts: str) -> Text:
    """Sentences one after the other, empty ones left out."""
    return joined((text for text in texts if text), BETWEEN_SENTENCES)


def first_sentence(text: str) -> str:
    """The first of what `sentences` put together; another text as it is."""
    if isinstance(text, Text) and text.message.form == BETWEEN_SENTENCES and text.message.items:
        first = text.message.items[0]
        english = str(_spoken_of(first, _English()))
        return english if isinstance(first, str | int | float) else _made(english, first)
    return text


def further_sentences(text: str) -> str:
    """What `first_sentence` leaves of a text."""
    rest = text[len(first_sentence(text)) :].removeprefix(BETWEEN_SENTENCES)
    if not rest or not isinstance(text, Text):
        return rest
    from pcapreport.message import Message

    return _made(rest, Message(BETWEEN_SENTENCES, items=text.message.items[1:]))


def lowered(title: str) -> Text:
    """A title as a part of a text: in lower case in English, as it is in other languages."""
    return _made(title.lower(), (title, {}, "", ()))


def as_string(value: Any) -> str:
    """For msgspec's encoders: a text is the string that it is."""
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in JSON")


def _part(value: Any) -> Any:
    """A part as a message keeps it; numbers of numpy as Python's."""
    kind = type(value)
    if kind is Text:
        return value.message
    if kind is str or kind is int or kind is float:
        return value
    if isinstance(value, str) or not hasattr(value, "item"):
        return str(value)
    return value.item()


class _English:
    """Says every form as it stands."""

    def gettext(self, form: str) -> str:
        return form

    def ngettext(self, one: str, several: str, n: int) -> str:
        return one if n == 1 else several


class _WithoutSpaces(gettext.GNUTranslations):
    """Of a script that puts nothing between sentences; gettext cannot say so itself, as an empty string means none."""

    def gettext(self, message: str) -> str:
        return "" if message == BETWEEN_SENTENCES else super().gettext(message)


class _Speech(NamedTuple):
    """The language that is spoken now."""

    language: str
    catalogue: Any
    messages: Mapping[str, Message]
    """Texts of the document at hand and how they were made."""


_ENGLISH = _Speech("en", _English(), {})
_current: ContextVar[_Speech] = ContextVar("speech", default=_ENGLISH)


@contextmanager
def speaking(language: str, messages: Mapping[str, Message] | None = None) -> Iterator[None]:
    """Within this, `say` uses `language`, one of LANGUAGES; `messages`: how the texts of a saved document were made."""
    token = _current.set(_Speech(language, _catalogue(language), messages or {}))
    try:
        yield
    finally:
        _current.reset(token)


def spoken_language() -> str:
    """The language of `say`, such as "en"."""
    return _current.get().language


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(language: str) -> Any:
    if language == "en":
        return _English()
    kind = _WithoutSpaces if language in WITHOUT_SPACES else gettext.GNUTranslations
    return gettext.translation("pcapreport", LOCALE, [language], class_=kind)


def translated(form: str, several: str = "", n: int = 1) -> str:
    """The form in the language that is spoken, its parts still to be filled in; `several`: for any number but 1."""
    catalogue = _current.get().catalogue
    if several:
        return str(catalogue.ngettext(form, several, n))
    return str(catalogue.gettext(form)) if form else form


def say(text: str) -> str:
    """A text of ours in the language that is spoken; in English, and where nothing is known of it, as it is."""
    speech = _current.get()
    if speech.language == "en" or not text:
        return text
    message = text.message if isinstance(text, Text) else speech.messages.get(text)
    return _spoken_of(message, speech.catalogue) if message else str(speech.catalogue.gettext(text))


def with_blanks(text: str, blank: str) -> str:
    """A text in the language that is spoken, with `blank` for each of its parts; items of a row each by themselves."""
    speech = _current.get()
    message = text.message if isinstance(text, Text) else speech.messages.get(text)
    return _blanked(message, blank, speech.catalogue) if message else say(text)


def _blanked(part: str | int | float | Message, blank: str, catalogue: Any) -> str:
    if isinstance(part, str | int | float):
        return blank
    if part.items:
        return str(catalogue.gettext(part.form)).join(_blanked(one, blank, catalogue) for one in part.items)
    form = str(catalogue.gettext(part.form))
    return _FIELD.sub(blank.replace("\\", r"\\"), form) if part.parts else form


def _spoken_of(part: str | int | float | Message, catalogue: Any) -> Any:
    """A part as it stands; a message in the catalogue's language, and so on down."""
    if isinstance(part, str | int | float):
        return part
    if part.items:
        return str(catalogue.gettext(part.form)).join(str(_spoken_of(one, catalogue)) for one in part.items)
    if not part.parts:
        return str(catalogue.gettext(part.form))
    n = part.parts.get("n")
    form = catalogue.ngettext(part.form, part.several, n) if part.several else catalogue.gettext(part.form)
    return str(form).format(**{name: _spoken_of(value, catalogue) for name, value in part.parts.items()})


def messages_of(value: Any) -> dict[str, Message]:
    """Each text within a record, by its English, that is more than a form of the catalogue; in order of first use."""
    found: dict[str, Message] = {}
    _collect((value,), found)
    return found


def _collect(values: Iterable[Any], found: dict[str, Message]) -> None:
    """Of values and all that is within them. A large document has millions: kinds are told apart once each."""
    for value in values:
        kind: Any = type(value)
        if kind is Text:
            if value not in found and value.holds_parts():
                found[str(value)] = value.message
        elif kind not in _PLAIN:
            _collect(_within(kind)(value), found)


_PLAIN = frozenset((str, int, float, bool, type(None)))


@cache
def _within(kind: Any) -> Callable[[Any], Iterable[Any]]:
    """Gives what is within a value of that kind and may be or hold a text."""
    import msgspec

    if issubclass(kind, msgspec.Struct):
        return msgspec.structs.astuple
    if issubclass(kind, Mapping):
        return lambda value: itertools.chain.from_iterable(value.items())
    if issubclass(kind, Sequence) and not issubclass(kind, str | bytes):
        return lambda value: () if value and isinstance(value[0], int | float) else value
    return lambda value: ()
