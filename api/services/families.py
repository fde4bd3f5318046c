"""Sign-ins by tokens: families of refresh tokens that follow one another, and access tokens.

A family is one row; docs/decisions/0007-refresh-families.md says why. Every check of a token is
one statement, and a refresh is two, in plain SQL that is built once (see accounts.rows).
"""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from secrets import token_urlsafe
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts import audit, rows
from accounts.actors import Actor
from accounts.context import current_caller
from accounts.errors import BadCredentials, Forbidden, NotFound
from accounts.locks import delete_free, lock_people
from accounts.models import BrowserSession, User
from accounts.outbox import enqueue_mail
from accounts.roles import Role, can_manage
from api.access import pass_gate
from api.errors import AccessTokenInvalid
from api.familyrows import advance, find_family, note_sign_in
from api.models import TokenFamily
from api.services.signing import HS256, RingKeys
from api.tokens import CLIENT_ID, AccessToken, Backend, RefreshToken, Signer

SIGNED_OUT, REUSED = "signed-out", "reused"
KEY_PURPOSE = b"gatehouse refresh tokens v1"


@dataclass(frozen=True, slots=True)
class Pair:
    """An access token and the refresh token beside it; lives in whole seconds."""

    family: TokenFamily
    access: str
    expires_in: int
    refresh: str
    refresh_expires_in: int


class RefreshKeys:
    """The secret of the refresh tokens: JWT_REFRESH_SECRET, or one derived from ENCRYPTION_KEY."""

    def signer(self) -> Signer:
        return Signer("", HS256, refresh_secret())

    def verifier(self, algorithm: str, _kid: str) -> bytes | None:
        return refresh_secret() if algorithm == HS256 else None


access_backend = Backend(AccessToken.typ, RingKeys())
refresh_backend = Backend(RefreshToken.typ, RefreshKeys())


def refresh_secret() -> bytes:
    """Never from SECRET_KEY, which signs what the browser may read."""
    if settings.JWT_REFRESH_SECRET:
        return bytes(settings.JWT_REFRESH_SECRET.encode())
    return _derived(settings.ENCRYPTION_KEY)


def start_by_password(user: User, at: datetime, methods: Sequence[str] = ("password",)) -> Pair:
    """Sign `user` in by tokens; the gate has been passed. Writes family, last sign-in and audit.

    at: a moment before the credential was read. methods: by what, for the audit log. Raises
    BadCredentials when password or access of the person have changed since.
    """
    family = _new_family(user, at, at + settings.REFRESH_TOKEN_EXPIRY)
    with transaction.atomic(savepoint=False):
        is_unchanged = note_sign_in(user, family.created_at)
        if is_unchanged:
            rows.insert([family])
            audit.record("account:session:start", actor=user, target=user, methods=list(methods))
    if not is_unchanged:
        raise BadCredentials
    user.last_login = family.created_at
    return _pair(family, user, at)


def start_by_session(user: User, session_id: uuid.UUID, signed_in_at: datetime) -> Pair:
    """Tokens that end with the browser session at the latest."""
    now = timezone.now()
    end_of_session = signed_in_at + settings.SESSION_ABSOLUTE_TIMEOUT
    end_of_family = min(now + settings.REFRESH_TOKEN_EXPIRY, end_of_session)
    family = _new_family(user, now, end_of_family, session_id)
    rows.insert([family])
    return _pair(family, user, now)


def refresh(text: str) -> Pair:
    """The successors of a refresh token, which is spent with that.

    Raises AccessTokenInvalid, AccessTokenExpired, Refused. A token that was spent before gives the
    same successor again, until that is used: the answer may have been lost, or a second tab asks.
    From then on it ends family and session and is told to the person.
    """
    now = timezone.now()
    token = RefreshToken.read(refresh_backend, text, now)
    family = _living(token.identifier("sid"), token.identifier("sub"), now)
    if not _is_genuine(token, family):
        raise AccessTokenInvalid
    if token.generation == family.generation and advance(family, now):
        family.generation, family.rotated_at = family.generation + 1, now
        return _pair(family, family.user, now)
    return _second_look(token, now)


