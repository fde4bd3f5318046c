"""The pages of people who are not in yet: sign in, up and out, forgotten password, set-up."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import devices, gates
from accounts.browser import PURPOSE as BROWSER
from accounts.browser import bind, browser_id
from accounts.client import is_this_machine
from accounts.destinations import see_other
from accounts.directory.failures import DirectoryError
from accounts.errors import (
    BadCredentials,
    FeatureClosed,
    Forbidden,
    RateLimited,
    RecordInvalid,
    TokenInvalid,
)
from accounts.forms import (
    ForgotForm,
    LinkForm,
    NewPasswordForm,
    SetUpForm,
    SignInForm,
    SignUpForm,
    is_valid_with,
)
from accounts.limits import count_try, note_outage
from accounts.methods import SignInMethod
from accounts.models import AccountToken, AddressRequest, User
from accounts.oidc.flow import leave, stay_signed_out, to_usual_provider
from accounts.oidc.signout import way_out
from accounts.passwords import check_password_rules
from accounts.services import setup, signup
from accounts.services.directory import find_by_credentials
from accounts.services.passwords import reset_password
from accounts.services.requests import note_request
from accounts.services.sessions import end_this_session, note_refused_sign_in
from accounts.services.tokens import usable_token
from accounts.stages import cancel
from accounts.tokens import digest
from accounts.views.common import (
    enter,
    is_stale,
    link_over,
    posted,
    prefilled,
    redirect_with_notice,
    safe_next,
    secret_page,
    signed_in,
)

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


def home(request: HttpRequest) -> HttpResponse:
    """`/`: the account page, or the sign-in page."""
    return redirect("accounts:profile" if request.user.is_authenticated else "account_login")


@get_or_post
def sign_in(request: HttpRequest) -> HttpResponse:
    """The one form that starts sessions, for the admin panel too."""
    if request.method != "POST":
        if request.user.is_authenticated:
            return _in_already(request)
        form = SignInForm(initial=prefilled(request, next=safe_next(request)))
        page = _sign_in_page(request, form)
        return page if is_stale(request) else to_usual_provider(request) or page
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    form = SignInForm(request.POST, asks_code="setup_code" in request.POST)
    if not form.is_valid():
        return _sign_in_page(request, form, status=400)
    login, password = form.cleaned_data["login"], form.cleaned_data["password"]
    try:
        count_try(request, "sign-in", login)
    except RateLimited as error:
        form.add_error(None, error.message)
        response = _sign_in_page(request, form, status=429)
        response["Retry-After"] = str(error.retry_after_seconds)
        return response
    if setup.is_well_known_sign_in(request, login, password):
        return _to_set_up(login)
    if setup.waits_for_code(login, password):
        return _ask_code(request, login, form.cleaned_data.get("setup_code", ""))
    return _try_credentials(request, form, login, password)


def _ask_code(request: HttpRequest, login: str, code: str) -> HttpResponse:
    """The published password, and perhaps from elsewhere: the printed code opens the set-up."""
    if code and setup.is_setup_code(code):
        return see_other(reverse("accounts:set-up", args=[code.strip()]))
    note_refused_sign_in(login, ["password"])
    form = SignInForm(request.POST, asks_code=True)
    text = _("This is not the set-up code that the server printed at its start.")
    form.add_error("setup_code", text if code else _("Type the set-up code."))
    return _sign_in_page(request, form, status=401)


def _in_already(request: HttpRequest) -> HttpResponse:
    """Where somebody who is signed in goes from here; a message goes along."""
    notice = request.GET.get("notice", "")
    next_url = safe_next(request)
    if notice and not next_url:
        return redirect_with_notice("accounts:profile", notice)
    return redirect(next_url or "accounts:profile")


def _try_credentials(
    request: HttpRequest, form: SignInForm, login: str, password: str
) -> HttpResponse:
    try:
        found = find_by_credentials(login, password)
    except (DirectoryError, Forbidden) as error:
        if isinstance(error, DirectoryError):
            note_outage("sign-in")
        # Forbidden: the directory knows the person, but there is no account for him here.
        form.add_error(None, error.message)
        return _sign_in_page(request, form, status=error.status)
    if found is None:
        note_refused_sign_in(login, ["password"])
        form.add_error(None, BadCredentials().message)
        return _sign_in_page(request, form, status=401)
    return enter(request, found.user, method=found.method, next_url=safe_next(request))


def _sign_in_page(request: HttpRequest, form: SignInForm, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "link_form": LinkForm(initial={"next": safe_next(request)}, auto_id="link_%s"),
        "next": safe_next(request),
        "notice": request.GET.get("notice", ""),
        "allow_password": settings.ALLOW_EMAIL_LOGIN,
        "allow_link": settings.ALLOW_MAGIC_LINK_LOGIN,
        "allow_registration": settings.ALLOW_REGISTRATION,
        "allow_reset": settings.ALLOW_PASSWORD_RESET,
        "is_fresh": settings.ALLOW_REGISTRATION and signup.is_fresh(),
        "shut": _shut_out(request),
    }
    return render(request, "accounts/sign_in.html", context, status=status)


def _shut_out(request: HttpRequest) -> gates.Refusal | None:
    """Why somebody who was signed in with this browser is so no more, when it lasts for a time."""
    found = (gates.refusal(user) for user in devices.people_of(request))
    return next((each for each in found if each and each.since), None)


def _to_set_up(login: str) -> HttpResponse:
    issued = setup.issue_setup_link(User.objects.with_login(login).get())
    if issued is None:
        raise TokenInvalid
    return see_other(reverse("accounts:set-up", args=[issued.token]))


@get_or_post
def sign_out(request: HttpRequest) -> HttpResponse:
    """GET asks, POST ends the session of this browser; `next` is where it leads then."""
    if not request.user.is_authenticated:
        next_url = safe_next(request)
        if request.method == "POST" and not next_url:
            cancel(request)
            return stay_signed_out(redirect_with_notice("account_login", "signed-out"))
        if request.method == "POST":
            cancel(request)
        return stay_signed_out(redirect(next_url or "account_login"))
    if request.method != "POST":
        return render(request, "accounts/sign_out.html", {"next": safe_next(request)})
    further = way_out(request)
    end_this_session(request)
    if further:
        return stay_signed_out(leave(request, further.url, further.provider))
    next_url = safe_next(request)
    if next_url:
        return stay_signed_out(see_other(next_url))
    return stay_signed_out(redirect_with_notice("account_login", "signed-out"))


@get_or_post
def sign_up(request: HttpRequest) -> HttpResponse:
    """A new account; the answer is the same whether or not the address has one already."""
    if request.user.is_authenticated:
        return redirect("accounts:profile")
    if not settings.ALLOW_REGISTRATION:
        return render(request, "accounts/sign_up_closed.html", status=403)
    is_fresh = signup.is_fresh()
    needs_code = is_fresh and not settings.FIRST_ACCOUNT_OPEN and not is_this_machine(request)
    form = SignUpForm(
        posted(request),
        needs_code=needs_code,
        needs_password=settings.ALLOW_EMAIL_LOGIN,
        initial=prefilled(request, next=safe_next(request)),
    )
    if not is_valid_with(form, lambda typed: _check_sign_up(request, typed)):
        status = 400 if request.method == "POST" else 200
        return _sign_up_page(request, form, is_fresh=is_fresh, status=status)
    count_try(request, "sign-up", form.cleaned_data["email"])
    details = signup.SignUp(
        form.cleaned_data["email"], form.cleaned_data["name"], form.cleaned_data.get("password")
    )
    try:
        return _sign_up(request, details, code=form.cleaned_data.get("setup_code", ""))
    except RecordInvalid as error:
        form.add_service_errors(error)
        return _sign_up_page(request, form, is_fresh=is_fresh, status=400)


def _check_sign_up(request: HttpRequest, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for what the service will object to in a form that is wrong elsewhere."""
    if "setup_code" in typed:
        count_try(request, "sign-up", typed.get("email", ""))
        signup.check_code(typed["setup_code"])
    if "password" in typed:
        newcomer = User(email=typed.get("email", ""), name=typed.get("name", ""))
        check_password_rules(typed["password"], newcomer)


