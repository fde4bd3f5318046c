"""The reference page and .env.example, made from the declarations, and whether they are stale."""

from collections.abc import Iterator
from pathlib import Path

from config.environment.parsing.parsers import bounds
from config.environment.resolve import FILE_ENDING
from config.environment.schema import Kind, Section, Variable
from config.environment.variables import SECTIONS

REFERENCE = Path("docs/reference/settings.md")
EXAMPLE = Path(".env.example")

REFERENCE_INTRO = """\
# Settings

<!-- Made by `python -m config.environment --write`. Do not edit by hand. -->

Every setting is an environment variable or a line of the file `.env` in the project's folder. The
environment takes precedence over the file. An empty value counts as not set, except for the
secrets of the site, where it stops the start. `manage.py doctor` prints each setting in effect,
where it comes from, and what is wrong with it.

- **Other names.** Settings can also have the names that other systems use for them. Two names of
  one setting with different values stop the start.
- **True or false.** `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`.
- **Durations.** A number with a unit (`500ms`, `30s`, `15m`, `24h`, `30d`, `1w`, `1h30m`) or a sum
  such as `1000 * 60 * 15`, which a small grammar reads and nothing evaluates. A number without a
  unit is in milliseconds, in the window of a limit in minutes.
- **Values from files.** To keep any value in a file, set its name, or another name of the setting,
  with the suffix `_FILE` to the path, for example `SECRET_KEY_FILE`. A trailing line break is
  ignored.
- **Errors.** All errors are reported at once, each with its name and its fix. A name that resembles
  a setting gives a warning at the start and in `manage.py doctor`.
"""
EXAMPLE_INTRO = """\
# Settings of Gatehouse. Copy this file to .env and remove the # from the lines that you change.
# Made by `python -m config.environment --write`. Do not edit by hand.
# Their descriptions: docs/reference/settings.md
"""


def render_reference() -> str:
    """docs/reference/settings.md: a heading for each setting."""
    parts = [REFERENCE_INTRO]
    for section in SECTIONS:
        parts.append(f"## {section.title}\n\n{section.intro}\n")
        parts += ["\n".join(_described(variable)) for variable in section.variables]
    return "\n".join(parts).rstrip() + "\n"


def _described(variable: Variable) -> Iterator[str]:
    yield f"### {variable.name}\n"
    yield f"{variable.help}\n"
    yield f"- Kind: {_kind(variable)}"
    yield f"- Default: {_default(variable)}"
    if variable.example:
        yield f"- Example: `{variable.name}={variable.example}`"
    if variable.may_hold_password:
        yield f"- From a file: `{variable.name}{FILE_ENDING}`"
    if variable.origin:
        yield f"- Same name as in {variable.origin}"
    for alias in variable.aliases:
        note = f"; {alias.note}" if alias.note else ""
        yield f"- Also accepted: `{alias.name}` ({alias.origin}{note})"
    if variable.required_in_production:
        yield "- Required in production"
    yield ""


def _kind(variable: Variable) -> str:
    if variable.choices:
        return " or ".join(f"`{choice}`" for choice in variable.choices)
    text = variable.kind.value
    if variable.kind is Kind.DURATION:
        unit = "milliseconds" if variable.bare_unit == "ms" else variable.bare_unit
        text = f"{text}; a number without a unit is in {unit}"
    limits = bounds(variable)
    return f"{text}, {limits}" if limits else text


def _default(variable: Variable) -> str:
    if variable.default_note:
        return variable.default_note
    return f"`{variable.default}`" if variable.default else "none"


def render_example() -> str:
    """.env.example: every setting as a comment line, with its default or an example."""
    return "\n".join([EXAMPLE_INTRO, *(_example_section(section) for section in SECTIONS)])


def _example_section(section: Section) -> str:
    lines = [f"# --- {section.title}"]
    for variable in section.variables:
        summary = variable.help.split(". ")[0].rstrip(".")
        lines.append(f"# {summary}.")
        lines.append(f"#{variable.name}={_example_value(variable)}")
    return "\n".join([*lines, ""])


def _example_value(variable: Variable) -> str:
    if variable.may_hold_password:
        return ""
    return variable.default or variable.example


def pages() -> dict[Path, str]:
    """What each generated file should hold, by its path in the project."""
    return {REFERENCE: render_reference(), EXAMPLE: render_example()}


def stale(root: Path) -> list[Path]:
    """The generated files below `root` that do not hold what they should."""
    return [
        path
        for path, text in pages().items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def write(root: Path) -> None:
    """Make the generated files below `root` anew."""
    for path, text in pages().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
