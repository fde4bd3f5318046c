"""Sign in with tokens, refresh them, and end token families.

A family is one row; docs/decisions/0007-refresh-families.md says why. Checking a token takes one
statement and refreshing takes two, in SQL that is built once (see core.sql).
"""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import BrowserSession, User
from accounts.roles import Role, can_manage
from accounts.services.groups.reading import current_groups
from api.errors import AccessTokenInvalid
from api.models import TokenFamily
from api.permissions import require_account_access
from api.tokens.jwt import CLIENT_ID, AccessToken, RefreshToken
from api.tokens.signing_keys import refresh_secret
from api.tokens.sql import advance, find_family, note_sign_in
from audit import audit_log
from core import sql
from core.errors import BadCredentials, Forbidden, NotFound
from core.locks import delete_free, lock_users
from core.web.request_context import get_request_context
from mail.outbox import enqueue_mail

SIGNED_OUT, REUSED = "signed-out", "reused"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and its refresh token; lifetimes in seconds."""

    family: TokenFamily
    access: str
    expires_in: int
    refresh: str
    refresh_expires_in: int


def start_by_password(
    user: User, at: datetime, methods: Sequence[str] = ("password",)
) -> TokenPair:
    """Sign `user` in. The caller has checked the access policy.

    Saves the family and the last sign-in, and writes one audit row. at: a time before the
    credential was read. methods: for the audit log. Raises BadCredentials if the password or the
    access of the user has changed since.
    """
    family = _new_family(user, at, at + settings.REFRESH_TOKEN_EXPIRY)
    with transaction.atomic(savepoint=False):
        is_unchanged = note_sign_in(user, family.created_at)
        if is_unchanged:
            sql.insert([family])
            audit_log.record(
                "account:session:start", actor=user, target=user, methods=list(methods)
            )
    if not is_unchanged:
        raise BadCredentials
    user.last_login = family.created_at
    return make_pair(family, user, at)


def start_by_session(user: User, session_id: uuid.UUID, signed_in_at: datetime) -> TokenPair:
    """Return tokens that end with the browser session at the latest."""
    now = timezone.now()
    end_of_session = signed_in_at + settings.SESSION_ABSOLUTE_TIMEOUT
    end_of_family = min(now + settings.REFRESH_TOKEN_EXPIRY, end_of_session)
    family = _new_family(user, now, end_of_family, session_id)
    sql.insert([family])
    return make_pair(family, user, now)


def refresh(text: str) -> TokenPair:
    """Exchange a refresh token for the next pair.

    A used token returns the same successor again until that one is used: the response may have
    been lost, or a second tab may refresh as well. After that, reuse ends the family and its
    session, and the user gets a mail (RFC 9700, section 4.14.2). Raises AccessTokenInvalid,
    AccessTokenExpired, AccessDenied.
    """
    now = timezone.now()
    token = RefreshToken.read(text)
    family = _live_family(token.identifier("sid"), token.identifier("sub"), now)
    if not _is_genuine(token, family):
        raise AccessTokenInvalid
    if token.generation == family.generation and advance(family, now):
        family.generation, family.rotated_at = family.generation + 1, now
        return make_pair(family, family.user, now)
    return _handle_reuse(token, now)


def family_of_access(token: AccessToken) -> TokenFamily:
    """Return the live family of a verified access token, with its `user` loaded.

    Raises AccessTokenInvalid, AccessDenied.
    """
    return _live_family(token.identifier("sid"), token.identifier("sub"), timezone.now())


def user_of(text: str) -> User:
    """Return the user of a live refresh token of the newest generation; does not use it up.

    Raises AccessTokenInvalid, AccessTokenExpired, AccessDenied.
    """
    now = timezone.now()
    token = RefreshToken.read(text)
    family = _live_family(token.identifier("sid"), token.identifier("sub"), now)
    if not _is_genuine(token, family) or token.generation != family.generation:
        raise AccessTokenInvalid
    return family.user


def family_of(text: str) -> TokenFamily | None:
    """Return the family of a refresh or access token, even if it has ended or was used.

    None for expired tokens and for tokens that we did not sign.
    """
    for kind in (RefreshToken, AccessToken):
        try:
            token = kind.read(text)
            found = find_family(token.identifier("sid"))
        except AccessTokenInvalid:
            continue
        is_ours = found is not None and (kind is AccessToken or _is_genuine(token, found[0]))
        return found[0] if found and is_ours else None
    return None


def own_families(user: User) -> list[TokenFamily]:
    """Return the live token families of `user`, last refreshed first, at most 200."""
    return list(live_families(user).order_by("-rotated_at", "-id")[:200])


def live_families(user: User) -> QuerySet[TokenFamily]:
    """The token families of `user` that have not ended."""
    now = timezone.now()
    session = BrowserSession.objects.filter(public_id=OuterRef("session_id"), expire_date__gt=now)
    return user.token_families.filter(
        Q(session_id=None) | Exists(session),
        ended_at=None,
        expires_at__gt=now,
        created_at__gte=user.credentials_valid_from,
    )


def end_family(*, actor: Actor, user: User, family_id: uuid.UUID) -> None:
    """Sign one program of `user` out. Users may do this for themselves.

    Raises Forbidden if the actor's rank is too low, NotFound if there is no such live family.
    """
    if actor.pk != user.pk and not can_manage(Role(actor.role), Role(user.role)):
        raise Forbidden
    with transaction.atomic():
        lock_users(user.pk)
        if not end(family_id, user.pk, SIGNED_OUT):
            raise NotFound
        audit_log.record("api:token:end", actor=actor, target=user, family=str(family_id))


def sign_out(family: TokenFamily) -> None:
    """End a family by its own token; does nothing if it has ended already."""
    with transaction.atomic():
        lock_users(family.user_id)
        if end(family.pk, family.user_id, SIGNED_OUT):
            who = family.user
            audit_log.record("api:token:end", actor=who, target=who, family=str(family.pk))


def end(family_id: uuid.UUID, user_id: uuid.UUID, reason: str) -> bool:
    """Mark the family as ended; returns False if it has already ended or expired."""
    now = timezone.now()
    live = TokenFamily.objects.filter(
        pk=family_id, user_id=user_id, ended_at=None, expires_at__gt=now
    )
    return bool(live.update(ended_at=now, end_reason=reason))


def newest_family(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """Return when `user` last signed in with tokens, if after `after`.

    Receiver of signals.access_ending.
    """
    return sql.newest(user.token_families.all(), after)


def purge_families(before: datetime) -> int:
    """Delete families that ended or expired before `before`; returns how many."""
    return delete_free(
        TokenFamily.objects.filter(Q(expires_at__lt=before) | Q(ended_at__lt=before))
    )


def _live_family(family_id: uuid.UUID, user_id: uuid.UUID, now: datetime) -> TokenFamily:
    """Return the family if it, its session and the access of its user are live. One statement.

    Raises AccessTokenInvalid, AccessDenied.
    """
    found = find_family(family_id)
    if found is None:
        raise AccessTokenInvalid
    family, session_end = found
    is_ended = family.ended_at is not None or family.expires_at <= now
    if is_ended or family.user_id != user_id:
        raise AccessTokenInvalid
    require_account_access(family.user, family.created_at)
    if family.session_id is not None and (session_end is None or session_end <= now):
        raise AccessTokenInvalid
    return family


def _handle_reuse(token: RefreshToken, now: datetime) -> TokenPair:
    """Handle a used token: the response was lost, or someone has a copy (A083, A085).

    Until the successor is used, the token returns that same successor, so that the chain never
    forks. If two clients hold it, the second one to refresh again is detected.
    """
    family = _live_family(token.identifier("sid"), token.identifier("sub"), now)
    if token.generation == family.generation - 1:
        return make_pair(family, family.user, now)
    if token.generation < family.generation:
        _end_reused(family)
    raise AccessTokenInvalid


def _end_reused(family: TokenFamily) -> None:
    """End the family and its session after reuse, and notify the user by mail."""
    user = family.user
    with transaction.atomic():
        lock_users(user.pk)
        if not end(family.pk, user.pk, REUSED):
            return
        if family.session_id:
            BrowserSession.objects.filter(public_id=family.session_id).delete()
        audit_log.record("api:token:reuse", target=user, result="refused", family=str(family.pk))
        enqueue_mail(kind="token-reused", recipient=user.email, user=user, context={})


def _new_family(
    user: User, at: datetime, end: datetime, session_id: uuid.UUID | None = None
) -> TokenFamily:
    context = get_request_context()
    return TokenFamily(
        user=user,
        session_id=session_id,
        seed=token_urlsafe(32),
        rotated_at=at,
        # Not before `credentials_valid_from`, which a node with a fast clock may have set.
        created_at=max(at, user.credentials_valid_from),
        expires_at=end,
        ip=context.ip,
        user_agent=context.user_agent,
    )


def make_pair(family: TokenFamily, user: User, now: datetime) -> TokenPair:
    """Return the tokens of the current generation; its refresh token is always the same."""
    issued_at = int(now.timestamp())
    family_end = int(family.expires_at.timestamp())
    access_end = min(issued_at + int(settings.SESSION_EXPIRY.total_seconds()), family_end)
    # Backends verify the token by themselves, so it must not outlive what it says of the user.
    groups = current_groups(user, now)
    for own_end in (user.next_end(now), groups.next_end):
        if own_end is not None:
            access_end = min(access_end, int(own_end.timestamp()))
    who = {"iss": settings.PUBLIC_URL, "sub": str(user.pk), "sid": str(family.pk)}
    access_claims = {
        **who,
        "aud": settings.JWT_AUDIENCE,
        "client_id": CLIENT_ID,
        "iat": issued_at,
        "exp": access_end,
        "jti": token_urlsafe(12),
        "role": user.role,
        "groups": list(groups.names),
        "email": user.email,
    }
    refresh_claims = {
        **who,
        "aud": RefreshToken.audience(),
        "iat": int(family.rotated_at.timestamp()),
        "exp": family_end,
        "gen": family.generation,
        "jti": _token_id(family.seed, family.generation),
    }
    return TokenPair(
        family=family,
        access=str(AccessToken.issue(access_claims)),
        expires_in=access_end - issued_at,
        refresh=str(RefreshToken.issue(refresh_claims)),
        refresh_expires_in=family_end - issued_at,
    )


def _is_genuine(token: RefreshToken | AccessToken, family: TokenFamily) -> bool:
    """Whether the refresh token was made from this row, not with the secret alone."""
    generation = token.generation if isinstance(token, RefreshToken) else 0
    token_id = str(token.payload.get("jti"))
    return hmac.compare_digest(token_id.encode(), _token_id(family.seed, generation).encode())


def _token_id(seed: str, generation: int) -> str:
    """Return the `jti` of a refresh token, which takes the secret and the row to compute."""
    content = f"{seed}|{generation}".encode()
    return hmac.new(refresh_secret(), content, hashlib.sha256).hexdigest()
