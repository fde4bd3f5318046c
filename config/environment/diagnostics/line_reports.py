"""Explains the effect of each line of .env, for `manage.py doctor`. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from config.environment.diagnostics.display import display_value
from config.environment.diagnostics.ignored_names import ignored_reason
from config.environment.dotenv import Line
from config.environment.errors import Problem
from config.environment.resolve import FILE_ENDING
from config.environment.schema import Variable


class LineReport(NamedTuple):
    """The effect of line `number`, which sets `name`; contains no secret."""

    number: int
    name: str
    what: str


class LoadResult(NamedTuple):
    """All settings as loaded; see Environment."""

    variables: Iterable[Variable]
    values: Mapping[str, Any]
    sources: Mapping[str, str]
    warnings: Iterable[Problem]


def report_lines(lines: Iterable[Line], result: LoadResult) -> tuple[LineReport, ...]:
    """One report for each of `lines`, in their order in the file."""
    by_name = dict(_names(result.variables))
    return tuple(
        LineReport(line.number, line.name, _what(line, by_name.get(line.name), result))
        for line in sorted(lines, key=lambda line: line.number)
    )


def _names(variables: Iterable[Variable]) -> Iterator[tuple[str, Variable]]:
    for variable in variables:
        for name in variable.names:
            yield name, variable
            yield f"{name}{FILE_ENDING}", variable


def _what(line: Line, variable: Variable | None, result: LoadResult) -> str:
    notes = [
        f"{problem.what}. Fix: {problem.fix}."
        for problem in result.warnings
        if problem.name == line.name
    ]
    if variable is not None:
        return "; ".join([_effect(line, variable, result), *notes])
    business = ignored_reason(line.name)
    if business:
        return f"not used by Gatehouse: {business}"
    return " ".join(notes) or "not used by Gatehouse: unknown"


def _effect(line: Line, variable: Variable, result: LoadResult) -> str:
    """The effect of a line with a known name."""
    source = result.sources[variable.name]
    value = display_value(variable, result.values[variable.name])
    state = f"{variable.name}={value}" if value else f"{variable.name} stays empty"
    if source == f".env line {line.number}: {line.name}":
        return f"sets {state}"
    if not line.value.strip():
        return f"is empty and changes nothing: {state} ({source})"
    if source == "default" or source.startswith("generated"):
        return f"sets nothing: {state} ({source})"
    return f"is overridden by {source}: {state}"
