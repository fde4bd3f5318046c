"""Passkeys: endpoints for static/passkeys.js, and the pages to add, rename and remove them.

The four endpoints of the script accept and return JSON; failures are RFC 9457 documents.
"""

import uuid
from collections.abc import Callable
from functools import partial, wraps
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

from accounts import access_policy
from accounts.models import User
from accounts.rate_limits import check_rate_limit
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services.credentials import LastSignInMethod
from accounts.services.second_factors import FactorNeeded, lacks_required_factor
from accounts.services.sessions import renew
from accounts.sessions.link_binding import device_name
from accounts.sessions.reauthentication import recently_authenticated, require_recent_authentication
from accounts.sign_in.methods import SignInMethod
from accounts.views.common import (
    bound_data,
    complete_login,
    current_user,
    form_page,
    get_or_post,
    redirect_with_notice,
    replayable,
    safe_next,
    show_service_errors,
)
from accounts.views.sessions import session_renewed
from core.errors import (
    AccessDenied,
    BadCredentials,
    ConfirmationNeeded,
    GatehouseError,
)
from core.text.strict_json import read_json
from core.web.problem_details import problem_of
from mfa import flash_secrets, webauthn
from mfa.forms import PasskeyNameForm, PasskeyRemovalForm
from mfa.services import passkeys as service
from mfa.stages import SecondFactorStage, pending_stage
from mfa.views.second_factor import set_up_done
from mfa.webauthn import PasskeyExpired, PasskeyInvalid

View = Callable[[HttpRequest], HttpResponse]
MAX_BODY_BYTES = 32 * 1024
TOO_OLD = gettext_lazy(
    "It is a while since you signed in. Load this page again, and confirm that it is you."
)


class NotSignedIn(BadCredentials):
    """The session ended while the page was open."""

    code = "not_authenticated"
    default_message = gettext_lazy("You are signed out. Load this page again.")


def for_script(view: View) -> View:
    """Allow POST only, return failures as problem documents, and forbid caching."""

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
    """Options for creating a passkey; see add() for who may."""
    check_rate_limit(request, "passkey-options")
    stage = None if request.user.is_authenticated else _set_up_stage(request)
    user = stage.user if stage is not None else _recently_authenticated_user(request)
    return JsonResponse(service.begin_registration(request.session, user))


@for_script
def add(request: HttpRequest) -> HttpResponse:
    """Store the passkey that the browser has created; 201, with the next URL.

    For a recently authenticated user; also for a pending sign-in whose user must set up their first
    second factor, which this passkey becomes.
    """
    check_rate_limit(request, "passkey-options")
    if not request.user.is_authenticated:
        return _set_up_and_enter(request, _set_up_stage(request))
    made = _add(request, _recently_authenticated_user(request))
    url = f"{reverse('accounts:profile')}?{urlencode({'notice': 'passkey-added'})}"
    if made.codes:
        url = f"{reverse('mfa:recovery-codes')}?{urlencode({'next': url})}"
    content = {"id": str(made.passkey.pk), "name": made.passkey.name, "next": url}
    return JsonResponse(content, status=201)


def _set_up_and_enter(request: HttpRequest, stage: SecondFactorStage) -> HttpResponse:
    _add(request, stage.user, is_first=True)
    answer = _for_script(set_up_done(stage, "passkey"))
    answer.status_code = 201
    return answer


def _add(request: HttpRequest, user: User, *, is_first: bool = False) -> service.Added:
    """Store the passkey; keep new recovery codes for the page that shows them."""
    body = _body(request)
    name = body.get("name")
    made = service.add(
        request.session,
        user,
        body.get("credential"),
        name=name if isinstance(name, str) else "",
        is_first=is_first,
    )
    flash_secrets.put(request.session, made.codes)
    return made


def _set_up_stage(request: HttpRequest) -> SecondFactorStage:
    """The pending sign-in that must set up a first factor. Raises NotSignedIn."""
    stage = pending_stage(request)
    if stage is None or not lacks_required_factor(stage.user):
        raise NotSignedIn
    return stage


