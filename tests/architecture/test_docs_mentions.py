"""What the documentation mentions exists: files, commands, settings, names, quoted texts."""

import argparse
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

from config.environment.registry.allauth_providers import usable_ids
from config.environment.registry.social import social_variables
from config.environment.resolve import FILE_ENDING
from config.environment.variables import VARIABLES
from tests.architecture.sources import APPS, ROOT, modules, tracked_files

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCED = re.compile(r"(?ms)^ *```\w*\n(.*?)^ *```")
FOLDERS = sorted(
    {file.relative_to(ROOT).parts[0] for file in tracked_files() if file.parent != ROOT}
)
# A path of the repository, and not api/v1/, which is a URL.
PATH = re.compile(rf"(?<![\w./<-])(?!api/v1)(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*<>-]*")
# The administrator of an instance creates these.
CREATED = {"deploy/certificates"}
COMMAND = re.compile(r"manage\.py ([a-z_]+)((?: [^\s|;]+)*)")
NAME = re.compile(rf"(?<![\w./:@-])(?:{'|'.join(APPS)})(?:\.[A-Za-z_]\w*)+")
VARIABLE = re.compile(r"(?<![\w/.$-])[A-Z][A-Z0-9]*_[A-Z0-9_]+(?![\w/…*<(-])")
# What a program on the page declares.
CONSTANT = re.compile(r"(?m)^const ([A-Z][A-Z0-9_]+)")
# Of any provider: AUTH_SSO_PROVIDERS=okta reads AUTH_OKTA_ID, allauth's GitLab GITLAB_CLIENT_ID.
OF_PROVIDERS = re.compile(
    r"AUTH_[A-Z0-9_]+_(?:ID|SECRET|ISSUER|LABEL|TENANT_ID|TRUST_EMAIL)"
    r"|[A-Z0-9_]+_(?:CLIENT_ID|CLIENT_SECRET|SETTINGS)"
)
# Names of Compose, of example programs and of libraries, and placeholders.
OTHERS = {
    "GITLAB_URL", "POSTGRES_PASSWORD", "APP_URL", "GATEHOUSE_URL", "GATEHOUSE_CLIENT_ID",
    "GATEHOUSE_CLIENT_SECRET", "GATEHOUSE_AUDIENCE", "GATEHOUSE_OFFLINE",
    "ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID", "UNIX_EPOCH",
    "OWN_ADDRESS", "DEFAULT_RENDERER_CLASSES", "UNAUTHENTICATED_USER", "NAME_FILE",
    "DJANGO_SETTINGS_MODULE", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_SCHEDULE_DELAY",
    "GLEWLWYD_ROOT",
}  # fmt: skip


def code_of(page: Path) -> Iterator[str]:
    """Each line of the code blocks of a page, and each text in backticks."""
    text = page.read_text()
    for block in FENCED.findall(text):
        yield from block.splitlines()
    text = FENCED.sub("", text)
    yield from re.findall(r"(?m)^ {4,}(\S.*)$", text)
    yield from re.findall(r"`([^`\n]+)`", text)


def _mentions(pattern: re.Pattern[str], page: Path) -> set[str]:
    return {match[0] for code in code_of(page) for match in pattern.finditer(code)}


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command and of its subcommands."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {option for each in action.choices.values() for option in _options(each)}
    return found


def _is_name(dotted: str) -> bool:
    """Is it a module, or something in a module?"""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if error.name and not dotted.startswith(error.name):
                return True  # the module exists; an optional package that it needs does not
            continue
        for name in parts[count:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@by_page
def test_files_exist(page: Path) -> None:
    if page.name == "api.md":
        pytest.skip("its paths are those of the API")
    patterns = {path: re.sub(r"<\w+>", "*", path).rstrip("./") for path in _mentions(PATH, page)}

    assert [
        path
        for path, pattern in sorted(patterns.items())
        if pattern not in CREATED and not any(ROOT.glob(pattern))
    ] == []


@by_page
def test_make_targets_exist(page: Path) -> None:
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    called = {
        found
        for code in code_of(page)
        for found in re.findall(r"(?:^|[;&] *|\$ )make ([a-z-]+)", code)
    }

    assert called - set(targets) == set()


@by_page
def test_commands_and_their_options_exist(page: Path) -> None:
    apps = get_commands()
    wrong = []
    for name, arguments in {found for code in code_of(page) for found in COMMAND.findall(code)}:
        options = set(re.findall(r"(?<!\S)--[a-z-]+", arguments))
        if name not in apps:
            wrong.append(name)
        elif options:
            parser = load_command_class(apps[name], name).create_parser("manage.py", name)
            wrong += [f"{name} {option}" for option in options - _options(parser)]

    assert wrong == []


@by_page
def test_settings_exist(page: Path) -> None:
    if page.parent.name in {"moving-from", "decisions", "openid-recipes", "reference"}:
        pytest.skip("it names the settings of other systems and libraries, or comes from code")
    of_allauth = social_variables([f"{id_.upper()}_CLIENT_ID" for id_ in usable_ids()], ())
    own = set(CONSTANT.findall(page.read_text()))
    declared = {name for variable in (*VARIABLES, *of_allauth) for name in variable.names}
    unknown = [
        name
        for name in sorted(_mentions(VARIABLE, page) - own - OTHERS)
        if name.removesuffix(FILE_ENDING) not in declared
        and not OF_PROVIDERS.fullmatch(name)
        and not hasattr(settings, name)
    ]

    assert unknown == []


@by_page
def test_python_names_exist(page: Path) -> None:
    names = {name for name in _mentions(NAME, page) if ".example." not in f"{name}."}

    assert [name for name in sorted(names) if not _is_name(name)] == []


@cache
def _shown_texts() -> str:
    """Templates and code in one string, without line breaks and joints of literals."""
    files = [file for _module, file in modules()] + sorted((ROOT / "templates").rglob("*.*"))
    text = re.sub(r'"\s*\n\s*"', "", "\n".join(file.read_text() for file in files))
    return " ".join(text.split())


@by_page
def test_quoted_texts_are_shown_somewhere(page: Path) -> None:
    """An ellipsis in a quoted text stands for a value."""
    if page.parent.name in {"decisions", "providers"}:
        pytest.skip("decisions tell the past; tests/federation checks the pages of providers")
    quoted = {" ".join(text.split()) for text in re.findall("“([^”]+)”", page.read_text())}
    parts = {part.strip(" .") for text in quoted for part in text.split("…")}

    assert [part for part in sorted(parts) if part not in _shown_texts()] == []
