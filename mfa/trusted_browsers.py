"""Browsers that are not asked for the second factor: a random cookie, and its digest in a row.

The trust ends after LIFETIME, on request, when the factors change, and when all sessions of the
account end, as after a change of password or role.
"""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import User
from accounts.services.ranks import require_rank_now
from accounts.sessions import known_devices
from audit import audit_log
from core.crypto.tokens import digest, make_token
from core.errors import NotFound, RecordInvalid
from core.locks import lock_users
from core.web.cookies import set_cookie
from mfa.models import TrustedBrowser

PURPOSE = "remembered-browser"
LIFETIME = timedelta(days=30)


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie and store its digest; call it after the second factor was verified.

    All users of this browser share one cookie; each digest is bound to an account. The value is new
    each time, so that no one can plant a value that they know; rows of the other users follow it.
    """
    old, value = request.COOKIES.get(settings.REMEMBERED_COOKIE_NAME, ""), make_token()
    now = timezone.now()
    others = (
        [other for other in known_devices.users_of(request) if other.pk != user.pk] if old else []
    )
    with transaction.atomic():
        lock_users(user.pk, *(other.pk for other in others))
        ended = Q(expires_at__lte=now) | Q(digest=_digest(user, old))
        user.trusted_browsers.filter(ended).delete()
        for other in others:
            known = other.trusted_browsers.filter(digest=_digest(other, old))
            known.update(digest=_digest(other, value))
        TrustedBrowser.objects.create(
            digest=_digest(user, value),
            user=user,
            user_agent=request.headers.get("User-Agent", "")[:256],
            created_at=user.issue_time(now),
            expires_at=now + LIFETIME,
        )
        audit_log.record("account:factor:remember-browser", actor=user, target=user)
    set_cookie(response, settings.REMEMBERED_COOKIE_NAME, value, LIFETIME)


def is_trusted(request: HttpRequest, user: User) -> bool:
    """Whether `user` asked to trust this browser after verifying their second factor."""
    value = request.COOKIES.get(settings.REMEMBERED_COOKIE_NAME, "")
    return bool(value) and browsers_of(user).filter(digest=_digest(user, value)).exists()


def browsers_of(user: User) -> "QuerySet[TrustedBrowser]":
    """The trusted browsers of the user, newest first."""
    live = TrustedBrowser.objects.filter(
        user=user, expires_at__gt=timezone.now(), created_at__gte=user.credentials_valid_from
    )
    return live.order_by("-created_at")


def forget(*, actor: Actor, user: User, browser_id: uuid.UUID) -> None:
    """End the trust of `user` in one browser. Raises Forbidden, NotFound."""
    with transaction.atomic():
        _lock(actor, user)
        if not user.trusted_browsers.filter(pk=browser_id).delete()[0]:
            raise NotFound
        audit_log.record("account:factor:forget-browser", actor=actor, target=user)


def forget_all(*, actor: Actor, user: User) -> int:
    """End the trust of `user` in every browser; returns in how many.

    Sessions stay: see end_sessions(). Raises Forbidden, RecordInvalid when there are none.
    """
    with transaction.atomic():
        _lock(actor, user)
        count: int = user.trusted_browsers.all().delete()[0]
        if not count:
            raise RecordInvalid({"user": [_("there is no trusted browser")]})
        audit_log.record("account:factor:forget-browsers", actor=actor, target=user, count=count)
    return count


def _lock(actor: Actor, user: User) -> None:
    """Lock the user; an administrator's rank is compared under the lock."""
    if actor.pk == user.pk:
        lock_users(user.pk)
    else:
        require_rank_now(actor, user)


def _digest(user: User, value: str) -> str:
    return digest(PURPOSE, f"{user.pk}:{value}")
