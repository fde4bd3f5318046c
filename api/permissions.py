"""What a request may do: its person, the credentials that came, and the scopes they leave."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from accounts import access_policy
from accounts.models import BrowserSession, User
from accounts.reauthentication import session_is_recently_authenticated
from accounts.roles import ADMIN_ROLES, Role
from accounts.services import second_factors
from accounts.session_store import SessionStore
from api.errors import AccessTokenInvalid, ApiKeyInvalid, NotAuthenticated, ScopeMissing
from api.models import ApiKey
from core.errors import AccessDenied, ConfirmationNeeded, Forbidden


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    WRITE = "write"
    USERS = "users"
    MODERATION = "moderation"
    SERVICE = "service"


ALL_SCOPES = frozenset(Scope)


def scopes_of(role: Role) -> frozenset[Scope]:
    """The scopes that a key of somebody with `role` can have at most (CONTRACT section 4)."""
    if role in ADMIN_ROLES:
        return ALL_SCOPES
    if role == Role.EDITOR:
        return frozenset({Scope.READ, Scope.WRITE})
    return frozenset({Scope.READ})


@dataclass(frozen=True, slots=True)
class ApiPermission:
    """What a method of a path asks for: a scope of the key, and the lowest role."""

    scope: Scope
    min_role: Role = Role.NONE
    # What pages and panel ask a fresh proof for: a browser's session, and a token that was made
    # from it, must have been confirmed lately. Keys and sign-ins by token answer for themselves.
    is_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class AuthContext:
    """Who calls, by what, and how far that reaches. Tokens and sessions reach as far as the role.

    key: the API key that came. session_id: the token family or browser session that came.
    browser_session: the public id of the browser session that came, or from which the token was
    made. claims: of the access token, {} without one.
    """

    user: User
    scopes: frozenset[Scope] = ALL_SCOPES
    key: ApiKey | None = None
    session_id: uuid.UUID | None = None
    browser_session: uuid.UUID | None = None
    has_token: bool = False
    claims: dict[str, Any] = field(default_factory=dict)

    @property
    def role(self) -> Role:
        return Role(self.user.role)

    def require(self, need: ApiPermission) -> None:
        """Raise ScopeMissing or Forbidden unless the credentials and the role reach so far."""
        if need.scope not in self.scopes:
            raise ScopeMissing(need.scope)
        if self.role.rank < need.min_role.rank:
            raise Forbidden

    def require_recent_authentication(self) -> None:
        """Raise ConfirmationNeeded when this is a browser's session, or a token made from one, and
        its person has not proved lately who they are; see accounts.reauthentication."""
        if self.browser_session is None:
            return
        row = BrowserSession.objects.filter(public_id=self.browser_session).first()
        if row is None or not session_is_recently_authenticated(SessionStore.read_only(row)):
            raise ConfirmationNeeded


def combine(first: AuthContext, second: AuthContext) -> AuthContext:
    """Two credentials of one request: the same person, and what both allow (A125).

    Raises AccessTokenInvalid when they belong to different people.
    """
    if first.user.pk != second.user.pk:
        raise AccessTokenInvalid("The credentials of this request belong to different people.")
    return AuthContext(
        user=first.user,
        scopes=first.scopes & second.scopes,
        key=first.key or second.key,
        session_id=first.session_id or second.session_id,
        browser_session=first.browser_session or second.browser_session,
        has_token=first.has_token or second.has_token,
        claims=first.claims or second.claims,
    )


def require_account_access(user: User, credential_at: datetime, *, by_key: bool = False) -> None:
    """Ask the one gate. Raises the error that a program gets for this credential.

    SecondFactorSetUpRequired too, where the role needs a factor and there is none; not by a key,
    which a script goes on using.
    """
    found = access_policy.get_denial(user, credential_at=credential_at, is_key=by_key)
    if found is None:
        if not by_key:
            second_factors.require_set_up(user)
        return
    match found.code:
        case "not_authenticated":
            raise NotAuthenticated
        case "token_invalid":
            raise ApiKeyInvalid if by_key else AccessTokenInvalid
        case code:
            raise AccessDenied(code, found.message, found.until, user_id=user.pk)
