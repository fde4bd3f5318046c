"""Checks of the LDAP settings: what is missing, and what is unsafe."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from accounts.roles import Role
from config.environment.errors import Problem, missing, without_effect
from config.environment.parsing.urls import LOCAL_HOSTS
from config.environment.registry.ldap import parse_roles_mapping

PACKAGES = (("python-ldap", "ldap"), ("django-auth-ldap", "django_auth_ldap"))
# Without LDAP_URL these have no effect, but show that a directory was meant to be used.
DEPENDENT = (
    *("LDAP_BASE_DN", "LDAP_BIND_DN", "LDAP_ROLES_MAPPING", "LDAP_GROUPS_MAPPING"),
    "LDAP_AUTHORIZATION_FILTER",
)


def is_on(values: Mapping[str, Any]) -> bool:
    """Whether a directory is used."""
    return bool(values["LDAP_URL"]) and values["AUTHENTICATION_MODE"] != "local"


def check_ldap(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Errors."""
    if values["AUTHENTICATION_MODE"] == "ldap" and not values["LDAP_URL"]:
        what = "is ldap, but LDAP_URL is missing"
        yield Problem("AUTHENTICATION_MODE", what, "set LDAP_URL=ldaps://ldap.example.com")
    if not is_on(values):
        return
    if not values["LDAP_BASE_DN"]:
        fix = "set it to the DN of your users, such as LDAP_BASE_DN=ou=people,dc=example,dc=org"
        yield missing("LDAP_BASE_DN", "LDAP_URL", fix)
    absent = [package for package, module in PACKAGES if find_spec(module) is None]
    if absent:
        what = f"needs {absent[0]}, which is not installed"
        fix = (
            "install the LDAP headers (Debian: libldap-dev libsasl2-dev) and run `make setup-ldap`"
        )
        yield Problem("LDAP_URL", what, fix)
    yield from _service_account(values)
    yield from _transport(values)


def _service_account(values: Mapping[str, Any]) -> Iterator[Problem]:
    has_name, has_password = bool(values["LDAP_BIND_DN"]), bool(values["LDAP_BIND_PASSWORD"])
    if has_name and not has_password:
        what = "is missing while LDAP_BIND_DN is set; servers treat that as anonymous"
        yield Problem("LDAP_BIND_PASSWORD", what, "set it, or remove LDAP_BIND_DN")
    if has_password and not has_name:
        yield missing("LDAP_BIND_DN", "LDAP_BIND_PASSWORD")


def _transport(values: Mapping[str, Any]) -> Iterator[Problem]:
    urls = [urlsplit(url) for url in values["LDAP_URL"].split(",")]
    in_clear = [
        url
        for url in urls
        if url.scheme == "ldap" and not values["LDAP_STARTTLS"] and url.hostname not in LOCAL_HOSTS
    ]
    if in_clear and not values["LDAP_ALLOW_PLAINTEXT"]:
        what = "is ldap:// without LDAP_STARTTLS, so every password would be sent unencrypted"
        fix = (
            "write ldaps://, or set LDAP_STARTTLS=true, or in an isolated network "
            "LDAP_ALLOW_PLAINTEXT=true"
        )
        yield Problem("LDAP_URL", what, fix)
    file = values["LDAP_CA_CERT_PATH"]
    if file is not None and not file.is_file():
        what = f"names {file}, which is not a readable file"
        yield Problem("LDAP_CA_CERT_PATH", what, "write the path of a PEM file")


def check_ldap_warnings(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Warnings."""
    if not is_on(values):
        yield from _without_effect(values)
        return
    if not values["LDAP_TLS_REJECT_UNAUTHORIZED"]:
        what = "is false, so an attacker in the network can read every password"
        yield Problem("LDAP_TLS_REJECT_UNAUTHORIZED", what, "remove it, and set LDAP_CA_CERT_PATH")
    urls = values["LDAP_URL"].split(",")
    if values["LDAP_STARTTLS"] and all(url.startswith("ldaps://") for url in urls):
        what = "has no effect with ldaps://"
        yield Problem("LDAP_STARTTLS", what, "remove it")
    if not values["ALLOW_EMAIL_LOGIN"]:
        what = "is false, so no one can sign in with a password of the directory"
        yield Problem("ALLOW_EMAIL_LOGIN", what, "remove it")
    yield from _owners_by_group(values)


def _owners_by_group(values: Mapping[str, Any]) -> Iterator[Problem]:
    if not values["LDAP_ROLES_MAPPING"]:
        return
    roles = [entry.role for entry in parse_roles_mapping(values["LDAP_ROLES_MAPPING"])]
    if Role.OWNER in roles:
        what = "makes owners, so those who manage the group can become owner"
        yield Problem("LDAP_ROLES_MAPPING", what, "give the group admin, and make owners by hand")


def _without_effect(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["LDAP_URL"]:
        what = "is local, so the directory of LDAP_URL is not used"
        yield Problem("AUTHENTICATION_MODE", what, "remove it, or remove LDAP_URL")
        return
    for name in DEPENDENT:
        if values[name]:
            yield without_effect(name, "LDAP_URL")
