"""The pages that create an account: sign-up, and the set-up of the first owner."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.forms import (
    SetUpForm,
    SignUpForm,
    is_valid_with,
)
from accounts.link_binding import PURPOSE as BROWSER
from accounts.link_binding import bind, browser_id
from accounts.models import User
from accounts.passwords import check_password_rules
from accounts.rate_limits import check_rate_limit
from accounts.services import first_run, signup
from accounts.sign_in_methods import SignInMethod
from accounts.views.common import (
    bound_data,
    complete_login,
    get_or_post,
    prefilled,
    safe_next,
    secret_page,
    unusable_link,
)
from core.client_ip import is_localhost
from core.errors import (
    RecordInvalid,
    TokenInvalid,
)
from core.tokens import digest


@get_or_post
def sign_up(request: HttpRequest) -> HttpResponse:
    """A new account; the answer is the same whether or not the address has one already."""
    if request.user.is_authenticated:
        return redirect("accounts:profile")
    if not settings.ALLOW_REGISTRATION:
        return render(request, "accounts/sign_up_closed.html", status=403)
    needs_first_admin = signup.needs_first_admin()
    needs_code = needs_first_admin and not settings.FIRST_ACCOUNT_OPEN and not is_localhost(request)
    form = SignUpForm(
        bound_data(request),
        needs_code=needs_code,
        needs_password=settings.ALLOW_EMAIL_LOGIN,
        initial=prefilled(request, next=safe_next(request)),
    )
    if not is_valid_with(form, lambda typed: _check_sign_up(request, typed)):
        status = 400 if request.method == "POST" else 200
        return _sign_up_page(request, form, needs_first_admin=needs_first_admin, status=status)
    check_rate_limit(request, "sign-up", form.cleaned_data["email"])
    details = signup.SignUp(
        form.cleaned_data["email"], form.cleaned_data["name"], form.cleaned_data.get("password")
    )
    try:
        return _sign_up(request, details, code=form.cleaned_data.get("setup_code", ""))
    except RecordInvalid as error:
        form.add_service_errors(error)
        return _sign_up_page(request, form, needs_first_admin=needs_first_admin, status=400)


def _check_sign_up(request: HttpRequest, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for what the service will object to in a form that is wrong elsewhere."""
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
    value = browser_id(request)
    signup.request_sign_up(details, binding=digest(BROWSER, value))
    response = render(request, "accounts/sign_up_sent.html", {"email": details.email})
    bind(request, response, value)
    return response


def _sign_up_page(
    request: HttpRequest, form: SignUpForm, *, needs_first_admin: bool, status: int
) -> HttpResponse:
    context = {"form": form, "needs_first_admin": needs_first_admin, "next": safe_next(request)}
    return render(request, "accounts/sign_up.html", context, status=status)


@secret_page
@get_or_post
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """The printed one-time link: choose address and password, become owner."""
    try:
        owner = first_run.find_setup(token)
        form = SetUpForm(
            bound_data(request),
            needs_password=settings.ALLOW_EMAIL_LOGIN,
            initial=prefilled(request),
        )
        if is_valid_with(form, lambda typed: first_run.check_owner(owner, typed)):
            details = signup.SignUp(
                form.cleaned_data["email"],
                form.cleaned_data["name"],
                form.cleaned_data.get("password"),
            )
            owner = first_run.claim_owner(token, details)
            return complete_login(request, owner, method=SignInMethod.SET_UP)
    except TokenInvalid as error:
        return unusable_link(request, error)
    except RecordInvalid as error:
        form.add_service_errors(error)
    status = 400 if request.method == "POST" else 200
    return render(request, "accounts/set_up.html", {"form": form}, status=status)
