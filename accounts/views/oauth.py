"""`/oauth/<provider>/login` and `/callback`: from a button to a provider and back."""

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.csrf import csrf_exempt

from accounts import audit, gates, stages
from accounts.client import client_ip
from accounts.destinations import is_safe_destination, see_other
from accounts.errors import GatehouseError
from accounts.limits import CALLBACK, PROVIDER, count_try, has_room
from accounts.methods import SignInMethod
from accounts.oidc.connect import OpenIDConnect
from accounts.oidc.errors import SignInFailed
from accounts.oidc.flow import begin, flow_of, register
from accounts.oidc.pending import (
    CONNECT,
    SIGN_IN,
    NotBegunHere,
    Pending,
    destination_of,
    forget,
    keep_destination,
    take,
)
from accounts.oidc.signout import remember_way_out
from accounts.providers import OIDC, Provider, configured, find
from accounts.services import identities
from accounts.services.identities import (
    AccountExists,
    Arrival,
    EmailMissing,
    GroupsUnknown,
    IdentityTaken,
    RoleRequired,
)
from accounts.services.signup import RegistrationClosed
from accounts.views.common import enter, person, redirect_with_notice, safe_next, secret_page
from accounts.views.entrance import get_or_post

register(OIDC, OpenIDConnect())

# What a form_post answer may hold (Apple's `user` is the name, told once).
ANSWER = ("code", "state", "error", "iss", "user")
LONGEST_ANSWER = 6000
# What the person said himself, or could have.
CANCELLED = ("access_denied", "user_cancelled_login", "user_cancelled_authorize")
# OpenID Connect Core, section 3.1.2.6; RFC 6749, section 4.1.2.1.
PROVIDER_ERRORS = {
    **dict.fromkeys(CANCELLED, "cancelled"),
    "login_required": "sign_in_there",
    "account_selection_required": "sign_in_there",
    "consent_required": "sign_in_there",
    "interaction_required": "sign_in_there",
    "temporarily_unavailable": "provider_busy",
}
# These leave their own audit row.
NOTED = (RoleRequired, GroupsUnknown, AccountExists, IdentityTaken)
FAILURES = (SignInFailed, *NOTED, EmailMissing, RegistrationClosed)


@get_or_post
def start(request: HttpRequest, provider: str) -> HttpResponse:
    """POST goes to the provider; GET shows one button, so that no link starts a sign-in."""
    found = find(provider)
    if request.user.is_authenticated:
        return redirect(safe_next(request) or "accounts:profile")
    if request.method != "POST":
        context = {"provider": found, "next": safe_next(request)}
        return render(request, "accounts/provider_start.html", context)
    try:
        count_try(request, PROVIDER)
        return begin(request, found, process=SIGN_IN, next_url=safe_next(request))
    except SignInFailed as error:
        return failed(request, found, error)


def failed(request: HttpRequest, provider: Provider, error: GatehouseError) -> HttpResponse:
    """The page of a sign-in that came to nothing."""
    context = {"error": error, "provider": provider}
    return render(request, "accounts/provider_failed.html", context, status=error.status)


@csrf_exempt  # state takes its place: the provider's page posts here, not ours
@secret_page
@get_or_post
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """The provider's answer. Each one works once, in the browser that began (A091).

    A failure is no guess at a secret of ours, so none counts: a foreign page can send any browser
    here, browsers come again by themselves (Back, reload, restored tabs), and providers fail.
    """
    found = find(provider)
    if request.method == "POST":
        return _as_get(request)
    state = request.GET.get("state", "")
    try:
        response = _finish(request, found, state)
    except NotBegunHere as error:
        response = _go_on(request, state) or _refuse(request, found, error)
    except FAILURES as error:
        if not isinstance(error, NOTED):
            _note(found, error)
        response = failed(request, found, error)
    forget(request, response, state)
    return response


def _go_on(request: HttpRequest, state: str) -> HttpResponse | None:
    """Where the answer led when it came first, for whoever is in already, or in half."""
    if request.user.is_authenticated:
        url = destination_of(request, state)
        return see_other(url if is_safe_destination(url) else reverse("accounts:profile"))
    stage = stages.pending(request)
    return None if stage is None else see_other(reverse(stage.page))


def _refuse(request: HttpRequest, provider: Provider, error: NotBegunHere) -> HttpResponse:
    """Say that the answer is worth nothing here; so many of a client leave an audit row."""
    gates.require_open_door(client_ip(request))
    if has_room(request, CALLBACK):
        _note(provider, error)
    return failed(request, provider, error)


def _as_get(request: HttpRequest) -> HttpResponse:
    """The same answer by GET: the cookie of what was begun does not come with a foreign form."""
    query = QueryDict(mutable=True)
    for name in ANSWER:
        value = request.POST.get(name, "")
        if value and len(value) <= LONGEST_ANSWER:
            query[name] = value
    return see_other(f"{request.path}?{query.urlencode()}")


def _finish(request: HttpRequest, provider: Provider, state: str) -> HttpResponse:
    pending = take(request, provider, state)
    error = request.GET.get("error", "")
    if error:
        raise SignInFailed(PROVIDER_ERRORS.get(error, "provider_error"), "its answer")
    arrival = flow_of(provider).finish(request, provider, pending)
    if pending.process == CONNECT:
        identities.connect(user=person(request), door=provider.door, arrival=arrival)
        keep_destination(request, pending)
        return redirect_with_notice("accounts:profile", "connected")
    return _enter(request, provider, pending, arrival)


def _enter(
    request: HttpRequest, provider: Provider, pending: Pending, arrival: Arrival
) -> HttpResponse:
    user = identities.arrive(provider.door, arrival)
    response = enter(
        request,
        user,
        method=SignInMethod.PROVIDER,
        provider=provider.id,
        next_url=pending.next_url,
    )
    if not request.session.is_empty():
        keep_destination(request, pending)
        remember_way_out(request, provider, arrival.id_token)
    return response


def _note(provider: Provider, error: GatehouseError) -> None:
    """Write down that somebody tried; nothing of what he sent."""
    detail = getattr(error, "detail", "")
    reason = f"{error.code}: {detail}" if detail else error.code
    audit.record("account:session:start", result="refused", provider=provider.id, reason=reason)


def own_callbacks() -> list[URLPattern]:
    """Paths of the settings that no common pattern answers."""
    usual = ("/oauth/{}/callback", "/api/auth/callback/{}")
    return [
        path(provider.callback_path[1:], callback, {"provider": provider.id})
        for provider in configured()
        if provider.callback_path not in [each.format(provider.id) for each in usual]
    ]
