"""Which of the names that a user gives are addresses of other machines, and how such a name may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|[A-Za-z][A-Za-z0-9+.-]+::")
"""Two letters at least: one is a Windows drive."""
_ADDRESS = re.compile(r"(?<=://)(?P<user>[^/\s]*@|[^/\s@]*:\S*@)?(?P<place>[^\s?]*)(?P<query>\?\S+)?")
"""User and password, even if the latter has a character that should be escaped; and what may be a signature."""
HIDDEN = "..."


def is_url(name: str) -> bool:
    """A place that is reached through fsspec: `s3://bucket/folder`, or several such joined by `::`."""
    return _SCHEME.match(name) is not None


def shown(text: str) -> str:
    """The text with addresses as they may be told: without user, password and what follows a question mark."""
    return _ADDRESS.sub(_without_secrets, text)


def _without_secrets(found: re.Match[str]) -> str:
    user, query = f"{HIDDEN}@" if found["user"] else "", f"?{HIDDEN}" if found["query"] else ""
    return f"{user}{found['place']}{query}"


def safe_name(name: str) -> str:
    """A name from a listing as a relative path: no part of it leads anywhere but down, nothing in it ends a name."""
    parts = name.replace("\\", "_").replace("\0", "_").split("/")
    return "/".join(f"_{part}" if part in ("", ".", "..") else part for part in parts)


@dataclass(frozen=True, slots=True)
class Url:
    """An address with all that belongs to it; `str` gives what may be shown."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        return shown(self.secret)
