"""The second step of a sign-in: ask for the factor, or have one set up where the role needs it.

Whoever comes here has no session yet; see accounts.stages.
"""

from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts import remembered
from accounts.destinations import see_other
from accounts.errors import RateLimited, RecordInvalid
from accounts.factor_forms import NewAppForm, SecondFactorForm
from accounts.forms import is_valid_with
from accounts.limits import count_guess, forgive_guess
from accounts.services import authenticators, passkeys
from accounts.stages import SecondFactorStage, cancel, pending
from accounts.views import enrolment
from accounts.views.common import posted, redirect_with_notice, signed_in
from accounts.views.entrance import get_or_post
from accounts.views.proofs import prove_by_form


@never_cache
@get_or_post
def ask(request: HttpRequest) -> HttpResponse:
    """A code of the app, a recovery code or a passkey; then the session starts."""
    stage = pending(request)
    if stage is None:
        return _over(request)
    if not authenticators.has_factor(stage.person):
        return redirect("accounts:second-factor-set-up")
    form, status = SecondFactorForm(posted(request)), 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            method, status = prove_by_form(
                request, stage.person, form, purpose=passkeys.SECOND_FACTOR
            )
            if method:
                return _enter(request, stage, method, remember=form.cleaned_data["remember"])
    context = {"form": form, **_factors(stage)}
    return render(request, "accounts/second_factor.html", context, status=status)


@never_cache
@get_or_post
def set_up(request: HttpRequest) -> HttpResponse:
    """The role needs a factor and there is none: set one up, then get in."""
    stage = pending(request)
    if stage is None:
        return _over(request)
    if authenticators.has_factor(stage.person):
        return redirect("accounts:second-factor")
    user = stage.person
    form, status = NewAppForm(posted(request)), 200
    offered = enrolment.offer(request, user)
    if request.method == "POST":
        status = 400
        try:
            if is_valid_with(form, partial(enrolment.check, request, user, offered)):
                count_guess(request, user)
                enrolment.confirm(request, user, offered, **form.cleaned_data)
                forgive_guess(request, user)
                return set_up_done(stage, "totp")
        except RateLimited as error:
            form.add_error(None, error.message)
            status = error.status
        except RecordInvalid as error:
            form.add_service_errors(error)
    context = {"form": form, "offered": offered, "email": user.email}
    return render(request, "accounts/second_factor_set_up.html", context, status=status)


def set_up_done(stage: SecondFactorStage, method: str) -> HttpResponse:
    """The first factor is there: start the session and show the recovery codes, then go on."""
    entered = stage.passed(method)
    query = urlencode({"next": entered.get("Location", "")})
    response = see_other(f"{reverse('accounts:recovery-codes')}?{query}")
    response.cookies.update(entered.cookies)
    return response


@require_POST
def cancel_sign_in(request: HttpRequest) -> HttpResponse:
    """Wipe the unfinished sign-in."""
    cancel(request)
    return redirect_with_notice("account_login", "signed-out")


def _enter(
    request: HttpRequest, stage: SecondFactorStage, method: str, *, remember: bool
) -> HttpResponse:
    response = stage.passed(method)
    if remember:
        remembered.remember(request, response, stage.person)
    return response


def _factors(stage: SecondFactorStage) -> dict[str, object]:
    kinds = set(stage.person.authenticators.values_list("kind", flat=True))
    return {"has_app": "totp" in kinds, "has_passkey": "passkey" in kinds}


def _over(request: HttpRequest) -> HttpResponse:
    """Nobody waits here: the sign-in has ended, or the first half of a double click let them in."""
    if signed_in(request) is not None:
        return see_other(reverse("accounts:profile"))
    return redirect_with_notice("account_login", "second-factor-over")
