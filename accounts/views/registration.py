"""The pages that create an account: sign-up, and the set-up of the first owner."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url

from accounts.forms import SetUpForm, SignUpForm, is_valid_with
from accounts.models import User
from accounts.passwords import check_password_rules
from accounts.rate_limits import check_rate_limit
from accounts.services import first_run, signup
from accounts.sessions.link_binding import bind_browser
from accounts.sign_in.methods import SignInMethod
from accounts.views.common import (
    bound_data,
    complete_login,
    form_page,
    get_or_post,
    link_page,
    prefilled,
    safe_next,
    show_service_errors,
)
from core.web.client_ip import is_localhost


@get_or_post
def sign_up(request: HttpRequest) -> HttpResponse:
    """Create an account; the answer is the same whether or not the address already has one."""
    if request.user.is_authenticated:
        return redirect("accounts:profile")
    if not settings.ALLOW_REGISTRATION:
        return render(request, "accounts/sign_up_closed.html", status=403)
    needs_first_admin = signup.needs_first_admin()
    needs_code = needs_first_admin and not settings.FIRST_ACCOUNT_OPEN and not is_localhost(request)
    form = SignUpForm(
        bound_data(request),
        asks={"setup_code": needs_code, "password": settings.ALLOW_EMAIL_LOGIN},
        initial=prefilled(request, next=safe_next(request)),
    )
    if is_valid_with(form, lambda typed: _check_sign_up(request, typed)):
        check_rate_limit(request, "sign-up", form.cleaned_data["email"])
        with show_service_errors(form):
            code = form.cleaned_data.get("setup_code", "")
            return _sign_up(request, _details(form), code=code)
    return form_page(
        request,
        "accounts/sign_up.html",
        form,
        needs_first_admin=needs_first_admin,
        next=safe_next(request),
    )


def _details(form: SignUpForm | SetUpForm) -> signup.SignUp:
    typed = form.cleaned_data
    return signup.SignUp(typed["email"], typed["name"], typed.get("password"))


def _check_sign_up(request: HttpRequest, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for what the service would refuse in a form that has other errors."""
    if "setup_code" in typed:
        check_rate_limit(request, "sign-up", typed.get("email", ""))
        signup.check_code(typed["setup_code"])
    if "password" in typed:
        newcomer = User(email=typed.get("email", ""), name=typed.get("name", ""))
        check_password_rules(typed["password"], newcomer)


def _sign_up(request: HttpRequest, details: signup.SignUp, *, code: str) -> HttpResponse:
    if signup.needs_first_admin():
        first = signup.sign_up_first(details, set_up_code=code, is_localhost=is_localhost(request))
        if first is not None:
            return complete_login(
                request, first, method=SignInMethod.PASSWORD, next_url=safe_next(request)
            )
    binding = bind_browser(request)
    signup.request_sign_up(details, binding=binding.digest)
    sent = render(request, "accounts/sign_up_sent.html", {"email": details.email})
    return binding.keep_in(sent)


@link_page
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """Choose the first owner's address and password, by the one-time link that is printed."""
    owner = first_run.find_setup(token)
    form = SetUpForm(
        bound_data(request),
        asks={"password": settings.ALLOW_EMAIL_LOGIN},
        initial=prefilled(request),
    )
    if is_valid_with(form, lambda typed: first_run.check_owner(owner, typed)):
        with show_service_errors(form):
            owner = first_run.claim_owner(token, _details(form))
            following = resolve_url(settings.SETUP_REDIRECT_URL)
            return complete_login(request, owner, method=SignInMethod.SET_UP, next_url=following)
    return form_page(request, "accounts/set_up.html", form)
