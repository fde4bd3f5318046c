"""Renders the chart in deploy/helm without Helm.

Knows the part of the template language that the chart uses, and refuses everything else: paths,
`if`, `with`, `range $name, $value :=`, and the functions below. Where Helm is installed, a test
compares both.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TAG = re.compile(r"\{\{(?P<before>-?) *(?P<text>.*?) *(?P<after>-?)\}\}", re.DOTALL)
WORD = re.compile(r'"[^"]*"|\S+')
RANGE = re.compile(r"(\$\w+), (\$\w+) := (\S+)")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "toYaml": lambda value: yaml.safe_dump(value, default_flow_style=False).rstrip("\n"),
    "nindent": lambda width, text: "\n" + re.sub("(?m)^", " " * int(width), text),
    # Go's way to quote is that of JSON for printable ASCII; see quote().
    "quote": lambda value: quote(value),
    "default": lambda other, value: value or other,
    "printf": lambda form, value: form.replace("%s", value),
}


@dataclass(slots=True)
class Block:
    """What stands between `if` and `end`, and the words of its tag."""

    words: str
    parts: list["str | Block"] = field(default_factory=list)


def render(chart: Path, values: Mapping[str, Any], release: str) -> list[dict[str, Any]]:
    """The objects of a chart. `values` replaces defaults as a file given with -f does."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    scope = {
        "Values": merged(yaml.safe_load((chart / "values.yaml").read_text()), values),
        "Release": {"Name": release},
        "Chart": {"AppVersion": about["appVersion"]},
    }
    found = []
    for file in sorted((chart / "templates").glob("*.yaml")):
        text = "".join(_texts(_parse(file.read_text()), scope, scope, {}))
        found += [document for document in yaml.safe_load_all(text) if document is not None]
    return found


def merged(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values over defaults: maps are merged, everything else is replaced, null removes."""
    result = dict(defaults)
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            value = merged(result[name], value)
        result[name] = value
    return {name: value for name, value in result.items() if value is not None}


def quote(value: str) -> str:
    """A string in double quotes. Raises ValueError for what Go might write differently."""
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise ValueError(f"quote of {value!r}")
    return json.dumps(value)


def _parse(text: str) -> Block:
    text = re.sub(r"\s*\{\{- ", "{{ ", text)
    text = re.sub(r" -\}\}\s*", " }}", text)
    stack, end = [Block("")], 0
    for tag in TAG.finditer(text):
        stack[-1].parts.append(text[end : tag.start()])
        end = tag.end()
        if tag["text"].split()[0] in ("if", "with", "range"):
            block = Block(tag["text"])
            stack[-1].parts.append(block)
            stack.append(block)
        elif tag["text"] == "end":
            stack.pop()
        else:
            stack[-1].parts.append(Block(tag["text"]))
    (whole,) = stack
    whole.parts.append(text[end:])
    return whole


def _texts(
    block: Block, dot: Any, root: Mapping[str, Any], names: Mapping[str, Any]
) -> Iterator[str]:
    for part in block.parts:
        if isinstance(part, str):
            yield part
            continue
        kind, _, rest = part.words.partition(" ")
        if kind == "range":
            match = RANGE.fullmatch(rest)
            assert match is not None, rest
            for name, value in sorted(_value(match[3], dot, root, names).items()):
                own = {**names, match[1]: name, match[2]: value}
                yield from _texts(part, value, root, own)
        elif kind in ("if", "with"):
            value = _value(rest, dot, root, names)
            if value:
                yield from _texts(part, value if kind == "with" else dot, root, names)
        else:
            yield str(_pipeline(part.words, dot, root, names))


def _pipeline(words: str, dot: Any, root: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    value: list[Any] = []
    for step in words.split(" | "):
        first, *more = WORD.findall(step)
        if first in FUNCTIONS:
            arguments = [_value(word, dot, root, names) for word in more]
            value = [FUNCTIONS[first](*arguments, *value)]
        else:
            assert not more, step
            assert not value, step
            value = [_value(first, dot, root, names)]
    return value[0]


def _value(word: str, dot: Any, root: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    if word.startswith('"') or word.isdecimal():
        return json.loads(word)
    if word.startswith("$"):
        return names[word]
    assert word.startswith("."), word
    # Inside `with` and `range`, the chart uses the dot alone; other paths would start there.
    assert word == "." or dot is root, word
    found = dot
    for name in word.strip(".").split(".") if word != "." else ():
        found = found[name]
    return found
