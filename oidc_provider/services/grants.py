"""The grants of apps: whether their tokens work now, refreshing, and ending them.

A grant is one row, like a token family (docs/decisions/0007-refresh-families.md).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from accounts.models import User
from accounts.models.users import Kind
from applications.models import App
from audit import audit_log
from core.locks import delete_free, lock_users
from core.sql import newest
from oidc_provider import sql, tokens
from oidc_provider.entry import entry_denial, program_denial
from oidc_provider.errors import ProtocolError
from oidc_provider.id_tokens import id_token
from oidc_provider.models import AuthorizationCode, DeviceCode, Grant
from oidc_provider.services.app_scopes import scope_of, still_given

REVOKED, REUSED = "revoked", "reused"


@dataclass(frozen=True, slots=True)
class LiveToken:
    """An access token that works now. scope: of the token, as far as it still exists.

    is_whole: the app did not ask for less than the user has allowed.
    """

    grant: Grant
    scope: tuple[str, ...]
    ends: int
    is_whole: bool


def token_response(grant: Grant, *, scope: tuple[str, ...] = (), nonce: str = "") -> dict[str, Any]:
    """The answer of the token endpoint (RFC 6749, section 5.1; Core, section 3.1.3.3).

    scope: less than that of the grant, if the app asks for less. The grant is live.
    """
    now = int(timezone.now().timestamp())
    names = scope or scope_of(grant)
    ends = min(
        now + int(settings.SESSION_EXPIRY.total_seconds()), int(grant.expires_at.timestamp())
    )
    access = tokens.access_token(grant, ends, names)
    return {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": ends - now,
        "refresh_token": tokens.refresh_token(grant),
        "scope": " ".join(names),
        "id_token": id_token(grant, grant.user, now=now, ends=ends, access=access, nonce=nonce),
    }


def refresh(app: App, text: str, wanted: tuple[str, ...]) -> tuple[Grant, tuple[str, ...]]:
    """Advance the grant of a refresh token; returns it and the scope of the next tokens.

    A used token gives the same successor again until that one is used, because the answer may have
    been lost. After that, reuse ends the grant (RFC 9700, section 4.14.2). Raises ProtocolError.
    """
    token = tokens.parse(text)
    grant = _grant_of(token, tokens.REFRESH)
    if token is None or grant is None or grant.app_id != app.pk:
        raise _invalid()
    require_live(grant)
    if not {*wanted} <= {*grant.scope.split()}:
        raise ProtocolError("invalid_scope", "The scope is more than the user has allowed.")
    scope = tuple(name for name in scope_of(grant) if not wanted or name in wanted)
    if not scope:
        raise ProtocolError("invalid_scope", "What the scope names was deleted.")
    if token.number == grant.generation and not _advance(grant):
        # Another request was first, or the grant has ended.
        grant = read_grant(grant.pk)
        require_live(grant)
    if token.number < grant.generation - 1:
        end_grant(grant.pk, REUSED)
        raise _invalid()
    return grant, scope


def find_access(text: str) -> LiveToken | None:
    """The access token, if it and its grant work now."""
    token = tokens.parse(text)
    grant = _grant_of(token, tokens.ACCESS)
    if token is None or grant is None or token.number <= timezone.now().timestamp():
        return None
    try:
        require_live(grant)
    except ProtocolError:
        return None
    named = token.scope_in(grant)
    return LiveToken(
        grant,
        still_given(grant.app, named, grant.created_at),
        token.number,
        is_whole=len(named) == len(grant.scope.split()),
    )


def find_refresh(text: str) -> Grant | None:
    """The grant of a refresh token that would be accepted now. Asking uses nothing up."""
    token = tokens.parse(text)
    grant = _grant_of(token, tokens.REFRESH)
    if token is None or grant is None or token.number != grant.generation:
        return None
    try:
        require_live(grant)
    except ProtocolError:
        return None
    return grant


def find_grant(text: str) -> Grant | None:
    """The grant of a token that we have made, whether or not it works."""
    token = tokens.parse(text)
    return None if token is None else _grant_of(token, token.kind)


def require_live(grant: Grant) -> None:
    """Raise ProtocolError unless the grant, its session, and the access of its user are live.

    Everything is asked anew for each token: the app, who may enter it, the access policy. grant: of
    read_grant(), a moment ago.
    """
    now = timezone.now()
    if grant.ended_at is not None or grant.expires_at <= now:
        raise _invalid()
    user = grant.user
    if user.is_service:
        if program_denial(grant.app, user, credential_at=grant.created_at) is not None:
            raise _invalid()
        return
    if not grant.app.signs_people_in:
        raise _invalid()
    denial = entry_denial(
        grant.app,
        user,
        has_second_factor=grant.has_second_factor,
        ip=grant.ip,
        credential_at=grant.created_at,
    )
    if denial is not None:
        raise _invalid()
    if grant.session_id is not None and (grant.session_end is None or grant.session_end <= now):
        raise _invalid()


def revoke(grant: Grant) -> None:
    """End a grant because its app says so. Does nothing if it has ended already."""
    end_grant(grant.pk, REVOKED)


def end_grant(grant_id: uuid.UUID, reason: str) -> None:
    """End a live grant: none of its tokens works any more. Writes one audit row."""
    grant = Grant.objects.select_related("app", "user").filter(pk=grant_id).first()
    if grant is None:
        return
    with transaction.atomic():
        lock_users(grant.user_id)
        live = Grant.objects.filter(pk=grant_id, ended_at=None)
        if not live.update(ended_at=timezone.now(), end_reason=reason):
            return
        if reason == REUSED:
            audit_log.record(
                "openid:grant:reuse", target=grant.user, result="refused", name=grant.app.name
            )
        else:
            audit_log.record("openid:grant:end", target=grant.user, name=grant.app.name)


def newest_credential(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """When the newest code or grant of `user` was made, if after `after`.

    Receiver of signals.access_ending.
    """
    codes = AuthorizationCode.objects.filter(user=user)
    found = [newest(rows, after) for rows in (codes, user.openid_grants.all())]
    decided = DeviceCode.objects.filter(user=user, decided_at__gt=after)
    found.append(decided.aggregate(newest=Max("decided_at"))["newest"])
    return max((each for each in found if each is not None), default=None)


def purge_grants(before: datetime) -> int:
    """Delete grants that ended or expired before `before`; returns how many.

    Those of programs as soon as they have expired: there may be many, and none is ever refreshed.
    """
    accounts = User.objects.filter(kind=Kind.SERVICE)
    of_programs = Q(user__in=accounts, expires_at__lt=timezone.now())
    return delete_free(
        Grant.objects.filter(Q(expires_at__lt=before) | Q(ended_at__lt=before) | of_programs)
    )


def read_grant(grant_id: uuid.UUID) -> Grant:
    """The grant as it is now, for require_live(). Raises ProtocolError if it is gone."""
    grant = sql.find_grant(grant_id)
    if grant is None:
        raise _invalid()
    return grant


def _grant_of(token: tokens.ParsedToken | None, kind: str) -> Grant | None:
    if token is None or token.kind != kind:
        return None
    grant = sql.find_grant(token.grant_id)
    return grant if grant is not None and token.is_genuine(grant) else None


def _advance(grant: Grant) -> bool:
    """Go on to the next generation; False if another request was first."""
    now = timezone.now()
    if not sql.advance(grant, now):
        return False
    grant.generation, grant.refreshed_at = grant.generation + 1, now
    return True


def _invalid() -> ProtocolError:
    return ProtocolError("invalid_grant", "The token is unknown, used, expired or revoked.")
