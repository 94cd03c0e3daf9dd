"""How a text was made, as documents keep it: apart from language.py, so that what only speaks needs no encoder."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a text was made: its form with its parts; or items with the form between each two."""

    form: str
    parts: dict[str, str | int | float | Message] = {}
    several: str = ""
    """The form for any number `n` but 1, where there is one."""
    items: list[str | int | float | Message] = []
