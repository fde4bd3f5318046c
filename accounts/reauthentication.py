"""Step-up: dangerous acts want a proof of who is there, at most 15 minutes old (ASVS 7.5.1, 7.5.3).

The proof is a sign-in with all factors, or the page /confirm. A form that was sent too late is
kept, encrypted, in the session, and offered again after the proof.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import User
from accounts.passwords import asks_password
from accounts.services import second_factors
from core.encryption import DecryptionError, decrypt, encrypt

View = Callable[..., HttpResponse]
LIFETIME = timedelta(minutes=15)
PROVED_AT, KEPT = "_proved_at", "_kept_form"
KEPT_ASSOCIATED_DATA = "session._kept_form"
# Characters of a form as JSON; a longer one has to be filled in again.
KEPT_MAX_LENGTH = 100_000
NOT_KEPT = ("csrfmiddlewaretoken",)


@dataclass(frozen=True, slots=True)
class PendingForm:
    """A form that was sent before the proof: where to, and its fields in order."""

    path: str
    fields: list[tuple[str, str]]


def mark_authenticated(request: HttpRequest) -> None:
    """The person has proved himself just now."""
    request.session[PROVED_AT] = timezone.now().isoformat()


def recently_authenticated(request: HttpRequest) -> bool:
    """Has the person of this session proved himself within LIFETIME?"""
    return session_is_recently_authenticated(request.session)


def session_is_recently_authenticated(session: SessionBase) -> bool:
    """As recently_authenticated(), for a session without its request."""
    proved_at = session.get(PROVED_AT)
    if not isinstance(proved_at, str):
        return False
    return timedelta() <= timezone.now() - datetime.fromisoformat(proved_at) <= LIFETIME


def require_recent_authentication(view: View) -> View:
    """For a view behind login_required: leads to /confirm first when the proof is old."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return view(request, *args, **options) if recently_authenticated(request) else ask(request)

    return wrapped


def require_recent_authentication_to_post(view: View) -> View:
    """As require_recent_authentication(), for a page that everybody may look at."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        is_look = request.method != "POST"
        return (
            view(request, *args, **options)
            if is_look or recently_authenticated(request)
            else ask(request)
        )

    return wrapped


def require_recent_authentication_or_password(view: View) -> View:
    """As require_recent_authentication(), for a form that asks for the password itself.

    That is proof enough of whoever has a password and no second factor.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        user = request.user
        is_enough = (isinstance(user, User) and password_proves(user)) or recently_authenticated(
            request
        )
        return view(request, *args, **options) if is_enough else ask(request)

    return wrapped


def password_proves(user: User) -> bool:
    """Is the password alone proof of who is there? Not where there is a second factor, or none."""
    return asks_password(user) and not second_factors.has_factor(user)


def ask(request: HttpRequest) -> HttpResponse:
    """303 to /confirm, which leads back here; what was posted is kept."""
    request.session.pop(KEPT, None)
    if request.method == "POST":
        _keep(request)
    query = urlencode({"next": request.get_full_path()})
    response = HttpResponseRedirect(f"{reverse('mfa:confirm')}?{query}")
    response.status_code = 303
    return response


def where_next(request: HttpRequest, next_url: str) -> str:
    """Where to go after the proof: to the kept form, to `next_url`, or to the account page."""
    if KEPT in request.session:
        return reverse("mfa:confirm-continue")
    return next_url or reverse("accounts:profile")


def take_kept(request: HttpRequest) -> PendingForm | None:
    """The kept form, which is forgotten by this."""
    encrypted = request.session.pop(KEPT, None)
    if not isinstance(encrypted, str):
        return None
    try:
        path, fields = json.loads(decrypt(encrypted, KEPT_ASSOCIATED_DATA))
    except DecryptionError:
        return None
    return PendingForm(path, [(name, value) for name, value in fields])


def _keep(request: HttpRequest) -> None:
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in NOT_KEPT
    ]
    text = json.dumps([request.get_full_path(), fields])
    if len(text) <= KEPT_MAX_LENGTH and not request.FILES:
        request.session[KEPT] = encrypt(text, KEPT_ASSOCIATED_DATA)
