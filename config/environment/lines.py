"""What each line of .env did, for `manage.py doctor`: so that nobody has to guess. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from config.environment.dotenv import Line
from config.environment.errors import Problem
from config.environment.ignored_names import business_of
from config.environment.resolve import FILE_ENDING
from config.environment.schema import Variable
from config.environment.shown import shown


class LineReport(NamedTuple):
    """`what` the line `number` with the variable `name` did, without any secret."""

    number: int
    name: str
    what: str


class Outcome(NamedTuple):
    """What became of all settings: see Environment."""

    variables: Iterable[Variable]
    values: Mapping[str, Any]
    sources: Mapping[str, str]
    warnings: Iterable[Problem]


def report_lines(lines: Iterable[Line], outcome: Outcome) -> tuple[LineReport, ...]:
    """One report for each of `lines`, in their order in the file."""
    by_name = dict(_names(outcome.variables))
    return tuple(
        LineReport(line.number, line.name, _what(line, by_name.get(line.name), outcome))
        for line in sorted(lines, key=lambda line: line.number)
    )


def _names(variables: Iterable[Variable]) -> Iterator[tuple[str, Variable]]:
    for variable in variables:
        for name in variable.names:
            yield name, variable
            yield f"{name}{FILE_ENDING}", variable


def _what(line: Line, variable: Variable | None, outcome: Outcome) -> str:
    notes = [
        f"{problem.what}. Fix: {problem.fix}."
        for problem in outcome.warnings
        if problem.name == line.name
    ]
    if variable is not None:
        return "; ".join([_effect(line, variable, outcome), *notes])
    business = business_of(line.name)
    if business:
        return f"not used by Gatehouse: {business}"
    return " ".join(notes) or "not used by Gatehouse: unknown"


def _effect(line: Line, variable: Variable, outcome: Outcome) -> str:
    """What a line with a name of ours has done."""
    source = outcome.sources[variable.name]
    value = shown(variable, outcome.values[variable.name])
    state = f"{variable.name}={value}" if value else f"{variable.name} stays empty"
    if source == f".env line {line.number}: {line.name}":
        return f"sets {state}"
    if not line.value.strip():
        return f"is empty and changes nothing: {state} ({source})"
    if source == "default" or source.startswith("generated"):
        return f"sets nothing: {state} ({source})"
    return f"gives way to {source}: {state}"
