"""Explains to `manage.py doctor` what each given name did, in .env and in the environment. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from config.environment.diagnostics.display import display_value
from config.environment.diagnostics.ignored_names import ignored_reason
from config.environment.errors import Problem
from config.environment.resolve import FILE_ENDING, RawValue
from config.environment.schema import Variable


class Effect(NamedTuple):
    """What the given `name` did; contains no secret. number: its line in .env, else 0."""

    name: str
    what: str
    number: int = 0


class LoadResult(NamedTuple):
    """All settings as loaded; see Environment."""

    variables: tuple[Variable, ...]
    values: Mapping[str, Any]
    sources: Mapping[str, str]
    warnings: Iterable[Problem]


def effects(given: Mapping[str, RawValue], result: LoadResult) -> tuple[Effect, ...]:
    """One for each name, in the order of `given`."""
    variables = dict(_names(result.variables))
    return tuple(
        Effect(name, _what(name, value, variables.get(name), result), value.number)
        for name, value in given.items()
    )


def settings_among(given: Mapping[str, RawValue], result: LoadResult) -> dict[str, RawValue]:
    """The names, sorted, that are settings of Gatehouse or of another system."""
    known = {name for name, _variable in _names(result.variables)}
    return {name: given[name] for name in sorted(given) if name in known or ignored_reason(name)}


def _names(variables: tuple[Variable, ...]) -> Iterator[tuple[str, Variable]]:
    for variable in variables:
        for name in variable.names:
            yield name, variable
            yield f"{name}{FILE_ENDING}", variable


def _what(name: str, given: RawValue, variable: Variable | None, result: LoadResult) -> str:
    notes = [
        f"{problem.what}. Fix: {problem.fix}."
        for problem in result.warnings
        if problem.name == name
    ]
    if variable is not None:
        return "; ".join([_effect(given, variable, result), *notes])
    reason = ignored_reason(name)
    if reason:
        return f"not used by Gatehouse: {reason}"
    return " ".join(notes) or "not used by Gatehouse: unknown"


def _effect(given: RawValue, variable: Variable, result: LoadResult) -> str:
    """The effect of a known name."""
    source = result.sources[variable.name]
    value = display_value(variable, result.values[variable.name])
    state = f"{variable.name}={value}" if value else f"{variable.name} stays empty"
    if source == given.source:
        return f"sets {state}"
    if not given.text.strip():
        return f"is empty and changes nothing: {state} ({source})"
    if source == "default" or source.startswith("generated"):
        return f"sets nothing: {state} ({source})"
    return f"is overridden by {source}: {state}"
