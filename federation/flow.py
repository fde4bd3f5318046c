"""Redirects to providers, and turns their responses into an ExternalUserInfo.

Nothing but flow_of() depends on the kind of a provider.
"""

from typing import Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.sessions.link_binding import bind_browser
from core.errors import NotFound
from core.web.redirects import safe_destination
from federation.oidc.authorization_code import OpenIDConnect
from federation.oidc.authorization_request import (
    SIGN_IN,
    TEST,
    AuthorizationRequest,
    make_authorization_request,
    remember,
)
from federation.oidc.errors import SignInFailed
from federation.paused import require_on
from federation.providers import OIDC, Provider, find
from federation.services.identities import ExternalUserInfo
from federation.social.flow import SocialFlow


class Flow(Protocol):
    """The flow of one kind of provider; both methods raise SignInFailed."""

    def authorize_url(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> str:
        """The URL of the provider's page, with pending.state and so on."""
        ...

    def finish(
        self, request: HttpRequest, provider: Provider, pending: AuthorizationRequest
    ) -> ExternalUserInfo:
        """The user, after verification of everything that the provider sent.

        request: the response, a GET with `code` and no error; its state has been consumed.
        """
        ...


OPENID_CONNECT, SOCIAL = OpenIDConnect(), SocialFlow()


def flow_of(provider: Provider) -> Flow:
    return OPENID_CONNECT if provider.kind == OIDC else SOCIAL


# Per id, the provider that was examined: tests and commands may change the settings.
_examined: dict[str, tuple[Provider, bool]] = {}


def knows_server(provider: Provider) -> bool:
    """Whether the settings name the provider's server, where it has one of its own."""
    if provider.kind == OIDC:
        return True
    examined = _examined.get(provider.id)
    if examined is None or examined[0] is not provider:
        try:
            SOCIAL.token_url(provider)
        except SignInFailed:
            examined = provider, False
        else:
            examined = provider, True
        _examined[provider.id] = examined
    return examined[1]


def begin(request: HttpRequest, provider: Provider, *, process: str, next_url: str) -> HttpResponse:
    """A page that leads to the provider; stores the pending request in this browser.

    process: SIGN_IN; CONNECT or TEST for the signed-in user. A test may go through a provider that
    is switched off. Raises SignInFailed.
    """
    if process != TEST:
        require_on(provider.id)
    pending = make_authorization_request(request, provider, process=process, next_url=next_url)
    url = flow_of(provider).authorize_url(request, provider, pending)
    response = redirect_page(request, url, provider)
    remember(request, response, pending, provider)
    if signed_out_cookie() in request.COOKIES:
        response.delete_cookie(signed_out_cookie(), samesite="Lax")
    # New users verify their address with a mailed link, which is bound to this browser.
    bind_browser(request).keep_in(response)
    return response


def to_default_provider(request: HttpRequest) -> HttpResponse | None:
    """OPENID_AUTO_REDIRECT: where an anonymous user goes instead of the sign-in page, or None.

    None with ?local=1, with a notice to show, while the provider is down, and in a browser that has
    signed out: the provider would sign it in again at once.
    """
    if not settings.AUTO_REDIRECT or {"local", "notice"} & set(request.GET):
        return None
    if request.COOKIES.get(signed_out_cookie()):
        return None
    try:
        provider = find(settings.AUTO_REDIRECT)
        next_url = safe_destination(request.GET.get("next", ""))
        return begin(request, provider, process=SIGN_IN, next_url=next_url)
    except (NotFound, SignInFailed):
        return None


def signed_out_cookie() -> str:
    """Lasts as long as the browser session, or until a sign-in by a provider starts."""
    return f"{settings.COOKIE_PREFIX}gatehouse_signed_out"


def stay_signed_out(response: HttpResponse) -> HttpResponse:
    """Start no sign-in automatically in this browser; see to_default_provider()."""
    if settings.AUTO_REDIRECT:
        response.set_cookie(
            signed_out_cookie(), "1", secure=settings.IS_HTTPS, httponly=True, samesite="Lax"
        )
    return response


def redirect_page(request: HttpRequest, url: str, provider: Provider) -> HttpResponse:
    """A page that forwards to `url` at the provider at once, with a link as fallback.

    Not a redirect, because Chromium applies form-action 'self' to redirects after a form.
    """
    return render(request, "accounts/to_provider.html", {"url": url, "provider": provider})
