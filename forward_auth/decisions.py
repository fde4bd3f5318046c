"""Step 5 of a check: the decision, and the headers of its answer. Pure.

The fast path, Django and simulations all decide here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from accounts.roles import Role
from forward_auth.request import Target
from forward_auth.rules.matching import Requirement

Headers = Sequence[tuple[str, str]]
NEVER = float("inf")
BASIC, BEARER = 'Basic realm="Gatehouse", charset="UTF-8"', "Bearer"
IDENTITY = ("Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Remote-Id")
NO_IDENTITY: Headers = tuple((name, "") for name in IDENTITY)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


# Built and read in each check: with slots it takes two thirds of the time of a NamedTuple, and less
# than half of that of a frozen class.
@dataclass(slots=True, unsafe_hash=True)
class Principal:
    """A user who may act.

    user_id: with dashes, as sent to apps. until: seconds since 1970; afterwards look again.
    changes_at: when the access, the role or a group of the user ends by itself, in seconds since
    1970. groups: names in order.
    networks: where the credential may be used, () for everywhere. may_read, may_write: by its
    scopes. credential_id: of the session, token family or key, no secret; that of a session has
    dashes or not, as it was stored. used_at: when the use of a key was last written.
    """

    kind: str
    user_id: str
    email: str
    name: str
    role: Role
    is_verified: bool
    until: float
    changes_at: float = NEVER
    credential_id: str = ""
    groups: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    may_read: bool = True
    may_write: bool = True
    used_at: float | None = None


@dataclass(slots=True)
class AuthFailure:
    """Why a request is not authenticated.

    credential_valid: the credential is right, but its user may not act now. until: as in Principal.
    """

    kind: str
    code: str
    credential_valid: bool = False
    user_id: str | None = None
    networks: tuple[str, ...] = ()
    until: float = NEVER


AuthResult = Principal | AuthFailure


class Question(StrEnum):
    """What a check asks, in this order. The first "no" ends it; what is public is asked no more."""

    PUBLIC = "public"
    NETWORK = "network"
    CREDENTIAL = "credential"
    VERIFIED_EMAIL = "verified-email"
    NOT_DENIED = "not-denied"
    ROLE = "role"
    GROUP = "group"
    SCOPE = "scope"


@dataclass(slots=True)
class Decision:
    """status: 204, 401 or 403. code: the reason, "" for 204. last: the question that decided.
    principal: whom a 204 names.
    """

    status: int
    code: str
    requirement: Requirement
    last: Question
    principal: Principal | None = None


class Step(NamedTuple):
    """A question that a decision has asked, and the answer."""

    question: Question
    is_passed: bool


# Reading a member of an enumeration by its name costs as much as ten dictionary look-ups.
NONE = Role.NONE
PUBLIC, NETWORK, CREDENTIAL, VERIFIED_EMAIL, NOT_DENIED, ROLE, GROUP, SCOPE = Question


def decide(
    requirement: Requirement,
    auth_result: AuthResult,
    target: Target,
    *,
    ip_allowed: bool,
    requires_verified_email: bool,
) -> Decision:
    """Decide whether the request may pass.

    ip_allowed: the client's address is in the networks of the credential.
    """
    if requirement.min_role is None:
        principal = auth_result if ip_allowed and isinstance(auth_result, Principal) else None
        return Decision(204, "", requirement, PUBLIC, principal)
    if not ip_allowed:
        return Decision(401, "api_key_invalid", requirement, NETWORK)
    if isinstance(auth_result, AuthFailure):
        status = 403 if auth_result.credential_valid else 401
        return Decision(status, auth_result.code, requirement, CREDENTIAL)
    if requires_verified_email and not auth_result.is_verified:
        return Decision(403, "email_unverified", requirement, VERIFIED_EMAIL)
    if requirement.is_denied:
        return Decision(403, "forbidden", requirement, NOT_DENIED)
    return _decide_about(auth_result, requirement, target)


def _decide_about(principal: Principal, requirement: Requirement, target: Target) -> Decision:
    """The last questions: role, groups and scope of a user whom the rule may allow."""
    role, min_role = principal.role, requirement.min_role or Role.OWNER
    if role.rank < min_role.rank or role is NONE:
        return Decision(403, "forbidden", requirement, ROLE)
    if requirement.groups and not requirement.admits(principal.groups):
        return Decision(403, "group_missing", requirement, GROUP)
    if not (principal.may_read if target.is_reading else principal.may_write):
        return Decision(403, "scope_missing", requirement, SCOPE)
    return Decision(204, "", requirement, SCOPE, principal)


def steps_of(decision: Decision, auth_result: AuthResult) -> tuple[Step, ...]:
    """The questions that the decision has asked.

    Networks are asked of credentials that have some, groups where a rule requires some. Every
    question before the last was answered with yes.
    """
    is_passed = decision.status == 204
    if decision.last is PUBLIC:
        return (Step(PUBLIC, is_passed),)
    asked = [one for one in Question if one is not PUBLIC]
    if not auth_result.networks:
        asked.remove(NETWORK)
    if not decision.requirement.groups:
        asked.remove(GROUP)
    before = asked[: asked.index(decision.last)]
    return (*(Step(one, True) for one in before), Step(decision.last, is_passed))


def identity_headers(principal: Principal | None) -> Headers:
    """Every identity header, with empty values for no one, so that an app inherits none.

    Remote-User is the email address: it is verified and unique, and users cannot choose it freely
    like a user name. A service account has only its name, which is no address of anyone.
    """
    if principal is None:
        return NO_IDENTITY
    # Enum's own `value` costs as much as the rest.
    role = principal.role._value_
    groups = ",".join((role, *principal.groups)) if principal.groups else role
    return _headers(principal.email, principal.name, groups, principal.user_id)


@lru_cache(maxsize=4096)
def _headers(email: str, name: str, groups: str, user_id: str) -> Headers:
    email = _one_line(email)
    values = (email, address_of(email), _one_line(name), groups, user_id)
    return tuple(zip(IDENTITY, values, strict=True))


def address_of(email: str) -> str:
    """The address in User.email; "" for a service account, which has its name there."""
    return email if "@" in email else ""


def is_browser(environ: Mapping[str, Any]) -> bool:
    """Whether the client is a browser, which would answer a Basic challenge by its own dialog."""
    return "HTTP_SEC_FETCH_MODE" in environ or environ.get("HTTP_USER_AGENT", "").startswith(
        "Mozilla/"
    )


def challenge(environ: Mapping[str, Any]) -> str:
    """WWW-Authenticate of a 401. Clients of git, WebDAV and CalDAV wait for a Basic challenge."""
    return BEARER if is_browser(environ) else f"{BASIC}, {BEARER}"


def as_wsgi(text: str) -> str:
    """Text as WSGI and Django carry it: each byte of its UTF-8 as one character."""
    return text.encode().decode("latin-1")


def from_wsgi(text: str) -> str:
    """The reverse of as_wsgi(). Returns text that is not in that form unchanged."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _one_line(text: str) -> str:
    """Remove what would end a header."""
    return (text if text.isprintable() else _UNPRINTABLE.sub(" ", text)).strip()
