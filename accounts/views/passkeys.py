"""Passkeys: what static/passkeys.js asks for, and the pages to add, rename and remove them.

The four addresses of the script take and answer JSON; failures are RFC 9457 documents.
"""

import json
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.internal.stagekit import get_pending_stage
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import devices, gates, passkeys
from accounts.browser import device_name
from accounts.errors import BadCredentials, GatehouseError, RecordInvalid, Refused
from accounts.forms import PasskeyNameForm, PasskeyRemovalForm
from accounts.limits import count_try
from accounts.models import User
from accounts.passkeys import PasskeyExpired, PasskeyInvalid
from accounts.problems import problem_of
from accounts.services import passkeys as service
from accounts.services import sessions
from accounts.services.authenticators import FactorNeeded, lacks_required_factor
from accounts.services.identities import LastWayIn
from accounts.views.common import enter, person, posted, redirect_with_notice, safe_next
from accounts.views.entrance import get_or_post

View = Callable[[HttpRequest], HttpResponse]
LONGEST_BODY = 32 * 1024


class NotSignedIn(BadCredentials):
    """The session has ended while the page was open."""

    code = "not_authenticated"
    default_message = gettext_lazy("You are signed out. Load this page again.")


def for_script(view: View) -> View:
    """POST alone, every failure as a problem document, nothing of it in a cache."""

    @never_cache
    @require_POST
    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except GatehouseError as error:
            return problem_of(error)

    return wrapped


@for_script
def adding_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to make a passkey for the signed-in person.

    Also for whoever must set up a second factor before he gets in (see pending_person).
    """
    user = request.user if isinstance(request.user, User) else _waiting_for_first(request)
    count_try(request, "passkey-options")
    return JsonResponse(service.begin_adding(request.session, user))


@for_script
def add(request: HttpRequest) -> HttpResponse:
    """Keep the passkey that the browser has made; 201, recovery codes with the first factor."""
    user = _signed_in(request)
    count_try(request, "passkey-options")
    body = _body(request)
    name = body.get("name")
    made = service.add(
        request.session,
        user,
        body.get("credential"),
        name=name if isinstance(name, str) else "",
    )
    url = f"{reverse('accounts:profile')}?{urlencode({'notice': 'passkey-added'})}"
    content = {
        "id": str(made.passkey.pk),
        "name": made.passkey.name,
        "codes": made.codes,
        "next": url,
    }
    return JsonResponse(content, status=201)


@for_script
def sign_in_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to use a passkey, for one of three purposes."""
    count_try(request, "passkey-options")
    purpose = _body(request).get("purpose")
    if purpose == service.SIGN_IN:
        return JsonResponse(service.begin_signing_in(request.session))
    if purpose == service.SECOND_FACTOR:
        user = pending_person(request)
        return JsonResponse(service.begin_proving(request.session, user, service.SECOND_FACTOR))
    if purpose == service.STEP_UP:
        user = _signed_in(request)
        return JsonResponse(service.begin_proving(request.session, user, service.STEP_UP))
    raise PasskeyInvalid


@for_script
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in with a passkey alone: it is both factors. Answers where to go next."""
    count_try(request, "passkey")
    user = service.who_signs_in(request.session, _body(request).get("credential"))
    found = gates.refusal(user)
    if found is not None:
        service.note_refused(user, service.SIGN_IN, found.code)
        raise Refused(found.code, found.message, found.until, found.since)
    response = enter(request, user, method="passkey", next_url=safe_next(request))
    return _for_script(response)


def _for_script(response: HttpResponse) -> HttpResponse:
    """The redirect of the sign-in flow, its cookies too, as an answer to the script."""
    url = response.get("Location", "")
    if not url:
        raise Refused(
            "email_unverified",
            _("Confirm your address first: we have mailed you a link. Then sign in again."),
        )
    answer = JsonResponse({"next": url})
    answer.cookies.update(response.cookies)
    return answer


def pending_person(request: HttpRequest) -> User:
    """Who has given a first factor and waits in a stage. Raises PasskeyExpired for nobody."""
    stage = get_pending_stage(request)
    user = stage.login.user if stage is not None else None
    if not isinstance(user, User):
        raise PasskeyExpired
    return user


def _waiting_for_first(request: HttpRequest) -> User:
    """Who waits in a stage to set up his first second factor; nobody else adds one there."""
    try:
        user = pending_person(request)
    except PasskeyExpired:
        raise NotSignedIn from None
    if not lacks_required_factor(user):
        raise NotSignedIn
    return user


@login_required
@require_safe
def add_page(request: HttpRequest) -> HttpResponse:
    """The name of a new passkey, and the button that makes it."""
    form = PasskeyNameForm(initial={"name": device_name(request.headers.get("User-Agent", ""))})
    is_available = passkeys.are_available()
    context = {"form": form, "is_available": is_available}
    return render(request, "accounts/passkey_add.html", context)


@login_required
@get_or_post
def rename(request: HttpRequest, passkey_id: uuid.UUID) -> HttpResponse:
    """Another name for one of my passkeys."""
    user = person(request)
    row = service.find_own(user, passkey_id)
    form = PasskeyNameForm(posted(request), initial={"name": row.name})
    if request.method == "POST" and form.is_valid():
        try:
            service.rename(user=user, passkey_id=passkey_id, name=form.cleaned_data["name"])
            return redirect_with_notice("accounts:profile", "passkey-renamed")
        except RecordInvalid as error:
            form.add_service_errors(error)
    context = {"form": form, "passkey": row}
    return render(request, "accounts/passkey_rename.html", context, status=_status(form))


@login_required
@get_or_post
def remove(request: HttpRequest, passkey_id: uuid.UUID) -> HttpResponse:
    """Remove one of my passkeys, and sign out other devices if wished."""
    user = person(request)
    row = service.find_own(user, passkey_id)
    form = PasskeyRemovalForm(posted(request), initial={"ends_sessions": True})
    if request.method == "POST" and form.is_valid():
        ends = form.cleaned_data["ends_sessions"]
        try:
            service.remove(user=user, passkey_id=passkey_id, ends_sessions=ends)
            return _stay(request, user) if ends else _removed()
        except (LastWayIn, FactorNeeded) as error:
            form.add_error(None, error.message)
    context = {"form": form, "passkey": row}
    return render(request, "accounts/passkey_remove.html", context, status=_status(form))


def _stay(request: HttpRequest, user: User) -> HttpResponse:
    """All devices have just been signed out: this one comes back."""
    sessions.sign_in(request, user)
    response = _removed()
    devices.remember(request, response, user)
    return response


def _removed() -> HttpResponse:
    return redirect_with_notice("accounts:profile", "passkey-removed")


def _status(form: PasskeyNameForm | PasskeyRemovalForm) -> int:
    return 400 if form.errors else 200


def _signed_in(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise NotSignedIn
    return request.user


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent. Raises PasskeyInvalid."""
    try:
        found = json.loads(request.body) if len(request.body) <= LONGEST_BODY else None
    except (ValueError, RecursionError):
        raise PasskeyInvalid from None
    if not isinstance(found, dict):
        raise PasskeyInvalid
    return found
