"""The locks are complete, hashed, and name no address; every dependency is used."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from itertools import chain
from typing import Any

import pytest

from tests.architecture.sources import ROOT, imports, modules

LOCKS = ("base", "dev", "ldap", "otel", "bench", "docs")
OPTIONAL = ("ldap", "django_auth_ldap")
NEEDS_LDAP = ("federation.ldap.backend", "federation.ldap.rehearsal")
# Modules of config.tracing; the other one, conf, reads the settings.
TRACING = ("database", "exporter", "provider", "requests", "spans")
DOTTED = re.compile(r"[a-z_]\w*(?:\.\w+)*")
# Packages that Django imports when a setting names one of its classes.
IMPORTED_BY_DJANGO = {
    "accounts.passwords.hashers.BoundedArgon2Hasher": "argon2",
    "accounts.passwords.hashers.BoundedBCryptHasher": "bcrypt",
}


def _lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_of_a_lock_has_hashes(name: str) -> None:
    pins = re.split(r"\n(?=\S)", _lock(name).strip())

    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert "://" not in _lock(name)


def test_base_lock_contains_the_declared_dependencies() -> None:
    declared = _declared()

    assert [
        name for name in map(_name, declared) if not re.search(rf"(?m)^{name}==", _lock("base"))
    ] == []
    assert (ROOT / "requirements" / "base.in").read_text().split() == declared


def _declared() -> list[str]:
    return list(_project()["dependencies"])


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=~ ]", requirement)[0].lower()


def test_the_product_uses_every_dependency() -> None:
    """By an import, or by a dotted name in a string, as settings have them."""
    used = {name.partition(".")[0] for name in _imported_names()}
    extras = _project()["optional-dependencies"].values()
    optional = [name for name in map(_name, chain(*extras)) if _is_installed(name)]

    assert [
        name for name in (*map(_name, _declared()), *optional) if not used & _packages(name)
    ] == []


def _is_installed(name: str) -> bool:
    with suppress(PackageNotFoundError):
        return bool(distribution(name))
    return False


def _imported_names() -> Iterator[str]:
    yield from (entry.imported for entry in imports())
    for _module, file in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if DOTTED.fullmatch(node.value) and "." in node.value:
                    yield node.value
                yield IMPORTED_BY_DJANGO.get(node.value, "")


def _packages(name: str) -> set[str]:
    """The top-level packages that a distribution installs."""
    wanted = distribution(name).metadata["Name"]
    return {package for package, names in _installed().items() if wanted in names}


@cache
def _installed() -> Mapping[str, list[str]]:
    """The distributions of each top-level package; to read them takes a fifth of a second."""
    return packages_distributions()


def test_the_same_package_has_one_version_in_every_lock() -> None:
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.]+)", _lock(lock)):
            pins.setdefault(name, set()).add(version)

    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_ldap_libraries_are_imported_only_by_the_backend() -> None:
    """The backend is loaded by name, and only where a directory is configured."""
    found = {entry.importer for entry in imports() if entry.imported.partition(".")[0] in OPTIONAL}
    loaders = {entry.importer for entry in imports() if entry.imported.startswith(NEEDS_LDAP)} - {
        *NEEDS_LDAP
    }

    assert found == {"federation.ldap.backend"}
    assert loaders == set()


def test_opentelemetry_is_imported_only_where_traces_are_on() -> None:
    """config.tracing.requests is loaded by name, and imports the others."""
    found = {entry.importer for entry in imports() if entry.imported.startswith("opentelemetry")}
    loaders = {entry.importer for entry in imports() if entry.imported.startswith(tuple(found))}

    assert found == {f"config.tracing.{name}" for name in TRACING}
    assert loaders <= found


def test_git_hooks_download_nothing() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"(?m)^ +entry: (\S+)", text)

    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    assert re.findall(r"language: (\S+)", text) == ["system"] * len(entries)
    assert all(entry.startswith(".venv/bin/") for entry in entries)
