"""Step-up: dangerous acts want a proof of who is there, at most 15 minutes old (ASVS 7.5.1, 7.5.3).

The proof is a sign-in with all factors, or the page /confirm. A form that was sent too late is
kept, sealed, in the session, and offered again after the proof.
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

from accounts.crypto import SealBroken, seal, unseal
from accounts.destinations import see_other
from accounts.models import User
from accounts.passwords import asks_password
from accounts.services import authenticators

View = Callable[..., HttpResponse]
LIFETIME = timedelta(minutes=15)
PROVED_AT, KEPT = "_proved_at", "_kept_form"
KEPT_PLACE = "session._kept_form"
# Characters of a form as JSON; a longer one has to be filled in again.
KEPT_MAX_LENGTH = 100_000
NOT_KEPT = ("csrfmiddlewaretoken",)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that was sent before the proof: where to, and its fields in order."""

    path: str
    fields: list[tuple[str, str]]


def mark_fresh(request: HttpRequest) -> None:
    """The person has proved himself just now."""
    request.session[PROVED_AT] = timezone.now().isoformat()


def is_fresh(request: HttpRequest) -> bool:
    """Has the person of this session proved himself within LIFETIME?"""
    return is_fresh_session(request.session)


def is_fresh_session(session: SessionBase) -> bool:
    """As is_fresh(), for a session without its request."""
    proved_at = session.get(PROVED_AT)
    if not isinstance(proved_at, str):
        return False
    return timedelta() <= timezone.now() - datetime.fromisoformat(proved_at) <= LIFETIME


def require_fresh(view: View) -> View:
    """For a view behind login_required: leads to /confirm first when the proof is old."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return view(request, *args, **options) if is_fresh(request) else ask(request)

    return wrapped


def require_fresh_to_post(view: View) -> View:
    """As require_fresh(), for a page that everybody may look at."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        is_look = request.method != "POST"
        return view(request, *args, **options) if is_look or is_fresh(request) else ask(request)

    return wrapped


def require_fresh_beside_password(view: View) -> View:
    """As require_fresh(), for a form that asks for the password itself.

    That is proof enough of whoever has a password and no second factor.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        user = request.user
        is_enough = (isinstance(user, User) and password_proves(user)) or is_fresh(request)
        return view(request, *args, **options) if is_enough else ask(request)

    return wrapped


def password_proves(user: User) -> bool:
    """Is the password alone proof of who is there? Not where there is a second factor, or none."""
    return asks_password(user) and not authenticators.has_factor(user)


def ask(request: HttpRequest) -> HttpResponse:
    """303 to /confirm, which leads back here; what was posted is kept."""
    request.session.pop(KEPT, None)
    if request.method == "POST":
        _keep(request)
    query = urlencode({"next": request.get_full_path()})
    return see_other(f"{reverse('accounts:confirm')}?{query}")


def where_next(request: HttpRequest, next_url: str) -> str:
    """Where to go after the proof: to the kept form, to `next_url`, or to the account page."""
    if KEPT in request.session:
        return reverse("accounts:confirm-continue")
    return next_url or reverse("accounts:profile")


def take_kept(request: HttpRequest) -> KeptForm | None:
    """The kept form, which is forgotten by this."""
    sealed = request.session.pop(KEPT, None)
    if not isinstance(sealed, str):
        return None
    try:
        path, fields = json.loads(unseal(sealed, place=KEPT_PLACE))
    except SealBroken:
        return None
    return KeptForm(path, [(name, value) for name, value in fields])


def _keep(request: HttpRequest) -> None:
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in NOT_KEPT
    ]
    text = json.dumps([request.get_full_path(), fields])
    if len(text) <= KEPT_MAX_LENGTH and not request.FILES:
        request.session[KEPT] = seal(text, place=KEPT_PLACE)
