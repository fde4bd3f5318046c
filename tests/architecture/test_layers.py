"""Imports go one way: down the table of docs/architecture.md, and down inside each app."""

import re
from functools import cache

import pytest

from tests.architecture.sources import APPS, ROOT, Import, imports, modules

# An app may import the apps below it in the table of docs/architecture.md; those of one row never
# import each other. `config.environment` is a row of its own: it declares what others read.
ENVIRONMENT = "config.environment"


def _floors() -> list[set[str]]:
    """The rows of the table, the highest first."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("| apps |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [set(re.findall(r"`([\w.]+)`", row)) for row in rows]


FLOORS = _floors()
MAY_IMPORT = {
    app: set().union(*FLOORS[number + 1 :]) for number, floor in enumerate(FLOORS) for app in floor
}
# Inside an app: what answers people, then services, then models, then pure modules.
TOP = {"views", "admin", "management", "urls"}
# No database, no settings, no clock of Django: rules that a table can test.
PURE = {
    "accounts.actors",
    "accounts.passwords.imported_hashes",
    "accounts.user_files",
    "applications.importing",
    "audit.sentences",
    "audit.wordings",
    "core.text.email_addresses",
    "federation.ldap.filters",
    "federation.ldap.dn",
    "core.errors",
    "core.lazy",
    "core.branding.colors",
    "core.branding.images",
    "core.branding.values",
    "accounts.sign_in.methods",
    "core.text.plain_text",
    "accounts.group_names",
    "accounts.roles",
    "core.text.durations",
    "core.text.strict_json",
    "core.text.time_display",
    "core.text.time_spans",
    "core.crypto.tokens",
    "core.uuid7",
    "config.environment",
    "core.app_labels",
    "mail.conf",
    "operations.as_code.document",
    "operations.as_code.fields",
    "operations.as_code.reading",
}
IMPURE_LIBRARIES = ("django.conf", "django.db", "django.core.cache", "django.contrib", "allauth")


def _layer(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def _is_pure(module: str) -> bool:
    return any(module == pure or module.startswith(f"{pure}.") for pure in PURE)


def _known(name: str) -> str | None:
    """The first-party module that this imported name lies in."""
    while name and name not in _names():
        name = name.rpartition(".")[0]
    return name or None


@cache
def _names() -> frozenset[str]:
    return frozenset(module for module, _file in modules())


@cache
def _all() -> tuple[Import, ...]:
    return tuple(imports())


@cache
def _first_party() -> list[Import]:
    return [
        Import(found.importer, known, found.line, found.hidden)
        for found in _all()
        if found.imported.partition(".")[0] in APPS and (known := _known(found.imported))
    ]


def test_no_app_imports_upward() -> None:
    wrong = [
        str(found)
        for found in _first_party()
        if (importer := _app_of(found.importer)) != (imported := _app_of(found.imported))
        and imported not in MAY_IMPORT[importer]
    ]

    assert wrong == []


def _app_of(module: str) -> str:
    if f"{module}.".startswith(f"{ENVIRONMENT}."):
        return ENVIRONMENT
    return module.partition(".")[0]


def test_every_app_is_in_the_table() -> None:
    assert set().union(*FLOORS) - {ENVIRONMENT} == {app for app in APPS if (ROOT / app).is_dir()}


def test_no_pair_of_apps_imports_each_other() -> None:
    pairs = {(_app_of(found.importer), _app_of(found.imported)) for found in _first_party()}

    assert {pair for pair in pairs if pair[0] < pair[1] and pair[::-1] in pairs} == set()


def test_services_and_models_import_no_views() -> None:
    wrong = [
        str(found)
        for found in _first_party()
        if _app_of(found.imported) == _app_of(found.importer) != "config"
        and _layer(found.imported) in TOP
        and _layer(found.importer) not in TOP
        # The app's start-up may fetch what registers itself.
        and _layer(found.importer) != "apps"
    ]

    assert wrong == []


def test_models_import_no_services_and_views() -> None:
    models = [found for found in _first_party() if _layer(found.importer) == "models"]
    wrong = [str(found) for found in models if _layer(found.imported) in TOP | {"services"}]

    assert wrong == []


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_modules_use_no_database_and_no_settings(module: str) -> None:
    wrong = [
        str(found)
        for found in _all()
        if (found.importer == module or found.importer.startswith(f"{module}."))
        and (
            found.imported.startswith(IMPURE_LIBRARIES)
            or (found.imported.startswith(APPS) and not _is_pure(_known(found.imported) or ""))
        )
        # `from core import email_addresses` names the empty package as well.
        and found.imported not in APPS
    ]

    assert wrong == []


def test_no_own_module_is_imported_inside_a_function() -> None:
    assert [str(found) for found in _first_party() if found.hidden] == []
