"""From texts under many names to one value for each variable, with its source. No rules here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.environment.errors import Problem, Unreadable
from config.environment.parsing.parsers import parse
from config.environment.schema import Alias, Variable
from config.environment.secrets import read_secret

FILE_ENDING = "_FILE"


@dataclass(frozen=True, slots=True)
class RawValue:
    """One given text; `source` says where it comes from. number: its line in .env, else 0."""

    text: str = field(repr=False)
    source: str
    number: int = 0


Layer = Mapping[str, RawValue]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A parsed value of one variable, the name it was given under, and where."""

    value: Any = field(repr=False)
    source: str
    name: str
    alias: Alias | None = None


class Findings:
    """What was found wrong so far; `errors` stop the start."""

    def __init__(self, errors: list[Problem]) -> None:
        self.errors = errors
        self.warnings: list[Problem] = []


def resolve(variable: Variable, layers: tuple[Layer, ...], found: Findings) -> Resolved | None:
    """The value that was given for `variable`, or None; faults go to `found`.

    Layers are asked in order, and the first that has any of the variable's names decides. Within
    a layer two names may repeat one value; two values are an error that names both.
    """
    texts = {name: given.text for layer in reversed(layers) for name, given in layer.items()}
    for layer in layers:
        candidates = list(_candidates(variable, layer, texts, found))
        if candidates:
            return _choose(variable, candidates, found)
    return None


def _candidates(
    variable: Variable, layer: Layer, texts: Mapping[str, str], found: Findings
) -> Iterator[Resolved]:
    """What `layer` has under each of the variable's names, the best name first."""
    for alias in (None, *variable.aliases):
        name = alias.name if alias else variable.name
        try:
            for given_name, given in _texts_of(variable, name, layer):
                text = given.text
                if alias and alias.convert:
                    text = alias.convert(text, texts)
                yield Resolved(parse(variable, text), given.source, given_name, alias)
        except Unreadable as error:
            found.errors.append(Problem(name, error.what, error.fix))


def _texts_of(variable: Variable, name: str, layer: Layer) -> Iterator[tuple[str, RawValue]]:
    """The text under `name`, and in the file that `name`_FILE names."""
    given = layer.get(name)
    # An empty text counts as not given, except where it looks like a secret that is none.
    if given is not None and (given.text.strip() or variable.strong):
        yield name, given
    pointer = layer.get(f"{name}{FILE_ENDING}")
    if pointer is None or not pointer.text.strip():
        return
    path = Path(pointer.text.strip())
    try:
        yield f"{name}{FILE_ENDING}", RawValue(read_secret(path), pointer.source)
    except OSError as error:
        what = f"is to be read from the file {path}, which cannot be read ({error.strerror})"
        fix = f"correct {name}{FILE_ENDING} or the file's permissions"
        raise Unreadable(what, fix) from None


def _choose(variable: Variable, candidates: list[Resolved], found: Findings) -> Resolved:
    best = candidates[0]
    for other in candidates[1:]:
        if other.value == best.value:
            continue
        if other.alias and other.alias.yields:
            what = f"differs from {best.name}, which takes precedence"
            found.warnings.append(Problem(other.name, what, "remove one of them"))
            continue
        what = f"differs from {other.name}, which is another name of the same setting"
        found.errors.append(Problem(best.name, what, "remove one of them"))
    return best


def default_of(variable: Variable, values: Mapping[str, Any]) -> Any:
    """The default of a variable: derived from `values`, declared, or None."""
    if variable.default_from:
        return variable.default_from(values)
    return None if variable.default is None else parse(variable, variable.default)
