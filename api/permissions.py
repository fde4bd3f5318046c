"""Scopes, the permissions of API methods, and the context of an authenticated request."""

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
    """Scopes of API keys."""

    READ = "read"
    WRITE = "write"
    USERS = "users"
    MODERATION = "moderation"
    SERVICE = "service"


ALL_SCOPES = frozenset(Scope)


def scopes_of(role: Role) -> frozenset[Scope]:
    """Return the scopes that a key of a user with `role` may have."""
    if role in ADMIN_ROLES:
        return ALL_SCOPES
    if role == Role.EDITOR:
        return frozenset({Scope.READ, Scope.WRITE})
    return frozenset({Scope.READ})


@dataclass(frozen=True, slots=True)
class ApiPermission:
    """What a method of a view requires: a scope, a minimum role, and recent authentication.

    is_sensitive: a browser session, and a token created from one, must have authenticated recently,
    as on the pages. API keys and tokens of a password are exempt.
    """

    scope: Scope
    min_role: Role = Role.NONE
    is_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class AuthContext:
    """The user and credentials of a request. Tokens and sessions have all scopes of the role.

    key: the API key. session_id: the token family or browser session. browser_session: the public
    id of the browser session, also of the one from which the token was created. claims: claims of
    the access token, {} without one.
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

    def require(self, permission: ApiPermission) -> None:
        """Raise ScopeMissing or Forbidden unless scopes and role satisfy `permission`."""
        if permission.scope not in self.scopes:
            raise ScopeMissing(permission.scope)
        if self.role.rank < permission.min_role.rank:
            raise Forbidden

    def require_recent_authentication(self) -> None:
        """Raise ConfirmationNeeded for a browser session, or a token created from one, that has not
        authenticated recently; see accounts.reauthentication."""
        if self.browser_session is None:
            return
        row = BrowserSession.objects.filter(public_id=self.browser_session).first()
        if row is None or not session_is_recently_authenticated(SessionStore.read_only(row)):
            raise ConfirmationNeeded


def combine(first: AuthContext, second: AuthContext) -> AuthContext:
    """Combine two credentials of one request: what both allow (A125).

    Raises AccessTokenInvalid if they belong to different users.
    """
    if first.user.pk != second.user.pk:
        raise AccessTokenInvalid("The credentials of this request belong to different users.")
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
    """Apply the access policy. Raises the API error for this credential.

    Also raises SecondFactorSetUpRequired if the role requires a second factor and the user has
    none; not for API keys, so that scripts keep working.
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