def _sign_up(request: HttpRequest, details: signup.SignUp, *, code: str) -> HttpResponse:
    if signup.is_fresh():
        first = signup.sign_up_first(
            details, set_up_code=code, is_this_machine=is_this_machine(request)
        )
        if first is not None:
            return enter(request, first, method=SignInMethod.PASSWORD, next_url=safe_next(request))
    value = browser_id(request)
    signup.request_sign_up(details, binding=digest(BROWSER, value))
    response = render(request, "accounts/sign_up_sent.html", {"email": details.email})
    bind(request, response, value)
    return response


def _sign_up_page(
    request: HttpRequest, form: SignUpForm, *, is_fresh: bool, status: int
) -> HttpResponse:
    context = {"form": form, "is_fresh": is_fresh, "next": safe_next(request)}
    return render(request, "accounts/sign_up.html", context, status=status)


@get_or_post
def forgot_password(request: HttpRequest) -> HttpResponse:
    """Ask for a reset link; the answer never tells whether the account exists."""
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    if not settings.ALLOW_PASSWORD_RESET:
        raise FeatureClosed(_("Password resets by mail are switched off here. Ask an operator."))
    form = ForgotForm(posted(request), initial=prefilled(request))
    if request.method != "POST" or not form.is_valid():
        status = 400 if request.method == "POST" else 200
        return render(request, "accounts/password_forgot.html", {"form": form}, status=status)
    email = form.cleaned_data["email"]
    count_try(request, "reset-password", email)
    value = browser_id(request)
    note_request(AddressRequest.Kind.RESET_PASSWORD, email=email, binding=digest(BROWSER, value))
    response = render(request, "accounts/password_forgot_sent.html", {"email": email})
    bind(request, response, value)
    return response


