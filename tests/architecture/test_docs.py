"""The documentation names every setting, command, path and error code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from config.environment.variables import VARIABLES
from core.errors import GatehouseError
from core.version import VERSION
from tests.architecture.sources import APPS, ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES if page.exists())
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _classes(parent: type[GatehouseError]) -> list[type[GatehouseError]]:
    return [parent, *(found for child in parent.__subclasses__() for found in _classes(child))]


def _paths(resolver: URLResolver, prefix: str = "") -> list[str]:
    """URL patterns as people write them: /verify-email/<token>."""
    found = []
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            is_admin = pattern.namespace == "admin"
            found += ["admin/"] if is_admin else _paths(pattern, route)
        elif isinstance(pattern, URLPattern):
            found.append(re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", route))
    return found


def test_every_variable_is_documented() -> None:
    names = [variable.name for variable in VARIABLES]

    assert [name for name in names if not _is_named(name)] == []


def test_every_command_is_documented() -> None:
    ours = [name for name, app in get_commands().items() if app in APPS]

    assert [name for name in sorted(ours) if not _is_named(name)] == []


def test_every_path_is_documented() -> None:
    paths = sorted({f"/{path}" for path in _paths(get_resolver())})
    documented = re.sub(r"<\w+>", "<>", TEXT)

    assert [path for path in paths if f"`{re.sub(r'<[^>]+>', '<>', path)}`" not in documented] == []


def test_every_error_code_is_documented() -> None:
    codes = sorted({error.code for error in _classes(GatehouseError)})

    assert [code for code in codes if f"`{code}`" not in TEXT] == []


def _is_named(word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", TEXT) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_have_targets(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    local = [link for link in targets if not link.startswith("mailto:")]

    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = {ROOT / "README.md"}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        linked = {(page.parent / link).resolve() for link in LINK.findall(page.read_text())}
        waiting |= (linked & set(PAGES)) - reached

    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_change_log_starts_with_the_project_version() -> None:
    versions = re.findall(r"^## \[?v?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)

    assert versions[0] == VERSION


def test_command_reference_is_what_the_commands_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.reference", "--check"], cwd=ROOT, capture_output=True
    )

    assert done.returncode == 0, "run `make reference`"
