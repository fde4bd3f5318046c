"""Idempotent forms: a double click, a reload or Back never creates a second key or link.

Each rendered form has a token of its own, because Django masks the CSRF token anew for each page.
The first request with a token and a set of fields claims a row and does the work. Every later one,
in any process, gets the response of the first. Other fields with the same token are a new request.
"""

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from accounts.models import SentForm
from accounts.sessions.resumption import (
    masked_token_of,
    purge_resumptions,
    resume,
    sent_fields,
)
from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.crypto.tokens import digest
from core.locks import delete_free
from core.web.redirects import see_other
from core.web.sensitive_headers import keep_secret

View = Callable[Concatenate[HttpRequest, ...], HttpResponse]
# A page with a secret is shown again for a double click: the browser shows the last response.
SHOWN_AGAIN = timedelta(minutes=1)
# No session, and so no CSRF token, lasts longer.
KEEP = timedelta(days=30)
# For actions that may be repeated, such as signing out other devices: blocks double clicks only.
DOUBLE_CLICK = timedelta(minutes=1)
WAIT_SECONDS, POLL_SECONDS = 10.0, 0.05
PURPOSE = "sent-form"
ALREADY = "sent-already"
# Before the stored URL of a redirect with which the browser posts the form there (307).
POST_AGAIN = "307 "


def once(back: str, *, lifetime: timedelta = KEEP) -> Callable[[View], View]:
    """Decorate a view behind login_required whose form creates or changes something.

    back: URL name of the page that lists what was created. A second submission is redirected where
    the first was. A page with a secret (see show_once()) is shown again for SHOWN_AGAIN; after that
    `back` says that the form was already sent. lifetime: after it, the same form works again.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
            def lead_back(url: str) -> HttpResponse:
                return see_other(url or f"{reverse(back)}?notice={ALREADY}")

            def work() -> HttpResponse:
                return view(request, *args, **options)

            return do_once(request, work, lead_back, lifetime=lifetime)

        return wrapped

    return decorate


def show_once(response: HttpResponse, url: str = "") -> HttpResponse:
    """Mark a response that shows something new, such as a key, for the only time.

    url: the page that lists it, for when the response is no longer shown again.
    """
    response.shown_once_url = url  # type: ignore[attr-defined]  # read by do_once()
    return keep_secret(response)


def do_once(
    request: HttpRequest,
    work: Callable[[], HttpResponse],
    lead_back: Callable[[str], HttpResponse],
    *,
    lifetime: timedelta = KEEP,
) -> HttpResponse:
    """The response of `work`, or of the request that has done it for this same form.

    lead_back: makes the redirect to a URL; "" if the first response is not known. A form that
    `work` refused or redisplayed may be submitted again. lifetime: see once().
    """
    key = _key_of(request)
    if key is None:
        return work()
    until = time.monotonic() + WAIT_SECONDS
    while not _claim(key, lifetime):
        row = _wait_for(key, until)
        if row is not None:
            # The browser drops the response that carried the cookie of a renewed session.
            resume(request)
            return _repeat(row, lead_back)
        # The first request changed nothing, so this one does the work and reports why.
    try:
        response = work()
        was_done = _keep_answer(key, response)
    except BaseException:
        _release(key)
        raise
    if not was_done:
        _release(key)
    return response


def sent_before(request: HttpRequest) -> str:
    """Where this same form was redirected a moment ago; "" if it was not submitted before.

    For forms that invalidate their own CSRF token, such as a password change.
    """
    key = _key_of(request)
    row = None if key is None else SentForm.objects.filter(pk=key).first()
    if row is None or not row.sealed_url or timezone.now() - row.created_at > DOUBLE_CLICK:
        return ""
    url = decrypt(row.sealed_url, _associated_data(row.pk, "url"))
    return "" if url.startswith(POST_AGAIN) else url


def purge_sent_forms(now: datetime) -> int:
    """Delete pages that are not shown again, and forms that no session can submit any more."""
    SentForm.objects.filter(created_at__lt=now - SHOWN_AGAIN).exclude(sealed_page="").update(
        sealed_page=""
    )
    old = delete_free(SentForm.objects.filter(created_at__lt=now - KEEP))
    return old + purge_resumptions(now)


def _key_of(request: HttpRequest) -> str | None:
    """The digest that identifies one submission of one form by one user; None if not a form."""
    if not masked_token_of(request) or not request.user.is_authenticated:
        return None
    submission = [str(request.user.pk), request.get_full_path(), sent_fields(request)]
    return digest(PURPOSE, json.dumps(submission))


def _claim(key: str, lifetime: timedelta) -> bool:
    """Whether this is the first request for the form; the primary key decides."""
    now = timezone.now()
    try:
        with transaction.atomic():
            SentForm.objects.create(digest=key, created_at=now)
    except IntegrityError:
        over = SentForm.objects.filter(pk=key, created_at__lt=now - lifetime)
        return over.update(created_at=now, sealed_url="", sealed_page="") == 1
    return True


def _release(key: str) -> None:
    SentForm.objects.filter(pk=key).delete()


def _keep_answer(key: str, response: HttpResponse) -> bool:
    """Store the response for a second request; False if the first changed nothing."""
    if response.status_code in (302, 303):
        url, page = response["Location"], ""
    elif response.status_code == 307:
        url, page = f"{POST_AGAIN}{response['Location']}", ""
    elif response.status_code == 200 and hasattr(response, "shown_once_url"):
        render: Any = getattr(response, "render", None)
        if render is not None:
            render()
        url, page = response.shown_once_url, response.content.decode()
    else:
        return False
    SentForm.objects.filter(pk=key).update(
        sealed_url=encrypt(url, _associated_data(key, "url")),
        sealed_page=encrypt(page, _associated_data(key, "page")) if page else "",
    )
    return True


def _wait_for(key: str, until: float) -> SentForm | None:
    """The row once it has a response, or after the time limit; None if the first request failed."""
    while True:
        row = SentForm.objects.filter(pk=key).first()
        if row is None or row.sealed_url or time.monotonic() >= until:
            return row
        time.sleep(POLL_SECONDS)


def _repeat(row: SentForm, lead_back: Callable[[str], HttpResponse]) -> HttpResponse:
    try:
        if row.sealed_page and timezone.now() - row.created_at <= SHOWN_AGAIN:
            page = decrypt(row.sealed_page, _associated_data(row.pk, "page"))
            return keep_secret(HttpResponse(page))
        url = decrypt(row.sealed_url, _associated_data(row.pk, "url"))
        if url.startswith(POST_AGAIN):
            return HttpResponseRedirect(url.removeprefix(POST_AGAIN), preserve_request=True)
        return lead_back(url)
    except DecryptionError:  # or the first request is still running and the column is empty
        return lead_back("")


def _associated_data(key: str, part: str) -> str:
    return f"{SentForm._meta.db_table}.sealed_{part}:{key}"
