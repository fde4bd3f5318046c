"""Reauthentication: sensitive actions need an authentication from the last 15 minutes.

That is a sign-in with all factors, or the page /confirm (ASVS 7.5.1, 7.5.3). A form that was posted
without it is stored encrypted in the session, and carried out once the user has confirmed:

1. ask() stores the form with a random id, and redirects to /confirm, which says what it does.
2. The form of /confirm holds the id. If the user confirms, done() marks the stored form as ready
   and redirects with 307: the browser posts the form of /confirm, with its CSRF token, there.
3. restore() puts the stored fields in place of those of /confirm. It does so for the path, the
   session and the id of the stored form only, for READY_FOR, and for one CSRF token, so that
   accounts.sent_forms lets it happen once.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import User
from accounts.passwords import asks_password
from accounts.services import second_factors
from accounts.sessions.resumption import TOKEN_FIELD
from core.crypto import session_values
from core.crypto.tokens import digest
from core.web.redirects import see_other

View = Callable[..., HttpResponse]
LIFETIME = timedelta(minutes=15)
# The URL name of the page /confirm.
PAGE = "mfa:confirm"
AUTHENTICATED_AT, KEPT, READY = "_proved_at", "_kept_form", "_ready_form"
# The field of /confirm with the id of the stored form.
PENDING_FIELD = "_pending_form"
READY_FOR = timedelta(minutes=1)
# See PendingForm.length; a longer form has to be filled in again.
KEPT_MAX_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class PendingForm:
    """A form that was posted before /confirm: its path, and its fields in order.

    what: what it does, in words; "" if that is not known. key: a random id.
    """

    path: str
    fields: list[tuple[str, str]]
    what: str = ""
    key: str = ""

    @property
    def length(self) -> int:
        """In characters, as JSON."""
        return len(json.dumps([self.path, self.fields]))


def posted_fields(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields of a form to send again; without the CSRF token, which is out of date by then."""
    return [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name != TOKEN_FIELD
    ]


def mark_authenticated(request: HttpRequest) -> None:
    """Record that the user has authenticated just now."""
    request.session[AUTHENTICATED_AT] = timezone.now().isoformat()


def recently_authenticated(request: HttpRequest) -> bool:
    """Whether the user of this session has authenticated within LIFETIME."""
    return session_is_recently_authenticated(request.session)


def session_is_recently_authenticated(session: SessionBase) -> bool:
    """See recently_authenticated(); for a session without its request."""
    authenticated_at = session.get(AUTHENTICATED_AT)
    if not isinstance(authenticated_at, str):
        return False
    return timedelta() <= timezone.now() - datetime.fromisoformat(authenticated_at) <= LIFETIME


def require_recent_authentication(view: View) -> View:
    """Decorate a view behind login_required: redirects to /confirm first where needed."""
    return _require(recently_authenticated, view)


def require_recent_authentication_to_post(view: View) -> View:
    """See require_recent_authentication(); GET needs no authentication."""
    return _require(
        lambda request: request.method != "POST" or recently_authenticated(request), view
    )


def require_recent_authentication_or_password(view: View) -> View:
    """See require_recent_authentication(); for a form that asks for the password itself.

    The password in the form is enough for users without a second factor.
    """

    def is_enough(request: HttpRequest) -> bool:
        user = request.user
        by_password = isinstance(user, User) and password_is_enough(user)
        return by_password or recently_authenticated(request)

    return _require(is_enough, view)


def _require(is_enough: Callable[[HttpRequest], bool], view: View) -> View:
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return view(request, *args, **options) if is_enough(request) else ask(request)

    return wrapped


def password_is_enough(user: User) -> bool:
    """Whether the password alone authenticates `user`: they have one, and no second factor."""
    return asks_password(user) and not second_factors.has_factor(user)


def ask(request: HttpRequest, what: str = "") -> HttpResponse:
    """Redirect (303) to /confirm, which leads back here; stores what was posted.

    what: what the form does, as /confirm tells it: "Delete: Nina Berg (nina@example.com)".
    """
    request.session.pop(KEPT, None)
    request.session.pop(READY, None)
    if request.method == "POST":
        _keep(request, what)
    query = urlencode({"next": request.get_full_path()})
    return see_other(f"{reverse(PAGE)}?{query}")


def pending_form(request: HttpRequest) -> PendingForm | None:
    """The stored form, unless it is older than LIFETIME."""
    kept = session_values.get(request.session, KEPT)
    if kept is None:
        return None
    path, fields, what, key, kept_at = kept
    if timezone.now() - datetime.fromisoformat(kept_at) > LIFETIME:
        return None
    return PendingForm(path, [(name, value) for name, value in fields], what, key)


def done(request: HttpRequest, next_url: str) -> HttpResponse:
    """The response after /confirm: carry out the form that it named, or go on to `next_url`.

    A form that another tab has stored in the meantime is not carried out.
    """
    mark_authenticated(request)
    form = pending_form(request)
    if form is None or not _is_for(request, form):
        request.session.pop(KEPT, None)
        return see_other(next_url or reverse("accounts:profile"))
    request.session[READY] = [form.key, timezone.now().isoformat(), ""]
    return HttpResponseRedirect(form.path, preserve_request=True)


def restore(request: HttpRequest) -> HttpResponse | None:
    """Put the fields of the confirmed form into `request.POST`; else redirect, and do nothing."""
    form = pending_form(request)
    token = request.POST.get(TOKEN_FIELD, "")
    if (
        form is None
        or form.path != request.get_full_path()
        or not _is_for(request, form)
        or not _takes_ready(request, form.key, digest("pending-form", token))
    ):
        return see_other(f"{reverse('accounts:profile')}?notice=sent-already")
    fields = QueryDict(mutable=True)
    for name, value in [*form.fields, (TOKEN_FIELD, token)]:
        fields.appendlist(name, value)
    request.POST = fields  # type: ignore[assignment]  # for this request only
    return None


def _is_for(request: HttpRequest, form: PendingForm) -> bool:
    return secrets.compare_digest(request.POST.get(PENDING_FIELD, "").encode(), form.key.encode())


def _takes_ready(request: HttpRequest, key: str, token_digest: str) -> bool:
    """Whether the form is ready, and this is the first CSRF token that carries it out."""
    ready = request.session.get(READY)
    if not isinstance(ready, list) or ready[0] != key:
        return False
    if timezone.now() - datetime.fromisoformat(ready[1]) > READY_FOR:
        return False
    if ready[2] not in ("", token_digest):
        return False
    request.session[READY] = [key, ready[1], token_digest]
    return recently_authenticated(request)


def _keep(request: HttpRequest, what: str) -> None:
    key = secrets.token_urlsafe(16)
    form = PendingForm(request.get_full_path(), posted_fields(request), what, key)
    if form.length <= KEPT_MAX_LENGTH and not request.FILES:
        values = [form.path, form.fields, what, key, timezone.now().isoformat()]
        session_values.put(request.session, KEPT, values)
