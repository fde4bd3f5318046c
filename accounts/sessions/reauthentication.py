"""Reauthentication: sensitive actions need an authentication from the last 15 minutes.

That is a sign-in with all factors, or the page /confirm (ASVS 7.5.1, 7.5.3). A form that was posted
without it is stored encrypted in the session and offered again after /confirm.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import User
from accounts.passwords import asks_password
from accounts.services import second_factors
from core.crypto import session_values
from core.web.redirects import see_other

View = Callable[..., HttpResponse]
LIFETIME = timedelta(minutes=15)
AUTHENTICATED_AT, KEPT = "_proved_at", "_kept_form"
# See PendingForm.length; a longer form has to be filled in again.
KEPT_MAX_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class PendingForm:
    """A form that was posted before /confirm: its path, and its fields in order."""

    path: str
    fields: list[tuple[str, str]]

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
        if name != "csrfmiddlewaretoken"
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


def ask(request: HttpRequest) -> HttpResponse:
    """Redirect (303) to /confirm, which leads back here; stores what was posted."""
    request.session.pop(KEPT, None)
    if request.method == "POST":
        _keep(request)
    query = urlencode({"next": request.get_full_path()})
    return see_other(f"{reverse('mfa:confirm')}?{query}")


def where_next(request: HttpRequest, next_url: str) -> str:
    """The URL after /confirm: the stored form, `next_url` or the account page."""
    if KEPT in request.session:
        return reverse("mfa:confirm-continue")
    return next_url or reverse("accounts:profile")


def take_kept(request: HttpRequest) -> PendingForm | None:
    """Return the stored form, if any, and remove it from the session."""
    kept = session_values.take(request.session, KEPT)
    if kept is None:
        return None
    path, fields = kept
    return PendingForm(path, [(name, value) for name, value in fields])


def _keep(request: HttpRequest) -> None:
    form = PendingForm(request.get_full_path(), posted_fields(request))
    if form.length <= KEPT_MAX_LENGTH and not request.FILES:
        session_values.put(request.session, KEPT, [form.path, form.fields])