def read_access(text: str) -> tuple[TokenFamily, dict[str, Any]]:
    """The living family, its `user` loaded, and the claims of an access token.

    Raises AccessTokenInvalid, AccessTokenExpired, Refused.
    """
    now = timezone.now()
    token = AccessToken.read(access_backend, text, now)
    family = _living(token.identifier("sid"), token.identifier("sub"), now)
    return family, token.payload


def person_of(text: str) -> User:
    """Whose newest, living refresh token this is; it is not spent.

    Raises AccessTokenInvalid, AccessTokenExpired, Refused.
    """
    now = timezone.now()
    token = RefreshToken.read(refresh_backend, text, now)
    family = _living(token.identifier("sid"), token.identifier("sub"), now)
    if not _is_genuine(token, family) or token.generation != family.generation:
        raise AccessTokenInvalid
    return family.user


def family_of(text: str) -> TokenFamily | None:
    """The family that a refresh or access token of ours belongs to, ended or not, spent or not.

    None for what we have not signed and for what has expired, which needs no ending.
    """
    now = timezone.now()
    for kind, backend in ((RefreshToken, refresh_backend), (AccessToken, access_backend)):
        try:
            token = kind.read(backend, text, now)
            found = find_family(token.identifier("sid"))
        except AccessTokenInvalid:
            continue
        is_ours = found is not None and (kind is AccessToken or _is_genuine(token, found[0]))
        return found[0] if found and is_ours else None
    return None


def own_families(user: User) -> list[TokenFamily]:
    """Living sign-ins of `user` by tokens, last refreshed first, at most 200."""
    now = timezone.now()
    session = BrowserSession.objects.filter(public_id=OuterRef("session_id"), expire_date__gt=now)
    living = user.token_families.filter(
        Q(session_id=None) | Exists(session),
        ended_at=None,
        expires_at__gt=now,
        created_at__gte=user.not_before,
    )
    return list(living.order_by("-rotated_at", "-id")[:200])


def end_family(*, actor: Actor, user: User, family_id: uuid.UUID) -> None:
    """Sign one of a person's programs out. Everybody may do it to himself.

    Raises Forbidden when the actor's rank is too low, NotFound when nothing like it lives.
    """
    if actor.pk != user.pk and not can_manage(Role(actor.role), Role(user.role)):
        raise Forbidden
    with transaction.atomic():
        lock_people(user.pk)
        if not end(family_id, user.pk, SIGNED_OUT):
            raise NotFound
        audit.record("api:token:end", actor=actor, target=user, family=str(family_id))


def sign_out(family: TokenFamily) -> None:
    """End a family by its own token; nothing happens when it has ended already."""
    with transaction.atomic():
        lock_people(family.user_id)
        if end(family.pk, family.user_id, SIGNED_OUT):
            who = family.user
            audit.record("api:token:end", actor=who, target=who, family=str(family.pk))


def end(family_id: uuid.UUID, user_id: uuid.UUID, reason: str) -> bool:
    """Mark the family as ended; False when it was before, or has expired."""
    now = timezone.now()
    living = TokenFamily.objects.filter(
        pk=family_id, user_id=user_id, ended_at=None, expires_at__gt=now
    )
    return bool(living.update(ended_at=now, end_reason=reason))


