"""The second step of a sign-in: ask for the factor, or set up the first one.

There is no authenticated session yet; see accounts.sign_in.stages.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.services import second_factors
from accounts.sign_in.stages import cancel
from accounts.views.common import (
    bound_data,
    form_page,
    get_or_post,
    redirect_with_notice,
    signed_in,
)
from core.web.redirects import see_other
from mfa import trusted_browsers
from mfa.forms import SecondFactorForm, TOTPSetupForm
from mfa.services import passkeys
from mfa.stages import SecondFactorStage, pending_stage
from mfa.views import totp_setup
from mfa.views.verification import kinds_of, verify_by_form


@never_cache
@get_or_post
def verify(request: HttpRequest) -> HttpResponse:
    """Verify a code of the app, a recovery code or a passkey, then start the session."""
    stage = pending_stage(request)
    if stage is None:
        return _nothing_pending(request)
    if not second_factors.has_factor(stage.user):
        return redirect("mfa:second-factor-set-up")
    form = SecondFactorForm(bound_data(request))
    method = verify_by_form(request, stage.user, form, purpose=passkeys.SECOND_FACTOR)
    if method:
        return _enter(request, stage, method, remember=form.cleaned_data["remember"])
    return form_page(request, "accounts/second_factor.html", form, **kinds_of(stage.user))


@never_cache
@get_or_post
def set_up(request: HttpRequest) -> HttpResponse:
    """Set up the first factor, which the role requires, then start the session."""
    stage = pending_stage(request)
    if stage is None:
        return _nothing_pending(request)
    if second_factors.has_factor(stage.user):
        return redirect("mfa:second-factor")
    user = stage.user
    form, offered = TOTPSetupForm(bound_data(request)), totp_setup.offer(request, user)
    if totp_setup.confirm_by_form(request, user, form, offered):
        return set_up_done(stage, "totp")
    template = "accounts/second_factor_set_up.html"
    return form_page(request, template, form, offered=offered, email=user.email)


def set_up_done(stage: SecondFactorStage, method: str) -> HttpResponse:
    """Start the session after the set-up; leads to the recovery codes first."""
    entered = stage.complete(method)
    query = urlencode({"next": entered.get("Location", "")})
    response = see_other(f"{reverse('mfa:recovery-codes')}?{query}")
    response.cookies.update(entered.cookies)
    return response


@require_POST
def cancel_sign_in(request: HttpRequest) -> HttpResponse:
    """Cancel the pending sign-in."""
    cancel(request)
    return redirect_with_notice("account_login", "signed-out")


def _enter(
    request: HttpRequest, stage: SecondFactorStage, method: str, *, remember: bool
) -> HttpResponse:
    response = stage.complete(method)
    if remember:
        trusted_browsers.remember(request, response, stage.user)
    return response


def _nothing_pending(request: HttpRequest) -> HttpResponse:
    """No pending sign-in: it has ended, or a double click has completed it."""
    if signed_in(request) is not None:
        return see_other(reverse("accounts:profile"))
    return redirect_with_notice("account_login", "second-factor-over")
