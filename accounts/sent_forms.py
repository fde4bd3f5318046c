"""A form does its work once: a double click, a reload or Back never makes a second key or link.

Every form that a page of ours shows has a token of its own: Django masks the CSRF token anew for
each page. The first request that brings this token with these fields claims a row and does the
work; every later one, in any process, gets the answer of the first. Other fields are another wish.
"""

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from accounts.crypto import SealBroken, seal, unseal
from accounts.destinations import see_other
from accounts.locks import delete_free
from accounts.models import SentForm
from accounts.secrecy import keep_secret
from accounts.tokens import digest

View = Callable[Concatenate[HttpRequest, ...], HttpResponse]
TOKEN_FIELD = "csrfmiddlewaretoken"  # noqa: S105  # the name of a field
# Django's masked token. The unmasked one, which a script may send for ever, has half of that.
TOKEN_LENGTH = 64
# A page with a secret is shown again to the second click, whose answer is the one that is seen.
SHOWN_AGAIN = timedelta(minutes=1)
# No session, and so no token of it, lives longer.
KEEP = timedelta(days=30)
# What may be wished again, such as signing others out, is held back from a double click alone.
DOUBLE_CLICK = timedelta(minutes=1)
WAIT_SECONDS, POLL_SECONDS = 10.0, 0.05
PURPOSE = "sent-form"
ALREADY = "sent-already"


def once(back: str, *, lifetime: timedelta = KEEP) -> Callable[[View], View]:
    """For a view behind login_required whose form makes or changes something.

    back: name of the page that lists what was made. A second sending is led to the answer of the
    first; a page with a secret, marked by show_once(), is shown again for SHOWN_AGAIN, and then
    `back` tells that the form was sent already. lifetime: after it the form does its work again.
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
    """Mark the answer of a form that made something and shows it here alone.

    url: where to look for what was made, once the page is not shown again.
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
    """The answer of `work`, or of the request that has done it for this very form.

    lead_back: makes the answer that leads to a URL, "" where the first answer is not known. What
    `work` refuses, or asks again for, may be sent again. lifetime: see once().
    """
    key = _key_of(request)
    if key is None:
        return work()
    until = time.monotonic() + WAIT_SECONDS
    while not _claim(key, lifetime):
        row = _wait_for(key, until)
        if row is not None:
            return _repeat(row, lead_back)
        # The first has made nothing: this one is to be told why.
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
    """Where this very form has led whoever sent it a moment ago; "" when they did not.

    For a form whose token has gone out of date by its own effect, such as a new password.
    """
    key = _key_of(request)
    row = None if key is None else SentForm.objects.filter(pk=key).first()
    if row is None or not row.sealed_url or timezone.now() - row.created_at > DOUBLE_CLICK:
        return ""
    return unseal(row.sealed_url, place=_place(row.pk, "url"))


def purge_sent_forms(now: datetime) -> int:
    """Forget pages that are not shown again, and forms that no session can send any more."""
    SentForm.objects.filter(created_at__lt=now - SHOWN_AGAIN).exclude(sealed_page="").update(
        sealed_page=""
    )
    return delete_free(SentForm.objects.filter(created_at__lt=now - KEEP))


def _key_of(request: HttpRequest) -> str | None:
    """What one sending of one form by one person is known by; None for what is no form of ours."""
    token = request.POST.get(TOKEN_FIELD, "") if request.method == "POST" else ""
    if len(token) != TOKEN_LENGTH or request.FILES or not request.user.is_authenticated:
        return None
    fields = sorted((name, values) for name, values in request.POST.lists())
    return digest(PURPOSE, json.dumps([str(request.user.pk), request.get_full_path(), fields]))


def _claim(key: str, lifetime: timedelta) -> bool:
    """Is this the first request of that form? The primary key decides between processes."""
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
    """Write down what to tell a second request; False when nothing was made."""
    if response.status_code in (302, 303):
        url, page = response["Location"], ""
    elif response.status_code == 200 and hasattr(response, "shown_once_url"):
        render: Any = getattr(response, "render", None)
        if render is not None:
            render()
        url, page = response.shown_once_url, response.content.decode()
    else:
        return False
    SentForm.objects.filter(pk=key).update(
        sealed_url=seal(url, place=_place(key, "url")),
        sealed_page=seal(page, place=_place(key, "page")) if page else "",
    )
    return True


def _wait_for(key: str, until: float) -> SentForm | None:
    """The row, answered unless it takes too long; None when its request has made nothing."""
    while True:
        row = SentForm.objects.filter(pk=key).first()
        if row is None or row.sealed_url or time.monotonic() >= until:
            return row
        time.sleep(POLL_SECONDS)


def _repeat(row: SentForm, lead_back: Callable[[str], HttpResponse]) -> HttpResponse:
    try:
        if row.sealed_page and timezone.now() - row.created_at <= SHOWN_AGAIN:
            page = unseal(row.sealed_page, place=_place(row.pk, "page"))
            return keep_secret(HttpResponse(page))
        return lead_back(unseal(row.sealed_url, place=_place(row.pk, "url")))
    except SealBroken:  # of a request that still works, too
        return lead_back("")


def _place(key: str, part: str) -> str:
    return f"{SentForm._meta.db_table}.sealed_{part}:{key}"
