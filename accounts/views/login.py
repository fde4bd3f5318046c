"""The sign-in and sign-out pages."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.account_sources import account_sources
from accounts.forms import LinkForm, SignInForm
from accounts.models import User
from accounts.rate_limits import check_rate_limit, note_outage
from accounts.services import first_run, signup
from accounts.services.credentials import find_by_credentials
from accounts.services.sessions import end_this_session, note_refused_sign_in
from accounts.sessions import known_devices
from accounts.sign_in.detours import session_id_of, with_detours
from accounts.sign_in.stages import cancel
from accounts.views.common import (
    complete_login,
    form_page,
    get_or_post,
    is_stale,
    prefilled,
    redirect_with_notice,
    safe_next,
    show_service_errors,
)
from accounts.views.passwords import require_password_login
from core.errors import BadCredentials, Forbidden, RateLimited, SourceUnavailable, TokenInvalid
from core.web.redirects import see_other

# As long as an address may be.
MAX_HINT = 254


def home(request: HttpRequest) -> HttpResponse:
    """`/`: the account page, or the sign-in page."""
    return redirect("accounts:profile" if request.user.is_authenticated else "account_login")


@get_or_post
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in by password. The admin uses this page too."""
    if request.method != "POST":
        if request.user.is_authenticated:
            return _already_signed_in(request)
        hint = request.GET.get("login_hint", "")[:MAX_HINT]
        initial = prefilled(request, next=safe_next(request), login=hint)
        form = SignInForm(initial=initial, asks={"setup_code": False})
        page = _sign_in_page(request, form)
        return page if is_stale(request) else _source_redirect(request) or page
    require_password_login()
    form = SignInForm(request.POST, asks={"setup_code": "setup_code" in request.POST})
    if form.is_valid():
        with show_service_errors(form, shown=RateLimited):
            check_rate_limit(request, "sign-in", form.cleaned_data["login"])
    return _sign_in_page(request, form) if form.errors else _sign_in(request, form)


def _sign_in(request: HttpRequest, form: SignInForm) -> HttpResponse:
    """Sign in with what was typed, or lead to the set-up of a new instance."""
    login, password = form.cleaned_data["login"], form.cleaned_data["password"]
    if first_run.is_well_known_sign_in(request, login, password):
        return _to_set_up(login)
    if first_run.waits_for_code(login, password):
        return _ask_code(request, login, form.cleaned_data.get("setup_code", ""))
    try:
        found = find_by_credentials(request, login, password)
    except (SourceUnavailable, Forbidden) as error:
        if isinstance(error, SourceUnavailable):
            note_outage("sign-in")
        # Forbidden: the directory has this user, but they may not have an account here.
        form.refuse(error)
        return _sign_in_page(request, form)
    if found is None:
        note_refused_sign_in(login, ["password"])
        form.refuse(BadCredentials())
        return _sign_in_page(request, form)
    return complete_login(request, found.user, method=found.method, next_url=safe_next(request))


def _ask_code(request: HttpRequest, login: str, code: str) -> HttpResponse:
    """Ask for the printed set-up code: the published default password is not enough remotely."""
    if code and first_run.is_setup_code(code):
        return see_other(reverse("accounts:set-up", args=[code.strip()]))
    note_refused_sign_in(login, ["password"])
    form = SignInForm(request.POST)
    text = _("This is not the set-up code that the server printed at its start.")
    form.refuse(BadCredentials(text if code else _("Type the set-up code.")), "setup_code")
    return _sign_in_page(request, form)


def _already_signed_in(request: HttpRequest) -> HttpResponse:
    """Redirect a signed-in user onwards, and keep the notice."""
    notice = request.GET.get("notice", "")
    next_url = safe_next(request)
    if notice and not next_url:
        return redirect_with_notice("accounts:profile", notice)
    return redirect(next_url or "accounts:profile")


def _sign_in_page(request: HttpRequest, form: SignInForm) -> HttpResponse:
    context = {
        "link_form": LinkForm(initial={"next": safe_next(request)}, auto_id="link_%s"),
        "next": safe_next(request),
        "notice": request.GET.get("notice", ""),
        "allow_password": settings.ALLOW_EMAIL_LOGIN,
        "allow_link": settings.ALLOW_MAGIC_LINK_LOGIN,
        "allow_registration": settings.ALLOW_REGISTRATION,
        "allow_reset": settings.ALLOW_PASSWORD_RESET,
        "needs_first_admin": settings.ALLOW_REGISTRATION and signup.needs_first_admin(),
        "denial": _denial_of_known_user(request),
    }
    return form_page(request, "accounts/sign_in.html", form, **context)


def _denial_of_known_user(request: HttpRequest) -> access_policy.DenialReason | None:
    """Why a user who has signed in with this browser before may not sign in now, if temporary."""
    denials = (access_policy.get_denial(user) for user in known_devices.users_of(request))
    return next((denial for denial in denials if denial and denial.since), None)


def _to_set_up(login: str) -> HttpResponse:
    issued = first_run.issue_setup_link(User.objects.with_login(login).get())
    if issued is None:
        raise TokenInvalid
    return see_other(reverse("accounts:set-up", args=[issued.token]))


@get_or_post
def sign_out(request: HttpRequest) -> HttpResponse:
    """GET asks for confirmation; POST ends the session of this browser and redirects to `next`."""
    if not request.user.is_authenticated:
        if request.method == "POST":
            cancel(request)
            if not safe_next(request):
                return _signed_out(redirect_with_notice("account_login", "signed-out"))
        return _signed_out(redirect(safe_next(request) or "account_login"))
    if request.method != "POST":
        return render(request, "accounts/sign_out.html", {"next": safe_next(request)})
    prepared = [(source, source.prepare_sign_out(request)) for source in account_sources()]
    session_id = session_id_of(request)
    end_this_session(request)
    for source, before in prepared:
        response = source.sign_out_redirect(request, before)
        if response is not None:
            return _signed_out(response)
    url = safe_next(request)
    done = see_other(url) if url else redirect_with_notice("account_login", "signed-out")
    return _signed_out(with_detours(done, session_id))


def _signed_out(response: HttpResponse) -> HttpResponse:
    for source in account_sources():
        response = source.after_sign_out(response)
    return response


def _source_redirect(request: HttpRequest) -> HttpResponse | None:
    """The redirect by which an account source replaces the sign-in page, if any."""
    found = (source.sign_in_redirect(request) for source in account_sources())
    return next((response for response in found if response is not None), None)
