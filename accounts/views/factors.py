"""The account pages of second factors: authenticator app, recovery codes, remembered browsers."""

import uuid
from functools import partial

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts import oncesecrets, remembered
from accounts.destinations import see_other
from accounts.errors import NotFound, RateLimited, RecordInvalid
from accounts.factor_forms import AppNameForm, NewAppForm
from accounts.forms import is_valid_with
from accounts.limits import count_guess, forgive_guess
from accounts.models import User
from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import authenticators, recovery
from accounts.services.authenticators import FactorNeeded
from accounts.stepup import require_fresh, require_fresh_to_post
from accounts.views import enrolment
from accounts.views.common import (
    person,
    posted,
    redirect_with_notice,
    replayable,
    safe_next,
    secret_page,
)
from accounts.views.entrance import get_or_post


@secret_page
@login_required
@require_fresh
@once("accounts:profile")
@get_or_post
def set_up_app(request: HttpRequest) -> HttpResponse:
    """Hand a key to an app, and keep it after a first code; replaces an older app."""
    user = person(request)
    form, status = NewAppForm(posted(request)), 200
    offered = enrolment.offer(request, user)
    if request.method == "POST":
        status = 400
        try:
            if is_valid_with(form, partial(enrolment.check, request, user, offered)):
                return _keep_app(request, user, form, offered)
        except RateLimited as error:
            form.add_error(None, error.message)
            status = error.status
        except RecordInvalid as error:
            form.add_service_errors(error)
    context = {"form": form, "offered": offered, "has_app": authenticators.app_of(user) is not None}
    return render(request, "accounts/app_set_up.html", context, status=status)


def _keep_app(
    request: HttpRequest, user: User, form: NewAppForm, offered: enrolment.Offer
) -> HttpResponse:
    count_guess(request, user)
    enrolment.confirm(request, user, offered, **form.cleaned_data)
    forgive_guess(request, user)
    if oncesecrets.KEY in request.session:
        return see_other(reverse("accounts:recovery-codes"))
    return redirect_with_notice("accounts:profile", "factor-added")


@login_required
@require_fresh
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def rename_app(request: HttpRequest) -> HttpResponse:
    """Another name for my app."""
    user = person(request)
    app = authenticators.app_of(user)
    if app is None:
        raise NotFound
    form = AppNameForm(posted(request), initial={"name": app.name})
    if request.method == "POST" and form.is_valid():
        authenticators.rename_app(user, form.cleaned_data["name"])
        return redirect_with_notice("accounts:profile", "saved")
    status = 400 if form.errors else 200
    return render(request, "accounts/app_rename.html", {"form": form}, status=status)


@login_required
@replayable
@require_fresh
@get_or_post
def remove_app(request: HttpRequest) -> HttpResponse:
    """Ask, then remove my app."""
    user = person(request)
    app = authenticators.app_of(user)
    if app is None:
        raise NotFound
    problem, status = "", 200
    if request.method == "POST":
        try:
            authenticators.remove_app(user)
            return redirect_with_notice("accounts:profile", "factor-removed")
        except FactorNeeded as error:
            problem, status = error.message, error.status
    is_last = user.authenticators.count() == 1
    context = {"app": app, "is_last": is_last, "problem": problem}
    return render(request, "accounts/app_remove.html", context, status=status)


@secret_page
@login_required
@require_fresh_to_post
@once("accounts:profile")
@get_or_post
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Show a new set once; the POST makes one."""
    user = person(request)
    if not authenticators.has_factor(user):
        return redirect("accounts:profile")
    if request.method == "POST":
        enrolment.make_codes(request, user)
        return see_other(reverse("accounts:recovery-codes"))
    context = {
        "codes": oncesecrets.take(request.session),
        "standing": recovery.standing(user),
        "next": safe_next(request) or reverse("accounts:profile"),
    }
    return render(request, "accounts/recovery_codes.html", context)


@login_required
@replayable
@require_POST
def forget_browser(request: HttpRequest, browser_id: uuid.UUID) -> HttpResponse:
    """Ask that browser for the second factor again."""
    remembered.forget(person(request), browser_id)
    return redirect_with_notice("accounts:profile", "browser-forgotten")
