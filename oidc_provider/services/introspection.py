"""What an app is told about the tokens that it was given here (RFC 7662).

Only the app of the grant is told, so that a token that reaches another app tells nothing there
(RFC 7662, section 4; RFC 9700, section 2.3). Of the user it learns what the scope of the token lets
it know at userinfo, and no more. The token of a program is different: it is there to be sent to
other apps, and each of them may ask.
"""

from datetime import UTC, datetime
from typing import Any

from applications.services.introspection import TOKEN, Credential
from oidc_provider.entry import closes_at
from oidc_provider.models import Grant
from oidc_provider.scopes import SCOPES
from oidc_provider.services import app_scopes, grants
from oidc_provider.subjects import session_of, subject_of

REFRESH = "refresh_token"
# Members of an answer that a scope opens; without it they are left out.
_OF_SCOPES = {
    "profile": ("username", "name"),
    "email": ("email", "email_verified"),
    "groups": ("role", "groups"),
}


def read_openid_token(text: str, _client_ip: str, now: datetime) -> Credential | None:
    """An access token, or the refresh token that is accepted next, if it works now."""
    access = grants.find_access(text)
    if access is not None:
        ends = datetime.fromtimestamp(access.ends, UTC)
        return _credential(access.grant, TOKEN, access.scope, ends, now)
    grant = grants.find_refresh(text)
    if grant is None:
        return None
    return _credential(grant, REFRESH, app_scopes.scope_of(grant), grant.expires_at, now)


def _credential(
    grant: Grant, kind: str, scope: tuple[str, ...], ends: datetime, now: datetime
) -> Credential:
    hidden = frozenset(
        name for each in SCOPES if each.name not in scope for name in _OF_SCOPES.get(each.name, ())
    )
    if grant.user.is_service:
        of_program = {"scope": " ".join(scope), "client_id": grant.app.client_id}
        return Credential(grant.user, kind, of_program, (ends,), hidden=hidden, is_kept=False)
    closes = closes_at(grant.app, now)
    claims: dict[str, Any] = {
        "scope": " ".join(scope),
        "client_id": grant.app.client_id,
        "aud": grant.app.client_id,
        "sub": subject_of(grant.app, grant.user.pk),
        "sid": session_of(grant.app, grant.sid),
        "auth_time": int(grant.auth_time.timestamp()),
    }
    return Credential(
        grant.user,
        kind,
        claims,
        (ends,) if closes is None else (ends, closes),
        hidden=hidden,
        only_for=grant.app_id,
        is_kept=False,
    )