@secret_page
@get_or_post
def reset(request: HttpRequest, token: str) -> HttpResponse:
    """Choose a new password; only the POST uses the link. Signs nobody in."""
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    form = NewPasswordForm(posted(request))
    try:
        row = usable_token(AccountToken.Purpose.RESET_PASSWORD, token)
        if request.method == "POST" and form.is_valid():
            reset_password(token, form.cleaned_data["password"])
            return _after_reset(request, row.user)
    except TokenInvalid as error:
        return link_over(request, error)
    except RecordInvalid as error:
        form.add_service_errors(error)
    status = 400 if request.method == "POST" else 200
    context = {"form": form, "account": row.user.email}
    return render(request, "accounts/password_reset.html", context, status=status)


def _after_reset(request: HttpRequest, user: User) -> HttpResponse:
    """All sessions of `user` have ended; somebody else who is signed in stays so."""
    here = signed_in(request)
    if here is not None and here.pk != user.pk:
        return redirect_with_notice("accounts:profile", "password-changed-other")
    return redirect_with_notice("account_login", "password-changed")


@secret_page
@get_or_post
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """The printed one-time link: choose address and password, become owner."""
    try:
        owner = setup.find_setup(token)
        form = SetUpForm(
            posted(request),
            needs_password=settings.ALLOW_EMAIL_LOGIN,
            initial=prefilled(request),
        )
        if is_valid_with(form, lambda typed: setup.check_owner(owner, typed)):
            details = signup.SignUp(
                form.cleaned_data["email"],
                form.cleaned_data["name"],
                form.cleaned_data.get("password"),
            )
            owner = setup.claim_owner(token, details)
            return enter(request, owner, method=SignInMethod.SET_UP)
    except TokenInvalid as error:
        return link_over(request, error)
    except RecordInvalid as error:
        form.add_service_errors(error)
    status = 400 if request.method == "POST" else 200
    return render(request, "accounts/set_up.html", {"form": form}, status=status)
