"""What the credentials of a request are worth, by the same code as the API's: the reference.

It knows what the short way does not (several credentials at once, tokens of other issuers) and
writes what is to be written: a session's activity, a key's use.
"""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.errors import Forbidden, RateLimited, Refused
from accounts.roles import Role
from api import foreign
from api.access import Access, Scope, joined
from api.authorization import own_credentials_of
from api.credentials import identify, session_of
from api.errors import (
    AccessTokenExpired,
    AccessTokenInvalid,
    ApiKeyInvalid,
    NotAuthenticated,
)
from api.tokens import claims_our_issuer
from sso.cookies import gate_cookie
from sso.passes import Outcome, Pass, Refusal
from sso.services.cookies import person_by_gate_cookie

# Nothing of it is remembered, so that it need not know its own end.
AT_ONCE = 0.0


def outcome_of(request: HttpRequest) -> Outcome:
    """A Pass, or why there is none. Wrong keys are counted, as they are by the API.

    What is between the client and the app, such as the app's own tokens, is not looked at.
    """
    credentials = own_credentials_of(request.META, is_own_token)
    cookie = _gate_cookie_alone(request)
    if cookie and credentials.is_empty and not settings.REQUIRE_API_KEY_AND_TOKEN:
        found = _by_gate(cookie)
        # An ended one is as good as none, because cookies come unasked.
        if isinstance(found, Pass) or settings.ANONYMOUS_ROLE is None:
            return found
    try:
        access = identify(request, credentials)
        if cookie and not credentials.is_empty:
            _require_same_person(access, cookie)
        return _pass(access)
    except Refused as error:
        return Refusal(
            "", error.code, is_known=True, user_id=str(error.user_id) if error.user_id else None
        )
    except (AccessTokenExpired, AccessTokenInvalid, ApiKeyInvalid, NotAuthenticated) as error:
        return Refusal("", error.code)
    except Forbidden as error:
        return Refusal("", error.code, is_known=True)
    except RateLimited:
        return Refusal("", ApiKeyInvalid.code)


def is_own_token(token: str) -> bool:
    """Has it been made by us, or by a listed issuer, if it tells the truth?"""
    return claims_our_issuer(token) or foreign.is_foreign(token)


def is_signed_in(request: HttpRequest) -> bool:
    """Does a live session stand behind this request, whatever else it carries?"""
    if session_of(request) is not None:
        return True
    cookie = gate_cookie(request.META)
    return bool(cookie) and person_by_gate_cookie(cookie, timezone.now()) is not None


def _gate_cookie_alone(request: HttpRequest) -> str:
    """The gate cookie; "" beside a session, which says more."""
    cookie = gate_cookie(request.META)
    return cookie if cookie and session_of(request) is None else ""


def _require_same_person(access: Access, cookie: str) -> None:
    """Refuse a key or token beside the gate cookie of somebody else, as beside a session.

    Raises AccessTokenInvalid.
    """
    user = person_by_gate_cookie(cookie, timezone.now())
    if user is not None:
        joined(access, Access(user=user))


def _by_gate(cookie: str) -> Outcome:
    user = person_by_gate_cookie(cookie, timezone.now())
    if user is None:
        return Refusal("gate", NotAuthenticated.code)
    return _pass(Access(user=user), "gate")


def _pass(access: Access, kind: str = "") -> Pass:
    user = access.user
    return Pass(
        kind=kind or _kind(access),
        user_id=str(user.pk),
        email=user.email,
        name=user.name,
        role=Role(user.role),
        is_verified=user.is_verified or user.is_built_in,
        until=AT_ONCE,
        may_read=Scope.READ in access.scopes,
        may_write=Scope.WRITE in access.scopes,
        credential_id=access.key.pk if access.key else str(access.session_id or ""),
    )


def _kind(access: Access) -> str:
    if access.key is not None:
        return "key"
    return "token" if access.has_token else "session"
