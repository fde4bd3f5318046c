"""Scopes, the context of an authenticated request, and the permissions of views."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, cast

from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request

from accounts import access_policy
from accounts.models import BrowserSession, User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services import second_factors
from accounts.sessions.reauthentication import session_is_recently_authenticated
from accounts.sessions.store import SessionStore
from api.errors import AccessTokenInvalid, ApiKeyInvalid, NotAuthenticated, ScopeMissing
from api.models import ApiKey
from core.errors import AccessDenied, ConfirmationNeeded, Forbidden

if TYPE_CHECKING:  # DRF imports this module while it defines its views
    from rest_framework.views import APIView


class Scope(StrEnum):
    """Scopes of API keys."""

    READ = "read"
    WRITE = "write"
    USERS = "users"
    MODERATION = "moderation"
    SERVICE = "service"
    SCIM = "scim"


ALL_SCOPES = frozenset(Scope)


def scopes_of(role: Role) -> frozenset[Scope]:
    """Return the scopes that a key of a user with `role` may have."""
    if role in ADMIN_ROLES:
        return ALL_SCOPES
    if role == Role.EDITOR:
        return frozenset({Scope.READ, Scope.WRITE})
    return frozenset({Scope.READ})


@lru_cache(maxsize=256)
def effective_scopes(stored: tuple[str, ...], role: str) -> frozenset[Scope]:
    """Return the scopes stored with a key, as far as the present role of its user has them."""
    return frozenset(scope for scope in scopes_of(Role(role)) if scope in stored)


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

    def require_scope(self, scope: str) -> None:
        """Raise ScopeMissing unless the API key, if there is one, has the scope."""
        if scope not in self.scopes:
            raise ScopeMissing(scope)

    def require_role(self, role: Role) -> None:
        """Raise Forbidden unless the user has this role or a higher one."""
        if self.role.rank < role.rank:
            raise Forbidden

    def require_recent_authentication(self) -> None:
        """Raise ConfirmationNeeded for a browser session, or a token created from one, that has not
        authenticated recently; see accounts.sessions.reauthentication."""
        if self.browser_session is None:
            return
        row = BrowserSession.objects.filter(public_id=self.browser_session).first()
        if row is None or not session_is_recently_authenticated(SessionStore.read_only(row)):
            raise ConfirmationNeeded


def auth_of(request: Request) -> AuthContext:
    """Return the context of a request that a permission has let through."""
    return cast("AuthContext", request.auth)


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


class Permission(BasePermission):
    """A permission with arguments: DRF calls what `permission_classes` lists, so it returns itself.

    Denies requests without a credential, which DRF answers with 401.
    """

    def __call__(self) -> Self:
        return self

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.auth, AuthContext):
            return False
        self.require(request, request.auth)
        return True

    def require(self, request: Request, auth: AuthContext) -> None:
        """Raise the error of a request that is not permitted."""
        raise NotImplementedError


class HasScope(Permission):
    """Requires a scope of API keys. Tokens and sessions have every scope. Raises ScopeMissing."""

    def __init__(self, scope: str) -> None:
        self.scope = Scope(scope)

    def require(self, request: Request, auth: AuthContext) -> None:
        auth.require_scope(self.scope)


class HasRole(Permission):
    """Requires a role or a higher one. Raises Forbidden."""

    def __init__(self, role: str) -> None:
        self.role = Role(role)

    def require(self, request: Request, auth: AuthContext) -> None:
        auth.require_role(self.role)


class RecentlyAuthenticated(Permission):
    """Requires a browser session, and a token created from one, to have authenticated recently.

    As on the pages. API keys and tokens of a password are exempt, and requests for which `unless`
    returns True. Raises ConfirmationNeeded.
    """

    def __init__(self, unless: Callable[[Request], bool] | None = None) -> None:
        self.unless = unless

    def require(self, request: Request, auth: AuthContext) -> None:
        if self.unless is None or not self.unless(request):
            auth.require_recent_authentication()


class DeclaredPermissions(BasePermission):
    """The permissions that `required_permissions` of the view declares for each method.

    The default of every view. A method without an entry is denied, and so is a view without the
    attribute that sets no `permission_classes`.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        declared = declared_permissions(view, str(request.method))
        return bool(declared) and all(each.has_permission(request, view) for each in declared)


def declared_permissions(view: "APIView", method: str) -> list[BasePermission]:
    """Return what `required_permissions` of the view declares for this method; HEAD is GET."""
    declared: Mapping[str, Sequence[Any]] = getattr(view, "required_permissions", {})
    return [each() for each in declared.get("GET" if method == "HEAD" else method, ())]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a method requires, for its description. scope: "" if API keys need none."""

    scope: str = ""
    min_role: Role = Role.NONE
    is_sensitive: bool = False


def requirements_of(view: "APIView", method: str) -> Requirements | None:
    """Return what a method of the view requires; None if it is open to everyone."""
    found: list[Any] = []
    for each in view.get_permissions():
        is_default = isinstance(each, DeclaredPermissions)
        found += declared_permissions(view, method) if is_default else [each]
    if found and all(isinstance(each, AllowAny) for each in found):
        return None
    return Requirements(
        scope=next((str(each.scope) for each in found if isinstance(each, HasScope)), ""),
        min_role=next((each.role for each in found if isinstance(each, HasRole)), Role.NONE),
        is_sensitive=any(isinstance(each, RecentlyAuthenticated) for each in found),
    )


def served_methods(view: "APIView") -> list[str]:
    """Return the methods of a view in alphabetical order, HEAD not named beside GET.

    A view with `required_permissions` serves only those. OPTIONS is for views that describe
    themselves (`metadata_class`); preflight requests never reach a view. Raises
    ImproperlyConfigured for a view whose `permission_classes` would ignore `required_permissions`.
    """
    served = {name.upper() for name in view.http_method_names if hasattr(view, name)} - {"HEAD"}
    if view.metadata_class is None:
        served.discard("OPTIONS")
    declared = getattr(view, "required_permissions", None)
    if declared is None:
        return sorted(served)
    if DeclaredPermissions not in view.permission_classes:
        name = type(view).__name__
        raise ImproperlyConfigured(f"{name}: permission_classes replaces required_permissions")
    return sorted(served & declared.keys())
