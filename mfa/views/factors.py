"""Account pages of second factors: authenticator app, recovery codes, trusted browsers."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.sent_forms import DOUBLE_CLICK, once
from accounts.services import second_factors
from accounts.services.second_factors import FactorNeeded
from accounts.sessions.reauthentication import (
    require_recent_authentication,
    require_recent_authentication_to_post,
)
from accounts.views.common import (
    bound_data,
    current_user,
    form_page,
    get_or_post,
    redirect_with_notice,
    replayable,
    safe_next,
    secret_page,
)
from core.errors import NotFound
from core.web.redirects import see_other
from mfa import flash_secrets, trusted_browsers
from mfa.forms import TOTPNameForm, TOTPSetupForm
from mfa.services import authenticators
from mfa.services.recovery_codes import read_list
from mfa.views import totp_setup


@secret_page
@login_required
@require_recent_authentication
@once("accounts:profile")
@get_or_post
def set_up_totp(request: HttpRequest) -> HttpResponse:
    """Show a seed for an app, and store it after a first code; replaces an older app."""
    user = current_user(request)
    form, offered = TOTPSetupForm(bound_data(request)), totp_setup.offer(request, user)
    if totp_setup.confirm_by_form(request, user, form, offered):
        if flash_secrets.KEY in request.session:
            return see_other(reverse("mfa:recovery-codes"))
        return redirect_with_notice("accounts:profile", "factor-added")
    has_app = authenticators.totp_of(user) is not None
    return form_page(request, "accounts/app_set_up.html", form, offered=offered, has_app=has_app)


@login_required
@require_recent_authentication
@once("accounts:profile", lifetime=DOUBLE_CLICK)
@get_or_post
def rename_totp(request: HttpRequest) -> HttpResponse:
    """Rename the app."""
    user = current_user(request)
    app = authenticators.totp_of(user)
    if app is None:
        raise NotFound
    form = TOTPNameForm(bound_data(request), initial={"name": app.name})
    if form.is_valid():
        authenticators.rename_totp(user, form.cleaned_data["name"])
        return redirect_with_notice("accounts:profile", "saved")
    return form_page(request, "accounts/app_rename.html", form)


@login_required
@replayable
@require_recent_authentication
@get_or_post
def remove_totp(request: HttpRequest) -> HttpResponse:
    """Ask for confirmation, then remove the app."""
    user = current_user(request)
    app = authenticators.totp_of(user)
    if app is None:
        raise NotFound
    problem, status = "", 200
    if request.method == "POST":
        try:
            authenticators.remove_totp(user)
            return redirect_with_notice("accounts:profile", "factor-removed")
        except FactorNeeded as error:
            problem, status = error.message, error.status
    is_last = user.authenticators.count() == 1
    context = {"app": app, "is_last": is_last, "problem": problem}
    return render(request, "accounts/app_remove.html", context, status=status)


@secret_page
@login_required
@require_recent_authentication_to_post
@once("accounts:profile")
@get_or_post
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Show a new set once; POST creates one."""
    user = current_user(request)
    if not second_factors.has_factor(user):
        return redirect("accounts:profile")
    if request.method == "POST":
        totp_setup.make_codes(request, user)
        return see_other(reverse("mfa:recovery-codes"))
    context = {
        "codes": flash_secrets.take(request.session),
        "remaining": second_factors.remaining_codes(user),
        "today": timezone.now(),
        "next": safe_next(request) or reverse("accounts:profile"),
    }
    return render(request, "accounts/recovery_codes.html", context)


@secret_page
@login_required
@require_POST
def download_codes(request: HttpRequest) -> HttpResponse:
    """The codes of the form as a text file. They come from the page, because no copy is kept."""
    codes = read_list(request.POST.get("codes", ""))
    context = {"codes": codes, "today": timezone.now()}
    text = render_to_string("accounts/recovery_codes.txt", context, request)
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="recovery-codes.txt"'
    return response


@login_required
@replayable
@require_POST
def forget_browser(request: HttpRequest, browser_id: uuid.UUID) -> HttpResponse:
    """End the trust in one browser."""
    user = current_user(request)
    trusted_browsers.forget(actor=user, user=user, browser_id=browser_id)
    return redirect_with_notice("accounts:profile", "browser-forgotten")
