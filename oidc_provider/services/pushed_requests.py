"""Authorization requests that apps send beforehand (RFC 9126): each is answered once.

A request may be opened for a short time. Whoever has opened it then may take their time for the
sign-in and the question; what is used up by one conditional UPDATE is the answer.
"""

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from applications.models import App
from core.crypto.tokens import digest, make_token
from core.locks import delete_free
from oidc_provider.errors import RequestUnusable
from oidc_provider.models import PushedRequest

PURPOSE = "openid-pushed-request"
PREFIX = "urn:ietf:params:oauth:request_uri:"
# RFC 9126, section 2.2: between 5 and 600 seconds; the app sends the browser at once.
LIFETIME = timedelta(seconds=90)
# As long as a sign-in may take; see views.steps.
MAX_SIGN_IN = timedelta(hours=1)


def push(app: App, parameters: Mapping[str, str]) -> str:
    """Store a request that has been checked; returns its `request_uri`."""
    token, now = make_token(), timezone.now()
    PushedRequest.objects.create(
        app=app,
        digest=digest(PURPOSE, token),
        parameters=dict(parameters),
        created_at=now,
        expires_at=now + LIFETIME,
    )
    return f"{PREFIX}{token}"


def find(client_id: str, uri: str, *, was_opened: bool) -> PushedRequest:
    """The request that waits for an answer. Raises RequestUnusable.

    was_opened: the browser was here in time, and comes back from a page of ours.
    """
    token, now = uri.removeprefix(PREFIX), timezone.now()
    row: PushedRequest | None = PushedRequest.objects.filter(
        digest=digest(PURPOSE, token), app__client_id=client_id[:255], used_at=None
    ).first()
    is_in_time = row is not None and (
        row.expires_at > now or (was_opened and row.created_at > now - MAX_SIGN_IN)
    )
    if row is None or not is_in_time:
        raise _unusable()
    return row


def use_up(row: PushedRequest) -> None:
    """Note that the request is answered. Raises RequestUnusable if it already was.

    Call inside the transaction of the answer if that writes anything.
    """
    waiting = PushedRequest.objects.filter(pk=row.pk, used_at=None)
    if not waiting.update(used_at=timezone.now()):
        raise _unusable()


def purge_pushed_requests() -> int:
    """Delete requests that nobody can answer any more."""
    before = timezone.now() - MAX_SIGN_IN
    return delete_free(PushedRequest.objects.filter(created_at__lt=before))


def _unusable() -> RequestUnusable:
    return RequestUnusable(
        _("This sign-in has ended, or was completed before. Go back to the app, and start again.")
    )
