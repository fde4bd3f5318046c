"""Tells apps that a sign-in has ended (OpenID Connect Back-Channel Logout 1.0).

Nobody who ends a session has to think of apps: the worker looks for sign-ins whose session is gone,
however it ended. Whatever ends all sessions of a user queues the notices itself, in its
transaction, because the account may be deleted next. An app hears of each sign-in once, and again
and again until it answers.
"""

import logging
import socket
import ssl
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import BrowserSession, Kind, User
from applications.models import App
from core.http import FetchError, send_guarded
from core.http.guarded import AddressRefused
from core.locks import delete_free, hold_free
from core.queue import Backoff, claim_next, one_line, release
from core.version import VERSION
from oidc_provider.logout_tokens import logout_token
from oidc_provider.models import Grant, LogoutNotice
from oidc_provider.services.grants import REVOKED
from oidc_provider.signing import is_available

logger = logging.getLogger("gatehouse.openid")
Status = LogoutNotice.Status
SECONDS, LEASE = 10.0, timedelta(seconds=60)
# The maximum time of a run; the next one continues.
RUN_SECONDS = 20.0
BACKOFF = Backoff(first=timedelta(seconds=10), longest=timedelta(hours=1))
# About an hour and a half.
MAX_ATTEMPTS = 10
MAX_ANSWER = 1000
# Apps are in private networks. An owner has entered the address, and cloud metadata, which is
# link-local, is out of reach.
PRIVATE = tuple(
    ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128",
                 "fc00::/7")
)  # fmt: skip


def queue_all_of_user(user: User, **_of_signal: Any) -> None:
    """Queue a notice for each sign-in of a user whose sessions all end.

    Receiver of signals.access_ending, in its transaction, under the lock of the user.
    """
    _queue(_untold().filter(user=user))


def queue_ended() -> int:
    """Queue a notice for each sign-in that has ended; returns how many."""
    now = timezone.now()
    live = BrowserSession.objects.filter(public_id=OuterRef("sid"), expire_date__gt=now)
    # An app that has revoked its own token knows that already.
    is_ended = Q(ended_at__isnull=False) & ~Q(end_reason=REVOKED)
    is_over = Q(user__expires_at__lte=now) | Q(user__is_active=False)
    found = _untold().filter(is_ended | is_over | ~Exists(live))
    keys = list(found.values_list("pk", flat=True)[:500])
    if not keys:
        return 0
    with transaction.atomic():
        free = hold_free(Grant.objects.filter(pk__in=keys, told_at=None))
        return _queue(Grant.objects.filter(pk__in=free))


def send_due(limit: int = 200) -> int:
    """Worker job: find sign-ins that have ended, and tell the apps; returns how many were told.

    Several processes may run it at once; see core.queue.
    """
    queue_ended()
    told, end = 0, time.monotonic() + RUN_SECONDS
    for _turn in range(limit):
        row = claim_next(LogoutNotice.objects.all(), LEASE)
        if row is None:
            break
        told += _send(row)
        if time.monotonic() >= end:
            break
    return told


def notices_of(app: App, most: int) -> list[LogoutNotice]:
    """The newest notices for an app."""
    return list(app.logout_notices.order_by("-pk")[:most])


def purge_notices(before: datetime) -> int:
    """Delete notices that were finished before `before`; returns how many."""
    done = LogoutNotice.objects.filter(status__in=[Status.DELIVERED, Status.FAILED])
    return delete_free(done.filter(created_at__lt=before))


def _untold() -> "QuerySet[Grant]":
    told = Grant.objects.filter(told_at=None)
    # Programs have no session, and nobody to sign out.
    people = told.exclude(user__kind=Kind.SERVICE)
    return people.exclude(app__backchannel_logout_uri="").exclude(app__openid_kind="")


def _queue(rows: "QuerySet[Grant]") -> int:
    """One notice for each app and session, however often the app asked. The rows are locked."""
    found = list(rows.values_list("pk", "app_id", "user_id", "sid"))
    if not found:
        return 0
    notices = {
        (app_id, sid): LogoutNotice(app_id=app_id, user_id=user_id, sid=sid)
        for _key, app_id, user_id, sid in found
    }
    LogoutNotice.objects.bulk_create(notices.values())
    keys: Iterable[Any] = [key for key, *_others in found]
    Grant.objects.filter(pk__in=keys).update(told_at=timezone.now())
    return len(notices)


def _send(row: LogoutNotice) -> bool:
    app = App.objects.filter(pk=row.app_id).exclude(backchannel_logout_uri="").first()
    if app is None or not is_available():
        release(row, status=Status.FAILED, last_error=_("The app is not told any more."))
        return False
    error = _attempt(app, row)
    if not error:
        return release(row, status=Status.DELIVERED, last_error="")
    logger.warning("an app was not told of a sign-out", extra={"reason": error})
    if row.attempts >= MAX_ATTEMPTS:
        release(row, status=Status.FAILED, last_error=error)
    else:
        later = timezone.now() + BACKOFF.delay(row.attempts)
        release(row, status=Status.QUEUED, last_error=error, next_attempt_at=later)
    return False


def _attempt(app: App, row: LogoutNotice) -> str:
    """Send once, with a new token; returns why it failed, "" for success. Raises nothing."""
    try:
        token = logout_token(app, user_id=row.user_id, sid=row.sid, now=timezone.now())
        answer = send_guarded(
            app.backchannel_logout_uri,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "User-Agent": f"Gatehouse/{VERSION} (logout)",
            },
            data=urlencode({"logout_token": token}).encode(),
            allowed=(
                # Nobody here has read an address that a program has named.
                *(() if app.is_self_registered else PRIVATE),
                *settings.WEBHOOK_ALLOWED_NETWORKS,
            ),
            seconds=SECONDS,
            max_bytes=MAX_ANSWER,
        )
    except FetchError as error:
        return _explain(error)
    except Exception as error:
        # The text of an unexpected error may contain the token.
        logger.exception("an unexpected error while telling an app of a sign-out")
        return _("Unexpected error: %(error)s. The log of the server says where.") % {
            "error": type(error).__name__
        }
    if 200 <= answer.status < 300:
        return ""
    return _("The app answered with status %(status)d.") % {"status": answer.status}


def _explain(error: FetchError) -> str:
    """Why no answer came, in one line."""
    match error.__cause__:
        case AddressRefused():
            return _("The address is in a network that no app can be in.")
        case TimeoutError():
            return _("No answer within %(seconds)d seconds.") % {"seconds": SECONDS}
        case socket.gaierror():
            return _("The name of the host cannot be resolved.")
        case ConnectionRefusedError():
            return _("The connection was refused.")
        case ssl.SSLCertVerificationError():
            reason = _("The certificate is not valid: %(reason)s")
            return one_line(reason % {"reason": error.__cause__.verify_message})
    return one_line(str(error))
