"""Issuing and checking the single-use tokens of accounts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import AccountToken, User
from accounts.rate_limits import may_mail
from core.crypto.tokens import digest, make_token
from core.errors import TokenEnded, TokenExpired, TokenInvalid, TokenReplaced, TokenUsed
from core.locks import lock_users
from mail.outbox import enqueue_mail

Purpose = AccountToken.Purpose
PAGES = {
    Purpose.SET_UP: "accounts:set-up",
    Purpose.RESET_PASSWORD: "accounts:reset-password",
    Purpose.VERIFY_EMAIL: "accounts:verify-email",
    Purpose.CHANGE_EMAIL: "accounts:verify-email",
}
# A second request within this time is a double click or a reload.
ASKED_TWICE = timedelta(minutes=1)
# The notice for a used link; see TokenInvalid.notice.
USED_NOTICES = {
    Purpose.SET_UP: "set-up-used",
    Purpose.RESET_PASSWORD: "reset-used",
    Purpose.VERIFY_EMAIL: "verify-used",
    Purpose.CHANGE_EMAIL: "verify-used",
}


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """`token` and `url` are the only copies of the secret."""

    token: str = field(repr=False)
    url: str = field(repr=False)
    expires_at: datetime


def absolute_url(path: str) -> str:
    """The URL of a path under PUBLIC_URL, never under the Host header of a request (TRAPS 2)."""
    return f"{settings.PUBLIC_ORIGIN}{path}"


def issue_token(
    user: User, purpose: Purpose, *, lifetime: timedelta, binding: str = "", email: str = ""
) -> IssuedToken:
    """Issue a token of `purpose`, which replaces older ones of that user and purpose."""
    now = timezone.now()
    token = make_token()
    with transaction.atomic():
        lock_users(user.pk)
        AccountToken.objects.filter(user=user, purpose=purpose).replace(now)
        AccountToken.objects.create(
            user=user,
            purpose=purpose,
            email=email or user.email,
            account_email=user.email,
            digest=digest(purpose, token),
            binding=binding,
            created_at=user.issue_time(now),
            expires_at=now + lifetime,
        )
    url = absolute_url(reverse(PAGES[purpose], args=[token]))
    return IssuedToken(token, url, now + lifetime)


def mail_link(
    kind: str, token: IssuedToken, user: User, *, recipient: str, language: str, **context: str
) -> None:
    """Enqueue the mail of `kind` that brings the link of `token`."""
    enqueue_mail(
        kind=kind,
        recipient=recipient,
        user=user,
        language=language,
        context={"url": token.url, "expires_at": token.expires_at, **context},
        expires_at=token.expires_at,
    )


def is_asked_twice(user: User, purpose: Purpose, binding: str) -> bool:
    """Whether this browser asked a moment ago. Another mail would replace the link on its way."""
    recent = user.tokens.filter(
        purpose=purpose, binding=binding, created_at__gt=timezone.now() - ASKED_TWICE
    )
    return bool(binding) and recent.usable(timezone.now()).exists()


def is_flooded(kind: str, user: User, purpose: Purpose) -> bool:
    """Count one mail of `kind`; True beyond the limit if `user` has a usable link of `purpose`.

    That link is in the mailbox already, and another mail would only replace it.
    """
    if may_mail(kind, user.email):
        return False
    live = AccountToken.objects.usable(timezone.now())
    return live.filter(user=user, purpose=purpose, email=user.email).exists()


def usable_token(purpose: Purpose, token: str, *, consume: bool = False) -> AccountToken:
    """The row of a usable token.

    Raises TokenUsed, TokenReplaced, TokenExpired, TokenEnded (see is_outlived()), or TokenInvalid
    for a token that was never issued.

    consume: use it up by one conditional UPDATE, so that only one caller gets the row. Call in a
    transaction, so that TokenEnded rolls the use back.
    """
    now = timezone.now()
    name = digest(purpose, token)
    rows = AccountToken.objects.filter(purpose=purpose).select_related("user")
    row: AccountToken | None = (
        rows.consume(name, now) if consume else rows.usable(now).filter(digest=name).first()
    )
    if row is not None:
        if is_outlived(row, row.user):
            raise TokenEnded(email=row.user.email)
        return row
    stale = rows.filter(digest=name).first()
    if stale is None:
        raise TokenInvalid
    raise error_of(stale, now) or TokenExpired(email=stale.user.email)


def error_of(row: AccountToken, now: datetime) -> TokenInvalid | None:
    """Why the token of `row` is refused now; None while it is usable. See usable_token()."""
    email = row.user.email
    match row.state(now):
        case "used":
            return TokenUsed(email=email, notice=USED_NOTICES[Purpose(row.purpose)])
        case "replaced":
            return TokenReplaced(email=email)
        case "expired":
            return TokenExpired(email=email)
    return TokenEnded(email=email) if is_outlived(row, row.user) else None


def is_outlived(row: AccountToken, user: User) -> bool:
    """Whether the account's credentials were revoked or its address changed since `row` was issued.

    user: the account as it is now.
    """
    is_older = row.created_at < user.credentials_valid_from
    return is_older or row.account_email not in ("", user.email)
