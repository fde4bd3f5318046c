"""From the environment to settings.LDAP. Loads nothing of LDAP itself."""

from contextlib import suppress
from typing import Any

from accounts.roles import BY_RANK, Role
from config.environment.cross_checks.ldap import is_on
from config.environment.registry.ldap import (
    GroupRole,
    parse_directory_groups,
    parse_roles_mapping,
)
from core.text.email_addresses import AddressError, parse_username
from federation.group_mapping import GroupMapping, GroupRule
from federation.ldap.conf import PROVIDER, LDAPConfig
from federation.ldap.filters import USER_DN, USERNAME, FilterTemplate, parse_filter
from federation.providers import SignInSource
from federation.role_mapping import ClaimPath, Requirement, RoleMapping, RoleRule

# The claims that federation.ldap.sign_in makes of a person's groups.
GROUPS = ClaimPath("groups", "ldap")
GROUP_NAMES = ClaimPath("group_names", "ldap")
ADMITTED = Requirement(ClaimPath("authorization_filter", "ldap"), frozenset({"met"}))


def directory_settings(env: Any) -> LDAPConfig | None:
    """The configured directory, or None; `env` has no errors."""
    if not is_on(env):
        return None
    urls = env["LDAP_URL"].split(",")
    return LDAPConfig(
        url=urls[0],
        fallback_urls=tuple(urls[1:]),
        base_dn=env["LDAP_BASE_DN"],
        user_filter=parse_filter(env["LDAP_SEARCH_FILTER"], USERNAME),
        source=_source(env),
        bind_dn=env["LDAP_BIND_DN"] or "",
        bind_password=env["LDAP_BIND_PASSWORD"] or "",
        starts_tls=env["LDAP_STARTTLS"] and urls[0].startswith("ldap://"),
        uses_starttls_on_fallbacks=env["LDAP_STARTTLS"],
        verifies_certificate=env["LDAP_TLS_REJECT_UNAUTHORIZED"],
        ca_file=str(env["LDAP_CA_CERT_PATH"] or ""),
        access_filter=_filter(env["LDAP_AUTHORIZATION_FILTER"]),
        group_base_dn=env["LDAP_GROUP_BASE_DN"],
        group_field=env["LDAP_GROUP_FIELD"],
        group_filter=_filter(env["LDAP_GROUP_SEARCH_FILTER"]),
        id_field=env["LDAP_ID"] or "",
        username_fields=_username_fields(env),
        email_field=env["LDAP_EMAIL"],
        name_fields=tuple(env["LDAP_FULL_NAME"] or ()),
        admin_username=env["LDAP_ADMIN_USERNAME"] or "",
        email_is_verified=env["LDAP_TRUST_EMAIL"],
        is_exclusive=env["AUTHENTICATION_MODE"] == "ldap",
    )


def owner_username(env: Any) -> str:
    """The default owner's user name: with a directory LDAP_ADMIN_USERNAME, where it is one of ours
    (names there may be such as we do not have)."""
    name: str = env["DEFAULT_OWNER_USERNAME"]
    if is_on(env) and env["LDAP_ADMIN_USERNAME"]:
        with suppress(AddressError):
            name = parse_username(env["LDAP_ADMIN_USERNAME"])
    return name


def _username_fields(env: Any) -> tuple[str, ...]:
    return (env["LDAP_USERNAME"],) if env["LDAP_USERNAME"] else ("uid", "sAMAccountName")


def _filter(text: str | None) -> FilterTemplate | None:
    return parse_filter(text, USER_DN, USERNAME) if text else None


def _source(env: Any) -> SignInSource:
    text = env["LDAP_ROLES_MAPPING"]
    return SignInSource(
        id=PROVIDER,
        label="LDAP",
        allows_registration=True,
        trusts_email=env["LDAP_TRUST_EMAIL"],
        needs_email=False,
        default_role=Role(env["LDAP_DEFAULT_ACCESS"]),
        mapping=RoleMapping(
            requirements=(ADMITTED,) if env["LDAP_AUTHORIZATION_FILTER"] else (),
            rules=_rules(parse_roles_mapping(text)) if text else (),
            updates=_updates_roles(env),
            folds_case=True,
        ),
        groups=_groups(env["LDAP_GROUPS_MAPPING"]),
        groups_setting="LDAP_GROUPS_MAPPING",
    )


def _groups(text: str | None) -> GroupMapping:
    """A name never stands for a DN, nor the reverse."""
    entries = parse_directory_groups(text) if text else ()
    rules = tuple(
        GroupRule((GROUPS if entry.is_dn else GROUP_NAMES,), entry.group, entry.names)
        for entry in entries
    )
    return GroupMapping(rules, folds_case=True)


def _updates_roles(env: Any) -> bool:
    """A directory knows its groups at every sign-in, so only a written `false` keeps old roles."""
    is_written = env.source("UPDATE_ROLES_ON_LOGIN") != "default"
    return bool(env["UPDATE_ROLES_ON_LOGIN"]) or not is_written


def _rules(groups: tuple[GroupRole, ...]) -> tuple[RoleRule, ...]:
    """The highest role first, so that it wins. A name never stands for a DN, nor the reverse."""
    return tuple(
        RoleRule(path, values, role)
        for role in BY_RANK
        for path in (GROUPS, GROUP_NAMES)
        if (
            values := frozenset(
                entry.group
                for entry in groups
                if entry.role is role and entry.is_dn == (path is GROUPS)
            )
        )
    )
