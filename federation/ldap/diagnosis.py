"""`ldaptest`: the steps from the settings to a signed-in user, one by one. Changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.module_loading import import_string

from federation.ldap.conf import LDAPConfig
from federation.ldap.connection import Connection, opened, opened_as_service
from federation.ldap.failures import DirectoryError, Failures

# By name, because it needs python-ldap. The steps of one user: (config, login, password).
USER_STEPS = "federation.ldap.rehearsal.user_steps"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, and what came of it. failure: None when it went well."""

    name: str
    text: str
    failure: Failures | None = None


def diagnose(config: LDAPConfig, login: str, password: str | None) -> Iterator[Step]:
    """The steps up to the first failure. login "": only those that need no user.

    password None: it is not verified, and the other steps follow.
    """
    try:
        yield Step("Settings", _settings(config))
        with opened(config):
            yield Step("Connect", _transport(config))
        with opened_as_service(config) as connection:
            who = config.bind_dn or "no one (LDAP_BIND_DN is not set)"
            yield Step("Service account", f"signed in as {who}")
            yield _count(connection, config)
        if login:
            user_steps: Callable[..., list[Step]] = import_string(USER_STEPS)
            yield from user_steps(config, login, password)
    except DirectoryError as error:
        yield Step("Directory", error.detail, error.failure)


def _settings(config: LDAPConfig) -> str:
    access = config.access_filter or "none"
    return (
        f"{config.url}, people below {config.base_dn}, filter {config.user_filter}, "
        f"authorization filter {access}"
    )


def _transport(config: LDAPConfig) -> str:
    if not config.uses_tls:
        return "reached, without TLS"
    kind = "StartTLS" if config.starts_tls else "TLS"
    checked = "the certificate is valid" if config.verifies_certificate else "NOT CHECKED"
    return f"reached with {kind}, {checked}"


def _count(connection: Connection, config: LDAPConfig) -> Step:
    text = config.user_filter.for_anybody()
    pages = connection.pages(config.base_dn, text, ["1.1"])
    first = next(pages, [])
    if not first:
        return Step("People", "", Failures.NO_USERS_VISIBLE)
    return Step("People", f"at least {len(first)} seen with the filter {text}")
