"""Browsers that are not asked for the second factor again: a random cookie, its digest in a row.

Forgotten after LIFETIME, when the person says so, when the factors change, and when the account's
sessions are ended everywhere, as after a change of password or role.
"""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import audit, devices
from accounts.errors import NotFound
from accounts.locks import lock_people
from accounts.models import RememberedBrowser, User
from accounts.tokens import digest, make_token

PURPOSE = "remembered-browser"
LIFETIME = timedelta(days=30)


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie and write the row; call after the person has proved his second factor.

    One cookie serves everybody who uses this browser: the digest is bound to the account. Its value
    is a new one each time, so that nobody can put one that they know into somebody's browser; the
    rows of the others who have signed in here follow it.
    """
    old, value = request.COOKIES.get(settings.REMEMBERED_COOKIE_NAME, ""), make_token()
    now = timezone.now()
    others = [other for other in devices.people_of(request) if other.pk != user.pk] if old else []
    with transaction.atomic():
        lock_people(user.pk, *(other.pk for other in others))
        ended = Q(expires_at__lte=now) | Q(digest=_digest(user, old))
        user.remembered_browsers.filter(ended).delete()
        for other in others:
            known = other.remembered_browsers.filter(digest=_digest(other, old))
            known.update(digest=_digest(other, value))
        RememberedBrowser.objects.create(
            digest=_digest(user, value),
            user=user,
            user_agent=request.headers.get("User-Agent", "")[:256],
            created_at=user.issue_time(now),
            expires_at=now + LIFETIME,
        )
        audit.record("account:factor:remember-browser", actor=user, target=user)
    response.set_cookie(
        settings.REMEMBERED_COOKIE_NAME,
        value,
        max_age=int(LIFETIME.total_seconds()),
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
    )


def is_remembered(request: HttpRequest, user: User) -> bool:
    """Has `user` proved his second factor in this browser and asked to be remembered?"""
    value = request.COOKIES.get(settings.REMEMBERED_COOKIE_NAME, "")
    return bool(value) and browsers_of(user).filter(digest=_digest(user, value)).exists()


def browsers_of(user: User) -> "QuerySet[RememberedBrowser]":
    """The person's remembered browsers, the newest first."""
    live = RememberedBrowser.objects.filter(
        user=user, expires_at__gt=timezone.now(), created_at__gte=user.not_before
    )
    return live.order_by("-created_at")


def forget(user: User, browser_id: uuid.UUID) -> None:
    """Ask that browser again. Raises NotFound."""
    with transaction.atomic():
        lock_people(user.pk)
        if not user.remembered_browsers.filter(pk=browser_id).delete()[0]:
            raise NotFound
        audit.record("account:factor:forget-browser", actor=user, target=user)


def _digest(user: User, value: str) -> str:
    return digest(PURPOSE, f"{user.pk}:{value}")
