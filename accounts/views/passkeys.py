"""Passkeys: what static/passkeys.js asks for, and the pages to add, rename and remove them.

The four addresses of the script take and answer JSON; failures are RFC 9457 documents.
"""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import devices, gates, oncesecrets, passkeys
from accounts.browser import device_name
from accounts.errors import (
    BadCredentials,
    ConfirmationNeeded,
    GatehouseError,
    RecordInvalid,
    Refused,
)
from accounts.forms import PasskeyNameForm, PasskeyRemovalForm
from accounts.limits import count_try
from accounts.methods import SignInMethod
from accounts.models import User
from accounts.passkeys import PasskeyExpired, PasskeyInvalid
from accounts.problems import problem_of
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import passkeys as service
from accounts.services import sessions
from accounts.services.authenticators import FactorNeeded, lacks_required_factor
from accounts.services.identities import LastWayIn
from accounts.single_values import read_json
from accounts.stages import SecondFactorStage, pending
from accounts.stepup import is_fresh, require_fresh
from accounts.views.common import enter, person, posted, redirect_with_notice, replayable, safe_next
from accounts.views.entrance import get_or_post
from accounts.views.second_factor import set_up_done

View = Callable[[HttpRequest], HttpResponse]
LONGEST_BODY = 32 * 1024
TOO_OLD = gettext_lazy(
    "It is a while since you signed in. Load this page again, and confirm that it is you."
)


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
    """What the browser needs to make a passkey; see add() for whom."""
    count_try(request, "passkey-options")
    stage = None if request.user.is_authenticated else _set_up_stage(request)
    user = stage.person if stage is not None else _proved(request)
    return JsonResponse(service.begin_adding(request.session, user))


@for_script
def add(request: HttpRequest) -> HttpResponse:
    """Keep the passkey that the browser has made; 201, and where to go next.

    For the signed-in person with a fresh proof. Also for whoever waits in the sign-in because his
    role needs a second factor and he has none: the passkey is it, and lets him in.
    """
    count_try(request, "passkey-options")
    if not request.user.is_authenticated:
        return _set_up_and_enter(request, _set_up_stage(request))
    made = _add(request, _proved(request))
    url = f"{reverse('accounts:profile')}?{urlencode({'notice': 'passkey-added'})}"
    if made.codes:
        url = f"{reverse('accounts:recovery-codes')}?{urlencode({'next': url})}"
    content = {"id": str(made.passkey.pk), "name": made.passkey.name, "next": url}
    return JsonResponse(content, status=201)


def _set_up_and_enter(request: HttpRequest, stage: SecondFactorStage) -> HttpResponse:
    _add(request, stage.person, is_first=True)
    answer = _for_script(set_up_done(stage, "passkey"))
    answer.status_code = 201
    return answer


def _add(request: HttpRequest, user: User, *, is_first: bool = False) -> service.Added:
    """Keep the passkey; new recovery codes wait for the page that shows them."""
    body = _body(request)
    name = body.get("name")
    made = service.add(
        request.session,
        user,
        body.get("credential"),
        name=name if isinstance(name, str) else "",
        is_first=is_first,
    )
    oncesecrets.put(request.session, made.codes)
    return made


def _set_up_stage(request: HttpRequest) -> SecondFactorStage:
    """The sign-in that waits for a first second factor. Raises NotSignedIn."""
    stage = pending(request)
    if stage is None or not lacks_required_factor(stage.person):
        raise NotSignedIn
    return stage


@for_script
def sign_in_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to use a passkey, for one of three purposes."""
    count_try(request, "passkey-options")
    purpose = _body(request).get("purpose")
    if purpose == service.SIGN_IN:
        return JsonResponse(service.begin_signing_in(request.session))
    if purpose == service.SECOND_FACTOR:
        user = _waiting(request)
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
        raise found.as_error()
    response = enter(request, user, method=SignInMethod.PASSKEY, next_url=safe_next(request))
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


def _waiting(request: HttpRequest) -> User:
    """Who has given a first factor and waits for the second. Raises PasskeyExpired for nobody."""
    stage = pending(request)
    if stage is None:
        raise PasskeyExpired
    return stage.person


@login_required
@require_fresh
@require_safe
def add_page(request: HttpRequest) -> HttpResponse:
    """The name of a new passkey, and the button that makes it."""
    form = PasskeyNameForm(initial={"name": device_name(request.headers.get("User-Agent", ""))})
    is_available = passkeys.are_available()
    context = {"form": form, "is_available": is_available}
    return render(request, "accounts/passkey_add.html", context)


@login_required
@require_fresh
@once("accounts:profile", lifetime=DOUBLE_CLICK)
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
@replayable
@require_fresh
@once("accounts:profile", lifetime=DOUBLE_CLICK)
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
    sessions.renew(request, user)
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


def _proved(request: HttpRequest) -> User:
    """The signed-in person with a fresh proof. Raises NotSignedIn, ConfirmationNeeded."""
    user = _signed_in(request)
    if not is_fresh(request):
        raise ConfirmationNeeded(TOO_OLD)
    return user


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent. Raises PasskeyInvalid."""
    try:
        found = read_json(request.body) if len(request.body) <= LONGEST_BODY else None
    except (ValueError, RecursionError):
        raise PasskeyInvalid from None
    if not isinstance(found, dict):
        raise PasskeyInvalid
    return found
