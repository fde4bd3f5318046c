"""Settings of the directory (LDAP), under the names of Mage and of LibreChat."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from accounts.roles import Role
from config.environment.errors import Unreadable, echo
from config.environment.schema import Alias, Section, choice, path, secret, switch, text, words
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
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise Unreadable(f"is no JSON ({error.msg} at sign {error.pos + 1})") from None
    if not isinstance(pairs, _Pairs) or not pairs:
        raise Unreadable("is no JSON object of groups and roles")
    found = [_group_role(group, roles) for group, roles in pairs]
    groups = [entry.group for entry in found]
    twice = next((group for group in groups if groups.count(group) > 1), None)
    if twice is not None:
        raise Unreadable(f"names the group {echo(twice)} twice; case and spaces do not count")
    return tuple(found)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated names."""


def _group_role(group: str, roles: Any) -> GroupRole:
    names = [roles] if isinstance(roles, str) else roles
    if not isinstance(names, list) or isinstance(names, _Pairs) or not names:
        raise Unreadable(f"gives the group {echo(group)} neither a role nor a list of roles")
    role = max((_role(group, name) for name in names), key=lambda role: role.rank)
    if "=" not in group:
        if not group.strip():
            raise Unreadable("names a group without a name")
        return GroupRole(fold(group), False, role)
    try:
        return GroupRole(normal_dn(group), True, role)
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
    "Sign-in with the password of an LDAP directory; see docs/ldap.md. On when LDAP_URL and "
    "LDAP_BASE_DN are set. `manage.py ldaptest` explains every step.",
    choice("AUTHENTICATION_MODE", example="ldap", choices=("local", "ldap"), origin=MAGE).with_help(
        "ldap: the directory alone opens the door with a password; local passwords work for owners "
        "only, and nobody signs up by form. local: the directory is off. Without it, local "
        "passwords and the directory stand side by side."
    ),
    text(
        "LDAP_URL",
        example="ldaps://ldap.example.com",
        check=check_url,
        origin=LIBRECHAT,
        aliases=(Alias("LDAP_SERVER", MAGE),),
        fix="write ldaps://HOST or ldap://HOST, with :PORT where it is an unusual one",
    ).with_help(
        "The directory's server; several, separated by commas, are asked in this order until one "
        "answers."
    ),
    text(
        "LDAP_BASE_DN",
        example="ou=people,dc=example,dc=org",
        check=check_dn,
        origin=MAGE,
        aliases=(Alias("LDAP_USER_SEARCH_BASE", LIBRECHAT),),
    ).with_help("Below which people are searched for."),
    text(
        "LDAP_BIND_DN", example="cn=gatehouse,dc=example,dc=org", origin=f"{MAGE}, {LIBRECHAT}"
    ).with_help(
        "The service account that searches; it needs to read, never to write. Active Directory "
        "also takes name@domain."
    ),
    secret(
        "LDAP_BIND_PASSWORD", origin=MAGE, aliases=(Alias("LDAP_BIND_CREDENTIALS", LIBRECHAT),)
    ).with_help("The service account's password."),
    switch("LDAP_LOGIN_USES_USERNAME", default=None, origin=LIBRECHAT).with_help(
        "What people type, where LDAP_SEARCH_FILTER does not say it: true is the user name, false "
        "the address. Without it both are taken."
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
        "Finds the one person. {username}, also written {{username}}, is what was typed; it is "
        "escaped."
    ),
    text(
        "LDAP_AUTHORIZATION_FILTER",
        example="(&(objectClass=groupOfNames)(cn=staff)(member={user_dn}))",
        check=check_access_filter,
        origin=MAGE,
        fix="write a filter such as (&(cn=staff)(member={user_dn}))",
    ).with_help(
        "Must find something for whoever comes in, searched by the service account below "
        "LDAP_GROUP_BASE_DN. Places: {user_dn} and {username}."
    ),
    text(
        "LDAP_GROUP_BASE_DN",
        default=lambda values: values["LDAP_BASE_DN"],
        default_note="LDAP_BASE_DN",
        example="ou=groups,dc=example,dc=org",
        check=check_dn,
    ).with_help("Below which groups are searched for."),
    text("LDAP_GROUP_FIELD", default="memberOf", example="memberOf", origin=MAGE).with_help(
        "The attribute of a person that names the groups."
    ),
    text(
        "LDAP_GROUP_SEARCH_FILTER",
        example="(&(objectClass=groupOfNames)(member={user_dn}))",
        check=check_access_filter,
        fix="write a filter such as (member={user_dn})",
    ).with_help(
        "Finds a person's groups where the directory has no memberOf; goes before "
        "LDAP_GROUP_FIELD. Places: {user_dn} and {username}."
    ),
    text(
        "LDAP_ROLES_MAPPING",
        example='{"gate-admins": "admin", "cn=staff,ou=groups,dc=example,dc=org": "viewer"}',
        check=check_roles_mapping,
        origin=MAGE,
        fix='write JSON such as {"gate-admins": "admin", "staff": ["editor"]}',
    ).with_help(
        "JSON: group to role, or to a list of roles. A group is its DN or its cn, without regard "
        "to case. Of several roles the highest counts. Nobody becomes owner by a group unless a "
        "group is given owner here."
    ),
    choice(
        "LDAP_DEFAULT_ACCESS",
        default="none",
        example="viewer",
        choices=tuple(role for role in ROLES if role != Role.OWNER),
        origin=MAGE,
    ).with_help("The role of whoever is in no group of LDAP_ROLES_MAPPING."),
    text("LDAP_ADMIN_USERNAME", example="anna", origin=MAGE).with_help(
        "The user name in the directory of the person who becomes owner at the first sign-in, as "
        "long as nobody owns the instance."
    ),
    text("LDAP_ID", example="employeeNumber", origin=LIBRECHAT).with_help(
        "The attribute that tells people apart for good, where the directory has no entryUUID, "
        "objectGUID, nsUniqueId or ipaUniqueID. Without one the DN does."
    ),
    text(
        "LDAP_USERNAME", default_note="uid, else sAMAccountName", example="uid", origin=LIBRECHAT
    ).with_help("The attribute with the user name."),
    text("LDAP_EMAIL", default="mail", example="mail", origin=LIBRECHAT).with_help(
        "The attribute with the email address."
    ),
    words(
        "LDAP_FULL_NAME",
        default_note="displayName, else cn",
        example="givenName,sn",
        origin=LIBRECHAT,
    ).with_help("The attributes that make the name, in order."),
    switch(
        "LDAP_TRUST_EMAIL",
        default=True,
        aliases=(Alias("LDAP_EMAIL_IS_PROVED", "earlier versions"),),
    ).with_help(
        "Whether an address of the directory counts as proved. Set it to false where people write "
        "their own address there."
    ),
    path(
        "LDAP_CA_CERT_PATH",
        default_note="the machine's own",
        example="/etc/ssl/certs/company-ca.pem",
        origin=LIBRECHAT,
    ).with_help("PEM of the authority that signed the server's certificate."),
    switch("LDAP_TLS_REJECT_UNAUTHORIZED", default=True, origin=LIBRECHAT).with_help(
        "Whether a wrong certificate is refused. With false anybody on the way may read."
    ),
    switch("LDAP_STARTTLS", default=False, origin=LIBRECHAT).with_help(
        "Switch an ldap:// connection to TLS before anything is sent."
    ),
    switch("LDAP_ALLOW_PLAINTEXT", default=False).with_help(
        "Admit passwords in clear to another machine. Only in a network of its own."
    ),
)
