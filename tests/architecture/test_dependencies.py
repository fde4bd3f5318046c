"""The locks are complete, hashed, and name no address; python-ldap stays out of the base."""

import re
import tomllib

import pytest

from tests.architecture.sources import ROOT, imports

LOCKS = ("base", "dev", "ldap", "bench")
OPTIONAL = ("ldap", "django_auth_ldap")
NEEDS_LDAP = ("federation.ldap.backend", "federation.ldap.rehearsal")


def _lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_of_a_lock_carries_hashes(name: str) -> None:
    pins = re.split(r"\n(?=\S)", _lock(name).strip())

    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert "://" not in _lock(name)


def test_base_lock_holds_what_the_project_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[\[<>=~ ]", requirement)[0].lower() for requirement in declared]

    assert [name for name in names if not re.search(rf"(?m)^{name}==", _lock("base"))] == []
    assert (ROOT / "requirements" / "base.in").read_text().split() == declared


def test_the_same_package_has_one_version_in_every_lock() -> None:
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.]+)", _lock(lock)):
            pins.setdefault(name, set()).add(version)

    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_ldap_libraries_are_imported_by_the_backend_alone() -> None:
    """The backend is loaded by name, and only where a directory is configured."""
    found = {entry.importer for entry in imports() if entry.imported.partition(".")[0] in OPTIONAL}
    loaders = {entry.importer for entry in imports() if entry.imported.startswith(NEEDS_LDAP)} - {
        *NEEDS_LDAP
    }

    assert found == {"federation.ldap.backend"}
    assert loaders == set()