def newest_family(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """When `user` signed in last by tokens, if after `after`; see signals.access_ending."""
    return rows.newest(user.token_families.all(), after)


def purge_families(before: datetime) -> int:
    """Delete what ended or expired before `before`; returns how many."""
    return delete_free(
        TokenFamily.objects.filter(Q(expires_at__lt=before) | Q(ended_at__lt=before))
    )


def _living(family_id: uuid.UUID, user_id: uuid.UUID, now: datetime) -> TokenFamily:
    """The family if it, its session and its person's access live; one statement.

    Raises AccessTokenInvalid, Refused.
    """
    found = find_family(family_id)
    if found is None:
        raise AccessTokenInvalid
    family, session_end = found
    is_over = family.ended_at is not None or family.expires_at <= now
    if is_over or family.user_id != user_id:
        raise AccessTokenInvalid
    pass_gate(family.user, family.created_at)
    if family.session_id is not None and (session_end is None or session_end <= now):
        raise AccessTokenInvalid
    return family


def _second_look(token: RefreshToken, now: datetime) -> Pair:
    """The token was spent: its answer was lost, or somebody has a copy (A083, A085).

    The family's generation is the successor's until that is used; whoever had both uses the same
    one, so that the chain never forks, and the second of them to refresh twice is found out.
    """
    family = _living(token.identifier("sid"), token.identifier("sub"), now)
    if token.generation == family.generation - 1:
        return _pair(family, family.user, now)
    if token.generation < family.generation:
        _end_reused(family)
    raise AccessTokenInvalid


def _end_reused(family: TokenFamily) -> None:
    """Somebody has a copy: everything that came from this sign-in ends, and the person hears."""
    user = family.user
    with transaction.atomic():
        lock_people(user.pk)
        if not end(family.pk, user.pk, REUSED):
            return
        if family.session_id:
            BrowserSession.objects.filter(public_id=family.session_id).delete()
        audit.record("api:token:reuse", target=user, result="refused", family=str(family.pk))
        enqueue_mail(kind="token-reused", recipient=user.email, user=user, context={})


def _new_family(
    user: User, at: datetime, end: datetime, session_id: uuid.UUID | None = None
) -> TokenFamily:
    caller = current_caller()
    return TokenFamily(
        user=user,
        session_id=session_id,
        seed=token_urlsafe(32),
        rotated_at=at,
        # Older than the person as he was read, unless the clock that set his mark is ahead.
        created_at=max(at, user.not_before),
        expires_at=end,
        ip=caller.ip,
        user_agent=caller.user_agent,
    )


def _pair(family: TokenFamily, user: User, now: datetime) -> Pair:
    """The tokens of the family's present generation; the refresh token is always the same one."""
    issued_at = int(now.timestamp())
    family_end = int(family.expires_at.timestamp())
    access_end = min(issued_at + int(settings.SESSION_EXPIRY.total_seconds()), family_end)
    who = {"iss": settings.PUBLIC_URL, "sub": str(user.pk), "sid": str(family.pk)}
    access = {
        **who,
        "aud": settings.JWT_AUDIENCE,
        "client_id": CLIENT_ID,
        "iat": issued_at,
        "exp": access_end,
        "jti": token_urlsafe(12),
        "role": user.role,
        "email": user.email,
    }
    again = RefreshToken(refresh_backend, who)
    again.payload = {
        **who,
        "aud": again.audience,
        "iat": int(family.rotated_at.timestamp()),
        "exp": family_end,
        "gen": family.generation,
        "jti": _mark(family.seed, family.generation),
    }
    return Pair(
        family=family,
        access=str(AccessToken(access_backend, access)),
        expires_in=access_end - issued_at,
        refresh=str(again),
        refresh_expires_in=family_end - issued_at,
    )


def _is_genuine(token: RefreshToken | AccessToken, family: TokenFamily) -> bool:
    """Was the refresh token made from this row, not by the secret alone?"""
    generation = token.generation if isinstance(token, RefreshToken) else 0
    mark = str(token.payload.get("jti"))
    return hmac.compare_digest(mark.encode(), _mark(family.seed, generation).encode())


def _mark(seed: str, generation: int) -> str:
    """What only somebody with the secret and the row can write."""
    content = f"{seed}|{generation}".encode()
    return hmac.new(refresh_secret(), content, hashlib.sha256).hexdigest()


@lru_cache(maxsize=4)
def _derived(key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=KEY_PURPOSE).derive(key)
