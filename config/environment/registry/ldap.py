"""Settings of the directory (LDAP), under the names of Mage and of LibreChat."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from accounts.roles import Role
from config.environment.errors import Unreadable
from config.environment.parsing.group_names import (
    GROUPS_FIX,
    MappedGroup,
    Pairs,
    parse_groups_mapping,
    read_pairs,
    require_once,
)
from config.environment.schema import Alias, Section, choice, path, secret, switch, text, words
from core.text.plain_text import echo
from federation.ldap.dn import DNError, fold, normal_dn
from federation.ldap.filters import USER_DN, USERNAME, FilterError, parse_filter

MAGE, LIBRECHAT = "Mage", "LibreChat"
SCHEMES = ("ldap://", "ldaps://", "ldapi://")
ROLES = tuple(role.value for role in Role)
BY_NAME_OR_ADDRESS = "(|(uid={username})(sAMAccountName={username})(mail={username}))"
BY_NAME = "(|(uid={username})(sAMAccountName={username}))"
BY_ADDRESS = "(mail={username})"


class GroupRole(NamedTuple):
    """group: a normal DN, or the folded name of a group (is_dn says which)."""

    group: str
    is_dn: bool
    role: Role


def check_url(text: str) -> str:
    """One server or several, which are asked in this order; separated by commas or spaces."""
    urls = list(dict.fromkeys(_check_one(part) for part in re.split(r"[\s,]+", text.strip(" ,"))))
    return ",".join(urls)


def _check_one(text: str) -> str:
    """A scheme that LDAP has, a host without password and path."""
    scheme = next((scheme for scheme in SCHEMES if text.lower().startswith(scheme)), "")
    host = text[len(scheme) :].rstrip("/")
    if not scheme or not host or any(sign in host for sign in "@/? ,"):
        raise Unreadable(f"{echo(text)} is not the address of an LDAP server")
    return scheme + host


def check_dn(text: str) -> str:
    """A distinguished name, as it was written."""
    try:
        normal_dn(text)
    except DNError as error:
        raise Unreadable(f"{error}, so it is no distinguished name") from None
    return text


def check_user_filter(text: str) -> str:
    return _filter(text, USERNAME)


def check_access_filter(text: str) -> str:
    return _filter(text, USER_DN, USERNAME)


def _filter(text: str, *places: str) -> str:
    try:
        return str(parse_filter(text, *places))
    except FilterError as error:
        raise Unreadable(str(error)) from None


def check_roles_mapping(text: str) -> str:
    parse_roles_mapping(text)
    return text


def parse_roles_mapping(text: str) -> tuple[GroupRole, ...]:
    """JSON of group -> role or list of roles, of which the highest counts. Raises Unreadable."""
    found = [_group_role(group, roles) for group, roles in read_pairs(text, "groups and roles")]
    require_once([entry.group for entry in found])
    return tuple(found)


class GroupNames(NamedTuple):
    """group, is_dn: as of GroupRole. names: of the groups here."""

    group: str
    is_dn: bool
    names: tuple[str, ...]


def check_directory_groups(text: str) -> str:
    parse_directory_groups(text)
    return text


def parse_directory_groups(text: str) -> tuple[GroupNames, ...]:
    """JSON of group -> group here or list of them. Raises Unreadable."""
    found = [_group_names(entry) for entry in parse_groups_mapping(text)]
    require_once([entry.group for entry in found])
    return tuple(found)


def _group_names(entry: MappedGroup) -> GroupNames:
    return GroupNames(*_group(entry.value), entry.names)


def _group_role(group: str, roles: Any) -> GroupRole:
    names = [roles] if isinstance(roles, str) else roles
    if not isinstance(names, list) or isinstance(names, Pairs) or not names:
        raise Unreadable(f"gives the group {echo(group)} neither a role nor a list of roles")
    role = max((_role(group, name) for name in names), key=lambda role: role.rank)
    return GroupRole(*_group(group), role)


def _group(group: str) -> tuple[str, bool]:
    """(the normal DN or folded name, whether it is a DN). Raises Unreadable."""
    if "=" not in group:
        if not group.strip():
            raise Unreadable("names a group without a name")
        return fold(group), False
    try:
        return normal_dn(group), True
    except DNError as error:
        raise Unreadable(f"names the group {echo(group)}, which {error}") from None


def _role(group: str, name: Any) -> Role:
    folded = name.strip().lower() if isinstance(name, str) else ""
    if folded not in ROLES:
        roles = ", ".join(ROLES)
        raise Unreadable(f"gives the group {echo(group)} {echo(str(name))}, not one of {roles}")
    return Role(folded)


def _default_filter(values: Mapping[str, Any]) -> str:
    uses_username = values["LDAP_LOGIN_USES_USERNAME"]
    if uses_username is None:
        return BY_NAME_OR_ADDRESS
    return BY_NAME if uses_username else BY_ADDRESS


LDAP = Section(
    "Directory (LDAP)",
    "Sign-in with the password of an LDAP directory; see docs/ldap.md. On if LDAP_URL and "
    "LDAP_BASE_DN are set. `manage.py ldaptest` explains every step.",
    choice("AUTHENTICATION_MODE", example="ldap", choices=("local", "ldap"), origin=MAGE).with_help(
        "With ldap, only the directory checks passwords: local passwords work for owners only, and "
        "the sign-up form is off. With local, the directory is off. If not set, local passwords "
        "and the directory both work."
    ),
    text(
        "LDAP_URL",
        example="ldaps://ldap.example.com",
        check=check_url,
        origin=LIBRECHAT,
        aliases=(Alias("LDAP_SERVER", MAGE),),
        fix="write ldaps://HOST or ldap://HOST, with :PORT where it is an unusual one",
    ).with_help(
        "The directory server. Several servers, separated by commas, are tried in this order until "
        "one responds."
    ),
    text(
        "LDAP_BASE_DN",
        example="ou=people,dc=example,dc=org",
        check=check_dn,
        origin=MAGE,
        aliases=(Alias("LDAP_USER_SEARCH_BASE", LIBRECHAT),),
    ).with_help("The DN under which users are searched."),
    text(
        "LDAP_BIND_DN", example="cn=gatehouse,dc=example,dc=org", origin=f"{MAGE}, {LIBRECHAT}"
    ).with_help(
        "The service account that searches. It needs read access only. Active Directory also "
        "accepts name@domain."
    ),
    secret(
        "LDAP_BIND_PASSWORD", origin=MAGE, aliases=(Alias("LDAP_BIND_CREDENTIALS", LIBRECHAT),)
    ).with_help("The password of the service account."),
    switch("LDAP_LOGIN_USES_USERNAME", default=None, origin=LIBRECHAT).with_help(
        "What users type, if LDAP_SEARCH_FILTER is not set: true for the user name, false for the "
        "email address. If not set, both are accepted."
    ),
    text(
        "LDAP_SEARCH_FILTER",
        default=_default_filter,
        default_note=f"`{BY_NAME_OR_ADDRESS}`, or half of it, see LDAP_LOGIN_USES_USERNAME",
        example="(&(objectClass=person)(uid={username}))",
        check=check_user_filter,
        origin=LIBRECHAT,
        aliases=(Alias("LDAP_AUTHENTICATION_FILTER", MAGE),),
        fix="write a filter such as (uid={username})",
    ).with_help(
        "The filter that finds the user. {username} or {{username}} stands for what the user "
        "typed, and is escaped."
    ),
    text(
        "LDAP_AUTHORIZATION_FILTER",
        example="(&(objectClass=groupOfNames)(cn=staff)(member={user_dn}))",
        check=check_access_filter,
        origin=MAGE,
        fix="write a filter such as (&(cn=staff)(member={user_dn}))",
    ).with_help(
        "A filter that must find something for a user to sign in. The service account searches "
        "under LDAP_GROUP_BASE_DN. Placeholders: {user_dn} and {username}."
    ),
    text(
        "LDAP_GROUP_BASE_DN",
        default=lambda values: values["LDAP_BASE_DN"],
        default_note="LDAP_BASE_DN",
        example="ou=groups,dc=example,dc=org",
        check=check_dn,
    ).with_help("The DN under which groups are searched."),
    text("LDAP_GROUP_FIELD", default="memberOf", example="memberOf", origin=MAGE).with_help(
        "The attribute of a user that contains the groups."
    ),
    text(
        "LDAP_GROUP_SEARCH_FILTER",
        example="(&(objectClass=groupOfNames)(member={user_dn}))",
        check=check_access_filter,
        fix="write a filter such as (member={user_dn})",
    ).with_help(
        "The filter that finds the groups of a user, if the directory has no memberOf. Takes "
        "precedence over LDAP_GROUP_FIELD. Placeholders: {user_dn} and {username}."
    ),
    text(
        "LDAP_ROLES_MAPPING",
        example='{"gate-admins": "admin", "cn=staff,ou=groups,dc=example,dc=org": "viewer"}',
        check=check_roles_mapping,
        origin=MAGE,
        fix='write JSON such as {"gate-admins": "admin", "staff": ["editor"]}',
    ).with_help(
        "JSON that maps a group to a role or to a list of roles. A group is its DN or its cn; case "
        "does not matter. The highest role wins. Only a group that is mapped to owner makes "
        "owners."
    ),
    text(
        "LDAP_GROUPS_MAPPING",
        example='{"finance": "finance", "cn=lab,ou=groups,dc=example,dc=org": ["lab", "wiki"]}',
        check=check_directory_groups,
        fix=GROUPS_FIX,
    ).with_help(
        "JSON that maps a group of the directory, its DN or its cn, to a group of Gatehouse or to "
        "a list of them; see docs/groups.md. Applies at each sign-in, and removes as well."
    ),
    choice(
        "LDAP_DEFAULT_ACCESS",
        default="none",
        example="viewer",
        choices=tuple(role for role in ROLES if role != Role.OWNER),
        origin=MAGE,
    ).with_help("The role of users who are in no group of LDAP_ROLES_MAPPING."),
    text("LDAP_ADMIN_USERNAME", example="anna", origin=MAGE).with_help(
        "The user name in the directory of the user who becomes owner at the first sign-in, as "
        "long as the instance has no owner."
    ),
    text("LDAP_ID", example="employeeNumber", origin=LIBRECHAT).with_help(
        "The attribute that identifies a user permanently, if the directory has no entryUUID, "
        "objectGUID, nsUniqueId or ipaUniqueID. Without any of them the DN is used."
    ),
    text(
        "LDAP_USERNAME", default_note="uid, else sAMAccountName", example="uid", origin=LIBRECHAT
    ).with_help("The attribute that contains the user name."),
    text("LDAP_EMAIL", default="mail", example="mail", origin=LIBRECHAT).with_help(
        "The attribute that contains the email address."
    ),
    words(
        "LDAP_FULL_NAME",
        default_note="displayName, else cn",
        example="givenName,sn",
        origin=LIBRECHAT,
    ).with_help("The attributes that make up the name, in order."),
    switch(
        "LDAP_TRUST_EMAIL",
        default=True,
        aliases=(Alias("LDAP_EMAIL_IS_PROVED", "earlier versions"),),
    ).with_help(
        "Whether email addresses from the directory count as verified. Set it to false if users "
        "can edit their own address there."
    ),
    path(
        "LDAP_CA_CERT_PATH",
        default_note="the machine's own",
        example="/etc/ssl/certs/company-ca.pem",
        origin=LIBRECHAT,
    ).with_help("A PEM file with the authority that signed the server's certificate."),
    switch("LDAP_TLS_REJECT_UNAUTHORIZED", default=True, origin=LIBRECHAT).with_help(
        "Whether an invalid certificate is refused. With false, anyone between can read passwords."
    ),
    switch("LDAP_STARTTLS", default=False, origin=LIBRECHAT).with_help(
        "Whether an ldap:// connection is upgraded to TLS before anything is sent."
    ),
    switch("LDAP_ALLOW_PLAINTEXT", default=False).with_help(
        "Whether passwords may be sent to another machine without TLS. Use it only in an isolated "
        "network."
    ),
)