@for_script
def sign_in_options(request: HttpRequest) -> HttpResponse:
    """Options for using a passkey, for one of three purposes."""
    check_rate_limit(request, "passkey-options")
    purpose = _body(request).get("purpose")
    if purpose == service.SIGN_IN:
        return JsonResponse(service.begin_sign_in(request.session))
    if purpose == service.SECOND_FACTOR:
        user = _waiting_user(request)
        return JsonResponse(
            service.begin_verification(request.session, user, service.SECOND_FACTOR)
        )
    if purpose == service.STEP_UP:
        user = _signed_in_user(request)
        return JsonResponse(service.begin_verification(request.session, user, service.STEP_UP))
    raise PasskeyInvalid


@for_script
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in with a passkey alone, which counts as both factors. Returns the next URL."""
    check_rate_limit(request, "passkey")
    user = service.authenticate_passkey(request.session, _body(request).get("credential"))
    found = access_policy.get_denial(user)
    if found is not None:
        service.record_refusal(user, service.SIGN_IN, found.code)
        raise found.as_error()
    response = complete_login(
        request, user, method=SignInMethod.PASSKEY, next_url=safe_next(request)
    )
    return _for_script(response)


def _for_script(response: HttpResponse) -> HttpResponse:
    """The redirect of the sign-in flow, with its cookies, as JSON for the script."""
    url = response.get("Location", "")
    if not url:
        raise AccessDenied(
            "email_unverified",
            _("Confirm your address first: we have mailed you a link. Then sign in again."),
        )
    answer = JsonResponse({"next": url})
    answer.cookies.update(response.cookies)
    return answer


def _waiting_user(request: HttpRequest) -> User:
    """The user of the pending sign-in. Raises PasskeyExpired without one."""
    stage = pending_stage(request)
    if stage is None:
        raise PasskeyExpired
    return stage.user


@login_required
@require_recent_authentication
@require_safe
def add_page(request: HttpRequest) -> HttpResponse:
    """Form for the name of a new passkey, with the button that creates it."""
    form = PasskeyNameForm(initial={"name": device_name(request.headers.get("User-Agent", ""))})
    is_available = webauthn.are_available()
    context = {"form": form, "is_available": is_available}
    return render(request, "accounts/passkey_add.html", context)


@login_required
@require_recent_authentication
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def rename(request: HttpRequest, passkey_id: uuid.UUID) -> HttpResponse:
    """Rename a passkey."""
    user = current_user(request)
    row = service.find_own(user, passkey_id)
    form = PasskeyNameForm(bound_data(request), initial={"name": row.name})
    if form.is_valid():
        with show_service_errors(form):
            service.rename(user=user, passkey_id=passkey_id, name=form.cleaned_data["name"])
            return redirect_with_notice("accounts:profile", "passkey-renamed")
    return form_page(request, "accounts/passkey_rename.html", form, passkey=row)


@login_required
@replayable
@require_recent_authentication
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def remove(request: HttpRequest, passkey_id: uuid.UUID) -> HttpResponse:
    """Remove a passkey, and sign out other devices on request."""
    user = current_user(request)
    row = service.find_own(user, passkey_id)
    form = PasskeyRemovalForm(bound_data(request), initial={"ends_sessions": True})
    if form.is_valid():
        ends = form.cleaned_data["ends_sessions"]
        with show_service_errors(form, shown=(LastSignInMethod, FactorNeeded)):
            service.remove(
                user=user,
                passkey_id=passkey_id,
                ends_sessions=ends,
                renew=partial(renew, request, user),
            )
            if ends:
                return session_renewed(request, user, "passkey-removed")
            return redirect_with_notice("accounts:profile", "passkey-removed")
    return form_page(request, "accounts/passkey_remove.html", form, passkey=row)


def _signed_in_user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise NotSignedIn
    return request.user


def _recently_authenticated_user(request: HttpRequest) -> User:
    """The recently authenticated user. Raises NotSignedIn, ConfirmationNeeded."""
    user = _signed_in_user(request)
    if not recently_authenticated(request):
        raise ConfirmationNeeded(TOO_OLD)
    return user


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent. Raises PasskeyInvalid."""
    try:
        found = read_json(request.body) if len(request.body) <= MAX_BODY_BYTES else None
    except (ValueError, RecursionError):
        raise PasskeyInvalid from None
    if not isinstance(found, dict):
        raise PasskeyInvalid
    return found
