"""What an app is told about the tokens that it was given here (RFC 7662).

Only the app of the grant is told, so that a token that reaches another app tells nothing there
(RFC 7662, section 4; RFC 9700, section 2.3), unless the owners have made it the API of a scope. Of
the user it learns what the scope of the token lets it know at userinfo, and no more; an API learns
who they are to it. The token of a program is different: it is there to be sent to
other apps, and each of them may ask.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from applications.models import App
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
        found = _credential(access.grant, TOKEN, access.scope, ends, now)
        return replace(found, others=_for_apis(access, found))
    grant = grants.find_refresh(text)
    if grant is None:
        return None
    return _credential(grant, REFRESH, app_scopes.scope_of(grant), grant.expires_at, now)


def _for_apis(access: grants.LiveToken, found: Credential) -> dict[UUID, Credential]:
    """What the API of a scope is told: its own scopes, and who the user is to it, nothing more.

    People have allowed the app that asked them what they allowed, and not each API.
    """
    if found.only_for is None:
        # Every app may ask about programs.
        return {}
    by_app = dict[App, list[str]]()
    for scope in app_scopes.custom_scopes(access.scope):
        if scope.audience is not None:
            by_app.setdefault(scope.audience, []).append(scope.name)
    hidden = frozenset(name for names in _OF_SCOPES.values() for name in names)
    return {
        app.pk: replace(
            found,
            claims={
                "scope": " ".join(names),
                "client_id": access.grant.app.client_id,
                "aud": app.client_id,
                "sub": subject_of(app, access.grant.user.pk),
            },
            hidden=hidden,
            only_for=app.pk,
        )
        for app, names in by_app.items()
    }


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
