"""The sign-in and sign-out pages."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import access_policy, known_devices
from accounts.account_sources import account_sources
from accounts.forms import (
    LinkForm,
    SignInForm,
)
from accounts.models import User
from accounts.rate_limits import check_rate_limit, note_outage
from accounts.services import first_run, signup
from accounts.services.credentials import find_by_credentials
from accounts.services.sessions import end_this_session, note_refused_sign_in
from accounts.sign_in_stages import cancel
from accounts.views.common import (
    complete_login,
    get_or_post,
    is_stale,
    prefilled,
    redirect_with_notice,
    safe_next,
    see_other,
)
from core.errors import (
    BadCredentials,
    FeatureClosed,
    Forbidden,
    RateLimited,
    SourceUnavailable,
    TokenInvalid,
)


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
        return page if is_stale(request) else _elsewhere(request) or page
    if not settings.ALLOW_EMAIL_LOGIN:
        raise FeatureClosed(_("Sign-in by password is switched off here."))
    form = SignInForm(request.POST, asks_code="setup_code" in request.POST)
    if not form.is_valid():
        return _sign_in_page(request, form, status=400)
    login, password = form.cleaned_data["login"], form.cleaned_data["password"]
    try:
        check_rate_limit(request, "sign-in", login)
    except RateLimited as error:
        form.add_error(None, error.message)
        response = _sign_in_page(request, form, status=429)
        response["Retry-After"] = str(error.retry_after_seconds)
        return response
    if first_run.is_well_known_sign_in(request, login, password):
        return _to_set_up(login)
    if first_run.waits_for_code(login, password):
        return _ask_code(request, login, form.cleaned_data.get("setup_code", ""))
    return _try_credentials(request, form, login, password)


def _ask_code(request: HttpRequest, login: str, code: str) -> HttpResponse:
    """The published password, and perhaps from elsewhere: the printed code opens the set-up."""
    if code and first_run.is_setup_code(code):
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
    except (SourceUnavailable, Forbidden) as error:
        if isinstance(error, SourceUnavailable):
            note_outage("sign-in")
        # Forbidden: the directory knows the person, but there is no account for him here.
        form.add_error(None, error.message)
        return _sign_in_page(request, form, status=error.status)
    if found is None:
        note_refused_sign_in(login, ["password"])
        form.add_error(None, BadCredentials().message)
        return _sign_in_page(request, form, status=401)
    return complete_login(request, found.user, method=found.method, next_url=safe_next(request))


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
        "needs_first_admin": settings.ALLOW_REGISTRATION and signup.needs_first_admin(),
        "shut": _shut_out(request),
    }
    return render(request, "accounts/sign_in.html", context, status=status)


def _shut_out(request: HttpRequest) -> access_policy.DenialReason | None:
    """Why somebody who was signed in with this browser is so no more, when it lasts for a time."""
    found = (access_policy.get_denial(user) for user in known_devices.people_of(request))
    return next((each for each in found if each and each.since), None)


def _to_set_up(login: str) -> HttpResponse:
    issued = first_run.issue_setup_link(User.objects.with_login(login).get())
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
            return _signed_out(redirect_with_notice("account_login", "signed-out"))
        if request.method == "POST":
            cancel(request)
        return _signed_out(redirect(next_url or "account_login"))
    if request.method != "POST":
        return render(request, "accounts/sign_out.html", {"next": safe_next(request)})
    prepared = [(source, source.prepare_sign_out(request)) for source in account_sources()]
    end_this_session(request)
    for source, before in prepared:
        elsewhere = source.sign_out_redirect(request, before)
        if elsewhere is not None:
            return _signed_out(elsewhere)
    next_url = safe_next(request)
    if next_url:
        return _signed_out(see_other(next_url))
    return _signed_out(redirect_with_notice("account_login", "signed-out"))


def _signed_out(response: HttpResponse) -> HttpResponse:
    for source in account_sources():
        response = source.after_sign_out(response)
    return response


def _elsewhere(request: HttpRequest) -> HttpResponse | None:
    """Where an account source sends strangers instead of the sign-in page."""
    found = (source.sign_in_redirect(request) for source in account_sources())
    return next((response for response in found if response is not None), None)
