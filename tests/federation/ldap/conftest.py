"""A real directory for each test: `server` (empty), `use_directory(**settings)`, `sign_in(...)`."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django.fixtures import Settings

from config.environment import load
from config.ldap import directory_settings
from federation.ldap import circuit_breaker
from federation.ldap.conf import LDAPConfig

if importlib.util.find_spec("ldap") is None:  # a machine without the headers tests the rest
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.servers.ldap import (
        PASSWORD,
        SERVICE_DN,
        SERVICE_PASSWORD,
        SUFFIX,
        USERS,
        DirectoryServer,
        SilentServer,
    )

UseDirectory = Callable[..., LDAPConfig]
SignIn = Callable[..., Any]


@pytest.fixture(scope="session")
def _server() -> Iterator["DirectoryServer"]:
    started = DirectoryServer()
    yield started
    started.stop()


@pytest.fixture
def server(_server: "DirectoryServer") -> "DirectoryServer":
    """slapd without people and groups; see tests/servers/ldap.py."""
    _server.clear()
    return _server


@pytest.fixture
def silent_server() -> Iterator["SilentServer"]:
    started = SilentServer()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _closed_circuit() -> None:
    """No server is skipped for what it did in another test."""
    circuit_breaker.reset()


@pytest.fixture
def use_directory(settings: Settings, server: "DirectoryServer") -> UseDirectory:
    """use_directory(LDAP_ROLES_MAPPING='…') puts `server` into settings.LDAP, and returns that."""

    def use(**changes: str) -> LDAPConfig:
        environ = {
            "LDAP_URL": server.url,
            "LDAP_BASE_DN": USERS,
            "LDAP_GROUP_BASE_DN": SUFFIX,
            "LDAP_BIND_DN": SERVICE_DN,
            "LDAP_BIND_PASSWORD": SERVICE_PASSWORD,
            **changes,
        }
        directory = directory_settings(load(environ, data_dir=django_settings.DATA_DIR))
        assert directory is not None
        settings.LDAP = directory
        settings.AUTHENTICATION_BACKENDS = [
            "accounts.backends.PasswordBackend",
            "federation.ldap.backend.LDAPBackend",
        ]
        return directory

    return use


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """sign_in("anna") -> the answer of the sign-in page; its client is `.client`."""

    def post(login: str, password: str = "", client: Client | None = None) -> Any:
        browser = client or Client(headers={"user-agent": "Mozilla/5.0 Firefox/140.0"})
        return browser.post("/sign-in", {"login": login, "password": password or PASSWORD})

    return post
