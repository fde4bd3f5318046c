"""The .env file: NAME=value lines, as other systems' files have them. Nothing is expanded or run.

Understood: `export NAME=value`, comment lines, ` # comment` after a bare value, single quotes
(taken as they are) and double quotes (\\n, \\t, \\", \\\\), both over several lines.
"""

import re
from pathlib import Path
from typing import NamedTuple

from config.environment.errors import Problem

MAX_FILE_BYTES = 1_048_576

_START = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=[ \t]*(?P<rest>.*)")
_SINGLE = re.compile(r"'(?P<inside>[^']*)'[ \t]*(?:#.*)?")
_DOUBLE = re.compile(r'"(?P<inside>(?:\\.|[^"\\])*)"[ \t]*(?:#.*)?', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_COMMENT = re.compile(r"(?:^|\s)#.*")


class Line(NamedTuple):
    """One value of the file; `number` is the line on which it starts, from 1."""

    name: str
    value: str
    number: int


def read_dotenv(path: Path | None) -> tuple[dict[str, Line], list[Problem]]:
    """The values of the file at `path` by name, and what is wrong with it. No file, no values."""
    if path is None or not path.is_file():
        return {}, []
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return {}, [Problem(path.name, "is larger than 1 MB", "check which file that is")]
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return {}, [Problem(path.name, "is not UTF-8 text", "save it as UTF-8")]
    except OSError as error:
        fix = "let this user read it, or remove it"
        return {}, [Problem(path.name, f"cannot be read ({error.strerror})", fix)]
    return parse_dotenv(text, path.name)


def parse_dotenv(text: str, file_name: str = ".env") -> tuple[dict[str, Line], list[Problem]]:
    """The values of `text` by name, the last of a name; and its faulty lines, never their text."""
    lines, problems = text.splitlines(), []
    found: dict[str, Line] = {}
    position = 0
    while position < len(lines):
        number = position + 1
        start = _START.fullmatch(lines[position])
        used = 1
        if start:
            value, used = _value(start["rest"], lines[number:])
            if value is None:
                problems.append(_problem(file_name, number, "has a quote that is not closed"))
            else:
                found[start["name"]] = Line(start["name"], value, number)
        elif lines[position].strip() and not lines[position].lstrip().startswith("#"):
            problems.append(_problem(file_name, number, "is neither NAME=value nor a comment"))
        position += used
    return found, problems


def _problem(file_name: str, number: int, what: str) -> Problem:
    return Problem(f"{file_name} line {number}", what, "write NAME=value or remove the line")


def _value(rest: str, following: list[str]) -> tuple[str | None, int]:
    """The value that starts with `rest`, and how many lines it took; None: never closed."""
    if rest[:1] not in ("'", '"'):
        return _COMMENT.sub("", rest).strip(), 1
    pattern = _SINGLE if rest[0] == "'" else _DOUBLE
    text = rest.rstrip()
    for used, line in enumerate(["", *following], start=1):
        text = f"{text}\n{line}" if used > 1 else text
        match = pattern.fullmatch(text.rstrip())
        if match:
            inside = match["inside"]
            return (inside if rest[0] == "'" else _ESCAPE.sub(_unescape, inside)), used
        if used == 1 and rest[0] in text[1:]:
            # Something stands behind the closing quote: a sum such as "1" + "2", so no quotes.
            return _COMMENT.sub("", rest).strip(), 1
    return None, 1


def _unescape(match: re.Match[str]) -> str:
    sign = match[1]
    return _ESCAPED.get(sign, sign if sign in '"\\$' else match[0])
