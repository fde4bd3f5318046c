"""What tests of configuration as code share."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from django.core.management import CommandError, call_command

WIKI = {
    "slug": "wiki",
    "name": "Wiki",
    "url": "https://wiki.example.com",
    "openid_kind": "web",
    "redirect_uris": ["https://wiki.example.com/callback"],
}
HOOK = {"name": "Chat", "url": "https://chat.example.com/hook"}


class Done(NamedTuple):
    """What a command has printed. code: that of the process."""

    code: int
    out: str
    problems: str


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Done]:
    """run(document, "--plan") applies a document: a dictionary without `version`, or a text."""

    def run(document: dict[str, Any] | str, *options: str, name: str = "gatehouse.yaml") -> Done:
        file = tmp_path / name
        if isinstance(document, dict):
            write = json.dumps if name.endswith(".json") else yaml.safe_dump
            document = write({"version": 1, **document})
        file.write_text(document)
        return command("apply", str(file), *options)

    return run


def command(*arguments: str) -> Done:
    """Run a command in this process."""
    out, problems, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*arguments, stdout=out, stderr=problems)
    except CommandError as error:
        problems.write(str(error))
        code = error.returncode
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Done(code, out.getvalue(), problems.getvalue())


def rule(name: str, **more: Any) -> dict[str, Any]:
    """An access rule of the file."""
    return {"name": name, "effect": "role", "host": f"{name}.example.com"} | more
