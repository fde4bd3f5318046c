"""docs/reference/commands.md, made from what every command says with --help, and the JSON Schema.

`python -m scripts.reference` writes both; `--check` exits 1 when one is out of date.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from core.app_labels import OWN_APPS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
OURS = OWN_APPS
SHARED = {"--version", "--settings", "--pythonpath", "--traceback", "--verbosity", "--help"}
SHARED |= {"--no-color", "--force-color", "--skip-checks"}
INTRODUCTION = """\
# Commands

Run them as `.venv/bin/python manage.py COMMAND`, with the same environment as the server. Every
command works with registration closed, exits non-zero when it did nothing, and asks before it
destroys. This page is made by `make reference` from what each command says with `--help`.
"""


def render() -> dict[str, str]:
    """The name and content of each file."""
    # Help has no use for real data, and must not make any in the data folder of an instance.
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="gatehouse-reference-")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    import django
    from django.core.management import get_commands, load_command_class

    django.setup()
    apps = get_commands()
    parts = [INTRODUCTION]
    for name in sorted(name for name, app in apps.items() if app in OURS):
        command = load_command_class(apps[name], name)
        parser = command.create_parser("manage.py", name)
        lines = [line for action in parser._actions if (line := describe(action))]
        parts.append("\n".join([f"\n## {name}", "", str(command.help), "", *lines, ""]))
    page = "".join(parts).replace("\n\n\n", "\n\n")

    from operations.as_code.schema import FILE_NAME, schema_text

    return {"commands.md": page, FILE_NAME: schema_text()}


def describe(action: argparse.Action) -> str:
    """One argument as a list item; "" for those that every Django command has.

    Not argparse's own text, which differs between versions of Python.
    """
    if SHARED & set(action.option_strings):
        return ""
    values = "|".join(map(str, action.choices or ())) or str(action.metavar or "")
    if action.option_strings:
        takes_value = action.nargs != 0
        value = f" {values or action.dest.upper()}" if takes_value else ""
        name = f"`{action.option_strings[-1]}{value}`"
    else:
        name = f"`{(action.metavar or action.dest).upper()}`"
    return f"- {name}: {action.help}" if action.help else f"- {name}"


def main() -> int:
    """Write, or with --check compare; 1 when a file differs."""
    files = render()
    if "--check" in sys.argv[1:]:
        present = {name: FOLDER / name for name in files}
        return int(any(not path.exists() or path.read_text() != files[name]
                       for name, path in present.items()))  # fmt: skip
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (FOLDER / name).write_text(text)
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
