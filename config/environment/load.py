"""From the process environment and .env to an Environment, or to an error with every fault."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from config.environment import secrets
from config.environment.cross_checks import general as rules
from config.environment.cross_checks.anonymous import check_anonymous_contradictions
from config.environment.cross_checks.sign_in import follow_social_registration
from config.environment.cross_checks.sso_providers import (
    listed,
    unlisted_provider,
    variables_of,
)
from config.environment.diagnostics.display import display_value
from config.environment.diagnostics.effects import Effect, LoadResult, effects, settings_among
from config.environment.diagnostics.ignored_names import ignored_reason
from config.environment.diagnostics.ignored_values import drop_foreign_values
from config.environment.diagnostics.suggestions import suggest_name
from config.environment.dotenv import read_dotenv
from config.environment.errors import Problem, SettingsError, Unreadable
from config.environment.registry.allauth_providers import why_unusable
from config.environment.registry.social import possible_names, social_variables
from config.environment.resolve import FILE_ENDING, Findings, Layer, RawValue, default_of, resolve
from config.environment.schema import Variable
from config.environment.variables import VARIABLES

SECRET_FIX = "remove it to generate one, or use the output of `openssl rand -base64 48`"  # noqa: S105 - advice
OWN_SECRET_FIX = "remove it, or use the output of `openssl rand -base64 48`"  # noqa: S105 - advice
FIXES = {"SECRET_KEY": SECRET_FIX, "ENCRYPTION_KEY": secrets.KEY_FIX}


@dataclass(frozen=True, slots=True)
class Row:
    """One line for `manage.py doctor`: no secret in it; `note` is what is unwise, or nothing."""

    name: str
    value: str
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Every setting by its canonical name, with its source, and warnings in `problems`."""

    _values: dict[str, Any] = field(repr=False)
    _sources: dict[str, str]
    problems: tuple[Problem, ...] = ()
    # Those of providers of a list, whose names depend on it.
    further: tuple[Variable, ...] = ()
    # What each line of .env did, and each name of the process environment that is a setting.
    lines: tuple[Effect, ...] = ()
    names: tuple[Effect, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """The value of the variable `name`. Raises KeyError for what is not declared."""
        return self._values[name]

    @property
    def values(self) -> Mapping[str, Any]:
        """Every value by the name of its variable."""
        return MappingProxyType(self._values)

    def source(self, name: str) -> str:
        """Where the value comes from, as text: `.env line 3: KHOJ_DOMAIN`, `default`, …"""
        return self._sources[name]

    def describe(self) -> list[Row]:
        """All settings in the order of the reference page, secrets masked."""
        return [self._row(variable) for variable in (*VARIABLES, *self.further)]

    def _row(self, variable: Variable) -> Row:
        notes = [
            f"{problem.name} {problem.what}. Fix: {problem.fix}."
            for problem in self.problems
            if problem.name in variable.names
        ]
        value = display_value(variable, self._values[variable.name])
        return Row(variable.name, value, self._sources[variable.name], " ".join(notes))


def load(
    environ: Mapping[str, str], dotenv_path: Path | None = None, *, data_dir: Path | None = None
) -> Environment:
    """All settings, from `environ`, then the file at `dotenv_path`, then defaults.

    Generates missing secrets in `data_dir` (default: DATA_DIR, relative to the folder of
    .env). Raises SettingsError with every fault at once.
    """
    lines, faults = read_dotenv(dotenv_path)
    in_environment = {
        name: RawValue(text, f"environment: {name}") for name, text in environ.items()
    }
    in_file = {
        line.name: RawValue(line.value, f".env line {line.number}: {line.name}", line.number)
        for line in sorted(lines.values(), key=lambda line: line.number)
    }
    found = Findings(errors=faults)
    layers = drop_foreign_values((in_environment, in_file), found)
    values, sources = _resolve_all(layers, found)
    further = social_variables((name for layer in layers for name in layer), listed(values))
    _resolve_each(further, layers, found, values, sources)
    of_list = variables_of(values)
    _resolve_each(of_list, layers, found, values, sources)
    further += of_list
    follow_social_registration(values, sources)
    base = dotenv_path.parent if dotenv_path else Path.cwd()
    values["DATA_DIR"] = data_dir or (base / values["DATA_DIR"]).resolve()
    unread = {problem.name for problem in found.errors}
    contradicting = rules.problems_of(rules.ERRORS, values)
    # What is unreadable is not reported a second time as missing.
    found.errors += [problem for problem in contradicting if problem.name not in unread]
    found.errors += check_anonymous_contradictions(values, sources)
    found.warnings += rules.problems_of(rules.WARNINGS, values)
    _check_required(values, sources, found)
    _settle_secrets(values, sources, found)
    if found.errors:
        raise SettingsError(found.errors)
    variables = (*VARIABLES, *further)
    found.warnings += _unknown_names(layers, variables)
    result = LoadResult(variables, values, sources, found.warnings)
    return Environment(
        values,
        sources,
        tuple(found.warnings),
        further,
        lines=effects(in_file, result),
        names=effects(settings_among(in_environment, result), result),
    )


def _resolve_all(
    layers: tuple[Layer, ...], found: Findings
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    _resolve_each(VARIABLES, layers, found, values, sources)
    return values, sources


def _resolve_each(
    variables: Iterable[Variable],
    layers: tuple[Layer, ...],
    found: Findings,
    values: dict[str, Any],
    sources: dict[str, str],
) -> None:
    """Add the value and the source of each of `variables` to `values` and `sources`."""
    for variable in variables:
        resolved = resolve(variable, layers, found)
        values[variable.name] = resolved.value if resolved else default_of(variable, values)
        sources[variable.name] = resolved.source if resolved else "default"


def _check_required(values: Mapping[str, Any], sources: Mapping[str, str], found: Findings) -> None:
    for variable in VARIABLES:
        is_missing = variable.required_in_production and sources[variable.name] == "default"
        if is_missing and values["ENVIRONMENT"] == "production":
            fix = f"set it, for example {variable.name}={variable.example}"
            found.errors.append(Problem(variable.name, "is missing in production", fix))


def _settle_secrets(values: dict[str, Any], sources: dict[str, str], found: Findings) -> None:
    """Refuse weak secrets, make missing ones, and turn ENCRYPTION_KEY into bytes.

    Nothing is made while there are errors: DATA_DIR may be one of them.
    """
    is_production = values["ENVIRONMENT"] == "production"
    for variable in (variable for variable in VARIABLES if variable.strong):
        if values[variable.name] is not None:
            _check_strength(variable.name, values[variable.name], found, is_production)
        elif variable.generated and not found.errors:
            values[variable.name] = _generated(variable, values["DATA_DIR"], found)
            sources[variable.name] = f"generated: {secrets.DIRECTORY}/{variable.generated}"
    if found.errors:
        return
    try:
        values["ENCRYPTION_KEY"] = secrets.decode_key(values["ENCRYPTION_KEY"])
    except Unreadable as error:
        found.errors.append(Problem("ENCRYPTION_KEY", error.what, error.fix))


def _check_strength(name: str, secret: str, found: Findings, is_production: bool) -> None:
    fix = FIXES.get(name, OWN_SECRET_FIX)
    if secrets.is_published(secret):
        what = "is empty, a placeholder, or a value that is published"
        found.errors.append(Problem(name, what, fix))
    elif weakness := secrets.weakness(secret):
        (found.errors if is_production else found.warnings).append(Problem(name, weakness, fix))


def _generated(variable: Variable, data_dir: Path, found: Findings) -> str | None:
    path = data_dir / secrets.DIRECTORY / variable.generated
    try:
        secret = secrets.stored_secret(data_dir, variable.generated, secrets.MAKERS[variable.name])
        if secrets.is_readable_by_others(path):
            what = f"is kept in {path}, which others on this machine may read"
            found.warnings.append(Problem(variable.name, what, f"run chmod 600 {path}"))
    except Unreadable as error:
        found.errors.append(Problem(variable.name, error.what, error.fix))
    except OSError as error:
        what = f"cannot be kept in {path} ({error.strerror})"
        fix = f"let this user write to DATA_DIR, or set {variable.name}"
        found.errors.append(Problem(variable.name, what, fix))
    else:
        return secret
    return None


def _unknown_names(layers: tuple[Layer, ...], variables: tuple[Variable, ...]) -> list[Problem]:
    """Warnings about names that have no effect and are probably misspelt."""
    known = {name for variable in variables for name in variable.names}
    candidates = sorted(known)
    known |= {f"{name}{FILE_ENDING}" for name in known}
    problems: dict[str, Problem] = {}
    for position, layer in enumerate(layers):
        for name, given in layer.items():
            if name not in known:
                problem = _unknown_name(name, given, candidates, is_ours=position == 1)
                problems |= {name: problem} if problem else {}
    return list(problems.values())


def _unknown_name(
    name: str, given: RawValue, candidates: list[str], *, is_ours: bool
) -> Problem | None:
    provider = unlisted_provider(name.removesuffix(FILE_ENDING))
    if provider:
        what = f"has no effect, because AUTH_SSO_PROVIDERS does not name {provider}"
        return Problem(name, what, f"add {provider} there") if given.text.strip() else None
    if reason := why_unusable(name):
        return Problem(name, f"has no effect: {reason}", "remove it")
    if ignored_reason(name):
        return None
    bare = name.removesuffix(FILE_ENDING)
    candidates = [*candidates, *possible_names(bare)]
    meant = suggest_name(name, candidates, is_ours=is_ours)
    if not meant and bare != name and (meant := suggest_name(bare, candidates, is_ours=is_ours)):
        meant = f"{meant}{FILE_ENDING}"
    if not meant:
        return None
    return Problem(name, "is unknown", f"did you mean {meant}? Write that, or remove it")
