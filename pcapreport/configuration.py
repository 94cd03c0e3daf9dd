"""Defaults of the command line from a project file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcapreport.errors import UsageError, reason
from pcapreport.language import Text, phrase

if TYPE_CHECKING:
    from pcapreport.settings import RuleChange

LOWERED = ("off", "note", "warning")


def configured(path: Path, known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Values from [tool.pcapreport] of a TOML file, if there is one, for every command that has such an option.

    `known`: command -> option as users write it -> the name of its parameter. Raises UsageError for anything else.
    """
    given = _table(path)
    given.pop("rules", None)
    wanted = {key.replace("_", "-"): _spelled(value) for key, value in given.items()}
    valid = {option for options in known.values() for option in options}
    unknown = sorted(set(wanted) - valid)
    if unknown:
        message = phrase(
            "{path}: [tool.pcapreport] has no {names}; valid: {valid}",
            path=str(path),
            names=", ".join(unknown),
            valid=", ".join(sorted(valid)),
        )
        raise UsageError(message)
    return {
        name: {parameter: wanted[option] for option, parameter in options.items() if parameter and option in wanted}
        for name, options in known.items()
    }


def rule_changes(path: Path, known: Callable[[], Iterable[str]]) -> tuple[tuple[str, RuleChange], ...]:
    """What [tool.pcapreport.rules.NAME] of a TOML file says of rules; raises UsageError for what makes no sense.

    `known`: gives the names of all rules, and is asked only if there is something to check.
    """
    from pcapreport.settings import RuleChange

    given = _table(path).get("rules", {})
    place = f"{path}: [tool.pcapreport.rules]"
    if not isinstance(given, dict):
        raise UsageError(
            phrase("{place} is no table; write [tool.pcapreport.rules.RULE] with severity and reason", place=place)
        )
    found, rules = [], set(known()) if given else set()
    for rule, change in given.items():
        wrong = _wrong(rule, change, rules)
        if wrong:
            raise UsageError(phrase("{place} {problem}", place=place, problem=wrong))
        found.append((rule, RuleChange(str(change["severity"]), change["reason"].strip())))
    return tuple(sorted(found, key=lambda one: one[0]))


def _wrong(rule: str, change: Any, rules: set[str]) -> Text | None:
    """What is wrong with the change of a rule, if anything is."""
    if rule not in rules:
        import difflib

        near = difflib.get_close_matches(rule, rules, 1)
        if near:
            return phrase("there is no rule {rule}; is it {near}?", rule=rule, near=near[0])
        return phrase("there is no rule {rule}; see `rules`", rule=rule)
    severity, reason = (change.get(key) for key in ("severity", "reason")) if isinstance(change, dict) else (0, 0)
    if severity not in LOWERED or not isinstance(change, dict) or set(change) - {"severity", "reason"}:
        lowered = ", ".join(LOWERED)
        return phrase("{rule}: give severity ({lowered}) and reason, nothing else", rule=rule, lowered=lowered)
    if not isinstance(reason, str) or not reason.strip():
        return phrase("{rule}: give the reason for which it is changed; reports tell it", rule=rule)
    return None


def _table(path: Path) -> dict[str, Any]:
    """[tool.pcapreport], empty where there is none."""
    if not path.is_file():
        return {}
    import tomllib

    try:
        given: Any = tomllib.loads(path.read_text("utf-8"))
        for key in ("tool", "pcapreport"):
            given = given.get(key, {})
            if not isinstance(given, dict):
                raise ValueError(phrase("{key} is no table", key=key))
    except (OSError, ValueError) as error:
        raise UsageError(phrase("{path}: {error}; correct it", path=str(path), error=reason(error))) from error
    return dict(given)


def _spelled(value: Any) -> Any:
    """A TOML list as the command line spells it; a table as options given several times."""
    if isinstance(value, dict):
        return [f"{name}={one}" for name, one in value.items()]
    return ",".join(map(str, value)) if isinstance(value, list) else value
