"""Defaults of the command line from a project file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pcapreport.errors import UsageError


def configured(path: Path, known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Values from [tool.pcapreport] of a TOML file, if there is one, for every command that has such an option.

    `known`: command -> option as users write it -> the name of its parameter. Raises UsageError for anything else.
    """
    if not path.is_file():
        return {}
    try:
        given: Any = tomllib.loads(path.read_text("utf-8"))
        for key in ("tool", "pcapreport"):
            given = given.get(key, {})
            if not isinstance(given, dict):
                raise ValueError(f"{key} is no table")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}; correct it") from error
    wanted = {key.replace("_", "-"): _spelled(value) for key, value in given.items()}
    valid = {option for options in known.values() for option in options}
    unknown = sorted(set(wanted) - valid)
    if unknown:
        raise UsageError(f"{path}: [tool.pcapreport] has no {', '.join(unknown)}; valid: {', '.join(sorted(valid))}")
    return {
        name: {parameter: wanted[option] for option, parameter in options.items() if parameter and option in wanted}
        for name, options in known.items()
    }


def _spelled(value: Any) -> Any:
    """A TOML list as the command line spells it."""
    return ",".join(map(str, value)) if isinstance(value, list) else value
