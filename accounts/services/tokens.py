"""Issuing and using the single-use tokens of accounts: set-up, reset, verification, change."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.errors import TokenEnded, TokenExpired, TokenInvalid, TokenReplaced, TokenUsed
from accounts.limits import may_mail
from accounts.locks import lock_people
from accounts.models import AccountToken, User
from accounts.tokens import digest, make_token

Purpose = AccountToken.Purpose
PAGES = {
    Purpose.SET_UP: "accounts:set-up",
    Purpose.RESET_PASSWORD: "accounts:reset-password",
    Purpose.VERIFY_EMAIL: "accounts:verify-email",
    Purpose.CHANGE_EMAIL: "accounts:verify-email",
}


# Between the two halves of a double click, or a page that was reloaded.
ASKED_TWICE = timedelta(minutes=1)
# What became of a used link; see TokenInvalid.notice.
USED = {
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
    """The address of a path that reverse() made, never under what the request claims (TRAPS 2)."""
    return f"{settings.PUBLIC_ORIGIN}{path}"


def issue_token(
    user: User, purpose: Purpose, *, lifetime: timedelta, binding: str = "", email: str = ""
) -> IssuedToken:
    """A fresh token of `purpose`; older usable ones of that person and purpose die now."""
    now = timezone.now()
    token = make_token()
    with transaction.atomic():
        lock_people(user.pk)
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


def is_asked_twice(user: User, purpose: Purpose, binding: str) -> bool:
    """Has this browser asked a moment ago? The mail is on its way; another would kill its link."""
    asked = user.tokens.filter(
        purpose=purpose, binding=binding, created_at__gt=timezone.now() - ASKED_TWICE
    )
    return bool(binding) and asked.usable(timezone.now()).exists()


def is_flooded(kind: str, user: User, purpose: Purpose) -> bool:
    """Count one mail of `kind` with a link of `purpose`; has `user` a live one, and enough mail?

    The live one is in the mailbox already; another would only kill it.
    """
    if may_mail(kind, user.email):
        return False
    live = AccountToken.objects.usable(timezone.now())
    return live.filter(user=user, purpose=purpose, email=user.email).exists()


def usable_token(purpose: Purpose, token: str, *, consume: bool = False) -> AccountToken:
    """The usable token row. Raises TokenUsed, TokenReplaced, TokenExpired, or TokenInvalid for what
    was never issued.

    consume: mark it used by one conditional UPDATE; only one caller ever gets the row then. In a
    transaction, which takes the use back when the token is outlived.
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
    email = stale.user.email
    match stale.state(now):
        case "used":
            raise TokenUsed(email=email, notice=USED[purpose])
        case "replaced":
            raise TokenReplaced(email=email)
    raise TokenExpired(email=email)


def is_outlived(row: AccountToken, user: User) -> bool:
    """Has what the token was issued for ended since: the account's access, or its address?

    user: the account as it is now.
    """
    is_older = row.created_at < user.not_before
    return is_older or row.account_email not in ("", user.email)
