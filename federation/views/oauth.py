"""`/oauth/<provider>/login` and `/callback`: start a sign-in at a provider, and finish it."""

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.csrf import csrf_exempt

from accounts import access_policy
from accounts.rate_limits import CALLBACK, PROVIDER, check_rate_limit, has_room
from accounts.services.signup import RegistrationClosed
from accounts.sign_in.methods import SignInMethod
from accounts.sign_in.stages import waiting_page
from accounts.views.common import (
    complete_login,
    current_user,
    get_or_post,
    redirect_with_notice,
    safe_next,
    secret_page,
)
from audit import audit_log
from core.errors import GatehouseError
from core.web.client_ip import client_ip
from core.web.redirects import is_safe_destination, see_other
from federation.flow import begin, flow_of
from federation.oidc.authorization_request import (
    CONNECT,
    SIGN_IN,
    TEST,
    AuthorizationRequest,
    UnknownState,
    consume_state,
    destination_of,
    forget,
    remember_destination,
)
from federation.oidc.errors import SignInFailed
from federation.oidc.signout import remember_logout
from federation.paused import require_on
from federation.providers import Provider, configured, find
from federation.services import identities, sign_in_tests
from federation.services.identities import (
    AccountExists,
    EmailMissing,
    ExternalUserInfo,
    GroupsIncomplete,
    IdentityTaken,
    RoleRequired,
)
from federation.views import kept_results

# Parameters of a form_post response (Apple sends the name once, as `user`).
RESPONSE_PARAMETERS = ("code", "state", "error", "iss", "user")
MAX_PARAMETER_LENGTH = 6000
# The user declined, or closed the page.
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
# The services that raise these have audited them.
AUDITED = (RoleRequired, GroupsIncomplete, AccountExists, IdentityTaken)
FAILURES = (SignInFailed, *AUDITED, EmailMissing, RegistrationClosed)


@get_or_post
def start(request: HttpRequest, provider: str) -> HttpResponse:
    """POST redirects to the provider; GET shows a button, so that no link starts a sign-in."""
    found = find(provider)
    if request.user.is_authenticated:
        return redirect(safe_next(request) or "accounts:profile")
    try:
        require_on(found.id)
        if request.method != "POST":
            context = {"provider": found, "next": safe_next(request)}
            return render(request, "accounts/provider_start.html", context)
        check_rate_limit(request, PROVIDER)
        return begin(request, found, process=SIGN_IN, next_url=safe_next(request))
    except SignInFailed as error:
        return failed(request, found, error)


def failed(request: HttpRequest, provider: Provider, error: GatehouseError) -> HttpResponse:
    """The page that explains a failed sign-in."""
    context = {"error": error, "provider": provider}
    return render(request, "accounts/provider_failed.html", context, status=error.status)


@csrf_exempt  # the provider posts here; `state` protects instead
@secret_page
@get_or_post
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """The provider's response. Each works once, in the browser that started (RFC 6749, 10.12).

    Failures do not count towards a rate limit, since they guess no secret of ours: another site can
    send any browser here, browsers repeat requests (Back, reload, restored tabs), providers fail.
    """
    found = find(provider)
    if request.method == "POST":
        return _redirect_to_get(request)
    state = request.GET.get("state", "")
    try:
        response = _handle(request, found, state)
    except UnknownState as error:
        response = _repeat_redirect(request, state) or _refuse_unknown_state(request, found, error)
    except FAILURES as error:
        if not isinstance(error, AUDITED):
            _audit_failure(found, error)
        response = failed(request, found, error)
    forget(request, response, state)
    return response


def _repeat_redirect(request: HttpRequest, state: str) -> HttpResponse | None:
    """A redirect to where the first response led, if the user is signed in or at a later step."""
    if request.user.is_authenticated:
        url = destination_of(request, state)
        return see_other(url if is_safe_destination(url) else reverse("accounts:profile"))
    page = waiting_page(request)
    return see_other(reverse(page)) if page else None


def _refuse_unknown_state(
    request: HttpRequest, provider: Provider, error: UnknownState
) -> HttpResponse:
    """Show the failure; audit only a limited number for each client."""
    access_policy.require_client_allowed(client_ip(request))
    if has_room(request, CALLBACK):
        _audit_failure(provider, error)
    return failed(request, provider, error)


def _redirect_to_get(request: HttpRequest) -> HttpResponse:
    """Repeat the response by GET: SameSite=Lax cookies are not sent with a cross-site POST."""
    query = QueryDict(mutable=True)
    for name in RESPONSE_PARAMETERS:
        value = request.POST.get(name, "")
        if value and len(value) <= MAX_PARAMETER_LENGTH:
            query[name] = value
    return see_other(f"{request.path}?{query.urlencode()}")


def _handle(request: HttpRequest, provider: Provider, state: str) -> HttpResponse:
    pending = consume_state(request, provider, state)
    if pending.process == TEST:
        return _finish_test(request, provider, pending)
    _require_no_error(request)
    require_on(provider.id)
    info = flow_of(provider).finish(request, provider, pending)
    require_on(provider.id)
    if pending.process == CONNECT:
        identities.connect(user=current_user(request), source=provider.source, info=info)
        remember_destination(request, pending)
        return redirect_with_notice("accounts:profile", "connected")
    return _sign_in(request, provider, pending, info)


def _require_no_error(request: HttpRequest) -> None:
    """Raise SignInFailed if the response is an error."""
    error = request.GET.get("error", "")
    if error:
        raise SignInFailed(PROVIDER_ERRORS.get(error, "provider_error"), "error response")


def _finish_test(
    request: HttpRequest, provider: Provider, pending: AuthorizationRequest
) -> HttpResponse:
    """Keep the result for the page that has started the test, and return there."""
    owner = current_user(request)
    try:
        _require_no_error(request)
        info = flow_of(provider).finish(request, provider, pending)
    except SignInFailed as error:
        result = sign_in_tests.note_failure(actor=owner, provider=provider, error=error)
    else:
        result = sign_in_tests.preview_sign_in(actor=owner, provider=provider, info=info)
    kept_results.keep(request, provider, result)
    remember_destination(request, pending)
    return see_other(pending.next_url)


def _sign_in(
    request: HttpRequest, provider: Provider, pending: AuthorizationRequest, info: ExternalUserInfo
) -> HttpResponse:
    user = identities.resolve_user(provider.source, info)
    response = complete_login(
        request,
        user,
        method=SignInMethod.PROVIDER,
        provider=provider.id,
        next_url=pending.next_url,
    )
    if not request.session.is_empty():
        remember_destination(request, pending)
        remember_logout(request, provider, info.id_token)
    return response


def _audit_failure(provider: Provider, error: GatehouseError) -> None:
    """Audit the attempt, with nothing of what the client sent."""
    detail = getattr(error, "detail", "")
    reason = f"{error.code}: {detail}" if detail else error.code
    audit_log.record("account:session:start", result="refused", provider=provider.id, reason=reason)


def own_callbacks() -> list[URLPattern]:
    """URL patterns for callback paths of the settings that the usual patterns do not cover."""
    usual = ("/oauth/{}/callback", "/api/auth/callback/{}")
    return [
        path(provider.callback_path[1:], callback, {"provider": provider.id})
        for provider in configured()
        if provider.callback_path not in [each.format(provider.id) for each in usual]
    ]
