"""The thresholds of an analysis by the names that users give them: `--set jitter=80ms`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields, replace
from functools import cache
from typing import Any

from pcapreport.errors import UsageError
from pcapreport.language import phrase, say
from pcapreport.settings import Settings

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_GIVEN = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s)?")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A field of Settings as users know it."""

    name: str
    field: str
    default: int
    means: str
    """What it decides, and where the default comes from."""

    @property
    def is_time(self) -> bool:
        """It is given with a unit, and kept in ns."""
        return self.field.endswith("_ns")

    def spelled(self, value: int) -> str:
        """A value as users write it."""
        if not self.is_time:
            return f"{value}"
        unit = next(unit for unit in ("s", "ms", "us", "ns") if value % _UNITS[unit] == 0)
        return f"{value // _UNITS[unit]}{unit}"

    def read(self, text: str) -> int:
        """The value that a user wrote; raises UsageError."""
        found = _GIVEN.fullmatch(text.strip())
        if not found or self.is_time != bool(found[2]) or not self.is_time and "." in found[1]:
            option = f"--set {self.name}={text}"
            if self.is_time:
                raise UsageError(phrase("{option}: give a time such as 80ms, 0.5s or 200us", option=option))
            raise UsageError(phrase("{option}: give a whole number", option=option))
        return round(float(found[1]) * _UNITS[found[2]]) if self.is_time else int(found[1])


@cache
def thresholds() -> Mapping[str, Threshold]:
    """All of them, by name."""
    found = (_threshold(one) for one in fields(Settings) if "means" in one.metadata)
    return {threshold.name: threshold for threshold in found}


def _threshold(one: Field[Any]) -> Threshold:
    name = one.name.removesuffix("_ns").replace("_", "-")
    return Threshold(name, one.name, _default(one), one.metadata["means"])


def _default(one: Field[Any]) -> int:
    assert isinstance(one.default, int)
    return one.default


def changed(settings: Settings, given: Iterable[str]) -> tuple[Settings, dict[str, str]]:
    """(the settings with what was given as "name=value"; what that changes: name -> "default -> value").

    Raises UsageError for a name or a value that there is not.
    """
    known, told = thresholds(), {}
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        threshold = known.get(name.strip().replace("_", "-"))
        if threshold is None or not equals:
            names = ", ".join(f"{one.name}={one.spelled(one.default)}" for one in known.values())
            option = f"--set {text}"
            raise UsageError(
                phrase("{option}: there is no such threshold; these are: {names}", option=option, names=names)
            )
        values[threshold.field] = threshold.read(value)
        told[threshold.name] = f"{threshold.spelled(threshold.default)} -> {threshold.spelled(values[threshold.field])}"
    return replace(settings, **values), told


def listing() -> str:
    """A paragraph for each, in the language spoken."""
    shown = thresholds().values()
    return "\n\n".join(f"{one.name} = {one.spelled(one.default)}\n    {say(one.means)}" for one in shown)
